"""A Slurm of one node in a folder of its own, from Debian's packages `slurm-wlm` and `munge`.

Its daemons listen on 127.0.0.1 only, have a key, a socket and ports of their own, and end with `down`. The machine's
own Slurm, if it has one, is never asked: everything goes by the SLURM_CONF that `up` gives.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

CPUS = 4
_LIMIT_S = 90
_CONF = """
ClusterName=sweep
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,batch_sched_delay=0,bf_interval=2
ReturnToService=2
KillWait=2
MessageTimeout=20
# The node may have more cores than the machine: the trials of the tests mostly sleep.
SlurmdParameters=config_overrides
NodeName=localhost NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=12000 State=UNKNOWN
EnforcePartLimits={enforce}
PartitionName=main Nodes=localhost Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
PartitionName=short Nodes=localhost MaxTime=00:30:00 State=UP OverSubscribe=NO
PartitionName=physics Nodes=localhost AllowAccounts=physics State=UP OverSubscribe=NO
"""


def missing() -> str:
    """Say why no Slurm can be brought up here; empty when one can."""
    if os.geteuid() != 0:
        return "a Slurm of one's own needs root"
    absent = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if _program(name) is None]
    return f"no {', '.join(absent)} here: apt-get install slurm-wlm munge" if absent else ""


class Slurm:
    """A running Slurm; `conf` is what SLURM_CONF must name for its commands."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.conf = folder, folder / "slurm.conf"
        folder.mkdir(mode=0o755)
        for name in ("state", "spool"):
            (folder / name).mkdir()
        key = folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        self._ports = dict(zip(("ctld_port", "node_port"), _free_ports(2), strict=True))
        self._configure("ALL")

    def _configure(self, enforce: str) -> None:
        self.conf.write_text(_CONF.format(folder=self.folder, cpus=CPUS, enforce=enforce, **self._ports))

    @contextlib.contextmanager
    def lax(self) -> Iterator[None]:
        """Have it, for the block, take jobs beyond the limits of their partition, as Slurm is delivered."""
        self._reconfigure("NO")
        try:
            yield
        finally:
            self._reconfigure("ALL")

    def _reconfigure(self, enforce: str) -> None:
        self._configure(enforce)
        self.ask("scontrol", "reconfigure")
        until = time.monotonic() + _LIMIT_S
        while f"EnforcePartLimits       = {enforce}" not in self.ask("scontrol", "show", "config"):
            assert time.monotonic() < until
            time.sleep(0.1)

    def up(self) -> None:
        """Start the three daemons; returns when the node takes jobs."""
        self._start("munged", "--force", *(f"--{name}-file={self.folder}/munge.{name}" for name in ("key", "seed")),
                    f"--socket={self.folder}/munge.sock", f"--pid-file={self.folder}/munged.pid",
                    f"--log-file={self.folder}/munged.log")  # fmt: skip
        self._start("slurmctld", "-c", "-f", str(self.conf))
        self._start("slurmd", "-f", str(self.conf), "-N", "localhost")
        until = time.monotonic() + _LIMIT_S
        while "idle" not in self.ask("sinfo", "-h", "-o", "%t"):
            assert time.monotonic() < until, (self.folder / "slurmctld.log").read_text()[-3000:]
            time.sleep(0.1)

    def down(self) -> None:
        """End all jobs, then the daemons."""
        self.ask("scancel", "--user", str(os.getuid()))
        with contextlib.suppress(AssertionError):
            self.wait_for_no_jobs()
        for name in ("slurmd", "slurmctld", "munged"):
            _end(self.folder / f"{name}.pid")

    def ask(self, *command: str) -> str:
        """Give what a command of Slurm's prints; empty when it fails."""
        env = {**os.environ, "SLURM_CONF": str(self.conf)}
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=_LIMIT_S).stdout.strip()

    def jobs(self) -> dict[str, str]:
        """Give id -> state (R, PD, CG, ...) of the jobs that are not over."""
        return dict(line.split() for line in self.ask("squeue", "-h", "-o", "%i %t").splitlines())

    def running(self) -> list[str]:
        """Give the ids of the jobs that run, oldest first."""
        return sorted((job for job, state in self.jobs().items() if state == "R"), key=int)

    def cancel(self, job: str) -> None:
        """Do what `scancel` does."""
        self.ask("scancel", job)

    def shorten(self, job: str, minutes: int) -> None:
        """Give a job less time than it asked for, as an operator can."""
        self.ask("scontrol", "update", f"JobId={job}", f"TimeLimit={minutes}")

    def wait_for_no_jobs(self, limit_s: float = _LIMIT_S) -> None:
        """Wait until there is no job, not even one that is ending."""
        until = time.monotonic() + limit_s
        while self.jobs():
            assert time.monotonic() < until, f"still there: {self.jobs()}"
            time.sleep(0.1)

    def _start(self, name: str, *options: str) -> None:
        program = _program(name)
        assert program is not None
        done = subprocess.run([program, *options], capture_output=True, text=True, timeout=_LIMIT_S)
        assert done.returncode == 0, f"{name}: {done.stderr}"


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Slurm]:
    """A Slurm for the length of the block."""
    slurm = Slurm(folder)
    try:
        slurm.up()
        yield slurm
    finally:
        slurm.down()


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _free_ports(n: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _end(pid_file: Path) -> None:
    """End the daemon that wrote a file with its pid, and wait for it."""
    try:
        pid = int(pid_file.read_text())
        os.kill(pid, signal.SIGTERM)
    except (OSError, ValueError):
        return
    until = time.monotonic() + _LIMIT_S
    while Path(f"/proc/{pid}").exists() and time.monotonic() < until:
        time.sleep(0.05)
