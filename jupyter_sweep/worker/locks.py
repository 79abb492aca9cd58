"""Locks between the processes of a host, on files: they end with their holder, `kill -9` included."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator

#: How long somebody else's lock is waited for.
LIMIT_S = 60.0
_TURN_S = 0.05


def locked(path: str, *, shared: bool = False) -> int | None:
    """Give a descriptor that holds a lock until it is closed; None while somebody else's is in the way."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            if os.fstat(fd).st_nlink:
                return fd
        except BlockingIOError:
            os.close(fd)
            return None
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)  # removed between our open and our lock: what we hold is nobody's lock any more


@contextlib.contextmanager
def holding(path: str, *, shared: bool = False, limit_s: float = LIMIT_S) -> Iterator[None]:
    """Hold a lock for the block, waiting for it.

    Raises
    ------
    TimeoutError
        When it is not to be had within `limit_s` seconds.
    """
    until = time.monotonic() + limit_s
    while (fd := locked(path, shared=shared)) is None:
        if time.monotonic() > until:
            raise TimeoutError(f"{path} was locked by another process for {limit_s:g} s")
        time.sleep(_TURN_S)
    try:
        yield
    finally:
        os.close(fd)


def hidden(path: str, suffix: str) -> str:
    """Give the path of the file beside `path` that `suffix` says: lock, use, part."""
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.{suffix}")
