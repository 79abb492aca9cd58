"""The process that trials are forked from: it imports what they import and runs none itself.

A fork of it has everything imported and nothing else: state as clean as that of a new interpreter, for a few
milliseconds instead of seconds. It never forks while it has a second thread, because a fork copies locks that such a
thread holds, but not the thread that would let go of them; a module whose import starts one is told instead.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn

from . import keeping, procs
from .job import Jobs, LocalModules
from .wire import Channel, Frame

#: How long a guard that was hung up on may take to end.
_REAP_S = 1.0
_STEP_S = 0.005


def serve(fd: int, guard: Callable[[int, int], NoReturn]) -> None:
    """Obey the nursery at the other end of `fd` until it is gone; `guard` is what a fork becomes."""
    procs.adopt_orphans()
    high = keeping.high_copy(fd)
    os.close(fd)
    for stream in (1, 2):  # what modules print at their import is no trial's output
        os.dup2(0, stream)
    keeping.leave_sigterm_alone_in_forks()
    with contextlib.suppress(EOFError, BrokenPipeError):
        Zygote(socket.socket(fileno=high), guard).serve()


class Zygote:
    """Imports and forks, as it is told."""

    def __init__(self, sock: socket.socket, guard: Callable[[int, int], NoReturn]) -> None:
        self._guard = guard
        self._channel = Channel(sock)
        self._jobs = Jobs()
        sys.path[:], sys.argv[:] = [folder for folder in sys.path if folder], [""]

    def serve(self) -> None:
        self._channel.send({"op": "ready", "pid": os.getpid()})
        while True:
            frame = self._channel.receive()
            if frame["op"] == "preload":
                self._channel.send({"op": "preloaded", "culprit": self._preload(frame)})
            elif frame["op"] == "fork":
                self._fork()
            elif frame["op"] == "reap":
                self._channel.send({"op": "reaped", "status": _reap(frame["pid"])})

    def _preload(self, frame: Frame) -> str:
        """Import modules by name; give the name of the first that left a thread running, after which none follows."""
        job = self._jobs.get(frame["data"], frame["job"])
        if not any(isinstance(finder, LocalModules) for finder in sys.meta_path):
            sys.meta_path.insert(0, LocalModules(job.modules))
        with keeping.surroundings(frame["cwd"], [*job.path, *frame["path"]], home="/"):
            for name in frame["names"]:
                if name not in sys.modules and not _is_imported_alone(name):
                    return str(name)
        keeping.reset_signals()
        gc.collect()
        gc.freeze()  # a collection in a fork would copy every page that it looks at
        return ""

    def _fork(self) -> None:
        """Take three descriptors (channel, life line, output) and fork a guard onto them."""
        self._channel.send({"op": "go"})
        fds = self._channel.receive_fds(3)
        pid = os.fork()
        if pid == 0:
            self._become(*fds)
        for fd in fds:
            os.close(fd)
        self._channel.send({"op": "forked", "pid": pid})

    def _become(self, channel: int, life: int, output: int) -> NoReturn:
        self._channel.close()
        os.setsid()
        for stream in (1, 2):
            os.dup2(output, stream)
        os.close(output)
        self._guard(channel, life)


def _is_imported_alone(name: str) -> bool:
    """Import a module; tell whether no thread came with it. One that can't be imported is left to the trials."""
    with contextlib.suppress(BaseException):
        importlib.import_module(name)
    return _threads() == 1


def _threads() -> int:
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return threading.active_count()


def _reap(pid: int) -> Any:
    """Give the exit status of a guard, negative for a signal, None when it goes on; end what it left behind."""
    limit = time.monotonic() + _REAP_S
    while time.monotonic() < limit:
        try:
            found, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            return -signal.SIGKILL
        if found:
            procs.kill_descendants()
            return os.waitstatus_to_exitcode(status)
        time.sleep(_STEP_S)
    return None
