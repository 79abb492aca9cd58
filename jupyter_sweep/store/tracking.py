"""What a tracker has of a sweep already, and what went wrong beside a sweep.

The cursor lies in the store and not with the process that passes trials on, so that the next one goes on where that
one ended, however it ended.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from ..trial import Report
from .sqlite import Store


class Passed(NamedTuple):
    """What a tracker has of one trial: the name it goes by over there, the newest report, whether that was all."""

    run: str = ""
    report_id: int = 0
    ended: bool = False


def passed(store: Store, sweep_id: int, tracker: str) -> dict[int, Passed]:
    """Give what a tracker has, by the trial's id."""
    query = (
        "select p.trial_id, p.run, p.report_id, p.ended from passed_on p join trials t using (trial_id) "
        "where t.sweep_id = ? and p.tracker = ?"
    )
    return {row[0]: Passed(row[1], row[2], bool(row[3])) for row in store.read(query, sweep_id, tracker)}


def note(store: Store, tracker: str, news: Mapping[int, Passed]) -> None:
    """Write down what a tracker has of some trials; of one that was dropped meanwhile nothing."""
    with store.write() as (db, _):
        for trial_id, there in news.items():
            db.execute(
                "insert or replace into passed_on (trial_id, tracker, run, report_id, ended) "
                "select trial_id, ?, ?, ?, ? from trials where trial_id = ?",
                (tracker, *there, trial_id),
            )


def reports_of(store: Store, trial_id: int, after: int) -> list[tuple[int, Report]]:
    """Give the reports of one trial that came after the one with the id `after`, with their ids."""
    query = (
        "select report_id, step, metrics, reported_at, attempt from reports where trial_id = ? and report_id > ? "
        "order by report_id"
    )
    rows = store.read(query, trial_id, after)
    return [(row[0], Report(trial_id, row[1], json.loads(row[2]), row[3], row[4])) for row in rows]


def warn(store: Store, sweep_id: int, source: str, text: str) -> None:
    """Have a sentence of `source` stand among the sweep's warnings, in place of its earlier one; "" takes it back."""
    with store.write() as (db, change):
        db.execute("delete from said where sweep_id = ? and source = ?", (sweep_id, source))
        if text:
            db.execute(
                "insert into said select sweep_id, ?, ? from sweeps where sweep_id = ?", (source, text, sweep_id)
            )
        db.execute("update sweeps set change = ? where sweep_id = ?", (change, sweep_id))


def warnings(store: Store, sweep_id: int) -> list[str]:
    """Give what stands among the sweep's warnings."""
    return [row[0] for row in store.read("select text from said where sweep_id = ? order by source", sweep_id)]
