"""The data of plots, and several sweeps side by side. What rows alone can give, the page makes itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..definition import Sweep
from ..results import analysis
from ..space.codec import encode
from ..trial import Objective, Report, Trial, TrialState
from .desk import Desk, Reader, Views
from .refused import Refused

#: Most entries of one list: trials of the history and of the timeline, curves, points of a curve.
POINTS, CURVES, STEPS = 5000, 50, 500
MOST_COMPARED = 8


def plots(desk: Desk, *, store: str, name: str, version: int | None = None, metric: str = "") -> dict[str, Any]:
    """Answer `wire.Plots`, of a metric or of the first target."""
    reader = desk.reader(store, name, version)
    sweep, trials, reports = _read(reader)
    objective = _objective(sweep, metric, trials)
    history = _history(desk.views, trials, objective)
    curves = _curves(desk.views, trials, reports, objective)
    timeline = [_span(t) for t in trials if t.started_at is not None]
    importance = analysis.importance(sweep, trials, objective.metric)
    effects = analysis.effect_sizes(sweep, trials, objective.metric)
    pareto = analysis.pareto(trials, sweep.objectives) if len(sweep.objectives) > 1 else []
    lists = {"history": (history, POINTS), "curves": (curves, CURVES), "timeline": (timeline, POINTS)}
    return {
        "metric": objective.metric,
        **{key: found[-most:] if key == "timeline" else found[:most] for key, (found, most) in lists.items()},
        "importance": [{"param": param, "share": share} for param, share in importance.items()],
        "told": any(effects.values()),
        "pareto": [t.number for t in pareto[:POINTS]],
        "cut": [key for key, (found, most) in lists.items() if len(found) > most],
    }


def _read(reader: Reader) -> tuple[Sweep, list[Trial], list[Report]]:
    with reader.reading():
        return reader.handle.definition, reader.handle.trials(), reader.handle.reports()


def _objective(sweep: Sweep, metric: str, trials: Sequence[Trial]) -> Objective:
    known = next((o for o in sweep.objectives if o.metric == metric), None)
    if known is not None or not metric:
        return known or sweep.objective
    names = sorted({name for t in trials for name in t.metrics})
    if metric not in names:
        raise Refused(
            404, f"No trial of {sweep.name!r} has a metric {metric!r}. There are: {', '.join(names) or 'none'}."
        )
    return Objective(metric, sweep.objective.direction)


def _history(views: Views, trials: Sequence[Trial], objective: Objective) -> list[dict[str, Any]]:
    began = min((t.started_at for t in trials if t.started_at is not None), default=None)
    ended = {t.number: t.finished_at for t in trials}
    values = {t.number: value for t, value in analysis.completed(trials, objective.metric)}
    return [
        {
            "number": number,
            "value": views.wire_metric(values[number]),
            "best": views.wire_metric(record),
            "after_s": _between(began, ended[number]),
        }
        for number, record in analysis.best_so_far(trials, objective)
    ]


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else max(0.0, end - start)


def _curves(
    views: Views, trials: Sequence[Trial], reports: Sequence[Report], objective: Objective
) -> list[dict[str, Any]]:
    """Give the curves of the trials that run, then of the others, best first; a long one is thinned out."""
    points: dict[int, list[list[Any]]] = {}
    known = {t.number: t for t in trials}
    for trial, report in analysis.current_reports(trials, reports):
        if objective.metric in report.metrics:
            value = views.wire_metric(report.metrics[objective.metric])
            points.setdefault(trial.number, []).append([report.step, value])

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


# -- side by side -----------------------------------------------------------------------------------------------------


def compare(desk: Desk, *, sweep: Sequence[str]) -> dict[str, Any]:
    """Answer `wire.Comparison` for sweeps named as ``STORE/NAME`` or ``STORE/NAME@VERSION``."""
    if not 1 <= len(sweep) <= MOST_COMPARED:
        raise Refused(400, f"compare takes 1 to {MOST_COMPARED} sweeps, got {len(sweep)}.")
    readers = [desk.reader(*_named(one)) for one in sweep]
    definitions = [reader.handle.definition for reader in readers]
    best = []
    for reader in readers:
        with reader.reading() as mirror:
            best.append({} if mirror.state["best"] is None else mirror.state["best"]["params"])
    return {
        "sweeps": [_compared(desk.views, reader) for reader in readers],
        "best": _differences(best, lambda value: _text(desk.views, value)),
        "space": _differences([dict(d.space.describe()) for d in definitions], str),
        "settings": _differences([_settings(d) for d in definitions], str),
    }


def _named(given: str) -> tuple[str, str, int | None]:
    path, _, version = given.partition("@")
    store, _, name = path.rpartition("/")
    if not name or (version and not version.isdecimal()) or len(version) > 9:
        raise Refused(400, f"A sweep is named STORE/NAME or STORE/NAME@VERSION, got {given!r}.")
    return store, name, int(version) if version else None


def _compared(views: Views, reader: Reader) -> dict[str, Any]:
    with reader.reading() as mirror:
        head, state = views.wire_head(mirror), mirror.state
        sweep, trials = reader.handle.definition, reader.handle.trials()
    found = _final_values(sweep, trials, state)
    return {
        "store": reader.store_path,
        **{key: head["sweep"][key] for key in ("name", "version", "state", "objectives")},
        "counts": head["counts"],
        "best": None if head["best"] is None else {key: head["best"][key] for key in ("number", "value")},
        "baseline": head["baseline"],
        "mean": None if found is None else views.wire_metric(found.mean),
        "sd": None if found is None or found.n < 2 else views.wire_metric(found.sd),
        "elapsed_s": state["progress"]["elapsed_s"],
        "history": _history(views, trials, sweep.objective)[:POINTS],
    }


def _final_values(sweep: Sweep, trials: Sequence[Trial], state: dict[str, Any]) -> analysis.Configuration | None:
    """Give the configuration of the best trial with its repetitions."""
    if state["best"] is None:
        return None
    number = state["best"]["number"]
    found = analysis.configurations(sweep, trials)
    return next((c for c in found if any(t.number == number for t in c.trials)), None)


def _settings(sweep: Sweep) -> dict[str, Any]:
    return {
        "objectives": ", ".join(f"{o.direction} {o.metric}" for o in sweep.objectives),
        "algorithm": sweep.proposer,
        "stop rule": sweep.pruner,
        "seed": sweep.seed,
        "repetitions": sweep.budget.repetitions,
        "code": sweep.job.fingerprint[:12],
        "where": sweep.executor.name,
        "timeout_s": sweep.budget.timeout_s,
        "cpus": sweep.resources.cpus,
        "memory_gb": sweep.resources.memory_gb,
    }


def _differences(found: Sequence[dict[str, Any]], text: Callable[[Any], str]) -> list[dict[str, Any]]:
    """Give the names whose values, as text, are not the same in all."""
    names = dict.fromkeys(name for one in found for name in one)
    rows = [(name, [text(one[name]) if one.get(name) is not None else None for one in found]) for name in names]
    return [{"name": name, "values": values} for name, values in rows if len(set(values)) > 1]


def _text(views: Views, value: Any) -> str:
    shown = views.wire_value(encode(value))
    return str(shown["t"] if isinstance(shown, dict) else shown)
