"""Rules of one sentence: never stop, and stop below the median.

The median is taken over *completed* trials, as Vizier and Optuna do. Over all trials it would stop half of the
survivors at every step, until one is left. Of two middle values it is the worse one, not their mean: so decisions go by
rank alone, and `loss` and `log(loss)`, or a NaN among the values, make no difference.
"""

from __future__ import annotations

from bisect import insort
from typing import Any, ClassVar

from ..plugins import refuse_unknown
from ..trial import Objective, Report, Trial, TrialState
from .base import Rule, whole


class Never:
    """Lets every trial run to its end."""

    name: ClassVar[str] = "none"

    def __init__(self, objective: Objective, **unknown: Any) -> None:
        refuse_unknown(self, "--stop", unknown)

    def observe(self, report: Report) -> str:
        return ""

    def finished(self, trial: Trial) -> None:
        """Nothing to keep."""


class Median(Rule):
    """Stops a trial whose best value so far is worse than the median of completed trials at the same step.

    Parameters
    ----------
    startup
        Completed trials that must have reported at a step before anything is stopped there; at least 1, default 5.
    warmup
        Steps before this one decide nothing; default 0.
    every
        Only every so many steps, counted from `warmup`, decide; default 1.

    Notes
    -----
    Steps are compared only where they are equal: a step at which few others have reported stops nobody.
    """

    name: ClassVar[str] = "median"

    def __init__(
        self, objective: Objective, *, startup: int = 5, warmup: int = 0, every: int = 1, **unknown: Any
    ) -> None:
        super().__init__(objective, unknown)
        self._startup = whole(self, "startup", startup, 1)
        self._warmup = whole(self, "warmup", warmup, 0)
        self._every = whole(self, "every", every, 1)
        self._best: dict[int, float] = {}
        self._curves: dict[int, dict[int, float]] = {}
        self._completed: dict[int, list[float]] = {}

    def _judge(self, report: Report, loss: float) -> str:
        best = self._best[report.trial_id] = min(loss, self._best.get(report.trial_id, loss))
        if self._final.get(report.trial_id) is TrialState.COMPLETED:
            insort(self._completed.setdefault(report.step, []), best)
        else:
            self._curves.setdefault(report.trial_id, {})[report.step] = best
        peers = self._completed.get(report.step, [])
        if not self._decides(report.step) or len(peers) < self._startup:
            return ""
        middle = peers[len(peers) // 2]
        if best <= middle:
            return ""
        median = self._objective.sign * middle
        return f"is worse than {median:.6g}, the median of {len(peers)} completed trials there"

    def _decides(self, step: int) -> bool:
        return step >= self._warmup and (step - self._warmup) % self._every == 0

    def _forget(self, trial_id: int) -> None:
        self._best.pop(trial_id, None)
        self._curves.pop(trial_id, None)

    def _ended(self, trial: Trial) -> None:
        curve = self._curves.pop(trial.trial_id, {})
        if trial.state is TrialState.COMPLETED:
            for step, best in curve.items():
                insort(self._completed.setdefault(step, []), best)
