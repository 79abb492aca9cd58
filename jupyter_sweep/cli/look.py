"""The verbs that only look: `list`, `show`, `best`, `log`, `why`, `export`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .. import live
from ..errors import count
from ..handle import Handle
from ..results import export
from ..store import logs
from .borrowed import Borrowed
from .output import plain, put, table, width, wrapped

FOLLOW_S = 0.3


def find(given: argparse.Namespace) -> Handle:
    """Give the handle that the words name."""
    return live.find(given.name, live.home(), version=getattr(given, "version", None))


# -- all sweeps -------------------------------------------------------------------------------------------------------


def _list(given: argparse.Namespace, borrowed: Borrowed) -> int:
    rows = [_summary(handle) for handle in live.sweeps()]
    if given.json:
        put(rows)
    elif rows:
        print(_table(rows))
    else:
        print(wrapped(f"No sweeps in {live.home()}."))
    return 0


def _summary(handle: Handle) -> dict[str, Any]:
    best, sweep = handle.best, handle.definition
    return {
        "name": sweep.name,
        "version": sweep.version,
        "state": sweep.state,
        "counts": handle.counts,
        "metric": sweep.objective.metric,
        "best": None if best is None else plain(best.value),
    }


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [("name", "version", "state", "trials", "metric", "best")]
    for row in rows:
        trials = ", ".join(f"{n} {state}" for state, n in row["counts"].items()) or "none"
        best = row["best"]
        value = f"{best:.6g}" if isinstance(best, float) else "" if best is None else str(best)
        lines.append((row["name"], str(row["version"]), row["state"], trials, row["metric"], value))
    return table(lines)


# -- one sweep --------------------------------------------------------------------------------------------------------


def _show(given: argparse.Namespace, borrowed: Borrowed) -> int:
    handle = find(given)
    if not given.json:
        print(block(handle.snapshot(), borrowed))
        return 0
    driver = handle.owner
    put(
        {
            "name": handle.name,
            "version": handle.version,
            "state": handle.state,
            "driver": None if driver is None else {"pid": driver.pid, "host": driver.host},
            "trials": _rows(handle),
        }
    )
    return 0


def block(snapshot: Mapping[str, Any], borrowed: Borrowed) -> str:
    """Give a sweep as lines that fit the terminal: with fewer columns of parameters, and sentences that go on below."""
    params = list(snapshot["columns"]["params"])
    while True:
        columns = {**snapshot["columns"], "params": params}
        text = borrowed.block({**snapshot, "columns": columns})
        rows = text.partition("\n\n")[2].splitlines()
        if not params or max(map(len, rows), default=0) <= width():
            return wrapped(text)
        params.pop()


def _rows(handle: Handle) -> list[dict[str, Any]]:
    frame = handle.df
    names = list(frame.columns)
    columns = [[plain(value) for value in frame[name]] for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _best(given: argparse.Namespace, borrowed: Borrowed) -> int:
    best = find(given).best
    if best is None:
        print(f"jupyter sweep: Sweep {given.name!r} has no completed trial yet.", file=sys.stderr)
        if given.json:
            put(None)
        return 1
    if given.json:
        put({"params": plain(best.params), "metrics": plain(best.metrics), "trial": best.trial})
    else:
        print(best.cell, end="")
    return 0


def _log(given: argparse.Namespace, borrowed: Borrowed) -> int:
    handle = find(given)
    if not given.follow:
        print(handle.log(given.number), end="")
        return 0
    at = 0
    while True:
        trial = handle.trial(given.number)  # before its log is read
        piece = logs.piece(handle.home, trial.folder, at, is_final=trial.is_final)
        sys.stdout.write(piece.text)
        sys.stdout.flush()
        at = piece.end
        if trial.is_final and at >= piece.size:
            return 0
        if at >= piece.size:
            time.sleep(FOLLOW_S)


def _why(given: argparse.Namespace, borrowed: Borrowed) -> int:
    print(wrapped(find(given).why(given.number)))
    return 0


def _export(given: argparse.Namespace, borrowed: Borrowed) -> int:
    handle = find(given)
    if given.path is None and given.to is None:
        print(handle.df.to_csv(index=False), end="")
        return 0
    path = export.target(handle.name, given.path, given.to)
    handle.export(path)
    told = f"{path}: {count(len(handle.trials()), 'trial')} of {handle.name!r}, version {handle.version}."
    print(told, file=sys.stderr)
    return 0


ACTS: dict[str, Callable[[argparse.Namespace, Borrowed], int]] = {
    "list": _list,
    "show": _show,
    "best": _best,
    "log": _log,
    "why": _why,
    "export": _export,
}
