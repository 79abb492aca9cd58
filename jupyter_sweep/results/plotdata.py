"""The data of plots for pages that draw them themselves: plain lists that JSON can hold, capped in size.

The kernel's view and the server both answer with it, so that a page draws the same from either. What rows alone can
give (slices, parallel coordinates, contours) the page makes itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..definition import Sweep
from ..errors import SweepError
from ..trial import Objective, Report, Trial, TrialState
from . import analysis

#: Most entries of one list: trials of the history and of the timeline, curves, points of a curve.
POINTS, CURVES, STEPS = 5000, 50, 500
#: Most metrics of which one trial's curves are given.
METRICS = 8


def plots(sweep: Sweep, trials: Sequence[Trial], reports: Sequence[Report], metric: str = "") -> dict[str, Any]:
    """Give the data of a metric's plots, or of the first target's, as `server.wire.Plots` describes them.

    Raises
    ------
    SweepError
        For a metric that no trial has.
    """
    objective = _objective(sweep, metric, trials)
    points = history(trials, objective)
    found = _curves(trials, reports, objective)
    timeline = [_span(t) for t in trials if t.started_at is not None]
    importance = analysis.importance(sweep, trials, objective.metric)
    effects = analysis.effect_sizes(sweep, trials, objective.metric)
    pareto = analysis.pareto(trials, sweep.objectives) if len(sweep.objectives) > 1 else []
    lists = {"history": (points, POINTS), "curves": (found, CURVES), "timeline": (timeline, POINTS)}
    return {
        "metric": objective.metric,
        **{key: found[-most:] if key == "timeline" else found[:most] for key, (found, most) in lists.items()},
        "importance": [{"param": param, "share": share} for param, share in importance.items()],
        "told": any(effects.values()),
        "pareto": [t.number for t in pareto[:POINTS]],
        "cut": [key for key, (found, most) in lists.items() if len(found) > most],
    }


def _objective(sweep: Sweep, metric: str, trials: Sequence[Trial]) -> Objective:
    known = next((o for o in sweep.objectives if o.metric == metric), None)
    if known is not None or not metric:
        return known or sweep.objective
    names = sorted({name for t in trials for name in t.metrics})
    if metric not in names:
        there = ", ".join(names) or "none"
        raise SweepError(f"No trial of {sweep.name!r} has a metric {metric!r}. There are: {there}.")
    return Objective(metric, sweep.objective.direction)


def history(trials: Sequence[Trial], objective: Objective) -> list[dict[str, Any]]:
    """Give each completed trial's value, the best up to it, and how long after the first start it ended."""
    began = min((t.started_at for t in trials if t.started_at is not None), default=None)
    ended = {t.number: t.finished_at for t in trials}
    values = {t.number: value for t, value in analysis.completed(trials, objective.metric)}
    return [
        {
            "number": number,
            "value": as_json(values[number]),
            "best": as_json(record),
            "after_s": _between(began, ended[number]),
        }
        for number, record in analysis.best_so_far(trials, objective)
    ]


def trial_curves(trial: Trial, reports: Sequence[Report]) -> list[dict[str, Any]]:
    """Give what stands of one trial's reports: for each metric pairs of step and value."""
    points: dict[str, list[list[Any]]] = {}
    for _, report in analysis.current_reports([trial], reports):
        for name, value in report.metrics.items():
            points.setdefault(name, []).append([report.step, as_json(value)])
    return [{"metric": name, "points": _thinned(found)} for name, found in list(points.items())[:METRICS]]


def as_json(value: float) -> float | str:
    """Give a number; a word for one that JSON doesn't know."""
    if math.isfinite(value):
        return value
    return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else max(0.0, end - start)


def _curves(trials: Sequence[Trial], reports: Sequence[Report], objective: Objective) -> list[dict[str, Any]]:
    """Give the curves of the trials that run, then of the others, best first; a long one is thinned out."""
    points: dict[int, list[list[Any]]] = {}
    known = {t.number: t for t in trials}
    for trial, report in analysis.current_reports(trials, reports):
        if objective.metric in report.metrics:
            points.setdefault(trial.number, []).append([report.step, as_json(report.metrics[objective.metric])])

    def rank(number: int) -> tuple[bool, bool, float, int]:
        value = objective.value(known[number])
        is_running = known[number].state is TrialState.RUNNING
        return not is_running, value is None, objective.sign * (value or 0.0), number

    return [
        {"number": n, "state": known[n].state.value, "points": _thinned(points[n])} for n in sorted(points, key=rank)
    ]


def _thinned(points: list[list[Any]]) -> list[list[Any]]:
    """Give at most STEPS points, the first and the last among them."""
    if len(points) <= STEPS:
        return points
    last = len(points) - 1
    return [points[round(i * last / (STEPS - 1))] for i in range(STEPS)]


def _span(trial: Trial) -> dict[str, Any]:
    keys = ("number", "worker", "started_at", "finished_at")
    return {**{key: getattr(trial, key) for key in keys}, "state": trial.state.value}
