"""How many slots have devices: their workers tell, for they look for the devices of their hosts themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ..errors import SweepError
from . import gpus
from .backends.base import Sharing
from .elsewhere import Seat


class Shares:
    """The shares of devices that a cluster's workers have. Without `gpus` in the share there is nothing to count."""

    def __init__(self, word: str, share: gpus.Share, backend: Any) -> None:
        self._word, self.share, self._backend = word, share, backend
        self.devices: list[str] | None = backend.devices if share.get("gpus") and isinstance(backend, Sharing) else None
        #: Whether workers look for devices, and find fewer perhaps than they have threads: each batch is sent to one.
        self.are_placed = bool(share.get("gpus")) and self.devices is None
        self._found: int | None = None
        self._said: list[str] = []

    @property
    def in_words(self) -> str:
        """What the header says of the place: "local, devices 0, 1 (0.5 a trial)"."""
        if not self.share.get("gpus"):
            return self._word
        known = f"{self.share['gpus']:g} gpus a trial" if self.devices is None else self._backend.devices_in_words
        return f"{self._word}, {known}"

    def hear(self, answers: Mapping[str, Any]) -> None:
        """Take note of what workers tell, by their addresses."""
        told = [found for found in answers.values() if isinstance(found, Mapping)]
        if self.share.get("gpus") and told:
            self._found = sum(len(found["devices"]) for found in told)
            self._said = [f"{found['host']}: {text}" for found in told for text in found["said"]]

    def require(self) -> None:
        """Raise SweepError when there are workers and none of them has a device."""
        if self._found == 0:
            where = f"on the workers of {self._word}"
            raise SweepError(gpus.refusal(self.share["gpus"], 0, self._said, where))

    def slots(self, n: int) -> int:
        """Give the slots that trials can use, of `n` that the cluster should have."""
        return n if self._found is None else max(1, min(n, self._found))

    def place(self, seats: Sequence[Seat], taken: Iterable[str], avoid: Collection[str]) -> str | None:
        """Give the address of the worker that a batch is meant for: the one with the most slots to spare.

        "" leaves it to Dask, which knows threads but no devices; that is right where each thread has its share. None
        says that all slots are taken.

        Parameters
        ----------
        seats
            The slots that take trials.
        taken
            The worker of each batch that is out.
        avoid
            Labels of slots that it should not go to while others are free.
        """
        if not self.are_placed:
            return ""
        free = Counter(seat.address for seat in seats)
        free.subtract(worker for worker in taken if worker in free)
        shunned = {seat.address for seat in seats if seat.label in avoid}
        ranked = sorted(free, key=lambda address: (address in shunned, -free[address]))
        return next((address for address in ranked if free[address] > 0), None)
