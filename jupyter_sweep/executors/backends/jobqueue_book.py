"""Which jobs there are, and what is to become of each: decided here from what is seen, carried out elsewhere.

Two things are seen, once a second: which workers the scheduler has, and how the jobs stand in the queue, where it can
be asked. A job is known by the name of its worker, a number. It is *leaving* once it takes no new trial: its time is
nearly up, or it is one too many. It is *over* when it is gone, or has to go.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from . import slurm
from .jobqueue_words import clock

#: A job whose worker is gone for so long is over: until then its nanny may start another.
GONE_S = 20.0
#: A job that the queue doesn't know is over, and one that it will never start is given up, unless it is as new as this.
NEW_S = 10.0
#: No new trial is begun on a job in this part of its time; a trial that runs may use it to end.
_LAST_PART = 0.1
#: The workers that are there are looked at so often; a job has to go that much earlier.
TURN_S = 1.0
_NO_WORK = "there was no more work for it"


@dataclass
class Job:
    """One job of ours. `until` is when it has to go; times are of the monotonic clock."""

    made: Any
    asked_at: float
    joined: bool = False
    seen_at: float = 0.0
    until: float = float("inf")
    done: bool = False

    @property
    def id(self) -> str:
        return str(self.made.job_id or "")


class Over(NamedTuple):
    """A job that is over, and why; `hopeless` where the queue would never start one like it."""

    job: Job
    why: str
    hopeless: bool = False

    @property
    def is_stillborn(self) -> bool:
        """Tell whether it ended before its worker came, and not by us."""
        return not (self.job.joined or self.job.done)


class Book:
    """The jobs of one cluster. Used under its owner's lock.

    Parameters
    ----------
    kind
        The batch system, for the sentences.
    walltime_s
        The time of each job.
    lives_s, stagger_s
        How long a worker may live in it, and how much earlier it may have to go, by chance.
    """

    def __init__(self, kind: str, walltime_s: float, lives_s: float, stagger_s: float) -> None:
        self._kind, self._walltime_s = kind, walltime_s
        self._lives_s, self._stagger_s = lives_s, stagger_s
        self.jobs: dict[str, Job] = {}
        self._leaving: set[str] = set()
        self._ends: dict[str, str] = {}
        #: Addresses of workers that were ended because the time of their job was up.
        self.due: set[str] = set()
        self._stand: Mapping[str, slurm.Standing] = {}
        self._answered_at = float("-inf")

    # -- what is seen -------------------------------------------------------------------------------------------------

    def hear(self, standing: Mapping[str, slurm.Standing], now: float) -> list[str]:
        """Take note of how the jobs stand; give the ids of those that are not ours any more: a call on them failed."""
        self._stand, self._answered_at = standing, now
        margin = self._walltime_s - self._lives_s
        for job in self.jobs.values():
            stand = standing.get(job.id)
            if stand is not None and stand.state == "R" and stand.left_s is not None:
                job.until = min(job.until, now + stand.left_s - margin)
        known = {job.id for job in self.jobs.values()}
        return [stand.job for stand in standing.values() if not stand.is_over and stand.job not in known]

    def judge(self, present: Mapping[str, str], wanted: int, now: float) -> list[Over]:
        """Note which workers are there (name -> address); give the jobs that are over, and forget them."""
        over = []
        for name, job in list(self.jobs.items()):
            if name in present:
                self._note_worker(job, present[name], now)
            found = self._end_of(name, job, name in present, now) or self._surplus(name, job, wanted)
            if found is None:
                continue
            if name in present:
                self._ends[present[name]] = f"{self._kind} job {job.id} was ended: {found.why}"
                if now > job.until:
                    self.due.add(present[name])
            over.append(found)
            del self.jobs[name]
            self._leaving.discard(name)
        return over

    def _note_worker(self, job: Job, address: str, now: float) -> None:
        if not job.joined:
            earlier = self._stagger_s * (1 + random.random()) + 2 * TURN_S
            job.until = min(job.until, now + self._lives_s - earlier)
            self._ends[address] = f"{self._kind} job {job.id} ended, or its worker died"
        job.joined, job.seen_at = True, now

    def _end_of(self, name: str, job: Job, is_there: bool, now: float) -> Over | None:
        """Tell what ended a job, or ends it now."""
        if job.done:
            return Over(job, _NO_WORK)
        if job.made.error:
            return Over(job, str(job.made.error))
        if now > job.until:
            return Over(job, f"its time of {clock(self._walltime_s)} is nearly up")
        return None if is_there else self._end_of_absent(job, now)

    def _end_of_absent(self, job: Job, now: float) -> Over | None:
        stand = self._stand.get(job.id)
        if stand is not None and stand.is_over:
            return Over(job, f"{stand.state} {stand.reason}".strip())
        if stand is None and self._answered_at - job.asked_at > NEW_S:
            return Over(job, "the queue has no such job any more")
        if stand is not None and stand.is_hopeless and now - job.asked_at > NEW_S:
            return Over(job, stand.reason, hopeless=True)
        if job.joined and now - job.seen_at > GONE_S:
            return Over(job, "its worker is gone")
        return None

    def _surplus(self, name: str, job: Job, wanted: int) -> Over | None:
        """End a job that still waits and isn't wanted any more: the newest go first."""
        waiting = [other for other in self.staying() if not self.jobs[other].joined]
        n = len(self.staying()) - wanted
        if job.joined or n <= 0 or name not in waiting[-n:]:
            return None
        job.done = True
        return Over(job, _NO_WORK)

    # -- what is told -------------------------------------------------------------------------------------------------

    def staying(self) -> list[str]:
        """Name the jobs that take trials, or will."""
        return [name for name in self.jobs if name not in self._leaving]

    def any_joined(self) -> bool:
        return any(job.joined for job in self.jobs.values())

    def spare(self, present: Mapping[str, str], busy: Collection[str], wanted: int, now: float) -> list[str]:
        """Give the addresses of the workers that are to go: of jobs too many, and of those whose time is nearly up."""
        last_s = _LAST_PART * self._lives_s
        self._leaving |= {name for name, job in self.jobs.items() if now > job.until - last_s}
        staying = self.staying()
        there = sorted((n for n in staying if n in present), key=lambda n: (present[n] in busy, -int(n)))
        waiting = sum(not self.jobs[name].joined for name in staying)  # those go before any of these
        self._leaving.update(there[: max(0, len(staying) - waiting - wanted)])
        return [present[name] for name in self._leaving if name in present]

    def dismiss(self, names: Collection[str]) -> None:
        """Have jobs end for good at the next turn."""
        for name in self.jobs.keys() & set(names):
            self.jobs[name].done = True

    def rows(self, present: Mapping[str, str]) -> dict[str, dict[str, str]]:
        """Give what `base.Queued.jobs` promises."""
        return {present.get(name, name): self._row(job, name in present) for name, job in self.jobs.items()}

    def _row(self, job: Job, is_there: bool) -> dict[str, str]:
        stand = self._stand.get(job.id)
        if stand is None:
            return {"job": job.id, "job_state": "R" if is_there else "PD", "reason": job.made.error, "node": ""}
        return {"job": job.id, "job_state": stand.state, "reason": stand.reason, "node": stand.node}

    def end_of_worker(self, address: str) -> str:
        """Say which job a worker that is gone was in, and what became of the job as far as it is known."""
        return self._ends.get(address, "")
