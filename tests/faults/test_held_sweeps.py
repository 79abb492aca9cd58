"""Sweeps that somebody has stopped, paused or interrupted, when something goes wrong before their trials have ended.

The executor is made up: it has a worker, or a scheduler, go in the moment that is meant.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from made_trials import make_sweep

from jupyter_sweep import Int
from jupyter_sweep.executors.base import Event, Finished, Lost, Started, Task
from jupyter_sweep.runner.loop import Loop
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
