"""Large buffers as files named by their content, so that data which did not change is never written again.

A file is written aside, synced and renamed: whoever sees the name sees all of the bytes, also after a power cut. The
bytes go from the kernel's memory to the file without a copy.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import BinaryIO

from ..errors import StoreError

#: Left free on the disk, for the database and the trials' logs.
_RESERVE = 16 * 2**20


class HashingFile:
    """A file that knows the digest of what was written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def write(self, data: bytes | memoryview) -> int:
        self._hash.update(data)
        return self._file.write(data)

    @property
    def name(self) -> str:
        """32 hex digits."""
        return self._hash.hexdigest()[:32]


def private_folder(folder: str) -> None:
    """Make a folder that only the user can read, if it is not there."""
    os.makedirs(folder, mode=0o700, exist_ok=True)


@contextlib.contextmanager
def aside(folder: str) -> Iterator[tuple[BinaryIO, str]]:
    """Give a new private file in `folder` and its path; it is removed afterwards unless it was renamed.

    Raises
    ------
    StoreError
        When the folder can't be written to.
    """
    try:
        handle, path = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=folder)  # mode 0600
        try:
            with os.fdopen(handle, "wb") as file:
                yield file, path
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
    except OSError as error:
        raise StoreError(
            f"The captured data can't be written to {folder}: {error.strerror}. Nothing was started. "
            "Free some space or set JUPYTER_SWEEP_HOME to a folder on another disk."
        ) from error


def keep(file: BinaryIO, path: str, target: str) -> None:
    """Make a file written aside durable and give it its name."""
    file.flush()
    os.fsync(file.fileno())
    os.rename(path, target)


def write_buffer(folder: str, name: str, view: memoryview) -> None:
    """Write a buffer as file `name`, unless it is there with the right size.

    Raises
    ------
    StoreError
        When the disk has no room for it, or it can't be written.
    """
    target = os.path.join(folder, name)
    with contextlib.suppress(FileNotFoundError):
        if os.stat(target).st_size == view.nbytes:
            os.utime(target)  # old files that no sweep names are cleared away, and this one's is not written yet
            return
    check_space(folder, view.nbytes)
    with aside(folder) as (file, path):
        file.write(view)
        keep(file, path, target)


def check_space(folder: str, nbytes: int) -> None:
    """Raise StoreError when `folder` has no room for `nbytes` more."""
    free = shutil.disk_usage(folder).free
    if nbytes + _RESERVE > free:
        raise StoreError(
            f"The captured data does not fit: {nbytes / 2**20:,.0f} MB more are needed in {folder}, "
            f"{free / 2**20:,.0f} MB are free. Nothing was started. "
            "Free some space or set JUPYTER_SWEEP_HOME to a folder on another disk."
        )
