"""Where a parameter's values lie on an axis: plain numbers for `plots`, without matplotlib.

Every plot needs the same three answers for a parameter that may be a range, a log range, a choice of anything or
inactive: the position of each trial, the ends of the axis, and what to write at which position.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..definition import Sweep
from ..errors import SweepError, suggest
from ..space.codec import Opaque, encode
from ..space.parameter import Parameter
from ..trial import Objective, Trial
from .analysis import declared
from .frame import metric_names, parameter_names

_HUGE = 1e100


@dataclass(frozen=True)
class Scale:
    """An axis for one parameter or metric.

    `positions` maps trial numbers to data coordinates (for a choice the index of the item, whose text is in
    `labels`); a trial without the parameter is absent. `low` and `high` are the ends, never equal.
    """

    name: str
    positions: Mapping[int, float]
    low: float
    high: float
    log: bool = False
    whole: bool = False
    labels: Sequence[str] = ()

    @property
    def crowded(self) -> bool:
        """Tell whether these are so few whole numbers that trials lie on each other."""
        return self.whole and not self.log and self.high - self.low <= 30

    def unit(self, position: float) -> float:
        """Map a data coordinate to 0..1 between the ends, by its logarithm on a log axis."""
        low, high = self.low, self.high
        if self.log:
            low, high, position = math.log(low), math.log(high), math.log(position)
        return (position - low) / (high - low)

    def at(self, unit: float) -> float:
        """Map 0..1 to a data coordinate; the inverse of `unit`."""
        if self.log:
            return math.exp(math.log(self.low) + unit * (math.log(self.high) - math.log(self.low)))
        return self.low + unit * (self.high - self.low)

    def ticks(self) -> list[tuple[float, str]]:
        """Give at most seven positions with what to write there."""
        if self.labels:
            stride = math.ceil(len(self.labels) / 12)
            return [(float(i), self.labels[i]) for i in range(0, len(self.labels), stride)]
        if self.log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            stride = math.ceil((last - first + 1) / 6)
            decades = [10.0**e for e in range(first, last + 1, stride)] if last > first else [self.low, self.high]
            return [
                (d, f"{d:g}" if 1e-3 <= d <= 1e4 else f"{d:.0e}".replace("e-0", "e-").replace("e+0", "e"))
                for d in decades
            ]
        return [(value, f"{value:.6g}") for value in _round_steps(self.low, self.high, self.whole)]


def _round_steps(low: float, high: float, whole: bool) -> list[float]:
    """Give about five round numbers from low to high."""
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * 0.999)
    step = max(1.0, round(step)) if whole else step
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def parameter_scale(sweep: Sweep, trials: Sequence[Trial], name: str) -> Scale:
    """Give the axis of one parameter over its declared range and all values that trials had.

    Raises
    ------
    SweepError
        For a name that neither the sweep nor a trial has.
    """
    names = parameter_names(sweep, trials)
    if name not in names:
        raise SweepError(f"{sweep.name}: there is no parameter {name!r} to draw.{suggest(name, names)}")
    parameters = declared(sweep).get(name, [])
    values = {t.number: t.params[name] for t in trials if name in t.params}
    choices = [choice for p in parameters for choice in p.choices]
    if all(p.kind != "choice" for p in parameters) and all(map(_is_number, [*choices, *values.values()])):
        return _range_scale(parameters, name, {number: float(v) for number, v in values.items()})
    items = {repr(encode(value)): value for value in [*choices, *values.values()]}
    place = {identity: float(i) for i, identity in enumerate(items)}
    positions = {number: place[repr(encode(value))] for number, value in values.items()}
    return Scale(name, positions, -0.5, max(len(items), 1) - 0.5, labels=labels_of(list(items.values())) or ["-"])


def _range_scale(parameters: Sequence[Parameter], name: str, positions: dict[int, float]) -> Scale:
    ends = [float(v) for p in parameters for v in (p.low, p.high) if v is not None]
    log, whole = any(p.log for p in parameters), all(p.kind == "int" for p in parameters)
    return number_scale(name, positions, ends, log=log, whole=whole)


def is_drawable(value: float) -> bool:
    """Tell whether a value has a place in a picture: axes of more than 200 decades make matplotlib overflow."""
    return abs(value) < _HUGE


def number_scale(
    name: str, positions: Mapping[int, float], ends: Sequence[float] = (), *, log: bool = False, whole: bool = False
) -> Scale:
    """Give the axis of numbers that holds the given ends and all positions that can be drawn."""
    known = [v for v in [*ends, *positions.values()] if is_drawable(v)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    log = log and low > 1 / _HUGE
    if low == high:
        low, high = (low / 2, high * 2) if log else (low - (abs(low) / 2 or 0.5), high + (abs(high) / 2 or 0.5))
    return Scale(name, {k: v for k, v in positions.items() if is_drawable(v)}, low, high, log, whole)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def labels_of(values: Sequence[Any]) -> list[str]:
    """Give a short text for each value of a choice; by type or digest as well where two would read the same."""
    texts = [label(value) for value in values]
    return [_exact(value) if texts.count(text) > 1 else text for value, text in zip(values, texts, strict=True)]


def label(value: Any) -> str:
    """Give a text for a value: a string as it is, a coupled choice as ``width=64, layers=6``."""
    if isinstance(value, dict):
        return ", ".join(f"{k}={v}" for k, v in value.items())
    return value if isinstance(value, str) and value else repr(value)


def _exact(value: Any) -> str:
    return f"{value} {value.digest}" if isinstance(value, Opaque) else repr(value)


def shorten(text: str, length: int) -> str:
    """Give `text` on one line of at most `length` characters."""
    line = "".join(c if c.isprintable() else " " for c in text)
    return line if len(line) <= length else line[: length - 1] + "…"


def plain(text: str, length: int = 60) -> str:
    """Give `text` shortened, and so that matplotlib draws it as it stands.

    A dollar sign is escaped: two of them would be read as a formula, which may not even parse.
    """
    return shorten(text, length).replace("$", r"\$")


def target(sweep: Sweep, trials: Sequence[Trial], metric: str | None, more: Sequence[str] = ()) -> Objective | None:
    """Give the objective to draw: the first one by default; None for a metric that has no direction.

    Raises
    ------
    SweepError
        For a metric that nothing has reported (`more` names those of reports).
    """
    if metric is None:
        return sweep.objective
    names = metric_names(sweep.objectives, [*(t.metrics for t in trials), dict.fromkeys(more, 0.0)])
    if metric not in names:
        raise SweepError(f"{sweep.name}: there is no metric {metric!r} to draw.{suggest(metric, names)}")
    return next((o for o in sweep.objectives if o.metric == metric), None)


def worded(metric: str, objective: Objective | None) -> str:
    """Give "loss (min)" for a label; a metric that is no target has no direction."""
    return metric if objective is None else f"{metric} ({'min' if objective.sign == 1 else 'max'})"


def worst_first(objective: Objective | None, values: Mapping[int, float]) -> list[int]:
    """Give the trial numbers in the order of drawing: the best last, on top."""
    sign = objective.sign if objective else 1
    return sorted(values, key=lambda number: -sign * values[number])
