"""What nobody needs any more in a folder of sweeps: idle drivers with their clusters, and files that nothing refers to.

Looking and removing are apart, so that a person sees the list first. Nothing of a sweep that runs, waits for its driver
or was just asked for is touched; results and saved artifacts of trials that the store knows never are. Young files
stay: somebody may just be writing what will refer to them.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..definition import ACTIVE_STATES
from ..store import folder, leases, overview
from ..store.leases import Driver
from ..store.sqlite import Store

#: How old a launch file or log must be; jobs and buffers an hour, because a large capture takes its time.
YOUNG_S = 60.0
#: How long idle drivers may take to end with their clusters.
END_S = 15.0
_TRIAL_FOLDER = re.compile(r"\d{4,}(-.*)?")


@dataclass
class Litter:
    """What may go. `folders` are of trials that the store doesn't know; `files` are those of `.driver` and `.data`."""

    drivers: list[Driver] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.drivers or self.folders or self.files)

    @property
    def nbytes(self) -> int:
        """Bytes of files and folders."""
        inside = (path for top in self.folders for path in top.rglob("*"))
        return sum(_size(path) for path in [*self.files, *inside])


def find(store: Store) -> Litter:
    """Look for what may go; nothing is changed."""
    return Litter(_idle_drivers(store), sorted(_unknown_folders(store)), sorted(_files(store)))


def remove(store: Store, litter: Litter) -> list[str]:
    """Remove it; give a sentence for each driver that could not be ended."""
    idle = {driver.driver_id for driver in _idle_drivers(store)}  # one may have got work since it was looked for
    ending = [driver for driver in litter.drivers if driver.driver_id in idle]
    for driver in ending:
        with contextlib.suppress(ProcessLookupError):
            os.kill(driver.pid, signal.SIGTERM)
    for path in litter.folders:
        folder.remove_tree(path)
        with contextlib.suppress(OSError):  # others lie in it
            path.parent.rmdir()
    for path in litter.files:
        path.unlink(missing_ok=True)
    limit = time.monotonic() + END_S
    while any(driver.alive for driver in ending) and time.monotonic() < limit:
        time.sleep(0.05)
    return [f"The driver {driver.pid} ({driver.where_text}) has not ended yet." for driver in ending if driver.alive]


def _idle_drivers(store: Store) -> list[Driver]:
    """Give the drivers of this host that have no sweep and were not asked for one."""
    owned = set(overview.owners(store).values())
    return [
        driver
        for driver in overview.live_drivers(store)
        if driver.driver_id not in owned and driver.host == leases.HOST and not store.open_requests(driver.key)
    ]


def _unknown_folders(store: Store) -> Iterator[Path]:
    """Give the folders of trials that the store doesn't know: what was dropped while something still wrote there."""
    known = {row[0] for row in store.read("select folder from trials")}
    busy = {sweep.name for sweep in store.sweeps() if sweep.state in ACTIVE_STATES}
    for top in store.home.iterdir():
        if top.name.startswith(".") or top.name in busy or not top.is_dir() or top.is_symlink():
            continue
        for path in top.iterdir():
            ours = _TRIAL_FOLDER.fullmatch(path.name) and (path / "params.json").is_file()
            if ours and not path.is_symlink() and f"{top.name}/{path.name}" not in known:
                yield path


def _files(store: Store) -> Iterator[Path]:
    """Give the launch files, logs, jobs and buffers that nothing refers to."""
    sweeps = store.sweeps()
    waiting = {s.sweep_id for s in sweeps if s.state in ACTIVE_STATES or store.asked_at(s.sweep_id, "run") is not None}
    needed = {f"launch-{i}.json" for i in waiting | set(overview.owners(store))}
    needed |= {f"{driver.key}.log" for driver in overview.live_drivers(store)}
    logs = {f"{row[0]}.log" for row in store.read("select distinct key from drivers")}
    for path in (store.home / folder.DRIVER).glob("*"):
        ours = path.name in logs or re.fullmatch(r"launch-\d+\.json", path.name)
        if ours and path.name not in needed and time.time() - path.stat().st_mtime > YOUNG_S:
            yield path
    yield from folder.unused_data(store.home, [s.job.file for s in sweeps])


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0
