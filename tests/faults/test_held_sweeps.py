"""Sweeps that somebody has stopped, paused or interrupted, when something goes wrong before their trials have ended.

The executor is made up: it has a worker, or a scheduler, go in the moment that is meant.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from made_trials import make_sweep
from waiting import wait_for

from jupyter_sweep import Int, handle
from jupyter_sweep.errors import StoreError, SweepError
from jupyter_sweep.executors.base import Event, Finished, Lost, SchedulerGone, Started, Task
from jupyter_sweep.handle import Handle
from jupyter_sweep.runner import beside, launch
from jupyter_sweep.runner.driver import Driver
from jupyter_sweep.runner.loop import Loop
from jupyter_sweep.runner.outage import outlast
from jupyter_sweep.store import leases
from jupyter_sweep.store.sqlite import Store


class MadeUp:
    """Runs trials that never end by themselves; what is stopped has its end told only when the test says so."""

    name, slots, dashboard = "made up", 2, None

    def __init__(self) -> None:
        self.out: list[int] = []
        self.closed = False

    def submit(self, batch: Sequence[Task]) -> None:
        self.out += [task.trial_id for task in batch]

    def reaches_beyond(self, workers: Sequence[str]) -> bool:
        return True

    def stop(self, trial_id: int, why: str) -> None: ...

    def recall(self, trial_ids: Iterable[int]) -> None: ...

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "sweeps")


def running(store: Store, made: Any) -> Loop:
    """Give the loop of a sweep with two trials that run."""
    sweep = store.create_sweep(make_sweep(k=Int(1, 9)))
    loop = Loop(store, sweep, made, "")
    while len(made.out) < 2:
        loop.submit()
        loop._canary = None
    loop.handle([Started(i, f"w/{i}", 1, time.time()) for i in made.out])
    return loop


def test_a_trial_lost_with_its_worker_while_the_sweep_is_interrupted_waits_for_its_resumption(store: Store) -> None:
    made = MadeUp()
    loop = running(store, made)
    loop.obey("interrupt")
    first, second = made.out
    lost: Event = Lost(first, "the worker process died", time.time())
    loop.handle([lost, Finished(second, "completed", metrics={"loss": 1.0}, at=time.time())])
    loop.settle()
    assert store.sweep(loop.sweep.sweep_id).state == "interrupted"
    assert store.counts(loop.sweep.sweep_id) == {"waiting": 1, "completed": 1}
    assert [reason for _, reason, _, _ in store.attempts(first)] == ["lost"]


def outlasted(store: Store, loop: Loop, made: MadeUp, *, may_return: bool) -> Any:
    """Have the scheduler of a driver go; give the driver, with the loops that it has then."""
    driver = driver_of(store, made)
    assert leases.claim(store, loop.sweep.sweep_id, driver.driver_id)
    driver.loops[loop.sweep.sweep_id] = loop
    outlast(driver, SchedulerGone("tcp://made:1", may_return=may_return), lambda: MadeUp())  # type: ignore[arg-type]
    return driver


@pytest.mark.parametrize(("verb", "state"), [("pause", "paused"), ("interrupt", "interrupted"), ("stop", "stopped")])
def test_a_sweep_that_is_held_does_not_begin_again_with_the_next_scheduler(store: Store, verb: str, state: str) -> None:
    made = MadeUp()
    loop = running(store, made)
    loop.obey(verb)
    driver = outlasted(store, loop, made, may_return=True)
    assert (made.closed, driver.loops) == (True, {})
    assert store.sweep(loop.sweep.sweep_id).state == state
    assert store.counts(loop.sweep.sweep_id) == {"waiting": 2}
    assert leases.owner(store, loop.sweep.sweep_id) is None


def test_a_sweep_that_nobody_held_goes_on_with_the_next_scheduler(store: Store) -> None:
    made = MadeUp()
    loop = running(store, made)
    driver = outlasted(store, loop, made, may_return=True)
    assert list(driver.loops) == [loop.sweep.sweep_id]
    assert store.sweep(loop.sweep.sweep_id).state == "running"


def test_who_asked_to_be_told_hears_that_a_sweep_ended_with_its_scheduler(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(beside, "notify", lambda store, sweep, launched: told.append(sweep.name))
    made = MadeUp()
    loop = running(store, made)
    outlasted(store, loop, made, may_return=False)
    assert store.sweep(loop.sweep.sweep_id).state == "failed"
    assert told == [loop.sweep.name]


def test_a_driver_that_is_slow_to_start_is_not_taken_for_one_that_dies_again_and_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=0.0)
    starts: list[float] = []
    sweep = store.create_sweep(make_sweep(k=Int(1, 9)))
    store.request(sweep.sweep_id, launch.driver_key(sweep.executor), "run", launch="")
    waiting = Handle(store, sweep.sweep_id)
    monkeypatch.setattr(handle, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(handle.launch, "begin", lambda store, sweep, cwd: starts.append(clock.now))

    def wait_until(end: float) -> None:
        while clock.now < end:
            waiting.revive()
            clock.now += 0.1

    wait_until(45)
    assert 2 < len(starts) <= handle.MAX_REVIVALS
    with pytest.raises(StoreError, match="died 5 times in a row"):
        wait_until(90)


@pytest.mark.parametrize(
    ("verb", "state"), [("pause", "paused"), ("stop", "stopped"), ("interrupt", "interrupted"), ("kill", "interrupted")]
)
def test_a_sweep_whose_driver_died_before_it_rested_as_it_was_asked_to_is_not_begun_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, verb: str, state: str
) -> None:
    starts: list[str] = []
    monkeypatch.setattr(handle.launch, "begin", lambda store, sweep, cwd: starts.append(sweep.name))
    sweep = store.create_sweep(make_sweep(k=Int(1, 9)))
    store.set_state(sweep.sweep_id, "running")
    for asked in ("run", verb, "scale"):
        store.close_request(store.request(sweep.sweep_id, "made-up", asked))
    waiting = Handle(store, sweep.sweep_id)
    wait_for(waiting.revive)
    assert (waiting.state, starts) == (state, [])
    store.set_state(sweep.sweep_id, "running")
    store.close_request(store.request(sweep.sweep_id, "made-up", "run"))
    wait_for(lambda: waiting.revive() or starts)
    assert starts == [sweep.name]


class Narrow(MadeUp):
    """One that can't have more slots."""

    def scale(self, n: int) -> None:
        raise SweepError(f"{n} slots are more than there are.")


def driver_of(store: Store, made: MadeUp, key: str = "made-up") -> Any:
    driver_id = leases.register(store, key)
    assert driver_id is not None
    return Driver(store, driver_id, key, made)  # type: ignore[arg-type]


def test_a_sweep_that_runs_goes_on_with_the_slots_there_are_when_it_is_asked_for_more(store: Store) -> None:
    made = Narrow()
    loop = running(store, made)
    driver = driver_of(store, made)
    assert leases.claim(store, loop.sweep.sweep_id, driver.driver_id)
    driver.loops[loop.sweep.sweep_id] = loop
    wider = replace(loop.sweep, budget=replace(loop.sweep.budget, parallel=64))
    store.redefine(wider)
    store.request(loop.sweep.sweep_id, "made-up", "run", launch="as written")
    driver._obey_requests()
    found = store.sweep(loop.sweep.sweep_id)
    assert (found.state, found.message) == ("running", "64 slots are more than there are.")
    assert list(driver.loops) == [loop.sweep.sweep_id]
    assert leases.owner(store, loop.sweep.sweep_id) is not None


def test_a_driver_that_is_asked_for_a_sweep_that_another_runs_passes_the_request_on(store: Store) -> None:
    made = MadeUp()
    loop = running(store, made)
    owner, other = driver_of(store, made), driver_of(store, MadeUp(), "other")
    assert leases.claim(store, loop.sweep.sweep_id, owner.driver_id)
    store.set_state(loop.sweep.sweep_id, "running")
    store.request(loop.sweep.sweep_id, "other", "run", launch="as written")
    other._obey_requests()
    assert store.open_requests("other") == []
    (passed_on,) = store.open_requests("made-up")
    assert (passed_on.verb, passed_on.args) == ("run", {"launch": "as written"})
    assert store.sweep(loop.sweep.sweep_id).state == "running"
    assert other.loops == {}
