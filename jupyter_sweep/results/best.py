"""The best configuration, what can't be told from it, and the cell of plain assignments that holds it.

The cell is code that a notebook will run, made of names, notes and values that anyone may have written: every text in
a comment is escaped to one printable line, every value is a literal that is read back as it was, and what has no
literal is left out with a comment that says so. An object that was an item of a choice is written as the user wrote
that item, for there is no other text that gives it.
"""

from __future__ import annotations

import ast
import keyword
import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ..definition import Sweep
from ..errors import count, one_line
from ..space.codec import Opaque, encode
from ..trial import Metrics, Params, Trial, TrialState
from ..trial import best as best_trial
from .analysis import CONFIDENCE, Configuration, configurations, declared, mean, pareto, student_within
from .frame import configurations_frame

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Best:
    """The best configuration so far by the first objective.

    Parameters
    ----------
    params
        Its active parameters.
    metrics
        Its metrics; with repetitions the mean of each over the completed ones.
    trial
        Number of its trial; with repetitions the first completed one.
    value
        The first objective's value: what it was chosen by.
    cell
        Source of the best-config cell.
    """

    params: Params
    metrics: Metrics
    trial: int
    value: float
    cell: str = field(repr=False)


def find_best(sweep: Sweep, trials: Sequence[Trial]) -> Best | None:
    """Give the best configuration, or None before a completed trial with a value.

    With repetitions the mean decides, and a configuration counts once more than half of them are completed (all do
    while none has so many): one lucky trial is no evidence. The earlier number wins a tie.
    """
    if not _is_repeated(sweep, trials):
        winner = best_trial(trials, sweep.objective)
        return None if winner is None else as_best(sweep, trials, winner)
    found = configurations(sweep, trials)
    top = _best_configuration(sweep, found)
    if top is None:
        return None
    done = [t for t in top.trials if t.state is TrialState.COMPLETED]
    first = next(t for t in done if sweep.objective.value(t) is not None)
    names = dict.fromkeys(name for t in done for name in t.metrics)
    metrics = {name: mean([t.metrics[name] for t in done if name in t.metrics]) for name in names}
    metrics[sweep.objective.metric] = top.mean
    cell = best_cell(sweep, trials, first, _statement(sweep, found, top))
    return Best(first.params, metrics, first.number, top.mean, cell)


def as_best(sweep: Sweep, trials: Sequence[Trial], winner: Trial) -> Best:
    """Give what is to be said of a trial that is known to be the best one of `trials`."""
    cell = best_cell(sweep, trials, winner)
    return Best(winner.params, winner.metrics, winner.number, winner.metrics[sweep.objective.metric], cell)


def tied(sweep: Sweep, trials: Sequence[Trial]) -> pd.DataFrame:
    """Give the configurations that can't be told from the best at 95 %, best first, as rows of `.configs`.

    Repetitions of two configurations have seeds of their own, so means are compared by Welch's t test; a configuration
    with one completed repetition is taken to vary as the best one does. Without repetitions there is no noise to
    measure: the best and what has exactly its value. Empty before a completed trial.
    """
    found = configurations(sweep, trials)
    top = _best_configuration(sweep, found)
    return configurations_frame(sweep, [] if top is None else _tied(sweep, found, top))


def _is_repeated(sweep: Sweep, trials: Iterable[Trial]) -> bool:
    return sweep.budget.repetitions > 1 or any(t.repetition for t in trials)


def _best_configuration(sweep: Sweep, found: Sequence[Configuration]) -> Configuration | None:
    able = [c for c in found if not math.isnan(c.mean)]
    ready = [c for c in able if 2 * c.n > sweep.budget.repetitions] or able
    return min(ready, key=lambda c: (sweep.objective.sign * c.mean, c.number), default=None)


def _tied(sweep: Sweep, found: Sequence[Configuration], top: Configuration) -> list[Configuration]:
    rest = [c for c in found if c is not top and _is_tied(sweep.objective.sign, c, top)]
    return [top, *sorted(rest, key=lambda c: (sweep.objective.sign * c.mean, c.number))]


def _is_tied(sign: int, one: Configuration, top: Configuration) -> bool:
    """Tell whether `one` is not worse than `top` at 95 %."""
    if math.isnan(one.mean):
        return False
    if one.mean == top.mean:
        return True
    if math.isnan(top.sd):
        return False
    gap = sign * (one.mean - top.mean)
    alone = math.isnan(one.sd)
    variance_one = top.sd**2 if alone else one.sd**2 / one.n
    variance_top = top.sd**2 / top.n
    variance = variance_one + variance_top
    if variance == 0 or not math.isfinite(gap):
        return gap <= 0
    t = gap / math.sqrt(variance)
    if not 1.95 < t < 12.75:  # outside, the answer is the same for all degrees of freedom
        return t < 12
    df = top.n - 1.0
    if not alone:
        df = variance**2 / (variance_one**2 / (one.n - 1) + variance_top**2 / (top.n - 1))
    return student_within(t, df) < CONFIDENCE


def _statement(sweep: Sweep, found: Sequence[Configuration], top: Configuration) -> str:
    """Give the value with its interval and what is tied with it, for the first line of the cell."""
    low, high = top.interval
    interval = "" if math.isnan(low) else f"95 % CI {_number(low)}..{_number(high)}, "
    others = [str(c.number) for c in _tied(sweep, found, top)[1:]]
    more = f" and {len(others) - 8} more" if len(others) > 8 else ""
    note = f"; can't be told from it: trials {', '.join(others[:8])}{more}" if others else ""
    return f"{_number(top.mean)} ({interval}{top.n} repetitions){note}"


def best_cell(sweep: Sweep, trials: Sequence[Trial], trial: Trial, value: str = "") -> str:
    """Give the source of a cell that assigns the trial's active parameters, with where they come from in comments.

    Parameters
    ----------
    trials
        All trials of the version, for "trial 17 of 30".
    value
        What to say of the value instead of the trial's own number.

    Returns
    -------
    Valid Python for every name, note and value, ending with a newline.
    """
    objective = sweep.objective
    own = objective.value(trial)
    value = value or ("no value" if own is None else _number(own))
    word = "min" if objective.sign == 1 else "max"
    head = f'best of "{sweep.name}/{sweep.version}" by {word} {objective.metric}: {value}'
    facts = [f"trial {trial.number} of {len(trials)}", f"code {sweep.job.fingerprint[:6]}", _data(sweep)]
    facts += [f"seed {trial.seed}", _date(trial), f"again: %sweep replay {sweep.name} {trial.number}"]
    comments = [head, " · ".join(fact for fact in facts if fact)]
    if len(sweep.objectives) > 1:
        comments.append(_beside(sweep, trials))
    if sweep.note:
        comments.append(f"note: {sweep.note}")
    lines = [f"# {one_line(text)}" for text in comments]
    lines += [_assignment(sweep, name, trial.params[name]) for name in _ordered(sweep, trial)]
    return "\n".join(lines) + "\n"


def _beside(sweep: Sweep, trials: Sequence[Trial]) -> str:
    """Say that there are several targets: the best one by the first is but one of a Pareto set."""
    front = pareto(trials, sweep.objectives)
    metrics = " and ".join(objective.metric for objective in sweep.objectives)
    return f"Pareto set of {metrics}: {count(len(front), 'trial')}; see sweep({sweep.name!r}).plot.pareto()"


def _ordered(sweep: Sweep, trial: Trial) -> list[str]:
    names = declared(sweep)
    return [*(name for name in names if name in trial.params), *(name for name in trial.params if name not in names)]


def _data(sweep: Sweep) -> str:
    """Give "data X:51c0 y:9be4" for the captured values that are data, not code."""
    code = ("function", "class", "module")
    data = [c for c in sweep.job.captures if c.get("kind") not in code and c.get("digest")]
    parts = [f"{c.get('name')}:{str(c.get('digest'))[:4]}" for c in data[:8]]
    parts += [f"+{len(data) - 8} more"] if len(data) > 8 else []
    return f"data {' '.join(parts)}" if parts else ""


def _date(trial: Trial) -> str:
    if trial.finished_at is None:
        return ""
    return datetime.fromtimestamp(trial.finished_at, timezone.utc).date().isoformat()


def _number(value: float) -> str:
    return f"{value:.6g}"


def _assignment(sweep: Sweep, name: str, value: Any) -> str:
    """Give ``name = literal``, or a comment where no assignment can be written."""
    if not name.isidentifier() or keyword.iskeyword(name) or name == "__debug__":
        return f"# {one_line(f'{name!r} is no Python name; its value was {value!r}')}"
    if not holds_object(value):
        return f"{name} = {literal(value)}"
    written = _as_written(sweep, name, value)
    if written:
        return f"{name} = {written}"
    if isinstance(value, Opaque) and _is_dotted_name(value.label):
        return f"{name} = {value.label}  # the object of that name, digest {one_line(value.digest)}"
    return f"# {one_line(f'{name} was {value!r}, an object that cannot be written as text')}"


def literal(value: Any) -> str:
    """Give Python source that evaluates to `value`: plain data, with infinities and NaN; no opaque objects."""
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, dict):
        return "{" + ", ".join(f"{literal(k)}: {literal(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(literal, value)) + ("," if len(value) == 1 else "") + ")"
    return repr(value)


def holds_object(value: Any) -> bool:
    if isinstance(value, dict):
        return any(holds_object(part) for pair in value.items() for part in pair)
    if isinstance(value, (list, tuple)):
        return any(map(holds_object, value))
    return not (value is None or isinstance(value, (bool, int, float, str)))


def _as_written(sweep: Sweep, name: str, value: Any) -> str:
    """Give the item's own source, ``StandardScaler()``, where the body lists as many items as the choice has."""
    parameter = sweep.space.parameters.get(name)
    items = [] if parameter is None else [encode(choice) for choice in parameter.choices]
    calls = _calls(sweep.job.source, name)
    if len(calls) != 1 or encode(value) not in items or len(calls[0]) != len(items):
        return ""
    item = calls[0][items.index(encode(value))]
    return "" if isinstance(item, ast.Starred) else ast.unparse(item)


def _calls(source: str, name: str) -> list[list[ast.expr]]:
    """Give the positional arguments of every call that `source` assigns to `name`; none where it is no plain Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the user's own body has been warned about when it was parsed to run
            tree = ast.parse(source)
    except (SyntaxError, ValueError):  # a body may hold IPython's own syntax, ! and %
        return []
    return [
        node.value.args
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        if any(isinstance(target, ast.Name) and target.id == name for target in node.targets)
    ]


def _is_dotted_name(label: str) -> bool:
    return all(part.isidentifier() and not keyword.iskeyword(part) for part in label.split("."))
