"""What a sweep may still do: how many trials are left, how many go together, when failures end it. Pure functions."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from ..definition import Sweep
from ..errors import count
from ..trial import Trial, TrialState

#: Attempts that a trial may lose to dying workers, beside the attempts of `--retry`.
MAX_LOST = 3
#: Reasons why an attempt ended that say nothing of the trial: its worker, its driver or the time of its job went.
NOT_ITS_FAULT = ("lost", "driver", "walltime")
#: Trials that a constraint refuses inside the body don't count, up to this multiple of `-n`.
MAX_REFUSED = 10
#: A sweep stops when so many trials ended and all of them failed.
FIRST_FAILURES = 3
#: Short trials of proposers that don't wait for results go together, in batches of about this long.
BATCH_S = 0.5
MAX_BATCH = 64
#: A trial shorter than this is short beside the 10 ms that the way to the driver and back takes.
SHORT_S = 0.25
#: In this time at most the driver answers a result, whatever else it has to do.
TURN_S = 0.05
#: Choosing a trial in the light of a few hundred takes so long.
CHOICE_S = 0.01
#: Trials chosen together, at most; and how many results must be known for each of them.
MAX_TOGETHER, KNOWN_FOR_ONE = 4, 25


@dataclass
class Tally:
    """Counts of the final trials of one version; repetitions of one configuration are counted as one, too."""

    final: int = 0
    configurations: int = 0
    failed: int = 0
    refused: int = 0

    def add(self, trial: Trial) -> None:
        """Count one final trial."""
        if trial.counts:
            self.final += 1
            self.configurations += trial.repetition == 0
        else:
            self.refused += 1
        self.failed += trial.state is TrialState.FAILED


def configurations_left(sweep: Sweep, tally: Tally, unfinished: int) -> int | None:
    """Give how many configurations may still be proposed; None when only the space limits the sweep."""
    wanted = sweep.budget.max_trials
    if wanted is None:
        return None
    return max(0, wanted - tally.configurations - unfinished)


def reserve(durations: Sequence[float], slots: int) -> int:
    """Give how many batches may wait beside those that run where results decide what comes next.

    A trial that waits was decided too early. So none waits, but where trials are so short that the way to the driver
    and back would cost more than it tells: about as many as end during one turn of the driver, at most one a slot.
    """
    median = statistics.median(durations) if durations else math.inf
    return min(slots, math.ceil(slots * TURN_S / max(median, 1e-4))) if median < SHORT_S else 0


def asked_together(durations: Sequence[float], known: int, left: int | None, slots: int) -> int:
    """Give how many trials go to a slot at once where results decide what comes next.

    One, but where choosing takes longer than running: then a few, as long as they are few beside what is known.
    """
    if not durations:
        return 1
    fitting = int(CHOICE_S / max(statistics.median(durations), 1e-4))
    share = MAX_TOGETHER if left is None else left // (2 * slots)
    return max(1, min(fitting, share, known // KNOWN_FOR_ONE, MAX_TOGETHER))


def choosing_is_slow(durations: Sequence[float], known: int) -> bool:
    """Tell whether choosing a trial takes a share of its run that makes a process of its own worth while."""
    return known >= KNOWN_FOR_ONE and bool(durations) and statistics.median(durations) < SHORT_S


def batch_size(durations: Sequence[float], left: int | None, slots: int) -> int:
    """Give how many trials go to a slot at once: about BATCH_S of work, never so many that a slot goes without."""
    if not durations:
        return 1
    fitting = int(BATCH_S / max(statistics.median(durations), 1e-4))
    share = MAX_BATCH if left is None else -(-left // max(1, 2 * slots))  # smaller towards the end: all end together
    return max(1, min(fitting, share, MAX_BATCH))


def verdict_on_failures(sweep: Sweep, tally: Tally) -> str:
    """Give the sentence that ends the sweep because of failures, or ""."""
    excess = excess_of_failures(sweep, tally)
    if excess:
        return excess
    if tally.failed == tally.final == FIRST_FAILURES:
        return f"the first {FIRST_FAILURES} trials all failed"
    return ""


def excess_of_failures(sweep: Sweep, tally: Tally) -> str:
    """Give a sentence when more trials failed than `--max-failures` allows, or ""."""
    allowed = sweep.budget.max_failures
    if allowed is None or tally.failed <= allowed:
        return ""
    return f"{count(tally.failed, 'trial')} failed and {allowed or 'none'} may"


def verdict_on_refusals(sweep: Sweep, tally: Tally) -> str:
    """Give the sentence that ends a sweep whose constraint refuses nearly everything, or ""."""
    wanted = sweep.budget.max_trials or 100
    if tally.refused > MAX_REFUSED * wanted:
        return f"require(...) refused {tally.refused} configurations, more than {MAX_REFUSED} times the trials wanted"
    return ""


def may_retry(sweep: Sweep, reason: str, earlier: Sequence[str]) -> bool:
    """Tell whether an attempt that failed for `reason` is followed by another; `earlier` holds the reasons before it.

    Attempts that ended with their worker or driver are not the trial's fault: they don't use up `--retry`. One that
    kept a state with `checkpoint()` before the time of its job was up ("walltime") goes on any number of times.
    """
    if reason == "walltime":
        return True
    if reason == "lost":
        return earlier.count("lost") < MAX_LOST
    own = sum(r not in NOT_ITS_FAULT for r in earlier)
    return own + 1 < sweep.budget.attempts
