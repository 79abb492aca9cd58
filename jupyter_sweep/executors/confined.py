"""Files that come from a worker, written into one folder and nowhere else, whatever they are called.

The name is a worker's word. Each part of it is opened by its parent's descriptor and never through a symbolic link, so
that no name and no link leads out; a file is written aside under a name of our own and renamed when it is complete.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid

from ..errors import SweepError
from ..worker.homeward import OWN

_MAX_DEPTH, _MAX_NAME = 32, 255
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def parts_of(name: object) -> list[str]:
    """Give the folders and the name of a file that lies inside.

    Raises
    ------
    SweepError
        When the name leads elsewhere, or is one that only the driver writes.
    """
    parts = name.split("/") if isinstance(name, str) else []
    plain = all(
        part not in ("", ".", "..") and "\0" not in part and len(os.fsencode(part)) <= _MAX_NAME for part in parts
    )
    if not parts or not plain or len(parts) > _MAX_DEPTH:
        raise SweepError(
            f"A worker offered the file {name!r:.200}, which is no name inside the trial's folder; refused."
        )
    if parts[0] in OWN:
        raise SweepError(f"A worker offered the file {name!r:.200}, which only the driver writes; refused.")
    return parts


class Arrival:
    """One file on its way into `folder`; OSError when it can't be written there."""

    def __init__(self, folder: str, name: str) -> None:
        *folders, self._name = parts_of(name)
        self._hash = hashlib.sha256()
        self._aside = f".{uuid.uuid4().hex}.part"
        self._parent = os.open(folder, _FOLDER)
        self._fd = -1
        try:
            for part in folders:
                self._enter(part)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._fd = os.open(self._aside, flags, 0o600, dir_fd=self._parent)
        except BaseException:
            self.close()
            raise

    def _enter(self, part: str) -> None:
        with contextlib.suppress(FileExistsError):
            os.mkdir(part, 0o700, dir_fd=self._parent)
        inner = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=self._parent)
        os.close(self._parent)
        self._parent = inner

    def write(self, data: bytes) -> None:
        """Append a piece."""
        left = memoryview(data)
        while left:
            left = left[os.write(self._fd, left) :]
        self._hash.update(data)

    def has(self, digest: str) -> bool:
        """Tell whether what arrived is what the worker read."""
        return self._hash.hexdigest() == digest

    def keep(self) -> None:
        """Give the file its name, in place of an earlier one."""
        os.rename(self._aside, self._name, src_dir_fd=self._parent, dst_dir_fd=self._parent)

    def close(self) -> None:
        """Let go of it; one that was not kept is removed."""
        if self._fd >= 0:
            os.close(self._fd)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._aside, dir_fd=self._parent)
            self._fd = -1
        if self._parent >= 0:
            os.close(self._parent)
            self._parent = -1
