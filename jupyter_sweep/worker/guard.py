"""The parent of a child, and the end of all that the child starts.

It runs no user code, so it answers whatever the child does: it waits for the child's end, or for the end of its
supervisor, which the kernel tells by closing their socket even after `kill -9`; then it kills every descendant. As a
subreaper it is the parent of any that were orphaned, so a double fork hides nothing. It ends as the child did (the same
exit status, the same signal), so the supervisor need not be told how.

A parent-death signal from the supervisor itself was rejected: it fires when the *thread* that spawned ends, and kills
only the child, not the child's children.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
from typing import NoReturn

from . import child, procs, zygote


def main(fd: int, life: int, role: str = "child") -> NoReturn:
    """Fork the child and watch over it.

    Parameters
    ----------
    fd
        The child's end of the socket to its supervisor.
    life
        The guard's end of the socket whose closing means that all is to end.
    role
        "child" for one that runs trials, "zygote" for one that forks a guard with such a child for each.
    """
    guard = os.getpid()
    procs.adopt_orphans()
    pid = os.fork()
    if pid == 0:
        os.close(life)
        os.setsid()
        procs.die_with_parent(guard)
        if role == "zygote":
            zygote.serve(fd, main)
        else:
            child.serve(fd)
        os._exit(0)
    os.close(fd)
    status = _Watch(pid, life).until_the_end()
    if status is None:
        with contextlib.suppress(ProcessLookupError):  # it has no group of its own yet
            os.killpg(pid, signal.SIGKILL)
        procs.kill(pid)
    procs.kill_descendants()
    _end_like(signal.SIGKILL if status is None else status)


class _Watch:
    """Waits for the child or for the word to end it."""

    def __init__(self, pid: int, life: int) -> None:
        self._pid, self._life = pid, life
        self._status: int | None = None
        self._is_over = False

    def until_the_end(self) -> int | None:
        """Give the child's wait status; None when it has to be killed."""
        awake, wake = os.pipe()
        for end in (awake, wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._end)
        poller = select.poll()
        poller.register(self._life, select.POLLIN)
        poller.register(awake, select.POLLIN)
        self._reap()
        while self._status is None and not self._is_over:
            ready = [fd for fd, _ in poller.poll()]
            self._is_over |= self._life in ready
            if awake in ready:
                os.read(awake, 4096)
            self._reap()
        return self._status

    def _end(self, *_: object) -> None:
        self._is_over = True

    def _reap(self) -> None:
        while self._status is None:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            if pid == self._pid:
                self._status = status


def _end_like(status: int) -> NoReturn:
    """End as a process with that wait status did."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))
