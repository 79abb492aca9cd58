"""What a viewer knows of a sweep's trials, kept up with the rows that changed: totals, best so far, durations.

A view asks twice a second; at 10,000 trials going over all of them each time would cost 25 ms, going over the changed
ones costs what they are. A final trial never changes, which is what makes a running best possible.
"""

from __future__ import annotations

import statistics
from collections import Counter, deque
from collections.abc import Sequence

from .definition import Sweep
from .results.best import Best, as_best, find_best
from .space.space import Space
from .trial import Objective, Trial, TrialState

_RECENT = 30


class Ledger:
    """Trials by number, and their running totals. `change` is the newest change that was read."""

    def __init__(self) -> None:
        self.trials: dict[int, Trial] = {}
        self.change = 0
        self.counts: Counter[str] = Counter()
        self.final = 0
        self.metrics: dict[str, None] = {}
        self._repeated = False
        self._durations: deque[float] = deque(maxlen=_RECENT)
        self._leader: tuple[Objective, Trial] | None = None
        self._worked = (0.0, 0.0)
        self._counted: tuple[Space, int | None, int | None] | None = None

    def enter(self, changed: Sequence[Trial], change: int) -> None:
        """Take up rows that changed, in order of number."""
        for trial in changed:
            before = self.trials.get(trial.number)
            if before is not None:
                self._count(before, -1)
            self._count(trial, 1)
            self.trials[trial.number] = trial
            self.metrics.update(dict.fromkeys(trial.metrics))
            self._repeated = self._repeated or trial.repetition > 0
            if trial.is_final:
                self._lead(trial)
                if trial.duration_s is not None:
                    self._durations.append(trial.duration_s)
        self.change = change

    def _count(self, trial: Trial, by: int) -> None:
        self.counts[trial.state.value] += by
        self.final += by * (trial.is_final and trial.counts)

    def _lead(self, trial: Trial) -> None:
        if self._leader is None or trial.state is not TrialState.COMPLETED:
            return
        objective, leader = self._leader
        value, best = objective.value(trial), objective.value(leader)
        if objective.better(value, best) or (value == best and trial.number < leader.number):
            self._leader = objective, trial

    @property
    def recent_s(self) -> float | None:
        """Mean duration of the trials that ended last, or None."""
        return statistics.fmean(self._durations) if self._durations else None

    def worked_before(self, at: float) -> float:
        """Give the seconds before `at` in which a trial of this sweep ran; cheap while `at` stays the same."""
        if self._worked[0] != at:
            spans = [(t.started_at, t.finished_at) for t in self.trials.values() if t.started_at and t.finished_at]
            total, end = 0.0, 0.0
            for start, finish in sorted(span for span in spans if span[1] <= at):
                total += max(0.0, finish - max(start, end))
                end = max(end, finish)
            self._worked = at, total
        return self._worked[1]

    def configurations(self, space: Space, limit: int | None) -> int | None:
        """Give how many configurations there are to run, or None; counted once, because that may take a second."""
        if self._counted is None or self._counted[:2] != (space, limit):
            self._counted = space, limit, space.size if limit is None else space.count(limit)
        return self._counted[2]

    def best(self, sweep: Sweep) -> Best | None:
        """Give what `find_best` gives, without going over all trials where one repetition makes that needless."""
        if sweep.budget.repetitions > 1 or self._repeated:
            return find_best(sweep, list(self.trials.values()))
        if self._leader is None or self._leader[0] != sweep.objective:
            found = find_best(sweep, list(self.trials.values()))
            self._leader = None if found is None else (sweep.objective, self.trials[found.trial])
            return found
        return as_best(sweep, list(self.trials.values()), self._leader[1])
