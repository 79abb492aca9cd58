"""Which slots a cluster has, and what each does and holds: what `DaskExecutor.workers` tells.

The workers are asked all at once, every ASK_S while trials run: about 3 ms with two of them. In between only what the
executor sees anyway changes (who runs what). Where nothing runs they are asked every IDLE_ASK_S, since a worker may go
then too. A slot whose worker no longer answers is "lost" until there are as many others as there should be.
"""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from .backends.base import Queued
from .elsewhere import Seat

#: How often workers are asked, and how long they may take to answer.
ASK_S, IDLE_ASK_S, ANSWER_S = 2.0, 10.0, 10.0
#: After being missed so often a worker is forgotten: nobody waits for anything of it any more.
KNOWN_GONE = 100
_GB = 2**30


@dataclass(frozen=True)
class Busy:
    """What is known of a slot that runs a trial."""

    trial_id: int
    ticket: str
    device: str = ""


@dataclass(frozen=True)
class _Place:
    """Where a slot is: the address of its worker, the worker's process and host."""

    address: str
    pid: int
    host: str


class Roster:
    """The slots of one cluster by their labels. Any thread may look; one at a time asks.

    Parameters
    ----------
    client
        Dask's.
    ask
        Awaited for the answers of all workers: address -> what `remote.describe` gives, or an exception.
    backend
        May know the jobs of its workers.
    """

    def __init__(self, client: Any, ask: Callable[[], Any], backend: Any) -> None:
        self._client, self._ask = client, ask
        self._jobs = backend if isinstance(backend, Queued) else None
        self._lock = threading.Lock()
        self._places: dict[str, _Place] = {}
        self._held: dict[str, tuple[int, int]] = {}
        self._alive: set[str] = set()
        self._there: set[str] = set()
        self._missed: dict[str, int] = {}
        self._asked_at = 0.0
        self._questions = itertools.count()
        self._heard = -1  # the newest question that was answered

    def ask(self) -> None:
        """Ask the workers now, and wait for it."""
        self._client.sync(self._update, callback_timeout=ANSWER_S)

    def ask_soon(self, *, running: bool, slots: int) -> None:
        """Have the workers asked if it is time, without a wait: sooner while trials run or slots are missing."""
        now = time.monotonic()
        with self._lock:
            known = len(self._alive_labels())
        if now - self._asked_at >= (ASK_S if running or known < slots else IDLE_ASK_S):
            self._asked_at = now
            self._client.loop.add_callback(self._update)

    def distrust(self) -> None:
        """Have the workers asked in the next turn: one of them may be gone."""
        self._asked_at = 0.0

    def has_spoken(self, address: str) -> None:
        """Take note that a worker is there, be it one that was given the address of one that is gone."""
        with self._lock:
            self._missed.pop(address, None)

    async def _update(self) -> None:
        number = next(self._questions)
        told = await self._ask()
        answers = {a: found for a, found in told.items() if isinstance(found, Mapping) and found}
        with self._lock:
            if number < self._heard:  # a worker that hung held it up: it knows nothing of those that came since
                return
            self._heard = number
            missed = {a: self._missed.get(a, 0) + 1 for a in {*self._there, *self._missed}.difference(told)}
            self._missed = {address: times for address, times in missed.items() if times <= KNOWN_GONE}
            self._there = set(told)
            self._alive = set(answers)
            self._held = {}
            for address, found in answers.items():
                place = _Place(address, found["pid"], found["host"])
                self._places.update(dict.fromkeys(found["labels"], place))
                self._held.update({s["ticket"]: (s["memory"], s["peak"]) for s in found["slots"] if "ticket" in s})

    def gone(self) -> set[str]:
        """Give the addresses of workers that were there, and that the scheduler did not have twice in a row since."""
        with self._lock:
            return {address for address, times in self._missed.items() if times > 1}

    def seats(self, leaving: Collection[str]) -> list[Seat]:
        """Give the slots that take trials, as far as the workers answered when they were asked last."""
        with self._lock:
            labels = [label for label in self._alive_labels() if self._places[label].address not in leaving]
            return [Seat(label, self._places[label].address, self._places[label].host) for label in labels]

    def _alive_labels(self) -> list[str]:
        return [label for label, place in self._places.items() if place.address in self._alive]

    def rows(self, busy: Mapping[str, Busy], leaving: Collection[str], slots: int) -> list[dict[str, Any]]:
        """Give one row a slot, as `Executor.workers` promises.

        Parameters
        ----------
        busy
            What each slot runs, by its label.
        leaving
            Addresses of workers that take no new trial.
        slots
            How many there should be.
        """
        with self._lock:
            staying = [x for x in self._alive_labels() if self._places[x].address not in leaving]
            if len(staying) >= slots:  # others are there in place of those that went
                self._places = {x: p for x, p in self._places.items() if p.address in self._alive}
            places, held, alive = dict(self._places), dict(self._held), set(self._alive)
        unused = _beyond(staying, busy, slots)
        jobs = self._jobs.jobs() if self._jobs else {}
        rows = []
        for label in sorted({*places, *busy}, key=natural):
            place, own = places.get(label), busy.get(label)
            if (place is not None and place.address in leaving) or (own and label in unused):
                state = "draining"
            elif own:
                state = "busy"
            else:
                state = "unused" if label in unused else "idle" if place and place.address in alive else "lost"
            rows.append(
                {
                    "worker": label,
                    "host": place.host if place else "",
                    "pid": place.pid if place else None,
                    "state": state,
                    "trials": [own.trial_id] if own else [],
                    **_memory(held.get(own.ticket) if own else None),
                    "device": own.device if own else "",
                    **(jobs.get(place.address, {}) if place else {}),
                }
            )
        known = {place.address for place in places.values()}
        return rows + [{**_NOBODY, "worker": name, **job} for name, job in jobs.items() if name not in known]


#: A worker that its queue has not started yet.
_NOBODY: dict[str, Any] = {
    "worker": "",
    "host": "",
    "pid": None,
    "state": "queued",
    "trials": [],
    "memory_gb": None,
    "peak_gb": None,
    "device": "",
}


def _memory(held: tuple[int, int] | None) -> dict[str, float | None]:
    now, peak = held or (None, None)
    return {"memory_gb": None if now is None else now / _GB, "peak_gb": None if peak is None else peak / _GB}


def _beyond(staying: list[str], busy: Collection[str], slots: int) -> set[str]:
    """Give the slots beyond those that there should be: idle ones rather than busy ones, the last ones first."""
    ranked = sorted(staying, key=lambda label: (label not in busy, natural(label)))
    return set(ranked[slots:])


def natural(label: str) -> list[tuple[int, str]]:
    """Sort local/10 after local/9.

    >>> sorted(["local/10", "local/9"], key=natural)
    ['local/9', 'local/10']
    """
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", label)]
