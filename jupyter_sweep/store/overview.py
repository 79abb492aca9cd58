"""Questions about a whole store: which drivers live, who runs which trial, what changed last."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from ..trial import Metrics
from .leases import _COLUMNS, Driver
from .sqlite import Store


def names(store: Store) -> dict[int, str]:
    """Give the name of each version of each sweep."""
    return dict(store.read("select sweep_id, name from sweeps"))


class Running(NamedTuple):
    """A trial that runs now."""

    sweep_id: int
    name: str
    number: int
    worker: str
    attempt: int
    started_at: float | None


def live_drivers(store: Store) -> list[Driver]:
    """Give the drivers that are alive, oldest first."""
    rows = store.read(f"select {_COLUMNS} from drivers where ended_at is null order by driver_id")
    return [driver for driver in (Driver(*row) for row in rows) if driver.alive]


def owners(store: Store) -> dict[int, int]:
    """Give the id of the driver that each owned sweep belongs to, alive or not."""
    return dict(store.read("select sweep_id, owner from sweeps where owner is not null"))


def running(store: Store) -> list[Running]:
    """Give the trials that run, by worker."""
    query = (
        "select sweep_id, name, number, worker, attempt, started_at from trials where state = 'running' "
        "order by worker, number"
    )
    return [Running(*row) for row in store.read(query)]


def changes(store: Store) -> dict[int, int]:
    """Give the newest change of each sweep, of its definition, state or trials; 0.5 ms for 10,000 trials."""
    query = (
        "select s.sweep_id, max(s.change, coalesce((select max(t.change) from trials t where t.sweep_id = s.sweep_id), 0)) "
        "from sweeps s"
    )
    return dict(store.read(query))


class StoredReport(NamedTuple):
    """A report as the store has it; `id` grows."""

    id: int
    number: int
    attempt: int
    step: int
    metrics: Metrics
    reported_at: float


def reports_after(store: Store, sweep_id: int, report_id: int, limit: int) -> list[StoredReport]:
    """Give up to `limit` reports of one version that came after the one with this id, in order of arrival."""
    query = (
        "select r.report_id, t.number, r.attempt, r.step, r.metrics, r.reported_at from reports r join trials t using (trial_id) "
        "where t.sweep_id = ? and r.report_id > ? order by r.report_id limit ?"
    )
    rows = store.read(query, sweep_id, report_id, limit)
    return [StoredReport(row[0], row[1], row[2], row[3], json.loads(row[4]), row[5]) for row in rows]


def about(store: Store, sweep_id: int) -> dict[str, Any]:
    """Give name, version and state of a sweep, and its trials by state, without reading its definition."""
    name, version, state = store.read("select name, version, state from sweeps where sweep_id = ?", sweep_id)[0]
    return {"name": name, "version": version, "state": state, "counts": store.counts(sweep_id)}
