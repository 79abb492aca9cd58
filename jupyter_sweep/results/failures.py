"""What a sweep that ended says of the trials that failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ..errors import count, one_line
from ..trial import Trial, TrialState


def told(trials: Iterable[Trial]) -> str:
    """Say how many failed, for which reasons, and why the last of them did; "" where none has."""
    failed = [trial for trial in trials if trial.state is TrialState.FAILED]
    if not failed:
        return ""
    reasons = ", ".join(f"{n} {reason}" for reason, n in Counter(trial.reason for trial in failed).most_common())
    last = failed[-1]
    return (
        f"{count(len(failed), 'trial')} failed ({reasons}). Trial {last.number}: {one_line(last.error or last.reason)}"
    )
