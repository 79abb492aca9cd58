"""The law of a pruner, and what every rule shares: the latest value of each trial and the guard of the best.

A pruner is fed every report as it arrives and answers at once, from its own index. Handing it the reports of all trials
with each question (the shape of most libraries) makes a sweep of n trials cost n squared: at 10,000 trials of 30
reports that is hours. The index is never pickled: on resume the driver feeds the stored reports and ends to a fresh
pruner.

Inside, a value is a loss: `objective.sign * value`, small is good, NaN is infinitely bad. So minimizing and maximizing
mirror each other by construction.
"""

from __future__ import annotations

import heapq
import math
from typing import Any, ClassVar, Protocol

from ..errors import SweepError
from ..plugins import refuse_unknown
from ..trial import Objective, Report, Trial, TrialState


class Pruner(Protocol):
    """Decides which running trial is not worth going on with.

    The caller promises: one thread; every report once, those of one trial in order of step. Reports of different trials
    may arrive in any order, and `finished` before or after the last reports of that trial. Options are keyword-only,
    and an unknown one raises SweepError.

    The pruner promises: the trial that leads (no other trial's latest value is better) is never stopped, nor one
    without competitors; a report without the metric decides nothing; NaN counts as the worst value; the same reports
    in the same order give the same answers.
    """

    name: ClassVar[str]

    def observe(self, report: Report) -> str:
        """Take a report in; give the reason to stop its trial now, or an empty text to let it go on."""
        ...

    def finished(self, trial: Trial) -> None:
        """Take the end of a trial in, whatever its final state. Twice is once; a trial that is not final is ignored."""
        ...


class Rule:
    """Base of the pruners that compare trials: a subclass gives `_judge`, and `_forget` and `_ended` if it indexes."""

    name: ClassVar[str]

    def __init__(self, objective: Objective, unknown: dict[str, Any]) -> None:
        refuse_unknown(self, "--stop", unknown)
        self._objective = objective
        self._latest: dict[int, float] = {}
        self._ranked: list[tuple[float, int]] = []  # a heap of (loss, trial): the latest ones, and some that were
        self._attempts: dict[int, int] = {}
        self._final: dict[int, TrialState] = {}

    def observe(self, report: Report) -> str:
        value = report.metrics.get(self._objective.metric)
        if value is None or self._is_stale(report):
            return ""
        loss = math.inf if math.isnan(value) else self._objective.sign * value
        state = self._final.get(report.trial_id)
        if state in (None, TrialState.COMPLETED, TrialState.PRUNED):
            self._note(report.trial_id, loss)
        reason = self._judge(report, loss)
        if not reason or state is not None or loss <= self._least():
            return ""
        return f"{self.name}: {self._objective.metric}={value:.6g} at step {report.step} {reason}"

    def _note(self, trial_id: int, loss: float) -> None:
        self._latest[trial_id] = loss
        heapq.heappush(self._ranked, (loss, trial_id))
        if len(self._ranked) > 2 * len(self._latest) + 64:
            self._ranked = [(loss, trial_id) for trial_id, loss in self._latest.items()]
            heapq.heapify(self._ranked)

    def _least(self) -> float:
        """Give the least of the latest losses, of which there is one, without a look at all of them."""
        while self._latest.get(self._ranked[0][1]) != self._ranked[0][0]:
            heapq.heappop(self._ranked)
        return self._ranked[0][0]

    def finished(self, trial: Trial) -> None:
        if not trial.is_final:
            return  # a lost trial that is queued again reports with a higher attempt
        self._final[trial.trial_id] = trial.state
        if trial.state not in (TrialState.COMPLETED, TrialState.PRUNED):
            self._latest.pop(trial.trial_id, None)  # a failed trial can't be the best that others are measured by
        self._ended(trial)

    def _is_stale(self, report: Report) -> bool:
        """Tell whether the report is of an attempt that was given up; a newer attempt wipes the older one's traces."""
        known = self._attempts.setdefault(report.trial_id, report.attempt)
        if report.attempt > known:
            self._attempts[report.trial_id] = report.attempt
            self._forget(report.trial_id)
        return report.attempt < known

    def _judge(self, report: Report, loss: float) -> str:
        """Index the loss and say why the trial should stop, as the end of a sentence; empty to go on."""
        raise NotImplementedError

    def _forget(self, trial_id: int) -> None:
        """Drop what the index holds of a trial that starts anew."""

    def _ended(self, trial: Trial) -> None:
        """Move a trial's curve to where final trials are kept, if the rule tells them apart."""


def whole(pruner: Pruner, name: str, value: Any, least: int) -> int:
    """Give an option that must be a whole number of at least `least`; raise SweepError when it is not."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SweepError(f"--stop {pruner.name}: {name} must be a whole number >= {least}, got {name}={value!r}")
    return value
