"""The verbs about where sweeps run: `clusters`, `workers`, `clean`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

from .. import live
from ..errors import count
from ..notation import needs, specs
from ..runner import cleaning, elastic, places
from ..store.sqlite import Store
from .borrowed import Borrowed
from .look import find
from .output import put, table, wrapped

_SHOWN = 10


def _clusters(given: argparse.Namespace, borrowed: Borrowed) -> int:
    if given.needs is not None:
        return _which(given)
    rows = places.places(_store())
    if given.json:
        put(places.as_data(rows))
    else:
        print(wrapped(places.in_words(rows)))
    return 0


def _which(given: argparse.Namespace) -> int:
    """Say which profile meets a requirement; 1 where none does."""
    found = specs.matching(given.needs)
    if given.json:
        put(found)
    else:
        print(wrapped(needs.explain(found)))
    return 0 if found["profile"] is not None else 1


def _store() -> Store | None:
    home = live.home()
    return Store(home, create=False) if (home / "sweeps.db").exists() else None


def _living() -> list[elastic.Cluster]:
    store = _store()
    return [] if store is None else elastic.clusters(store)


def _workers(given: argparse.Namespace, borrowed: Borrowed) -> int:
    wanted = None if given.name is None else find(given).name
    rows = [
        {"driver": cluster.driver.pid, **seat}
        for cluster in _living()
        if wanted is None or wanted in cluster.sweeps
        for seat in cluster.shown.workers
    ]
    if given.json:
        put(rows)
    elif not rows:
        print("No cluster runs." if wanted is None else f"No cluster runs for {wanted}.")
    else:
        print(table([("worker", "state", "trial", "seconds", "memory", "device", "pid"), *map(_seat, rows)]))
    return 0


def _seat(row: dict[str, Any]) -> tuple[str, ...]:
    trial = "" if row["number"] is None else f"{row['sweep']} {row['number']}"
    seconds = "" if row["since"] is None else f"{max(0.0, time.time() - row['since']):.0f}"
    memory = "" if row["memory_gb"] is None else f"{1024 * row['memory_gb']:.0f} MB"
    return row["worker"], row["state"], trial, seconds, memory, row["device"] or "", str(row["pid"] or "")


def _clean(given: argparse.Namespace, borrowed: Borrowed) -> int:
    home = live.home()
    store = Store(home, create=False)
    litter = cleaning.find(store)
    if not litter:
        print("There is nothing to clean: no idle cluster, and every file belongs to a sweep.")
        return 0
    counts = [count(len(litter.drivers), "idle cluster"), count(len(litter.folders), "folder") + " of no known trial"]
    counts.append(count(len(litter.files), "file") + " that no sweep needs")
    told = ", ".join(text for text in counts if not text.startswith("0 "))
    told += f" ({litter.nbytes / 2**20:.1f} MB)"
    if given.yes:
        for sentence in cleaning.remove(store, litter):
            print(sentence, file=sys.stderr)
        print(wrapped(f"Gone: {told}."))
        return 0
    paths = [str(path.relative_to(home)) for path in (*litter.folders, *litter.files)]
    more = [f"... and {len(paths) - _SHOWN} more"] if len(paths) > _SHOWN else []
    lines = [f"Would go: {told}.", *(f"  {path}" for path in [*paths[:_SHOWN], *more])]
    print(wrapped("\n".join([*lines, "Have it go with: jupyter sweep clean --yes"])))
    return 0


ACTS: dict[str, Callable[[argparse.Namespace, Borrowed], int]] = {
    "clusters": _clusters,
    "workers": _workers,
    "clean": _clean,
}
