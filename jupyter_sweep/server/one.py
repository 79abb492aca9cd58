"""Questions about one sweep: its head, its rows by changes, one trial and its log, reports, code, best cell."""

from __future__ import annotations

from typing import Any

from ..errors import StoreError
from ..space.codec import encode
from ..store import logs, overview
from ..trial import Metrics, Trial
from .desk import Desk, Mirror, Reader, Views
from .refused import Refused

#: Characters of a value or text in the details of a trial.
DETAIL_TEXT = 20_000


def detail(desk: Desk, *, store: str, name: str, version: int | None = None) -> dict[str, Any]:
    """Answer `wire.Detail`."""
    reader = desk.reader(store, name, version)
    sweep = reader.handle.definition
    with reader.reading() as mirror:
        head, change = head_of(desk, mirror), mirror.change
    versions = [
        {
            "version": v.version,
            "state": v.state,
            "trials": sum(reader.store.counts(v.sweep_id).values()),
            "created_at": v.created_at,
            "fingerprint": v.job.fingerprint,
        }
        for v in reader.store.sweeps(name)
    ]
    return {
        "store": store,
        "head": head,
        "versions": versions,
        "line": sweep.line,
        "notebook": desk.places.relative(sweep.notebook),
        "seed": sweep.seed,
        "created_at": sweep.created_at,
        "taken_up_at": sweep.taken_up_at,
        "change": change,
    }


def head_of(desk: Desk, mirror: Mirror) -> dict[str, Any]:
    """Give the head of a sweep; its folder, too, is named from the server's root."""
    head = desk.views.wire_head(mirror)
    return {**head, "sweep": {**head["sweep"], "folder": desk.places.relative(head["sweep"]["folder"])}}


def changes(
    desk: Desk,
    *,
    store: str,
    name: str,
    version: int | None = None,
    epoch: str = "",
    since: int = 0,
    after: int = -1,
    limit: int = 2000,
) -> dict[str, Any]:
    """Answer `wire.Changes`: what changed after `since`, and of that change itself the numbers behind `after`."""
    reader = desk.reader(store, name, version)
    with reader.reading() as mirror:
        is_full = epoch != reader.epoch or (since == 0 and after == -1)
        if is_full:
            since, after = 0, -1
        rows = sorted((row for row in mirror.rows.values() if _is_after(row, since, after)), key=_place)
        page = rows[:limit]
        more = len(rows) > limit
        last = _place(page[-1]) if more else (mirror.change, -1)
        return {
            "kind": "full" if is_full else "delta",
            "epoch": reader.epoch,
            "since": since,
            "change": last[0],
            "after": last[1],
            "more": more,
            "head": head_of(desk, mirror),
            "rows": [desk.views.wire_row(row, mirror.columns) for row in page],
        }


def _is_after(row: dict[str, Any], since: int, after: int) -> bool:
    change: int = row["change"]
    return change > since or (change == since and 0 <= after < row["number"])


def _place(row: dict[str, Any]) -> tuple[int, int]:
    return row["change"], row["number"]


def _trial(reader: Reader, number: int) -> Trial:
    found = reader.store.trial(reader.handle.name, number)
    if found is None:
        raise Refused(404, f"Sweep {reader.handle.name!r} has no trial {number}.")
    return found


def trial(desk: Desk, *, store: str, name: str, number: int) -> dict[str, Any]:
    """Answer `wire.Trial`."""
    reader = desk.reader(store, name, None)
    found = _trial(reader, number)
    versions = {v.sweep_id: v.version for v in reader.store.sweeps(name)}
    attempts = [
        {"attempt": attempt, "reason": reason, "error": error[-DETAIL_TEXT:], "worker": worker}
        for attempt, reason, error, worker in reader.store.attempts(found.trial_id)
    ]
    kept = ("reason", "attempt", "repetition", "seed", "worker", "folder", "queued_at", "started_at", "finished_at")
    return {
        "number": found.number,
        "version": versions.get(found.sweep_id, 0),
        "state": found.state.value,
        **{key: getattr(found, key) for key in kept},
        "duration_s": found.duration_s,
        "peak_memory_gb": found.peak_memory_gb,
        "device": found.device,
        "peak_gpu_memory_gb": found.peak_gpu_memory_gb,
        "params": [[key, desk.views.wire_value(encode(v), DETAIL_TEXT)] for key, v in found.params.items()],
        "metrics": numbers(desk.views, found.metrics),
        "error": found.error[-DETAIL_TEXT:],
        "traceback": found.traceback[-DETAIL_TEXT:],
        "attempts": attempts,
        "log_size": _piece(reader, found, 0, 0).size,
        "curves": reader.handle.trial_curves(number),
        "artifacts": reader.handle.artifacts(number),
    }


def log(desk: Desk, *, store: str, name: str, number: int, start: int = 0, limit: int = 64_000) -> dict[str, Any]:
    """Answer `wire.Log`."""
    reader = desk.reader(store, name, None)
    found = _trial(reader, number)  # before its log is read: what is final then has a whole log
    piece = _piece(reader, found, start, limit)
    return {**piece._asdict(), "is_final": found.is_final}


def _piece(reader: Reader, found: Trial, start: int, limit: int) -> logs.Piece:
    try:
        return logs.piece(reader.store.home, found.folder, start, limit, is_final=found.is_final)
    except (StoreError, OSError) as error:
        raise Refused(409, f"The log of trial {found.number} can't be read: {error}") from None


def reports(
    desk: Desk, *, store: str, name: str, version: int | None = None, since: int = 0, limit: int = 2000
) -> dict[str, Any]:
    """Answer `wire.Reports`."""
    reader = desk.reader(store, name, version)
    found = overview.reports_after(reader.store, reader.handle.sweep_id, since, limit + 1)
    page = [{**row._asdict(), "metrics": numbers(desk.views, row.metrics)} for row in found[:limit]]
    return {"reports": page, "last": found[len(page) - 1].id if page else since, "more": len(found) > limit}


def best(desk: Desk, *, store: str, name: str, version: int | None = None) -> dict[str, Any]:
    """Answer `wire.BestCell`."""
    reader = desk.reader(store, name, version)
    with reader.reading() as mirror:
        found = mirror.state["best"]
    if found is None:
        raise Refused(404, f"Sweep {name!r} has no completed trial yet.")
    return {
        "trial": found["number"],
        "value": desk.views.wire_metric(found["value"]),
        "params": {key: desk.views.wire_value(v, DETAIL_TEXT) for key, v in found["params"].items()},
        "metrics": numbers(desk.views, found["metrics"]),
        "cell": found["cell"],
    }


def code(desk: Desk, *, store: str, name: str, version: int | None = None) -> dict[str, Any]:
    """Answer `wire.Code`."""
    sweep = desk.version(store, name, version)
    return {
        "version": sweep.version,
        "source": sweep.job.source,
        "line": sweep.line,
        "kind": sweep.job.kind,
        "fingerprint": sweep.job.fingerprint,
        "notebook": desk.places.relative(sweep.notebook),
        "captures": [{key: c[key] for key in ("name", "kind", "nbytes")} for c in sweep.job.captures],
        "created_at": sweep.created_at,
    }


def numbers(views: Views, metrics: Metrics) -> dict[str, Any]:
    """Give metrics as JSON."""
    return {name: views.wire_metric(value) for name, value in metrics.items()}
