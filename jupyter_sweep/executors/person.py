"""Trials that a person evaluates: nothing runs, a trial waits until its result is entered."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .base import Event, Finished, Task


class Person:
    """Takes any number of trials and tells the ends that `enter` was given."""

    dashboard: str | None = None
    slots = sys.maxsize

    def __init__(
        self, word: str = "person", *, slots: int | None = None, options: Mapping[str, Any] | None = None
    ) -> None:
        self.name = word
        self._open: set[int] = set()
        self._events: list[Event] = []

    def submit(self, batch: Sequence[Task]) -> None:
        """Have trials wait for their results."""
        self._open.update(task.trial_id for task in batch)

    def enter(self, end: Finished) -> bool:
        """Take the result of a trial; False where it doesn't wait for one."""
        if end.trial_id not in self._open:
            return False
        self._open.discard(end.trial_id)
        self._events.append(end)
        return True

    def events(self, timeout_s: float) -> list[Event]:
        """Give all events that are there; never waits, since nothing happens meanwhile."""
        found, self._events = self._events, []
        return found

    def stop(self, trial_id: int, why: str) -> None:
        """Have a trial end as `why`."""
        self.enter(Finished(trial_id, why, at=time.time()))

    def recall(self, trial_ids: Iterable[int]) -> None:
        """Have trials come back: none has begun."""
        for trial_id in trial_ids:
            self.stop(trial_id, "cancelled")

    def disown(self, trial_ids: Iterable[int]) -> None:
        """Wait for their results no more."""
        self._open.difference_update(trial_ids)

    def reaches_beyond(self, workers: Sequence[str]) -> bool:
        """There are no workers to avoid."""
        return True

    def scale(self, n: int) -> None:
        """A person takes any number of trials."""

    def workers(self) -> list[dict[str, Any]]:
        """There are none."""
        return []

    def close(self) -> None:
        """Nothing is left to end."""
