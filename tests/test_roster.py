"""What is known of a cluster's workers when their answers come late, not at all, or from another in the same place."""

from __future__ import annotations

import asyncio
from typing import Any

from jupyter_sweep.executors import roster
from jupyter_sweep.executors.roster import Roster


def worker(label: str) -> dict[str, Any]:
    return {"pid": 1, "host": "h", "labels": [label], "slots": [], "devices": [], "said": []}


A, B = {"tcp://a:1": worker("h/1")}, {"tcp://b:2": worker("h/2")}


class Questions:
    """Those that stand open; each is answered when the test says so."""

    def __init__(self) -> None:
        self.open: list[asyncio.Future[dict[str, Any]]] = []

    async def ask(self) -> dict[str, Any]:
        self.open.append(asyncio.get_running_loop().create_future())
        return await self.open[-1]


def told(*answers: dict[str, Any]) -> Roster:
    """Give a roster that was told these answers one after another."""
    found = iter(answers)

    async def ask() -> dict[str, Any]:
        return next(found)

    async def story() -> None:
        for _ in answers:
            await known._update()

    known = Roster(None, ask, None)
    asyncio.run(story())
    return known


def test_answers_that_a_hanging_worker_held_up_make_nobody_gone_who_came_since() -> None:
    async def story() -> None:
        questions = Questions()
        known = Roster(None, questions.ask, None)
        asked = [asyncio.ensure_future(known._update()) for _ in range(4)]
        await asyncio.sleep(0)
        for number, answer in ((0, A), (3, {**A, **B}), (1, A), (2, A)):
            questions.open[number].set_result(answer)
            await asked[number]
        assert known.gone() == set()
        assert [seat.label for seat in known.seats(())] == ["h/1", "h/2"]

    asyncio.run(story())


def test_a_worker_that_two_questions_in_a_row_did_not_find_is_gone_until_one_speaks_there() -> None:
    known = told({**A, **B}, B, B)
    assert known.gone() == {"tcp://a:1"}
    known.has_spoken("tcp://a:1")
    assert known.gone() == set()


def test_workers_that_are_long_gone_are_forgotten() -> None:
    known = told({**A, **B}, *[B] * (roster.KNOWN_GONE - 1))
    assert known.gone() == {"tcp://a:1"}
    known = told({**A, **B}, *[B] * (roster.KNOWN_GONE + 1))
    assert known._missed == {}
