"""Somebody's cluster, reached at its scheduler's address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import SweepError
from ..clusters import Where
from .base import load_distributed

_CONNECT_S = 10


def read(word: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Read "tcp://host:port"."""
    kind, _, rest = word.partition(":")
    if not rest.startswith("//") or not rest.rpartition(":")[2].isdigit() or options:
        raise SweepError(f"--on {word} can't be read: the address of a Dask scheduler is {kind}://HOST:PORT.")
    return {"address": word}


def plan(where: Where, slots: int | None) -> str:
    return f"trials run on the Dask scheduler at {where.word}, in a process of their own on its workers"


def start(where: Where, slots: int | None) -> Existing:
    return Existing(where.options["address"])


class Existing:
    """Somebody's cluster: its workers' threads are our slots, its settings are its own, and it outlives us."""

    prefix = ""

    def __init__(self, address: str) -> None:
        try:
            self.client = load_distributed().Client(address, timeout=_CONNECT_S, set_as_default=False)
        except (OSError, TimeoutError) as error:
            raise SweepError(
                f"--on {address}: no Dask scheduler answers there within {_CONNECT_S} s ({error}). "
                "Start one with `dask scheduler` and workers with `dask worker ADDRESS`, or leave --on away."
            ) from error
        if not self.slots():
            self.client.close()
            raise SweepError(f"--on {address}: the scheduler has no workers. Start some with: dask worker {address}")
        self.dashboard: str | None = self.client.dashboard_link

    def slots(self) -> int:
        return sum(self.client.nthreads().values())

    def scale(self, n: int) -> None:
        raise SweepError(f"--jobs {n}: the cluster has {self.slots()} slots, and only who runs it can give it more.")

    def is_whole(self) -> bool:
        return True

    def heal(self) -> None:
        """Nothing that we could do: its workers are somebody else's."""

    def close(self) -> None:
        self.client.close(timeout=2)
