"""What a run of a sweep would begin with, said without running it: a loop's first steps, without a store to write to.

Exact where results decide nothing. An adaptive algorithm is asked as if none of these trials had ended yet.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..definition import Sweep
from ..space.codec import key
from ..space.fingerprint import as_of_today
from ..trial import Params, Trial, TrialState
from . import limits
from .resume import History, missing_repetitions, recalled


def coming(sweep: Sweep, trials: Sequence[Trial], n: int, *, runs: bool = False) -> list[Params]:
    """Give the first `n` configurations that would run next, in order; fewer where fewer are missing.

    Parameters
    ----------
    trials
        Those that the store holds of this version, in order of number.
    runs
        Whether a driver has the sweep: its running trials are then under way, else they begin again.
    """
    history = recalled(sweep, lambda: trials)
    if limits.excess_of_failures(sweep, history.tally):
        return []
    left = limits.configurations_left(sweep, history.tally, sum(t.repetition == 0 for t in history.waiting))
    open_ = [t.params for t in history.waiting if not (runs and t.state is TrialState.RUNNING)]
    open_ += [t.params for t in missing_repetitions(sweep, history)]
    first = list({key(p): p for p in (as_of_today(sweep.space, params) for params in open_)}.values())
    canary = _canary(sweep, history) if left != 0 else []
    left = None if left is None else left - len(canary)
    first = [*first, *canary][:n]
    wanted = n - len(first) if left is None else min(n - len(first), left)
    return first + ([proposal.params for proposal in history.proposer.ask(wanted)] if wanted > 0 else [])


def _canary(sweep: Sweep, history: History) -> list[Params]:
    """Give the defaults where a run begins with them, after telling the proposer, as `Loop` does."""
    defaults = sweep.space.defaults()
    if not sweep.canary or history.configurations or not sweep.space.allows(defaults):
        return []
    history.proposer.tell(Trial(0, sweep.sweep_id, 0, defaults, TrialState.RUNNING))
    return [defaults]
