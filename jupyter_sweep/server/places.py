"""Which stores a server shows: those below its root, named by their path from there.

A client names a store as the Contents API names a file. Nothing outside the root is reachable, neither by ``..`` nor by
a link, and no hidden folder unless the server shows such. Looking for stores is bounded: so deep, so many folders, so
long; a store that lies deeper is found once it was asked for by its path.
"""

from __future__ import annotations

import os
import time
from collections import deque
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from .refused import Refused

DEPTH, FOLDERS, SECONDS = 6, 20_000, 1.0
#: Folders that hold packages or caches, not notebooks.
_SKIPPED = {"node_modules", "__pycache__", "site-packages", "venv"}
_LONGEST = 4096


class Scan(NamedTuple):
    """What a search found: stores by path, and whether it saw everything within its depth."""

    stores: list[str]
    complete: bool
    seconds: float


class Places:
    """The stores below `root`; `hidden` tells whether folders that begin with a dot are shown."""

    def __init__(self, root: Path, *, hidden: bool = False) -> None:
        self.root = root.resolve()
        self._hidden = hidden
        self._asked: set[str] = set()

    def resolve(self, store: str) -> Path:
        """Give the folder of a store.

        Raises
        ------
        Refused
            400 for what is no path from the root, 404 where no store is.
        """
        parts = self._parts(store)
        folder = self.root.joinpath(*parts)
        try:
            real, file = folder.resolve(), (folder / "sweeps.db").resolve()
            is_there = file.is_file()
        except (OSError, RuntimeError):  # a loop of links, a name that is too long
            is_there = False
        if not is_there or not real.is_relative_to(self.root) or not file.is_relative_to(self.root):
            raise Refused(404, f"There are no sweeps in {store!r}.")
        self._asked.add("/".join(parts))
        return real

    def _parts(self, store: str) -> tuple[str, ...]:
        path = PurePosixPath(store)
        if len(store) > _LONGEST or "\0" in store or "\\" in store:
            raise Refused(400, "store must be a path from the server's root, with / between its parts.")
        if path.is_absolute() or ".." in path.parts:
            raise Refused(400, f"store must be a path below the server's root, without '..', got {store!r}.")
        if not self._hidden and any(part.startswith(".") for part in path.parts):
            raise Refused(404, f"There are no sweeps in {store!r}.")
        return path.parts

    def scan(self) -> Scan:
        """Look for stores, nearest first; links are not followed."""
        start = time.monotonic()
        found = {path for path in sorted(self._asked) if self._is_store(path)}
        left = deque([("", 0)])
        seen = 0
        while left and seen < FOLDERS and time.monotonic() - start < SECONDS:
            path, depth = left.popleft()
            seen += 1
            inner, is_store = self._look_into(path)
            if is_store and self._is_store(path):
                found.add(path)
            elif depth < DEPTH:
                left.extend((f"{path}/{name}" if path else name, depth + 1) for name in inner)
        return Scan(sorted(found), not left, time.monotonic() - start)

    def _look_into(self, path: str) -> tuple[list[str], bool]:
        """Give the folders in a folder, and whether it holds a store's file."""
        try:
            with os.scandir(self.root / path) as entries:
                names = [(e.name, e.is_dir(follow_symlinks=False)) for e in entries]
        except OSError:  # gone meanwhile, or not ours to read
            return [], False
        folders = [n for n, is_folder in names if is_folder and n not in _SKIPPED]
        return [n for n in sorted(folders) if self._hidden or not n.startswith(".")], ("sweeps.db", False) in names

    def _is_store(self, path: str) -> bool:
        try:
            self.resolve(path)
        except Refused:
            return False
        return True

    def relative(self, path: str) -> str:
        """Give a file's path from the root; "" for one outside, and for none."""
        if not path:
            return ""
        try:
            return Path(path).resolve().relative_to(self.root).as_posix()
        except (ValueError, OSError, RuntimeError):
            return ""
