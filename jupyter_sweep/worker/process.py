"""A guarded child as its supervisor holds it: how it is started, its output, how it is ended."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import marshal
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from . import procs
from .devices import environment as device_environment
from .loader import BOOT, compiled
from .wire import Channel

#: What numerical libraries read at their import to size their thread pools.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMEXPR_MAX_THREADS",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "LOKY_MAX_CPU_COUNT",
)
#: Holds what a worker's host says over the environment of its trials: a JSON object.
HOST_VARIABLES = "JUPYTER_SWEEP_TRIAL_ENV"
#: How long a child may take until it is ready for its first trial.
START_S = 60.0
_PATIENCE_S = 0.2
_PIPE_BYTES = 1 << 18
_READ_BYTES = 1 << 16


class Launch(NamedTuple):
    """What the process that started a sweep left for its trials: environment, working directory, import path."""

    env: dict[str, str]
    cwd: str
    path: list[str]
    digest: str


class Launches:
    """Launch files, read again only when they change."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[int, int], Launch]] = {}

    def get(self, path: str) -> Launch:
        found = os.stat(path)
        stamp = found.st_mtime_ns, found.st_size
        known = self._known.get(path)
        if known is None or known[0] != stamp:
            with open(path, encoding="utf-8") as file:
                data = json.load(file)
            parts = [data["env"], data.get("path", [])]
            digest = hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=8).hexdigest()
            known = self._known[path] = (stamp, Launch(parts[0], data["cwd"], parts[1], digest))
        return known[1]


def environment(launch: Launch, cpus: float, devices: Sequence[str] = ()) -> dict[str, str]:
    """Give a child's environment: the launch's, threads limited to the trial's cpus, no screen, its own GPUs."""
    threads = str(max(1, int(cpus)))
    of_the_host = json.loads(os.environ.get(HOST_VARIABLES, "{}"))
    env = {**launch.env, **of_the_host, **dict.fromkeys(THREAD_VARIABLES, threads)}
    if env.get("MPLBACKEND", "module://").startswith("module://"):
        env["MPLBACKEND"] = "Agg"
    return {**env, **device_environment(devices, os.environ)} if devices else env


def boot_data(sources: Mapping[str, str]) -> bytes:
    """Compile what a child needs: all up to the guard, for children of this interpreter."""
    names = list(sources)
    parts = compiled({name: sources[name] for name in names[: names.index("guard") + 1]})
    return marshal.dumps((dict(parts)["loader"], parts))


class Guard(Protocol):
    """The process that stands between a supervisor and a child, as `subprocess.Popen` has it."""

    pid: int

    def wait(self, timeout: float) -> int:
        """Give its exit status, negative for a signal; subprocess.TimeoutExpired when it does not end."""
        ...


class Process:
    """A child that is starting, waiting or running a trial. `pid` is known once it is ready.

    `channel`, `log` (the read end of its output) and `life` (readable once guard and child are gone) are for polling.

    Parameters
    ----------
    boot
        What `boot_data` gives.
    env
        The environment of the child; a forked one has that of the process that it is forked from.
    key
        Kept for the owner, who knows by it what the child suits.
    role
        "child", or "zygote" for one that forks others (see `nursery`).
    fork
        Starts the guard in another way than as a new interpreter: called with the descriptors of channel, life line
        and output.
    """

    def __init__(
        self,
        boot: bytes,
        env: Mapping[str, str],
        key: Any,
        *,
        role: str = "child",
        fork: Callable[[int, int, int], Guard] | None = None,
    ) -> None:
        self.key, self.env = key, env
        self.pid = 0
        self.trials = 0
        self.imported: list[str] = []  # modules that its trial was the first to import
        self.level: int | None = None  # bytes that it held after its first trial
        ours, theirs = socket.socketpair()
        self.life, guards = socket.socketpair()
        self.log, output = os.pipe()
        os.set_blocking(self.log, False)
        with contextlib.suppress(OSError):
            fcntl.fcntl(self.log, getattr(fcntl, "F_SETPIPE_SZ", 1031), _PIPE_BYTES)
        self.channel = Channel(ours)
        try:
            ends = theirs.fileno(), guards.fileno(), output
            self._guard = fork(*ends) if fork is not None else _new_interpreter(*ends, env, len(boot), role)
        except BaseException:
            self.close()
            raise
        finally:
            theirs.close()
            guards.close()
            os.close(output)
        if fork is None:
            self._boot(ours, boot)

    @staticmethod
    def _boot(sock: socket.socket, data: bytes) -> None:
        with contextlib.suppress(OSError):  # it ended already: whoever waits for it will see why
            sock.settimeout(START_S)
            sock.sendall(data)
            sock.settimeout(None)

    @property
    def is_alive(self) -> bool:
        return not _readable(self.life, 0)

    @property
    def is_quiet(self) -> bool:
        """Tell whether it waits for a trial: it is alive and has nothing to say, not even that it ended just now."""
        return self.is_alive and not _readable(self.channel, 0)

    def wait_until_ready(self, unwanted: Callable[[], object]) -> bool:
        """Wait for the child; False when it ended, takes too long, or `unwanted` comes true."""
        limit = time.monotonic() + START_S
        while not self.pid and time.monotonic() < limit and not unwanted():
            _readable(self.channel, _PATIENCE_S)
            try:
                frames = self.channel.pending()
            except EOFError:
                return False
            self.pid = next((frame["pid"] for frame in frames if frame["op"] == "ready"), 0)
        return bool(self.pid)

    def read_log(self) -> bytes:
        """Give what was printed, up to a bound; empty when there is nothing now."""
        try:
            return os.read(self.log, _READ_BYTES)
        except BlockingIOError:
            return b""

    def terminate(self) -> None:
        """Have the trial end where it is."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)

    def wait_until_gone(self) -> bool:
        """Wait for guard and child to end; False when they do not."""
        return _readable(self.life, procs.END_S + 0.5)

    def hang_up(self) -> None:
        """Have the guard end everything; returns at once."""
        with contextlib.suppress(OSError):
            self.life.shutdown(socket.SHUT_WR)

    def kill(self) -> int:
        """End the child with all it started; give its exit status, negative for a signal. Its output can be read."""
        self.hang_up()
        if not self.wait_until_gone():  # even the guard is stuck
            for pid in [*procs.descendants(self._guard.pid), self._guard.pid]:
                procs.kill(pid)
        if self.pid:  # where the guard itself was killed nobody has ended what the child started
            procs.kill_rest_of_group(self.pid)
        try:
            return self._guard.wait(1.0)
        except subprocess.TimeoutExpired:  # in an uninterruptible system call: it ends when that does
            return -signal.SIGKILL

    def close(self) -> None:
        """Let go of the descriptors; `kill` first."""
        self.channel.close()
        self.life.close()
        os.close(self.log)


def _new_interpreter(
    channel: int, life: int, output: int, env: Mapping[str, str], boot_bytes: int, role: str
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", BOOT, str(channel), str(life), str(boot_bytes), role],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=(channel, life),
        env=dict(env),
        cwd="/",
        start_new_session=True,
    )


def _readable(source: Any, timeout_s: float) -> bool:
    poller = select.poll()
    poller.register(source, select.POLLIN)
    return bool(poller.poll(max(0.0, timeout_s) * 1000))


def ending(status: int) -> str:
    """Say how a process ended by itself.

    >>> ending(7), ending(-11)
    ('exit status 7', 'killed by SIGSEGV')
    """
    if status >= 0:
        return f"exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    hint = ", which the kernel sends when memory runs out" if -status == signal.SIGKILL else ""
    return f"killed by {name}{hint}"
