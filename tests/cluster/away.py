"""Hosts that share no disk with the driver, inside this machine: Dask workers in mount namespaces of their own.

Over the folder that holds the driver's desk each worker has an empty one, which only it sees. A host is a scratch
folder: workers with the same one are on the same host.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

_LIMIT_S = 180
_HIDE = """
mount -t tmpfs none "$(dirname "$1")" || exit 9
if [ -n "$2" ]; then mount -t tmpfs -o "size=$2" none "$JUPYTER_SWEEP_SCRATCH" || exit 9; fi
shift 2
exec "$@"
"""


def missing() -> str:
    """Say why such hosts can't be had here; empty when they can."""
    if os.geteuid() != 0:
        return "mount namespaces need root"
    if shutil.which("unshare") is None:
        return "not installed: unshare (Debian: util-linux)"
    probe = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs none /mnt"]
    done = subprocess.run(probe, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"no mount namespaces: {done.stderr.strip()}"


class Cluster:
    """A scheduler, and workers of one thread each on `hosts`. `desk` is the folder that they don't see."""

    def __init__(self, folder: Path, desk: Path) -> None:
        self.folder, self.desk = folder, desk
        self.processes: list[subprocess.Popen[bytes]] = []
        file = folder / "scheduler.json"
        options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
        self._start([sys.executable, "-m", "distributed.cli.dask_scheduler", *options], "scheduler", {})
        try:
            wait_until(lambda: file.exists() and file.read_text().endswith("\n}"))  # it is there before it is whole
            self.address = json.loads(file.read_text())["address"]
        except BaseException:
            self.close()
            raise

    def _start(self, command: list[str], name: str, env: dict[str, str]) -> subprocess.Popen[bytes]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("JUPYTER_SWEEP")}
        with open(self.folder / f"{name}.log", "wb") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env={**inherited, **env}, cwd="/"
            )
        self.processes.append(process)
        return process

    def scratch(self, host: str) -> Path:
        """Give the folder where a host keeps what it was sent."""
        return self.folder / host / f"jupyter-sweep-{os.getuid()}"

    def worker(
        self, name: str, host: str, *, away: bool = True, space: str = "", **env: str
    ) -> subprocess.Popen[bytes]:
        """Start a worker. `away`: it does not see the desk. `space`: all that its host's scratch holds, as in "80m"."""
        (self.folder / host).mkdir(exist_ok=True)
        options = ["--no-nanny", "--no-dashboard", "--nthreads", "1", "--name", name, "--memory-limit", "0"]
        local = ["--local-directory", str(self.folder / host), "--death-timeout", "30"]
        command = [sys.executable, "-m", "distributed.cli.dask_worker", self.address, *options, *local]
        if away:
            command = ["unshare", "--mount", "sh", "-c", _HIDE, "sh", str(self.desk), space, *command]
        process = self._start(command, name, {"JUPYTER_SWEEP_SCRATCH": str(self.folder / host), **env})
        wait_until(lambda: b"Registered to" in (self.folder / f"{name}.log").read_bytes())
        return process

    def close(self) -> None:
        family = [child for process in self.processes for child in _children(process.pid)]
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(3)
            process.kill()
            process.wait()
        _, alive = psutil.wait_procs(family, timeout=10)
        for left in alive:
            left.kill()
        assert not alive, alive


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Give a scheduler without workers, and a new folder `desk` that they will not see."""
    desk = folder / "home" / "desk"
    desk.mkdir(parents=True)
    made = Cluster(folder, desk)
    try:
        yield made
    finally:
        made.close()


def wait_until(holds: Callable[[], bool], limit_s: float = _LIMIT_S) -> None:
    until = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < until, "it did not come true in time"
        time.sleep(0.02)
