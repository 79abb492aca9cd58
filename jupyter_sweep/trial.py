"""What happened and how it is judged: `Trial`, `TrialState`, `Report`, `Objective`.

These records travel between the store, the loop, proposers, pruners and the faces. They are frozen: a change of a
trial is a new row of the store, never a mutation seen from afar.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

Params = dict[str, Any]
Metrics = dict[str, float]


class TrialState(str, enum.Enum):
    """States of a trial. The last four are final: a final trial never changes."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETED = "completed"
    PRUNED = "pruned"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self not in (TrialState.WAITING, TrialState.RUNNING)

    def __str__(self) -> str:
        return self.value


FINAL_STATES = tuple(s for s in TrialState if s.is_final)

#: Why a trial ended as it did; empty for an ordinary end.
REASONS = ("", "error", "timeout", "memory", "crash", "lost", "nan", "constraint", "upstream")


@dataclass(frozen=True)
class Report:
    """One `report(...)` of a running trial. `reported_at` is UTC seconds."""

    trial_id: int
    step: int
    metrics: Metrics
    reported_at: float
    attempt: int = 1


@dataclass(frozen=True)
class Objective:
    """A metric and its direction, "minimize" or "maximize"."""

    metric: str
    direction: str

    @property
    def sign(self) -> int:
        """1 to minimize, -1 to maximize: `sign * value` is always to be made small."""
        return 1 if self.direction == "minimize" else -1

    def better(self, a: float | None, b: float | None) -> bool:
        """Tell whether `a` is strictly better than `b`; a number beats None and NaN, which beat nothing."""
        if a is None or math.isnan(a):
            return False
        return b is None or math.isnan(b) or self.sign * a < self.sign * b

    def value(self, trial: Trial) -> float | None:
        """Give the trial's value of this metric, or None where it has no finite-or-infinite number."""
        value = trial.metrics.get(self.metric)
        return None if value is None or math.isnan(value) else value


@dataclass(frozen=True)
class Trial:
    """One evaluation of one configuration. Fields are the columns of the store.

    `params` holds the active parameters only. `number` counts from 0 over all versions of a sweep. `proposal` is the
    index of the proposer's draw that gave the trial (-1: the canary or a point entered by hand). `device` names its
    GPUs, as in "0,1". Times are UTC seconds.
    """

    trial_id: int
    sweep_id: int
    number: int
    params: Params
    state: TrialState = TrialState.WAITING
    reason: str = ""
    metrics: Metrics = field(default_factory=dict)
    error: str = ""
    traceback: str = ""
    attempt: int = 1
    repetition: int = 0
    seed: int = 0
    fingerprint: str = ""
    proposal: int = -1
    parent: int | None = None
    worker: str = ""
    folder: str = ""
    pid: int | None = None
    queued_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    duration_s: float | None = None
    peak_memory_gb: float | None = None
    device: str = ""
    peak_gpu_memory_gb: float | None = None
    change: int = 0

    @property
    def is_final(self) -> bool:
        return self.state.is_final

    @property
    def counts(self) -> bool:
        """Tell whether `-n` counts the trial once it is final: all do but those a constraint refused."""
        return self.reason != "constraint"

    def with_(self, **changes: Any) -> Trial:
        """Give a copy with some fields changed."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Attempt:
    """An attempt of a trial that was followed by another: why it ended, where and when it ran (UTC seconds)."""

    number: int
    attempt: int
    reason: str
    error: str
    worker: str
    started_at: float | None
    ended_at: float


def best(trials: Sequence[Trial], objective: Objective) -> Trial | None:
    """Give the completed trial with the best value; the earlier number wins a tie; None when none completed."""
    winner: Trial | None = None
    for trial in sorted(trials, key=lambda t: t.number):
        if trial.state is not TrialState.COMPLETED:
            continue
        value = objective.value(trial)
        if winner is None or objective.better(value, objective.value(winner)):
            winner = trial if value is not None else winner
    return winner


def is_better_by(objectives: Sequence[Objective], a: Mapping[str, float], b: Mapping[str, float]) -> bool:
    """Tell whether metrics `a` dominate `b`: at least as good in every objective, better in one."""
    pairs = [(o.sign * a.get(o.metric, math.inf), o.sign * b.get(o.metric, math.inf)) for o in objectives]
    return all(x <= y for x, y in pairs) and any(x < y for x, y in pairs)
