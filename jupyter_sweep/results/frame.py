"""Trials, reports and configurations as pandas frames: the only file that knows pandas.

Frames are built by columns, each with a type of its own: 10,000 trials of six parameters take about 0.04 s. A column's
type follows from the declared parameter together with the values, so that it does not change while a sweep
fills up: whole numbers are Int64 (an inactive one is missing, the rest stay whole), real numbers float64, truth values
boolean, texts pandas' string column. A choice of mixed types stays object, because 1, 1.0, True and "1" are four.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from ..definition import Sweep
from ..space.codec import Opaque
from ..space.parameter import Parameter
from ..trial import Objective, Report, Trial
from .analysis import Configuration, configurations, current_reports, declared

if TYPE_CHECKING:
    import pandas as pd

#: Columns of `.df` around the parameters and metrics; none of them may name a parameter.
LEADING = ("number", "version", "state", "reason")
TRAILING = ("duration_s", "attempt", "repetition", "worker", "error")
#: Further ones, at the end, where trials have GPUs.
DEVICE_COLUMNS = ("device", "peak_gpu_memory_gb")
CURVE_COLUMNS = ("number", "step", "reported_at")
WORKER_COLUMNS = ("worker", "host", "pid", "state", "sweep", "number", "since", "memory_gb", "peak_gb", "device")
STATISTICS = ("mean", "sd", "n", "ci_low", "ci_high")

_INT64 = 2**63


def workers_frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Give one row a slot, and the columns job and job_state where a queue gives the workers."""
    import pandas as pd

    jobs = [name for name in ("job", "job_state") if any(name in row for row in rows)]
    columns: dict[str, Any] = {n: [row.get(n) for row in rows] for n in (*WORKER_COLUMNS, *jobs)}
    types = {"pid": "Int64", "number": "Int64", "since": "float64", "memory_gb": "float64", "peak_gb": "float64"}
    return pd.DataFrame(columns).astype({n: types.get(n, "string") for n in columns})


def trials_frame(sweep: Sweep, trials: Iterable[Trial], versions: Mapping[int, int] | None = None) -> pd.DataFrame:
    """Give one row a trial, in order of number; `versions` gives the version of each `sweep_id` (default: the sweep's).

    Columns: number, version, state, reason, the parameters as declared, the metrics (objectives first), duration_s,
    attempt, repetition, worker, error; and device and peak_gpu_memory_gb where a trial has a GPU (as `trial.device`
    beside a parameter or metric of that name). The caller chooses the trials: the handle gives those of the newest
    version.
    """
    rows = sorted(trials, key=lambda t: t.number)
    columns: dict[str, Any] = {
        "number": _whole(t.number for t in rows),
        "version": _whole((versions or {}).get(t.sweep_id, sweep.version) for t in rows),
        "state": _texts([t.state.value for t in rows]),
        "reason": _texts([t.reason for t in rows]),
    }
    columns.update(_parameter_columns(sweep, rows, {*LEADING, *TRAILING}))
    columns.update(_metric_columns(sweep.objectives, [t.metrics for t in rows], {*columns, *TRAILING}))
    columns["duration_s"] = _real([t.duration_s for t in rows])
    columns["attempt"] = _whole(t.attempt for t in rows)
    columns["repetition"] = _whole(t.repetition for t in rows)
    columns["worker"] = _texts([t.worker for t in rows])
    columns["error"] = _texts([last_line(t) for t in rows])
    if any(t.device for t in rows):
        own = (_texts([t.device for t in rows]), _real([t.peak_gpu_memory_gb for t in rows]))
        columns.update({_free("trial.", name, {*columns}): c for name, c in zip(DEVICE_COLUMNS, own, strict=True)})
    return _frame(columns)


def curves_frame(
    trials: Iterable[Trial], reports: Iterable[Report], objectives: Sequence[Objective] = ()
) -> pd.DataFrame:
    """Give one row a report that stands: number, step, reported_at (UTC seconds), the metrics.

    The metrics of `objectives` come first and have a column even before the first report.

    What an attempt reported before it failed and was started over is left out (see `analysis.current_reports`).
    """
    rows = current_reports(trials, reports)
    columns: dict[str, Any] = {
        "number": _whole(t.number for t, _ in rows),
        "step": _whole(r.step for _, r in rows),
        "reported_at": _real([r.reported_at for _, r in rows]),
    }
    columns.update(_metric_columns(objectives, [r.metrics for _, r in rows], set(columns)))
    return _frame(columns)


def configs_frame(sweep: Sweep, trials: Iterable[Trial]) -> pd.DataFrame:
    """Give one row a configuration, in order of its first trial's number.

    Columns: number (of its first trial), the parameters, then of the first objective over completed repetitions: mean,
    sd, n, and ci_low and ci_high, the 95 % interval of the mean (missing for n < 2).
    """
    return configurations_frame(sweep, configurations(sweep, trials))


def configurations_frame(sweep: Sweep, found: Sequence[Configuration]) -> pd.DataFrame:
    """Give the frame of `configs_frame` for these configurations, in the order given.

    A parameter that has the name of a statistic, such as `n`, is shown as `param.n`.
    """
    columns: dict[str, Any] = {"number": _whole(c.number for c in found)}
    columns.update(_parameter_columns(sweep, found, {"number", *STATISTICS}))
    intervals = [c.interval for c in found]
    columns["mean"] = _real([c.mean for c in found])
    columns["sd"] = _real([c.sd for c in found])
    columns["n"] = _whole(c.n for c in found)
    columns["ci_low"] = _real([low for low, _ in intervals])
    columns["ci_high"] = _real([high for _, high in intervals])
    return _frame(columns)


def last_line(trial: Trial) -> str:
    """Give the last line of the trial's traceback (or of its error), empty when there is none."""
    lines = (trial.traceback.strip() or trial.error.strip()).splitlines()
    return lines[-1].strip() if lines else ""


def metric_names(objectives: Sequence[Objective], metrics: Iterable[Mapping[str, float]]) -> list[str]:
    """Give all metrics: the objectives as declared, then the others as they first appear."""
    names = dict.fromkeys(o.metric for o in objectives)
    for one in metrics:
        names.update(dict.fromkeys(one))
    return list(names)


def parameter_names(sweep: Sweep, rows: Iterable[Trial | Configuration]) -> list[str]:
    """Give all parameters: as declared, then those only earlier trials had, as they first appear."""
    names = dict.fromkeys(declared(sweep))
    for row in rows:
        names.update(dict.fromkeys(row.params))
    return list(names)


def _frame(columns: dict[str, Any]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(columns)


def _metric_columns(
    objectives: Sequence[Objective], rows: Sequence[Mapping[str, float]], taken: set[str]
) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name in metric_names(objectives, rows):
        columns[_free("metric.", name, {*taken, *columns})] = _real([row.get(name) for row in rows])
    return columns


def _free(prefix: str, name: str, taken: set[str]) -> str:
    """Give the name, with the prefix as often as needed to differ from those taken."""
    while name in taken:
        name = prefix + name
    return name


def _parameter_columns(sweep: Sweep, rows: Sequence[Trial | Configuration], taken: set[str]) -> dict[str, Any]:
    """Give the parameters' columns; a choice of dicts gives a column a key, named `size.width`."""
    columns: dict[str, Any] = {}
    parameters = declared(sweep)
    for name in parameter_names(sweep, rows):
        values = [row.params.get(name, _MISSING) for row in rows]
        known = [
            *(v for p in parameters.get(name, []) for v in _examples(p)),
            *(v for v in values if v is not _MISSING),
        ]
        if known and all(isinstance(v, dict) for v in known):
            for part in dict.fromkeys(k for v in known for k in v):
                nested = [v.get(part, _MISSING) if isinstance(v, dict) else _MISSING for v in values]
                parts = [v[part] for v in known if part in v]
                columns[_free("param.", f"{name}.{part}", {*taken, *columns})] = _column(parts, nested)
        else:
            columns[_free("param.", name, {*taken, *columns})] = _column(known, values)
    return columns


_MISSING = object()


def _examples(parameter: Parameter) -> list[Any]:
    """Give values of all types that a column of the parameter must hold."""
    example: dict[str, list[Any]] = {"float": [0.0], "int": [0]}
    return example.get(parameter.kind, list(parameter.choices))


def _column(known: Sequence[Any], values: Sequence[Any]) -> Any:
    """Give a pandas array or series for `values`, with the one type that fits all the `known` ones."""
    kinds = {type(v) for v in known if v is not _MISSING}
    if kinds == {float}:
        return _real([None if v is _MISSING else v for v in values])
    if kinds == {int} and all(-_INT64 <= v < _INT64 for v in known):
        return _nullable(values, "Int64")
    if kinds == {bool}:
        return _nullable(values, "boolean")
    if kinds and kinds <= {str, Opaque}:
        label = _labeller(known)
        return _texts([None if v is _MISSING else label(v) for v in values])
    return _objects(values)


def _labeller(known: Iterable[Any]) -> Callable[[Any], str]:
    """Give what names a text or an opaque value: its label, with the digest where two opaque ones share a label."""
    shared: dict[str, set[str]] = {}
    for value in known:
        shared.setdefault(str(value), set()).add(value.digest if isinstance(value, Opaque) else "")

    def label(value: Any) -> str:
        plain = str(value)
        return f"{plain} ({value.digest})" if isinstance(value, Opaque) and len(shared[plain]) > 1 else plain

    return label


def _whole(values: Iterable[int]) -> Any:
    import numpy as np

    return np.fromiter(values, dtype="int64")


def _real(values: Sequence[float | None]) -> Any:
    import numpy as np

    return np.array([math.nan if v is None else v for v in values], dtype="float64")


def _nullable(values: Sequence[Any], dtype: Literal["Int64", "boolean"]) -> Any:
    import pandas as pd

    return pd.Series([pd.NA if v is _MISSING else v for v in values], dtype=dtype)


def _texts(values: Sequence[str | None]) -> Any:
    import pandas as pd

    # Without any text pandas would not see that this is a column of texts.
    return pd.Series([*values, ""]).iloc[:-1]


def _objects(values: Sequence[Any]) -> Any:
    import numpy as np
    import pandas as pd

    column = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):  # one by one: numpy would unpack lists and tuples
        column[i] = pd.NA if value is _MISSING else value
    return pd.Series(column, dtype=object)
