"""What viewers ask the store beside trials and reports: what drivers show of themselves, how requests were answered."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from ..trial import Attempt, Report
from .sqlite import Store


class Shown(NamedTuple):
    """What a driver showed of itself last.

    `workers` are rows as `Executor.workers` gives them, with `sweep`, `number` and `since` of the trial for its id.
    Times are UTC seconds; `idle_since` is None while it has a sweep.
    """

    workers: list[dict[str, Any]]
    idle_since: float | None
    idle_limit_s: float | None


def shown(store: Store, driver_id: int) -> Shown:
    """Give what a driver shows."""
    rows = store.read("select workers, idle_since, idle_limit_s from drivers where driver_id = ?", driver_id)
    return Shown(json.loads(rows[0][0]), rows[0][1], rows[0][2])


def answer(store: Store, request_id: int) -> str | None:
    """Give what a request was answered: "" when it was obeyed, None while it stands open."""
    rows = store.read("select answer from requests where request_id = ? and handled_at is not null", request_id)
    return str(rows[0][0]) if rows else None


def attempts(store: Store, sweep_id: int) -> list[Attempt]:
    """Give the earlier attempts of all trials of one version, in order of their ends."""
    query = (
        "select t.number, a.attempt, a.reason, a.error, a.worker, a.started_at, a.ended_at "
        "from attempts a join trials t using (trial_id) where t.sweep_id = ? order by a.ended_at"
    )
    return [Attempt(*row) for row in store.read(query, sweep_id)]


def reports_of(store: Store, trial_id: int) -> list[Report]:
    """Give all reports of one trial in order of arrival."""
    query = "select trial_id, step, metrics, reported_at, attempt from reports where trial_id = ? order by report_id"
    return [Report(row[0], row[1], json.loads(row[2]), row[3], row[4]) for row in store.read(query, trial_id)]
