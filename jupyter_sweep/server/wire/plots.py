"""The data of plots, and several sweeps side by side."""

from __future__ import annotations

from typing import TypedDict

from .common import Leader, Number, Objective, SweepState, TrialState
from .sweeps import Baseline


class Point(TypedDict):
    """A completed trial, the best value up to it, and how long after the sweep's first trial it ended."""

    number: int
    value: Number
    best: Number
    after_s: float | None


class Curve(TypedDict):
    """What stands of a trial's reports of the metric: pairs of step and value."""

    number: int
    state: TrialState
    points: list[tuple[int, Number]]


class Share(TypedDict):
    """A parameter's share of the effect on the metric, 0 to 1."""

    param: str
    share: float


class Span(TypedDict):
    """When a trial ran on which worker."""

    number: int
    worker: str
    state: TrialState
    started_at: float
    finished_at: float | None


class Plots(TypedDict):
    """The data of the plots that can't be had from rows alone. `told` is False where importance is a guess.

    `pareto` holds numbers of trials that no other one dominates; empty with one target. `curves` are those of the best
    trials and of those that run. A list that was cut is named in `cut`.
    """

    metric: str
    history: list[Point]
    curves: list[Curve]
    importance: list[Share]
    told: bool
    pareto: list[int]
    timeline: list[Span]
    cut: list[str]


class Compared(TypedDict):
    """One of the sweeps that are compared, by its first target.

    `mean` is of the `n` repetitions of the best configuration, `ci_low` and `ci_high` bound its 95 % interval by
    Student's t; these two are None where there are less than two.
    """

    store: str
    name: str
    version: int
    state: SweepState
    objectives: list[Objective]
    counts: dict[str, int]
    best: Leader | None
    baseline: Baseline | None
    mean: Number | None
    ci_low: Number | None
    ci_high: Number | None
    n: int
    elapsed_s: float
    history: list[Point]


class Difference(TypedDict):
    """A parameter or a setting that differs; `values` in order of the sweeps, None where it is lacking."""

    name: str
    values: list[str | None]


class Comparison(TypedDict):
    """Several sweeps side by side: what differs in their best configurations, in their spaces and in their settings."""

    sweeps: list[Compared]
    best: list[Difference]
    space: list[Difference]
    settings: list[Difference]
