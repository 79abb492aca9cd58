"""Keep what a trial may change about its process from the next: environment, folder, import path, output, signals."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import functools
import io
import os
import resource
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TextIO

from .procs import writable_bytes

#: Descriptors of ours lie above this.
_HIGH_FD = 200


@contextlib.contextmanager
def surroundings(cwd: str, path: Sequence[str], *, home: str | None = None) -> Iterator[None]:
    """Run the block in `cwd` with `path` before the rest of `sys.path`, and undo what it changed.

    `home` is the folder to go to afterwards; None for the one before.
    """
    environment, imports, arguments = dict(os.environ), list(sys.path), list(sys.argv)
    back = home or os.getcwd()
    sys.path[:] = dict.fromkeys([*path, *imports])
    with warnings.catch_warnings():
        try:
            os.chdir(cwd)
            yield
        finally:
            os.chdir(back)
            sys.path[:], sys.argv[:] = imports, arguments
            set_environment(environment)


def set_environment(wanted: Mapping[str, str]) -> None:
    """Make the environment what it should be, touching no variable that is so already."""
    found = dict(os.environ)
    for name in found.keys() - wanted.keys():
        del os.environ[name]
    for name, value in wanted.items():
        if found.get(name) != value:
            os.environ[name] = value


@contextlib.contextmanager
def memory_limited(memory_gb: float | None) -> Iterator[None]:
    """Refuse the block's process far more memory than its limit, as a MemoryError.

    The supervisor measures what is really used and ends the trial at its limit; this is for the one allocation that
    would take the machine down before it looks. The slack is wide, because untouched pages count here.
    """
    if memory_gb is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = writable_bytes() + int((1.5 * memory_gb + 1) * 2**30)
    bounds = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min([wanted, *bounds]), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def high_copy(fd: int) -> int:
    """Give a copy of a descriptor out of the way of code that counts from 3, closed in all that a trial starts."""
    lowest = min(_HIGH_FD, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, lowest)


class Streams:
    """Descriptors 0 to 2 and `sys.std*` of a child as each trial finds them, whatever the one before did to them."""

    def __init__(self) -> None:
        self._null, self._log = high_copy(0), high_copy(1)
        self._open()

    def restore(self) -> None:
        """Point the descriptors at the log again and give Python its own streams back."""
        for source, fd in ((self._null, 0), (self._log, 1), (self._log, 2)):
            os.dup2(source, fd)
        if self._in.closed or self._out.closed or self._err.closed:
            self._open()
        sys.stdin, sys.stdout, sys.stderr = self._in, self._out, self._err

    def flush(self) -> None:
        """Bring everything printed by Python and by C to the log."""
        for stream in {sys.stdout, sys.stderr, self._out, self._err}:
            with contextlib.suppress(ValueError, OSError, AttributeError):  # closed, or replaced by something else
                stream.flush()
        flush_c()

    def _open(self) -> None:
        self._in = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
        self._out, self._err = (_writer(fd) for fd in (1, 2))


def _writer(fd: int) -> TextIO:
    """Give a stream that writes whole lines at once, so that a killed trial loses none, and never fails to encode."""
    raw = io.open(fd, "wb", closefd=False)  # noqa: SIM115, UP020
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)


def flush_c() -> None:
    """Flush C's own buffer of standard output (not all of C's streams: one that is locked would hang us)."""
    stdout = _c_stdout()
    if stdout is not None:
        ctypes.CDLL(None).fflush(stdout)


@functools.cache
def _c_stdout() -> ctypes.c_void_p | None:
    try:
        return ctypes.c_void_p.in_dll(ctypes.CDLL(None), "stdout")
    except ValueError:  # another C library names it otherwise
        return None


def reset_signals() -> None:
    """Undo handlers and timers of the trial before; SIGTERM is the child's own."""
    signal.alarm(0)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def leave_sigterm_alone_in_forks() -> None:
    """Have processes that a trial forks end on SIGTERM as any process does, from their first moment on.

    Python forgets signals that arrive while it sets a forked process up, and our handler would outlive that; so the
    signal is held back meanwhile.
    """
    held = threading.local()

    def hold() -> None:
        held.mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])

    def let_go() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, held.mask)

    def let_go_in_child() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        let_go()

    os.register_at_fork(before=hold, after_in_parent=let_go, after_in_child=let_go_in_child)
