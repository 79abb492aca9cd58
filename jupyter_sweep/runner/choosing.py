"""Where a loop's proposer lives: in this process, or apart once choosing would hold up trials shorter than it takes."""

from __future__ import annotations

import sys

from ..definition import Sweep
from ..proposers.apart import Apart, Gone
from ..proposers.base import Proposal
from ..store.sqlite import Store
from . import limits
from .resume import History, new_proposer, told


class Chooser:
    """Asks the proposer of `history`, which it moves to a process of its own where that pays, and back when that dies.

    Parameters
    ----------
    store, sweep, history
        Those of the loop.
    slots
        Trials at once. With a single slot nothing runs while a trial is chosen, so nothing is gained.
    """

    def __init__(self, store: Store, sweep: Sweep, history: History, slots: int) -> None:
        self._store, self._sweep, self._history = store, sweep, history
        self._may_move = slots > 1 and bool(history.proposer.adaptive)
        self._coming: Apart | None = None

    def ask(self, n: int) -> list[Proposal]:
        """Give up to `n` proposals; fewer only when the space is exhausted."""
        try:
            self._move_on()
            return list(self._history.proposer.ask(n))
        except Gone as error:
            self._bring_back(error)
            return list(self._history.proposer.ask(n))

    @property
    def exhausted(self) -> bool:
        """Tell whether no configuration is left to propose."""
        try:
            return bool(self._history.proposer.exhausted)
        except Gone as error:
            self._bring_back(error)
            return bool(self._history.proposer.exhausted)

    def close(self) -> None:
        """End the process, if there is one; what was told is kept nowhere but in the store."""
        for apart in (self._coming, self._history.proposer):
            if isinstance(apart, Apart):
                apart.close()

    def _move_on(self) -> None:
        """Start the process once it pays, and use it once it is ready: the loop doesn't wait for its imports."""
        if self._may_move and limits.choosing_is_slow(self._history.durations, self._history.tally.final):
            self._may_move = False
            sweep, proposer = self._sweep, self._sweep.proposer
            known = told(self._store, sweep)
            self._coming = Apart(
                proposer.name, sweep.space, sweep.objectives, seed=sweep.seed, options=proposer.options, told=known
            )
        elif self._coming is not None and self._coming.is_ready:
            self._history.proposer, self._coming = self._coming, None
            self._tell_all()

    def _bring_back(self, error: Gone) -> None:
        print(f"{error}; choosing goes on in the driver", file=sys.stderr, flush=True)
        self.close()
        self._coming = None
        if isinstance(self._history.proposer, Apart):
            self._history.proposer = new_proposer(self._sweep)
            self._tell_all()

    def _tell_all(self) -> None:
        for trial in told(self._store, self._sweep):
            self._history.proposer.tell(trial)
