"""Taking workers away while others run trials: none is ended that still runs one, and no trial is lost or run twice.

Dask's own scaling down moves data away and then ends a worker with the tasks that it runs. Ours takes turns. A worker
that the backend can spare is told to take no new task (Dask calls that closing gracefully), which lasts until it is
gone; tasks that wait there without having begun are reported, so that they can be recalled; and once the scheduler has
nothing of that worker any more the backend ends it. Each turn starts from what is, so that a worker that died
meanwhile, or came back, makes no difference.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

from .backends.base import Elastic

#: How long the scheduler may take to answer; a turn that it doesn't answer is taken again.
_ANSWER_S = 10.0


class Shrinker:
    """The workers of one cluster that are to go. One thread calls `turn`."""

    def __init__(self, client: Any, backend: Any, slots: int) -> None:
        self._client = client
        self._backend = backend if isinstance(backend, Elastic) else None
        self._most = slots
        #: Addresses of the workers that take no new trial.
        self.leaving: frozenset[str] = frozenset()

    def limit(self, slots: int) -> float:
        """Give how many batches may be with Dask at once: any number, unless there are more slots than there should be.

        Otherwise the threads of the workers see to it that no more run than should.
        """
        self._most = max(self._most, slots)
        there = self._backend.capacity() if self._backend else self._most
        return slots if there > slots else math.inf

    def turn(self, busy: Collection[str]) -> set[str]:
        """Go on with what is to go; give the keys of the tasks that are still on workers that leave.

        Parameters
        ----------
        busy
            Addresses of workers that run trials.
        """
        if self._backend is None:
            return set()
        self.leaving = frozenset(self._backend.spare(busy))
        if not self.leaving:
            return set()
        try:
            tasks = self._client.sync(self._retire, sorted(self.leaving), callback_timeout=_ANSWER_S)
        except (OSError, TimeoutError):  # the scheduler is busy or gone; what can't be told now is in a second
            return set()
        idle = [address for address in self.leaving if not tasks.get(address)]
        if idle:
            self._backend.remove(idle)
        return {key for keys in tasks.values() for key in keys}

    async def _retire(self, addresses: list[str]) -> dict[str, list[str]]:
        """Have workers take no new task; give the keys of those that each still has."""
        scheduler = self._client.scheduler
        await scheduler.retire_workers(workers=addresses, close_workers=False, remove=False)
        tasks: dict[str, list[str]] = await scheduler.processing()  # asked of one that has just gone it raises KeyError
        return {address: tasks.get(address, []) for address in addresses}
