"""How many jobs are wanted: as many as there is work for, at once; fewer only when fewer were enough for a while.

Where jobs end before their worker comes, the next is tried alone after a pause, and after MAX_STILLBORN in a row none
is: that is held against the batch system until nothing was wanted of it for a while, so that a sweep that is started
again, when its user has mended what was wrong, tries again.
"""

from __future__ import annotations

#: So many jobs in a row that ended before their worker came are one too many; the next is tried after a pause.
MAX_STILLBORN, _PAUSE_S = 3, 2.0
_FORGIVE_S = 5.0


class Wanted:
    """The number of jobs for one cluster. Used under its owner's lock; times are of the monotonic clock.

    Parameters
    ----------
    idle_s
        How long fewer jobs must have been enough before there are fewer.
    """

    def __init__(self, idle_s: float) -> None:
        self._idle_s = idle_s
        self.jobs = 0
        #: Why there will be no more jobs; empty while there may be.
        self.over = ""
        self._stillborn = 0
        self._enough_since, self._asked_at, self._pause_until = float("inf"), 0.0, 0.0

    def note(self, jobs: int, most: int, now: float) -> bool:
        """Take note of how many jobs there is work for, and how many there may be; tell whether more are wanted now."""
        if jobs:
            self._asked_at = now
        elif now - self._asked_at > _FORGIVE_S:
            self.over, self._stillborn = "", 0
        jobs, before = min(jobs, most), self.jobs
        if jobs < before:
            self._enough_since = min(self._enough_since, now)
        if jobs >= before or before > most or now - self._enough_since > self._idle_s:
            self.jobs, self._enough_since = jobs, float("inf")
        return jobs > before

    def to_submit(self, staying: int, room: float, now: float) -> int:
        """Give how many jobs to submit now, where so many are there to stay, and there is room for so many."""
        if self.over or now < self._pause_until:
            return 0
        return int(max(0, min(self.jobs - staying, room, 1 if self._stillborn else room)))

    def note_worker(self) -> None:
        """Take note that a job came to life."""
        self._stillborn = 0

    def note_stillborn(self, now: float, *, last_straw: bool) -> bool:
        """Take note of a job that ended before its worker came; tell whether that was one too many.

        `last_straw` where no other job is alive, which would show that jobs can be.
        """
        self._stillborn += 1
        self._pause_until = now + _PAUSE_S * self._stillborn
        return last_straw and self._stillborn >= MAX_STILLBORN

    def give_up(self, why: str) -> None:
        """Have no more jobs submitted; those that wait are not wanted any more."""
        self.over, self._stillborn = why, 0
