"""Ends of trials that may be the end of their job: held back until it is known.

A batch system that ends a job sends every process of it a signal: the trial's dies of it, and its worker can still tell
so before it dies, too. To the trial that would be a crash of its own. So where workers live in jobs a crash is believed
only when its worker is still there a moment later; and a trial that ends as cancelled, though nobody asked, ended with
its worker anywhere.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from .backends.base import Queued
from .base import Event, Finished, Lost

#: A worker that got the same signal is gone by then; the scheduler sees its connection close within 0.1 s.
DOUBT_S = 2.0
DIED = "the worker process died"


class _Doubt(NamedTuple):
    at: float
    ticket: str
    event: Finished
    address: str


class Doubts:
    """The doubtful ends of one executor; used under its lock."""

    def __init__(self, backend: Any) -> None:
        self._jobs = backend if isinstance(backend, Queued) else None
        self._held: list[_Doubt] = []

    def hold(self, ticket: str, event: Event, address: str) -> bool:
        """Tell whether an end is to wait; it comes back from `settled`."""
        if self._jobs is None or not (isinstance(event, Finished) and event.reason == "crash"):
            return False
        self._held.append(_Doubt(time.monotonic() + DOUBT_S, ticket, event, address))
        return True

    def holds(self, ticket: str) -> bool:
        return any(doubt.ticket == ticket for doubt in self._held)

    def settled(self) -> list[tuple[str, Event]]:
        """Give the tickets and ends that are known now."""
        now = time.monotonic()
        ripe = [doubt for doubt in self._held if doubt.at <= now]
        self._held = [doubt for doubt in self._held if doubt.at > now]
        there = self._jobs.there() if self._jobs is not None and ripe else ()
        return [(d.ticket, d.event if d.address in there else self.lost(d.event, d.address)) for d in ripe]

    def lost(self, event: Finished, address: str) -> Lost:
        """Give the end of a trial that ended with its worker."""
        return self.loss(event.trial_id, address, "its worker was ended", event.at)

    def loss(self, trial_id: int, address: str, why: str, at: float) -> Lost:
        """Give the end of a trial whose worker is gone, with what is known of its job; else `why`."""
        if self._jobs is None or not address:
            return Lost(trial_id, why, at)
        return Lost(trial_id, self._jobs.end_of(address) or why, at, planned=self._jobs.was_due(address))


def why_ended(future: Any) -> str:
    """Say in a sentence why a task that ended left trials without an end. Asks Dask's loop: not under our lock."""
    error = future.exception() if future.status == "error" else None
    if type(error).__name__ == "KilledWorker":
        return DIED
    return f"{type(error).__name__}: {error}" if error is not None else f"its task is {future.status} without its end"
