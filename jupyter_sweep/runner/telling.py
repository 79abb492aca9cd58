"""What a driver shows of itself in the store: its slots and what they run, and since when it waits for work.

Viewers only read. It is written when it has changed, at most once a second: about 120 bytes a slot, and nothing while
nothing happens. Memory counts as changed from 1 % on, so that a trial that only breathes writes nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from ..executors.base import Executor
from ..store import leases
from ..store.sqlite import Store
from .loop import Loop

EVERY_S = 1.0


class Telling:
    """Writes what one driver shows."""

    def __init__(self, store: Store, driver_id: int, executor: Executor) -> None:
        self._store, self._driver_id, self._executor = store, driver_id, executor
        self._next = 0.0
        self._told = ""
        self._idle_since: float | None = None

    def tell(self, loops: Mapping[int, Loop], idle_limit_s: float) -> None:
        """Write what has changed, if it is time for it; `idle_limit_s` is how long the driver waits for work."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + EVERY_S
        idle_since = None if loops else self._idle_since or time.time()
        rows = json.dumps([_row(row, loops) for row in self._executor.workers()])
        if rows != self._told or idle_since != self._idle_since:
            self._told, self._idle_since = rows, idle_since
            leases.show(self._store, self._driver_id, rows, idle_since=idle_since, idle_limit_s=idle_limit_s)


def _row(row: Mapping[str, Any], loops: Mapping[int, Loop]) -> dict[str, Any]:
    """Give a slot's row with the name, number and start of its trial in place of its id."""
    told = {name: value for name, value in row.items() if name != "trials"}
    for name in ("memory_gb", "peak_gb"):
        told[name] = None if told.get(name) is None else float(f"{told[name]:.2g}")
    for trial_id in row["trials"]:
        for loop in loops.values():
            if trial_id in loop.flying:
                trial = loop.flying[trial_id]
                return {**told, "sweep": loop.sweep.name, "number": trial.number, "since": trial.started_at}
    return {**told, "sweep": "", "number": None, "since": None}
