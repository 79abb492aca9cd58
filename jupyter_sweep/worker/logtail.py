"""What of a growing log was not sent yet."""

from __future__ import annotations

import os

from .logfile import HEAD

#: Long enough for the note of a cut (see `logfile`).
_MARK = 96


class LogTail:
    """A log whose beginning never changes, while what follows may have its middle cut out.

    A cut leaves a note at the end of the beginning, with a number that grows (see `logfile`): by that it is known.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.sent = 0
        self._mark = b""

    def take(self, n: int) -> bytes:
        """Give up to `n` bytes that follow those given before; after a cut, of what it left."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return b""
        try:
            while True:
                mark = os.pread(fd, _MARK, HEAD)
                if not mark.startswith(self._mark):
                    self.sent = min(self.sent, HEAD)
                self._mark = mark
                data = os.pread(fd, n, self.sent)
                if os.pread(fd, len(mark), HEAD) == mark:
                    self.sent += len(data)
                    return data
        finally:
            os.close(fd)

    def left(self) -> int:
        """Give the bytes that are left."""
        try:
            return max(0, os.stat(self.path).st_size - self.sent)
        except FileNotFoundError:
            return 0
