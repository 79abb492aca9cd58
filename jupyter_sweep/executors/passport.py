"""What a payload says beside its paths, so that a worker elsewhere can tell that they are not its own, and do without.

`disk` and `token`: a file beside the launch file and the random text in it, both new with every driver, so that a copy
of the store on another host is never taken for the store. `store`: the name of the store on hosts that keep copies.
`launch`: what of the starter's environment, folder and import path may leave this machine. `checkpoint`: whether there
is one to go on from.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import secrets
import site
import socket
import sysconfig
import time
from collections.abc import Mapping
from typing import Any

from ..worker.context import CHECKPOINT

_MARK = "disk-"
#: Marks of drivers that were killed are removed after so long.
_MARK_AGE_S = 30 * 86_400.0
_PREFIX, _SCRATCH = "JUPYTER_SWEEP_", "JUPYTER_SWEEP_SCRATCH"


class Passports:
    """Issues what goes along with payloads as `away`."""

    def __init__(self) -> None:
        self._marks: dict[str, tuple[str, str]] = {}
        self._launches: dict[str, tuple[tuple[int, int], dict[str, Any]]] = {}

    def issue(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Give `away` for one trial."""
        path, token = self._mark(os.path.dirname(payload["launch"]))
        return {
            "disk": path,
            "token": token,
            "store": hashlib.blake2b(f"{socket.gethostname()} {payload['data']}".encode(), digest_size=8).hexdigest(),
            "launch": self._launch(payload["launch"]),
            "checkpoint": os.path.exists(os.path.join(payload["folder"], CHECKPOINT)),
        }

    def close(self) -> None:
        """Remove the marks."""
        for path, _ in self._marks.values():
            with contextlib.suppress(OSError):  # its folder is gone
                os.unlink(path)

    def _mark(self, folder: str) -> tuple[str, str]:
        if folder not in self._marks:
            _remove_old_marks(folder)
            path, token = os.path.join(folder, _MARK + secrets.token_hex(8)), secrets.token_hex(16)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
                file.write(token)
                file.flush()
                os.fsync(file.fileno())
            self._marks[folder] = path, token
        return self._marks[folder]

    def _launch(self, path: str) -> dict[str, Any]:
        found = os.stat(path)
        stamp = found.st_mtime_ns, found.st_size
        known = self._launches.get(path)
        if known is None or known[0] != stamp:
            with open(path, encoding="utf-8") as file:
                launch = json.load(file)
            own = {name: text for name, text in launch["env"].items() if name.startswith(_PREFIX) and name != _SCRATCH}
            known = self._launches[path] = (
                stamp,
                {
                    "env": own,
                    "cwd": launch["cwd"],
                    "path": [p for p in launch.get("path", []) if not _is_installed(p)],
                },
            )
        return known[1]


def _remove_old_marks(folder: str) -> None:
    with os.scandir(folder) as found:
        for entry in found:
            if entry.name.startswith(_MARK) and entry.stat().st_mtime < time.time() - _MARK_AGE_S:
                os.unlink(entry.path)


def _is_installed(path: str) -> bool:
    """Tell whether a folder of the import path belongs to the Python installation, of which every host has its own."""
    real = os.path.realpath(path)
    return real.endswith(".zip") or any(real == root or real.startswith(root + os.sep) for root in _libraries())


@functools.cache
def _libraries() -> frozenset[str]:
    roots = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return frozenset(map(os.path.realpath, [*roots, *site.getsitepackages(), site.getusersitepackages()]))
