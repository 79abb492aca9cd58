"""A sweep as an Optuna study, in an SQLite file that ``optuna-dashboard sqlite:///digits.db`` opens.

Optuna holds less than we do: a value that is no text, number or truth value is told by its text; ranges are as wide as
what was tried, because rows of an earlier, wider range are kept; a trial that waits, runs or was cancelled is left out.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..definition import Sweep
from ..errors import SweepError
from ..space.parameter import Parameter
from ..trial import Report, Trial, TrialState
from .analysis import current_reports
from .rows import numbers

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

_STATES = {TrialState.COMPLETED: "COMPLETE", TrialState.PRUNED: "PRUNED", TrialState.FAILED: "FAIL"}


def write(path: Path, sweep: Sweep, trials: Sequence[Trial], reports: Sequence[Report]) -> None:
    """Write the study; its name is that of the sweep.

    Elsewhere at first: Optuna wants an address, in which a % or ? of the path would mean something else.
    """
    with tempfile.TemporaryDirectory(prefix="jupyter-sweep-") as folder:
        made = Path(folder, "study.db")
        _write(made, sweep, trials, reports)
        shutil.move(made, path)


def _write(path: Path, sweep: Sweep, trials: Sequence[Trial], reports: Sequence[Report]) -> None:
    import optuna
    from optuna.study import StudyDirection

    kept = [t for t in trials if t.state in _STATES]
    tried = _tried(sweep, kept)
    columns = {slot: _column(sweep.space.parameters.get(slot), values) for slot, values in tried.items()}
    curves = _curves(sweep, kept, reports)
    loud = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    try:
        directions = [StudyDirection[f"{o.direction.upper()}"] for o in sweep.objectives]
        study = optuna.create_study(storage=storage, study_name=sweep.name, directions=directions)
        study.add_trials([_frozen(sweep, t, columns, curves.get(t.number, {})) for t in kept])
    finally:
        optuna.logging.set_verbosity(loud)
        storage.remove_session()
        storage.engine.dispose()


def _slots(sweep: Sweep, trial: Trial) -> dict[str, Any]:
    """Give a trial's values by the keys of the space: several ranges of one name are several parameters for Optuna."""
    try:
        active = {p.name: p.slot for p in sweep.space.active_parameters(trial.params)}
    except SweepError:  # a row of an earlier space, whose values a condition of today can't read
        active = {}
    return {active.get(name, name): value for name, value in trial.params.items()}


def _tried(sweep: Sweep, trials: Iterable[Trial]) -> dict[str, list[Any]]:
    tried: dict[str, list[Any]] = {}
    for trial in trials:
        for slot, value in _slots(sweep, trial).items():
            tried.setdefault(slot, []).append(value)
    return tried


class _Column(NamedTuple):
    """One parameter for Optuna: its distribution, and what turns our values into Optuna's."""

    distribution: BaseDistribution
    value: Callable[[Any], Any]


def _column(parameter: Parameter | None, values: Sequence[Any]) -> _Column:
    """Give the column that holds the range and all `values`; choices that aren't all texts are told by their repr."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    kinds = {type(v) for v in values}
    if parameter is None or parameter.choices or not kinds <= {int, float} or len(kinds) > 1:
        known = [*(parameter.choices if parameter is not None else ()), *values]
        label = str if all(isinstance(v, str) for v in known) else repr
        return _Column(CategoricalDistribution(list(dict.fromkeys(map(label, known)))), label)
    bounds = [b for b in (parameter.low, parameter.high) if b is not None]
    low, high = min([*bounds, *values]), max([*bounds, *values])
    log = parameter.log and low > 0
    if kinds == {int}:
        step = int(parameter.step or 1)
        fits = not log and all((v - low) % step == 0 for v in values)
        return _Column(IntDistribution(int(low), int(high), log=log, step=step if fits else 1), int)
    return _Column(FloatDistribution(float(low), float(high), log=log), float)


def _frozen(sweep: Sweep, trial: Trial, columns: Mapping[str, _Column], curve: dict[int, float]) -> FrozenTrial:
    from optuna.trial import FrozenTrial
    from optuna.trial import TrialState as State

    slots = _slots(sweep, trial)
    values = [trial.metrics.get(o.metric, math.nan) for o in sweep.objectives]
    is_complete = trial.state is TrialState.COMPLETED and not any(map(math.isnan, values))
    state = _STATES[trial.state] if is_complete or trial.state is not TrialState.COMPLETED else "FAIL"
    facts = ("number", "reason", "repetition", "seed", "attempt", "worker", "error")
    return FrozenTrial(
        number=-1,  # the study gives it
        trial_id=-1,
        state=State[state],
        value=None,
        values=values if is_complete else None,
        datetime_start=_time(trial.started_at or trial.queued_at or 0.0),
        datetime_complete=_time(trial.finished_at or trial.started_at or 0.0),
        params={slot: columns[slot].value(value) for slot, value in slots.items()},
        distributions={slot: columns[slot].distribution for slot in slots},
        user_attrs={**{name: getattr(trial, name) for name in facts}, "metrics": numbers(trial.metrics)},
        system_attrs={},
        intermediate_values=curve,
    )


def _curves(sweep: Sweep, trials: Sequence[Trial], reports: Sequence[Report]) -> dict[int, dict[int, float]]:
    """Give the first target by step; Optuna knows no curves of several."""
    found: dict[int, dict[int, float]] = {}
    if len(sweep.objectives) == 1:
        for trial, report in current_reports(trials, reports):
            if sweep.objective.metric in report.metrics:
                found.setdefault(trial.number, {})[report.step] = report.metrics[sweep.objective.metric]
    return found


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds)
