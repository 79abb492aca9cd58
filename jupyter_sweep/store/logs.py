"""A trial's log by range of bytes, so that a viewer can follow one that grows without reading it again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from ..errors import StoreError

#: Most bytes of one piece.
MOST = 1_000_000


class Piece(NamedTuple):
    """Text of the bytes from `start` to `end`, of a file of `size` bytes."""

    text: str
    start: int
    end: int
    size: int


def piece(home: Path, trial_folder: str, start: int = 0, limit: int = MOST, *, is_final: bool = False) -> Piece:
    """Give up to `limit` bytes of a trial's log from `start`; a negative `start` counts from the end.

    A character that is cut in two is left for the next piece; nothing comes after the end of a log that `is_final`. A log that is not there yet is empty; `start` behind the
    end, as after a new attempt began a new file, gives the file from its beginning.

    Raises
    ------
    StoreError
        When the log lies outside the store: a link, or a path that somebody wrote into the database.
    """
    path = confined(home, trial_folder) / "log.txt"
    if path.is_symlink():
        raise StoreError(f"The log {path} is a link, which no trial makes; it is not read.")
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            first = max(0, size + start) if start < 0 else start if start <= size else 0
            file.seek(first)
            data = file.read(min(limit, MOST))
    except (FileNotFoundError, NotADirectoryError):
        return Piece("", 0, 0, 0)
    if first and start < 0:
        skipped = _continuation(data)
        first, data = first + skipped, data[skipped:]
    end = first + len(data)
    if end < size or not is_final:
        data = data[: len(data) - _unfinished(data)]
        end = first + len(data)
    return Piece(data.decode("utf-8", "replace"), first, end, size)


def confined(home: Path, trial_folder: str) -> Path:
    """Give the path of a trial's folder, which must lie in the store.

    Raises
    ------
    StoreError
        When it doesn't.
    """
    path = (home / trial_folder).resolve()
    if not trial_folder or not path.is_relative_to(home.resolve()):
        raise StoreError(f"The folder of this trial, {trial_folder!r}, lies outside {home}; it is not read.")
    return path


def _continuation(data: bytes) -> int:
    """Give how many bytes at the beginning belong to a character that began before."""
    return next((i for i, byte in enumerate(data[:4]) if byte & 0xC0 != 0x80), 0)


def _unfinished(data: bytes) -> int:
    """Give how many bytes at the end begin a character that isn't complete; 0 where they are no UTF-8 anyway."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue
        wanted = 2 if byte & 0xE0 == 0xC0 else 3 if byte & 0xF0 == 0xE0 else 4 if byte & 0xF8 == 0xF0 else 1
        return back if wanted > back else 0
    return 0
