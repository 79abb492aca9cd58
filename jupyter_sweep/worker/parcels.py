"""Files on their way between the driver and a worker that share no disk, in pieces that the driver sends and fetches.

The worker only asks (an event of kind want or offer); it is the driver that calls, piece by piece, so that it decides
how much is under way at once. Pieces come in order and may come twice. A file is written aside, compared with its
length and SHA-256, made durable and renamed: whoever sees its name sees all of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .locks import hidden

#: Without a piece for so long the other side is given up. Pieces of many transfers take turns: it is long.
STALL_S = 120.0
_TURN_S = 0.1
_SYNC_BYTES = 64 << 20


class NotWanted(Exception):
    """What was waited for is not wanted any more."""


class _Parcel:
    """What both directions share: when the other side was heard of last, and the end."""

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex[:12]
        self.over = threading.Event()
        self.lock = threading.Lock()
        self._touched = time.monotonic()

    def touch(self) -> None:
        self._touched = time.monotonic()

    @property
    def has_stalled(self) -> bool:
        return time.monotonic() - self._touched > STALL_S

    def wait(self, what: str, unwanted: Callable[[], object]) -> None:
        """Wait for the end.

        Raises
        ------
        TimeoutError
            When nothing was heard of it for STALL_S seconds.
        NotWanted
            When `unwanted` comes true.
        """
        while not self.over.wait(_TURN_S):
            if unwanted():
                raise NotWanted
            if self.has_stalled:
                raise TimeoutError(f"{what}: no word from the driver for {STALL_S:g} s")


class Want(_Parcel):
    """One file that the driver was asked for.

    Parameters
    ----------
    path
        Where it is to lie. It is collected in a hidden file beside that, which nobody else may write.
    make_room
        Called with its size before the first piece; raises OSError when it doesn't fit.
    """

    def __init__(self, path: str, make_room: Callable[[int], None]) -> None:
        super().__init__()
        self.problem = ""
        self._path, self._part = path, hidden(path, "part")
        self._make_room = make_room
        self._fd = -1
        self._at = self._synced = 0
        self._hash = hashlib.sha256()

    def accept(self, at: int, size: int, data: bytes, digest: str) -> str:
        """Take a piece; give why no more is wanted, or ""."""
        self.touch()
        with self.lock:
            if not self.over.is_set() and at == self._at:
                try:
                    self._write(size, data)
                    if self._at == size:
                        self._complete(digest)
                except OSError as error:
                    self._end(str(error))
            self.touch()
            return self.problem

    def refuse(self, why: str) -> None:
        """Hear that the driver has no such file."""
        with self.lock:
            self._end(why)

    def close(self) -> None:
        """Remove what came of a file that is not complete."""
        with self.lock:
            if not self.over.is_set():
                self._end("it is not wanted any more")

    def _write(self, size: int, data: bytes) -> None:
        if self._fd < 0:
            self._make_room(size)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
            self._fd = os.open(self._part, flags, 0o600)
        left = memoryview(data)
        while left:
            left = left[os.write(self._fd, left) :]
        self._hash.update(data)
        self._at += len(data)
        if self._at - self._synced >= _SYNC_BYTES or self._at == size:
            os.fsync(self._fd)
            self._synced = self._at

    def _complete(self, digest: str) -> None:
        if self._hash.hexdigest() != digest:
            raise OSError(f"{os.path.basename(self._path)} did not arrive as it was sent (its digest differs)")
        os.rename(self._part, self._path)
        self._end("")

    def _end(self, problem: str) -> None:
        if self.over.is_set():
            return
        self.problem = problem
        if self._fd >= 0:
            os.close(self._fd)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._part)
        self.over.set()


class Offered:
    """One file that the driver may fetch: all of it, or of a log what follows `start`.

    It is opened when it is first asked for, or by `hold`; what is then renamed over it changes nothing.
    """

    def __init__(self, name: str, path: str, *, start: int = 0, append: bool = False) -> None:
        self.name, self.append = name, append
        self._path, self._start = path, start
        self._fd, self._size, self._at = -1, 0, 0
        self._hash = hashlib.sha256()

    def hold(self) -> None:
        if self._fd < 0:
            self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            self._size = os.fstat(self._fd).st_size - self._start

    def read(self, at: int, n: int) -> tuple[bytes, int, str]:
        """Give a piece, the size of the whole, and with the last piece the digest of the whole."""
        self.hold()
        data = os.pread(self._fd, min(n, self._size - at), self._start + at)
        if at == self._at:
            self._hash.update(data)
            self._at += len(data)
        last = at + len(data) >= self._size
        digest = self._hash.hexdigest() if last else ""
        if last:
            self.close()
        return data, self._size, digest

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Offer(_Parcel):
    """Files of one trial, in the order in which they are to reach its folder. `problems`: name -> why it did not."""

    def __init__(self, files: Sequence[Offered]) -> None:
        super().__init__()
        self.files = files
        self.problems: dict[str, str] = {}
        self.began = time.monotonic()

    def give(self, index: int, at: int, n: int) -> tuple[bytes, int, str] | None:
        """Give a piece of a file; None when the file is gone."""
        self.touch()
        with self.lock:
            try:
                return self.files[index].read(at, n)
            except FileNotFoundError:
                return None
            finally:
                self.touch()

    def release(self, problems: dict[str, str]) -> None:
        """Hear that the driver has them all, but for those named."""
        with self.lock:
            self.problems = problems
            self.over.set()

    def close(self) -> None:
        with self.lock:
            for file in self.files:
                file.close()
            self.over.set()


class Parcels:
    """All that is under way of one worker process; the driver's calls arrive here."""

    def __init__(self) -> None:
        self._open: dict[str, Want | Offer] = {}

    @contextlib.contextmanager
    def under_way(self, parcel: Want | Offer) -> Iterator[None]:
        """Have the driver's calls reach a parcel for the length of the block; what is left of it is then closed."""
        self.add(parcel)
        try:
            yield
        finally:
            self.remove(parcel)

    def add(self, parcel: Want | Offer) -> None:
        self._open[parcel.id] = parcel

    def remove(self, parcel: Want | Offer) -> None:
        self._open.pop(parcel.id, None)
        parcel.close()

    def call(self, verb: str, parcel: str, *args: Any) -> Any:
        """Do what the driver asks (accept, refuse, give, release); None for a parcel that is not wanted any more."""
        found = self._open.get(parcel)
        return None if found is None else getattr(found, verb)(*args)
