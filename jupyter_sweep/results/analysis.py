"""What the numbers of a sweep say: configurations with their intervals, the Pareto set, the best so far, importance.

Everything is counted here in plain Python, because a status line asks for it while pandas and scipy are not loaded.
Student's distribution is one smooth integral (see `student_within`), so scipy keeps its one door, in the proposers.
Importance is a variance share over ranks and quantile bins instead of a forest: it is deterministic, needs no other
package, takes 0.06 s for 10,000 trials of six parameters, and gives little to what does nothing: of one parameter that
decides alone and four idle ones it gave 82 % to the former with 20 trials, 93 % with 60 (means of 60 draws).
"""

from __future__ import annotations

import functools
import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from ..definition import Sweep
from ..space.codec import encode, key
from ..space.parameter import Parameter
from ..trial import Objective, Params, Report, Trial, TrialState

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Configuration:
    """All trials of one configuration. `values` are the first objective's, of completed trials, in order of number."""

    number: int
    params: Params
    trials: tuple[Trial, ...]
    values: tuple[float, ...]

    @property
    def n(self) -> int:
        """Completed trials that gave a value."""
        return len(self.values)

    @functools.cached_property
    def mean(self) -> float:
        """Mean of the values; NaN without any."""
        return mean(self.values)

    @functools.cached_property
    def sd(self) -> float:
        """Standard deviation of the values (n - 1); NaN for less than two finite ones."""
        if self.n < 2 or not all(map(math.isfinite, self.values)):
            return math.nan
        middle = self.mean
        return math.sqrt(sum((v - middle) * (v - middle) for v in self.values) / (self.n - 1))

    @property
    def interval(self) -> tuple[float, float]:
        """Bounds of the 95 % interval of the mean, by Student's t; NaN where there is no `sd`."""
        if math.isnan(self.sd):
            return math.nan, math.nan
        half = student_quantile(self.n - 1) * self.sd / math.sqrt(self.n)
        return self.mean - half, self.mean + half


def mean(values: Sequence[float]) -> float:
    """Give the arithmetic mean, exactly `x` for equal values `x`, without overflow for huge ones; NaN for none."""
    if not values:
        return math.nan
    if not all(map(math.isfinite, values)):
        return sum(values) / len(values)
    first = values[0]
    return first + sum(v / len(values) - first / len(values) for v in values)


def declared(sweep: Sweep) -> dict[str, list[Parameter]]:
    """Give the parameters of each name, as declared: several where conditions choose between them."""
    found: defaultdict[str, list[Parameter]] = defaultdict(list)
    for parameter in sweep.space.parameters.values():
        found[parameter.name].append(parameter)
    return dict(found)


def configurations(sweep: Sweep, trials: Iterable[Trial]) -> list[Configuration]:
    """Group trials by their active parameters without `meta` ones, in order of each group's first number."""
    meta = {parameter.name for parameter in sweep.space.parameters.values() if parameter.meta}
    groups: defaultdict[str, list[Trial]] = defaultdict(list)
    for trial in sorted(trials, key=lambda t: t.number):
        params = trial.params
        groups[key({n: v for n, v in params.items() if n not in meta} if meta else params)].append(trial)
    return [_configuration(group, sweep.objective) for group in groups.values()]


def _configuration(group: Sequence[Trial], objective: Objective) -> Configuration:
    found = ((t, objective.value(t)) for t in group if t.state is TrialState.COMPLETED)
    values = tuple(v for _, v in found if v is not None)
    return Configuration(group[0].number, group[0].params, tuple(group), values)


def student_within(t: float, df: float) -> float:
    """Give the probability that Student's T with `df` >= 1 degrees of freedom lies within -t and t; right to 1e-8.

    With T = sqrt(df) * tan(a) the density is cos(a)**(df - 1), which Simpson's rule integrates well. Beyond t = 60 the
    answer for 60 is given: all decisions here are made at 95 %.
    """
    steps = 200
    width = math.atan(min(abs(t), 60.0) / math.sqrt(df)) / steps
    inner = sum((4 if i % 2 else 2) * math.pow(math.cos(i * width), df - 1) for i in range(1, steps))
    area = (1 + inner + math.pow(math.cos(steps * width), df - 1)) * width / 3
    factor = math.exp(math.lgamma((df + 1) / 2) - math.lgamma(df / 2)) / math.sqrt(math.pi)
    return min(1.0, 2 * factor * area)


@functools.lru_cache(maxsize=256)
def student_quantile(df: int) -> float:
    """Give the t for which -t..t holds 95 % of Student's distribution (12.7 for one degree of freedom)."""
    low, high = 1.0, 60.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if student_within(middle, df) < CONFIDENCE else (low, middle)
    return (low + high) / 2


def completed(trials: Iterable[Trial], metric: str) -> list[tuple[Trial, float]]:
    """Give the completed trials that have a number (not NaN) for `metric`, with it, in order of number."""
    done = sorted((t for t in trials if t.state is TrialState.COMPLETED), key=lambda t: t.number)
    return [(t, t.metrics[metric]) for t in done if not math.isnan(t.metrics.get(metric, math.nan))]


def best_so_far(trials: Iterable[Trial], objective: Objective) -> list[tuple[int, float]]:
    """Give (number, best value up to it) of every completed trial that has a value, in order of number."""
    found: list[tuple[int, float]] = []
    record: float | None = None
    for trial, value in completed(trials, objective.metric):
        record = value if record is None or objective.better(value, record) else record
        found.append((trial.number, record))
    return found


def pareto(trials: Iterable[Trial], objectives: Sequence[Objective]) -> list[Trial]:
    """Give the completed trials that no other one dominates, in order of number; equal ones all stay.

    A trial that lacks one of the metrics is not compared. 10,000 trials take about 0.1 s, 2 s if all are in the set.
    """
    import numpy as np

    rows = []
    for trial in trials:
        values = [o.value(trial) for o in objectives]
        if trial.state is TrialState.COMPLETED and None not in values:
            rows.append((tuple(o.sign * v for o, v in zip(objectives, values, strict=True) if v is not None), trial))
    rows.sort(key=lambda row: row[0])  # then no row is dominated by a later one
    points = np.array([values for values, _ in rows], dtype=float).reshape(len(rows), len(objectives))
    front: list[Trial] = []
    known = np.empty_like(points)
    for point, (_, trial) in zip(points, rows, strict=True):
        others = known[: len(front)]
        if not ((others <= point).all(axis=1) & (others < point).any(axis=1)).any():
            known[len(front)] = point
            front.append(trial)
    return sorted(front, key=lambda t: t.number)


def current_reports(trials: Iterable[Trial], reports: Iterable[Report]) -> list[tuple[Trial, Report]]:
    """Give the reports that stand, with their trial, by number and time; reports of other trials are left out.

    A later attempt takes the place of an earlier one from its own first step on: an attempt that started over leaves
    nothing of the failed one, an attempt that went on from a checkpoint keeps what came before it.
    """
    known = {t.trial_id: t for t in trials}
    rows = [(known[r.trial_id], r) for r in reports if r.trial_id in known]
    first: dict[tuple[int, int], int] = {}
    for _, r in rows:
        first[r.trial_id, r.attempt] = min(r.step, first.get((r.trial_id, r.attempt), r.step))
    limits: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for (trial_id, attempt), step in first.items():
        limits[trial_id].append((attempt, step))
    standing = [(t, r) for t, r in rows if all(a <= r.attempt or r.step < step for a, step in limits[r.trial_id])]
    return sorted(standing, key=lambda row: (row[0].number, row[1].reported_at, row[1].step))


def importance(sweep: Sweep, trials: Iterable[Trial], metric: str | None = None) -> dict[str, float]:
    """Give each varying parameter's share of the effect on `metric`, largest first; shares lie in 0..1 and sum to 1.

    The values of completed trials are ranked. A parameter's effect is the part of the variance of the ranks that
    groups of its values explain (a choice by item, a range by quantile bins, 3 to 12 of them as trials allow), less
    what as many idle groups would explain by chance (epsilon squared). A conditional parameter is judged among the
    trials that had it, weighted by how many they are; being active at all counts for the choice that decides it.
    These are main effects: a parameter that acts only together with another one gets little. Where nothing can be
    told (few trials, equal values) all shares are equal.

    Parameters
    ----------
    metric
        Default: the first objective.
    """
    effects = effect_sizes(sweep, trials, metric)
    total = sum(effects.values())
    shares = {name: effect / total if total else 1 / len(effects) for name, effect in effects.items()}
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def effect_sizes(sweep: Sweep, trials: Iterable[Trial], metric: str | None = None) -> dict[str, float]:
    """Give each varying parameter's part (0..1) of the variance of the ranks; all 0 where nothing can be told."""
    found = completed(trials, metric or sweep.objective.metric)
    scores = ranks([value for _, value in found])
    middle = (len(scores) - 1) / 2
    total = sum((s - middle) ** 2 for s in scores)
    effects = {}
    for name, parameters in declared(sweep).items():
        if all(parameter.kind == "fixed" for parameter in parameters):
            continue
        active = [(t.params[name], s) for (t, _), s in zip(found, scores, strict=True) if name in t.params]
        is_range = all(parameter.kind != "choice" for parameter in parameters)
        effects[name] = _explained(active, is_range) / total if total else 0.0
    return effects


def ranks(values: Sequence[float]) -> list[float]:
    """Give the rank of each value from 0; equal values share the mean of their ranks."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    found = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        for i in order[start:end]:
            found[i] = (start + end - 1) / 2
        start = end
    return found


def _explained(active: Sequence[tuple[object, float]], is_range: bool) -> float:
    """Give the sum of squares between groups less what chance gives: never negative, 0 for too few trials."""
    groups: defaultdict[Hashable, list[float]] = defaultdict(list)
    for group, (_, score) in zip(_labels([value for value, _ in active], is_range), active, strict=True):
        groups[group].append(score)
    n, k = len(active), len(groups)
    if k < 2 or n - k < 2:
        return 0.0
    overall = mean([score for _, score in active])
    between = sum(len(g) * (mean(g) - overall) ** 2 for g in groups.values())
    within = sum((score - mean_) ** 2 for g in groups.values() for mean_ in (mean(g),) for score in g)
    return max(0.0, between - (k - 1) * within / (n - k))


def _labels(values: Sequence[object], is_range: bool) -> list[Hashable]:
    """Give the group of each value: the item of a choice, the number itself, or its quantile bin."""
    numbers = [v for v in values if isinstance(v, (int, float))]
    if not is_range or len(numbers) < len(values):  # what was a choice once may be a range now
        return [repr(encode(value)) for value in values]
    bins = max(3, min(12, round(math.sqrt(len(numbers)) / 1.2)))
    if len(set(numbers)) <= bins:
        return list(numbers)
    position: dict[float, int] = {}
    for i, number in enumerate(sorted(numbers)):  # equal numbers stay together: the first one's place decides
        position.setdefault(number, i)
    return [position[number] * bins // len(numbers) for number in numbers]
