"""Where a trial that failed goes next: to another host, else to another worker, as long as that costs no idle slot.

A wish, never a condition: whoever asks for another worker where there is none, or where all others are busy and would
stay so while a slot stands idle, gets any. Within a worker process the pool prefers another slot, which matters where
slots have devices of their own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple


class Seat(NamedTuple):
    """A slot that takes trials: its label, the address of its worker, the worker's host."""

    label: str
    address: str
    host: str


class Choice(NamedTuple):
    """`workers`: the addresses to restrict a task to, None for any. `reached`: False when it gets nowhere else."""

    workers: list[str] | None
    reached: bool


def choose(seats: Sequence[Seat], avoid: Collection[str], running: Mapping[str, int], out: int) -> Choice:
    """Say where a task may go that should not go to the slots `avoid`.

    Parameters
    ----------
    running
        Tasks that were seen to start, by the address of their worker.
    out
        All tasks that are out, also those that wait.
    """
    others = _beyond(seats, avoid)
    if not others:
        return Choice(None, True)
    room = sorted(a for a in others if running.get(a, 0) < sum(seat.address == a for seat in seats))
    if room:
        return Choice(room, True)
    if out >= len(seats):  # no slot is idle: it waits for one in any case
        return Choice(sorted(others), True)
    return Choice(None, False)


def _beyond(seats: Sequence[Seat], avoid: Collection[str]) -> set[str]:
    """Give the workers on hosts without a slot of `avoid`, else those without one themselves."""
    shunned = [seat for seat in seats if seat.label in avoid]
    hosts, addresses = {seat.host for seat in shunned}, {seat.address for seat in shunned}
    elsewhere = {seat.address for seat in seats if seat.host not in hosts}
    return elsewhere or {seat.address for seat in seats if seat.address not in addresses}
