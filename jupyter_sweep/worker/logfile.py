"""A trial's `log.txt`, written by the supervisor from a pipe, so that no trial can fill the disk.

A pipe and not the file itself as the trial's output: it is made once a child, so a trial costs one open and close here,
and the cap holds whatever writes, C code and grandchildren too. Of a log that would grow past the limit the beginning
and the end are kept, since the one says what was run and the other why it failed.
"""

from __future__ import annotations

import os

LIMIT = 20 << 20
HEAD = 10 << 20
#: What of the end is kept when the middle is cut out.
TAIL = 1 << 20


class LogFile:
    """Append to one log. A disk that is full ends the logging, not the trial: `problem` says so."""

    def __init__(self, path: str) -> None:
        self.problem = ""
        self._path = path
        self._dropped = self._note = 0  # bytes left out, bytes of the note that says so
        self._fd = -1
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self._size = os.fstat(self._fd).st_size
        except OSError as error:
            self._give_up(error)

    def write(self, data: bytes) -> None:
        """Append data, cutting out the middle of the file when it would pass the limit."""
        try:
            while data and self._fd >= 0:
                if self._size >= LIMIT:
                    self._cut()
                piece, data = data[: LIMIT - self._size], data[LIMIT - self._size :]
                self._append(piece)
        except OSError as error:
            self._give_up(error)

    def close(self) -> None:
        """Close it; a disk of the network may say only now that it is full."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            try:
                os.close(fd)
            except OSError as error:
                self._give_up(error)

    def _append(self, data: bytes) -> None:
        while data:
            written = os.write(self._fd, data)
            self._size += written
            data = data[written:]

    def _cut(self) -> None:
        kept = os.pread(self._fd, TAIL, self._size - TAIL)
        self._dropped += self._size - HEAD - self._note - len(kept)
        os.ftruncate(self._fd, HEAD)
        self._size = HEAD
        note = f"\n... {self._dropped:,} bytes are left out here, a log holds {LIMIT >> 20} MB ...\n".encode()
        self._note = len(note)
        self._append(note + kept)

    def _give_up(self, error: OSError) -> None:
        self.problem = self.problem or f"{self._path} can't be written: {error.strerror or error}"
        self.close()
