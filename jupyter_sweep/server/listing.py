"""All sweeps of the server. A sweep that rests is summed up once, and again when it changes; one that runs, always."""

from __future__ import annotations

import threading
import time
from typing import Any

from ..definition import ACTIVE_STATES, Sweep
from ..errors import StoreError
from ..handle import Handle
from ..store import overview
from ..store.reading import ReadingStore
from .desk import Desk
from .places import Scan
from .refused import Refused

#: Sweeps in one answer.
MOST = 500
#: A search is good for so long, and for so many times as long as it took.
SCAN_S, SCAN_SHARE = 5.0, 20.0


class Scans:
    """The newest search for stores, made again when it is old."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._scan: Scan | None = None
        self._until = 0.0

    def get(self, desk: Desk, *, fresh: bool = False) -> Scan:
        with self._lock:
            if self._scan is None or fresh or time.monotonic() > self._until:
                self._scan = desk.places.scan()
                self._until = time.monotonic() + max(SCAN_S, SCAN_SHARE * self._scan.seconds)
            return self._scan


def sweeps(desk: Desk, scans: Scans, *, store: str | None = None, scan: bool = False) -> dict[str, Any]:
    """Answer `wire.Sweeps`: of one store or of all, after a new search with `scan`."""
    if store is not None:
        desk.places.resolve(store)
        found, complete = [store], True
    else:
        seen = scans.get(desk, fresh=scan)
        found, complete = seen.stores, seen.complete
    places, summaries = [], []
    for path in found:
        try:
            summaries += of_store(desk, path)
            places.append({"store": path, "error": ""})
        except Refused as refused:
            if refused.status != 404:
                places.append({"store": path, "error": str(refused)})
        except StoreError as error:
            places.append({"store": path, "error": str(error)})
    summaries.sort(key=lambda s: s["taken_up_at"], reverse=True)
    complete = complete and len(summaries) <= MOST
    return {"root": desk.places.root.name, "stores": places, "sweeps": summaries[:MOST], "complete": complete}


def where(desk: Desk, *, folder: str) -> dict[str, Any]:
    """Answer `wire.Place` for a folder of this machine, as the output of a cell names its store.

    A folder that this server doesn't show is no refusal: it is what the page wants to know.
    """
    path = desk.places.relative(folder)
    if not path:
        return {"store": "", "error": "That folder is not below the root of this server."}
    store = "" if path == "." else path
    try:
        desk.places.resolve(store)
    except Refused as refused:
        return {"store": "", "error": str(refused)}
    return {"store": store, "error": ""}


def of_store(desk: Desk, path: str) -> list[dict[str, Any]]:
    """Give the summaries of the newest versions of a store's sweeps."""
    store = desk.open(path)
    changes = overview.changes(store)
    named: dict[str, list[Sweep]] = {}
    for sweep in store.sweeps():
        named.setdefault(sweep.name, []).append(sweep)
    found = []
    for versions in named.values():
        newest = max(versions, key=lambda s: (s.taken_up_at, s.sweep_id))
        change = changes.get(newest.sweep_id, 0)
        found.append({**_summary(desk, path, store, newest, change), "versions": [v.version for v in versions]})
    return found


def _summary(desk: Desk, path: str, store: ReadingStore, sweep: Sweep, change: int) -> dict[str, Any]:
    key = (store.home, sweep.sweep_id)
    known = desk.summaries.get(key)
    if known is not None and known[0] == change and known[1]["store"] == path:
        return known[1]
    active = sweep.state in (*ACTIVE_STATES, "paused")
    reader = desk.reader_of(path, store, sweep.sweep_id) if active else desk.known_reader(store, sweep.sweep_id)
    if reader is not None:
        with reader.reading() as mirror:
            state = mirror.state
    else:
        state = Handle(store, sweep.sweep_id).snapshot()
    summary = _summed_up(desk, path, sweep, state, change)
    if not active:
        desk.summaries[key] = change, summary
    return summary


def _summed_up(desk: Desk, path: str, sweep: Sweep, state: dict[str, Any], change: int) -> dict[str, Any]:
    header, best = state["sweep"], state["best"]
    keys = ("name", "version", "state", "message", "objectives", "where", "driver", "dashboard", "started_at")
    return {
        "store": path,
        **{key: header[key] for key in keys},
        "finished_at": header["finished_at"],
        "note": header["note"],
        "tags": header["tags"],
        "counts": state["counts"],
        "progress": state["progress"],
        "best": None if best is None else {"number": best["number"], "value": desk.views.wire_metric(best["value"])},
        "taken_up_at": sweep.taken_up_at,
        "change": change,
        "notebook": desk.places.relative(sweep.notebook),
    }
