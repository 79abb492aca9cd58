"""Files for hosts that share no disk: workers that are frozen don't hold up the files of others."""

from __future__ import annotations

import concurrent.futures
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_for

from jupyter_sweep.executors import carriers, ferry
from jupyter_sweep.executors.base import Task
from jupyter_sweep.executors.ferry import Ferry


class Workers:
    """Those that the ferry calls: each answers at once, but the frozen ones not before they thaw."""

    def __init__(self) -> None:
        self.arrived: list[str] = []
        self.called: set[str] = set()
        self._frozen: list[concurrent.futures.Future[str]] = []

    def call(self, address: str, verb: str, parcel: str, *args: Any) -> concurrent.futures.Future[str]:
        future: concurrent.futures.Future[str] = concurrent.futures.Future()
        self.called.add(parcel)
        if address == "frozen":
            self._frozen.append(future)
        else:
            self.arrived.append(parcel)
            future.set_result("")
        return future

    def thaw(self) -> None:
        for future in self._frozen:
            if not future.done():
                future.set_result("")


@pytest.fixture
def workers() -> Workers:
    return Workers()


@pytest.fixture
def boat(tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ferry]:
    monkeypatch.setattr(ferry, "SLOW_S", 0.3)
    (tmp_path / "job").write_bytes(b"x" * 1000)
    (tmp_path / "launch.json").write_text(json.dumps({"env": {}, "cwd": "/", "path": []}))
    made = Ferry(workers.call, lambda event, address: None)
    yield made
    made.close()


def want(boat: Ferry, folder: Path, ticket: str, address: str) -> None:
    """Have a trial's worker ask for the job's file."""
    payload = {"data": str(folder), "job": "job", "folder": str(folder), "launch": str(folder / "launch.json")}
    boat.depart(Task(1, payload), ticket)
    assert boat.take({"kind": "want", "ticket": ticket, "want": ticket, "name": "job"}, address)


def carrying() -> int:
    return sum(thread.name == "sweep carrier" for thread in threading.enumerate())


def test_however_many_workers_are_frozen_the_files_of_others_arrive(
    boat: Ferry, workers: Workers, tmp_path: Path
) -> None:
    frozen = [f"frozen {i}" for i in range(2 * carriers.THREADS)]
    for ticket in frozen:
        want(boat, tmp_path, ticket, "frozen")
    wait_for(lambda: workers.called >= set(frozen[: carriers.THREADS]))
    want(boat, tmp_path, "healthy", "well")
    wait_for(lambda: workers.arrived == ["healthy"], limit_s=20)


def test_who_stood_in_goes_when_the_frozen_ones_thaw(boat: Ferry, workers: Workers, tmp_path: Path) -> None:
    before = carrying()
    for i in range(6):
        want(boat, tmp_path, f"frozen {i}", "frozen")
    wait_for(lambda: carrying() == before + carriers.THREADS + 6)
    workers.thaw()
    wait_for(lambda: carrying() == before + carriers.THREADS)
    want(boat, tmp_path, "healthy", "well")
    wait_for(lambda: workers.arrived == ["healthy"])


def test_the_threads_that_stand_in_have_a_limit(boat: Ferry, workers: Workers, tmp_path: Path) -> None:
    before, most = carrying(), carriers.THREADS + carriers.MAX_HELD
    for i in range(most + 5):
        want(boat, tmp_path, f"frozen {i}", "frozen")
    wait_for(lambda: carrying() == before + most)
    wait_for(lambda: len(workers.called) == most)
    assert carrying() == before + most
