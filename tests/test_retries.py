"""Trials that run again: what they find of their earlier attempts, where they go, and when enough is enough."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import command_of, shared_home
from jobfiles import JobFolder
from waiting import wait_for

from jupyter_sweep import Choice, Int, Space, SweepError, checkpoint, report, run, sweep
from jupyter_sweep.executors.base import Finished, Lost, Started, Task
from jupyter_sweep.executors.dask import DaskExecutor
from jupyter_sweep.executors.elsewhere import Choice as Place
from jupyter_sweep.executors.elsewhere import Seat, choose
from jupyter_sweep.handle import Handle

STEPS = 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One folder for all tests, so that they share warm drivers; each uses names of its own."""
    with shared_home(tmp_path_factory.mktemp("retries")) as folder:
        yield folder


# -- checkpoints ------------------------------------------------------------------------------------------------------


def steps(fault: Callable[[], None], name: str, i: int) -> float:
    """Do STEPS steps, noting each in a file; the first attempt meets its fault after the third."""
    state = checkpoint() or {"step": 0, "attempts": 0}
    state["attempts"] += 1
    while state["step"] < STEPS:
        state["step"] += 1
        with open(f"{name}-{i}", "a") as file:
            file.write(str(state["step"]))
        checkpoint(state)
        report(loss=i, step=state["step"])
        if state["step"] == 3 and state["attempts"] == 1:
            fault()
    return float(i + state["attempts"] / 10)


def error() -> None:
    raise ValueError("why")


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def hang() -> None:
    time.sleep(600)


def hoard() -> None:
    hog = [bytearray(10_000_000) for _ in range(30)]
    time.sleep(600 + len(hog))


FAULTS: dict[str, Callable[[], None]] = {"error": error, "crash": crash, "memory": hoard, "timeout": hang}


@pytest.mark.parametrize(
    ("isolation", "reasons", "limits"),
    [
        ("warm", ["error", "crash", "memory"], {"mem": "150M"}),
        ("fork", ["error", "crash", "memory"], {"mem": "150M"}),
        ("fresh", ["error", "crash", "memory"], {"mem": "150M"}),
        ("warm", ["timeout"], {"timeout": 15}),
    ],
)
def test_a_retry_goes_on_from_the_checkpoint_whatever_ended_the_attempt_before(
    folder: Path, isolation: str, reasons: list[str], limits: dict[str, Any]
) -> None:
    name, faults = f"{isolation}-{len(reasons)}", [FAULTS[reason] for reason in reasons]

    def job(i: int) -> float:
        return steps(faults[i], name, i)

    last = len(reasons) - 1
    space = Space(i=Int(0, last)) if last else Space(i=Choice(0))
    handle = run(job, space, name=name, min="loss", grid=True, jobs=4, retry=1, isolation=isolation, **limits)
    assert (handle.state, handle.counts) == ("finished", {"completed": len(reasons)})
    for trial, reason in zip(handle.trials(), reasons, strict=True):
        assert Path(f"{name}-{trial.number}").read_text() == "12345"
        assert trial.attempt == 2
        assert [(n, why) for n, why, _, _ in handle._store.attempts(trial.trial_id)] == [(1, reason)]
        assert {r.step for r in handle.reports() if r.trial_id == trial.trial_id and r.attempt == 1} == {1, 2, 3}


def begin(name: str, **options: Any) -> Handle:
    def job(i: int) -> float:
        def gate() -> None:
            with open(f"{name}-waits-{i}", "w") as file:
                file.write(str(os.getpid()))
            time.sleep(600)

        return steps(gate, name, i)

    return run(job, Space(i=Int(0, 1)), name=name, min="loss", grid=True, jobs=2, bg=True, **options)


def all_wait(name: str) -> bool:
    return all(Path(f"{name}-waits-{i}").exists() and Path(f"{name}-waits-{i}").read_text() for i in (0, 1))


def test_a_trial_whose_worker_is_killed_goes_on_from_its_checkpoint(folder: Path) -> None:
    handle = begin("worker-killed")
    wait_for(lambda: all_wait("worker-killed"))
    driver = psutil.Process(handle.driver)
    workers = [p for p in driver.children(recursive=True) if "spawn_main" in command_of(p)]
    for worker in workers:
        worker.kill()
    assert handle.wait(60)
    assert handle.counts == {"completed": 2}
    assert [Path(f"worker-killed-{i}").read_text() for i in (0, 1)] == ["12345"] * 2
    assert [handle._store.attempts(t.trial_id)[0][1] for t in handle.trials()] == ["lost", "lost"]


def test_a_trial_whose_driver_is_killed_goes_on_from_its_checkpoint(folder: Path) -> None:
    handle = begin("driver-killed")
    wait_for(lambda: all_wait("driver-killed"))
    pid = handle.driver
    assert pid is not None
    psutil.Process(pid).kill()
    wait_for(lambda: handle.driver is None)
    handle.resume()
    assert handle.wait(60)
    assert handle.counts == {"completed": 2}
    assert [Path(f"driver-killed-{i}").read_text() for i in (0, 1)] == ["12345"] * 2
    assert [handle._store.attempts(t.trial_id)[0][1] for t in handle.trials()] == ["driver", "driver"]


def test_a_stopped_and_resumed_sweep_goes_on_from_what_its_trials_kept_in_the_end(folder: Path) -> None:
    def job(i: int) -> float:
        state = checkpoint() or {"step": 0}
        begun = state["step"]
        try:
            while state["step"] < 1000:
                state["step"] += 1
                report(steps=state["step"])
                if begun:
                    break
                time.sleep(0.01)
        finally:
            time.sleep(2)  # longer than a trial has without --grace
            checkpoint(state)
        return float(i + begun / 10_000)

    options: dict[str, Any] = {"name": "stopped", "min": "loss", "grid": True, "jobs": 2, "grace": 20}
    handle = run(job, Space(i=Int(0, 1)), bg=True, **options)
    wait_for(lambda: len({r.trial_id for r in handle.reports()}) == 2)
    handle.stop()
    assert handle.wait(60)
    assert handle.counts == {"cancelled": 2}
    reached = {t.params["i"]: t.metrics["steps"] for t in handle.trials()}
    again = run(job, Space(i=Int(0, 1)), **options)
    assert again.counts == {"cancelled": 2, "completed": 2}
    done = {t.params["i"]: round((t.metrics["loss"] - t.params["i"]) * 10_000) for t in again.trials()[2:]}
    assert all(done[i] >= reached[i] for i in (0, 1)), (done, reached)


def test_a_checkpoint_that_was_being_written_when_its_process_was_killed_leaves_the_one_before(folder: Path) -> None:
    def job(k: int) -> float:
        class Slow:
            def __reduce__(self) -> Any:
                os.kill(os.getpid(), signal.SIGKILL)
                raise AssertionError

        kept = checkpoint()
        if kept is None:
            checkpoint([1, 2, 3])
            checkpoint([bytes(1_000_000), Slow()])
        return float(sum(kept or []))

    handle = run(job, Space(k=Choice(1)), name="half", min="loss", grid=True, jobs=2, retry=1)
    (trial,) = handle.trials()
    assert (trial.state, trial.attempt, trial.metrics) == ("completed", 2, {"loss": 6.0})
    place = handle.folder.parent / trial.folder
    assert sorted(p.name for p in place.iterdir()) == ["checkpoint.joblib", "log.txt", "metrics.json", "params.json"]


# -- elsewhere --------------------------------------------------------------------------------------------------------

TWO_HOSTS = [Seat("a/0", "A0", "a"), Seat("a/1", "A1", "a"), Seat("b/0", "B0", "b"), Seat("b/1", "B0", "b")]


@pytest.mark.parametrize(
    ("avoid", "running", "out", "expected"),
    [
        ({"a/0"}, {}, 0, Place(["B0"], True)),
        ({"a/0"}, {"B0": 1}, 1, Place(["B0"], True)),
        ({"a/0"}, {"B0": 2}, 2, Place(None, False)),  # only its own host has an idle slot
        ({"a/0"}, {"A0": 1, "A1": 1, "B0": 2}, 4, Place(["B0"], True)),  # none is idle: it waits for one elsewhere
        ({"a/0", "b/1"}, {}, 0, Place(["A1"], True)),  # both hosts: another worker
        ({"a/0", "a/1", "b/0"}, {}, 0, Place(None, True)),  # it has been everywhere
        ({"gone/0"}, {}, 0, Place(["A0", "A1", "B0"], True)),
    ],
)
def test_a_retry_goes_to_another_host_then_to_another_worker_then_anywhere(
    avoid: set[str], running: dict[str, int], out: int, expected: Place
) -> None:
    assert choose(TWO_HOSTS, avoid, running, out) == expected


def test_with_a_single_worker_a_retry_goes_to_it(folder: Path) -> None:
    assert choose([Seat("a/0", "A0", "a")], {"a/0"}, {}, 0) == Place(None, True)
    handle = run(failing_once, Space(i=Int(0, 2)), name="alone", min="loss", grid=True, jobs=1, retry=1)
    assert handle.counts == {"completed": 3}


def failing_once(i: int) -> float:
    path = Path(f"seen-{i}-{os.environ['JUPYTER_SWEEP_HOME'].count('/')}")
    if not path.exists():
        path.touch()
        raise ValueError("the first time")
    return float(i)


def test_tasks_that_avoid_workers_run_on_others_while_these_have_room(tmp_path: Path) -> None:
    executor, jobs = DaskExecutor("local", slots=8), JobFolder(tmp_path / "sweeps")
    try:
        labels = {f"local/{i}" for i in range(4)}  # all slots of the first worker process
        for avoid in (labels, {f"local/{i}" for i in range(4, 8)}, {f"local/{i}" for i in range(8)}):
            assert executor.reaches_beyond(sorted(avoid))
            tasks = [jobs.task(jobs.write("loss = 1"), avoid=sorted(avoid)) for _ in range(4)]
            for task in tasks:
                del task["ticket"]
                executor.submit([Task(task["trial_id"], task)])
            events: list[Any] = []
            limit = time.monotonic() + 60
            while sum(isinstance(event, Finished) for event in events) < 4 and time.monotonic() < limit:
                events += executor.events(0.05)
            used = {event.worker for event in events if isinstance(event, Started)}
            assert used
            assert used.isdisjoint(avoid) or len(avoid) == 8
    finally:
        executor.close()


def test_a_retry_stands_back_while_only_the_worker_that_it_failed_on_is_free(folder: Path) -> None:
    def job(i: int) -> float:
        with open(f"order-{i}", "a") as file:
            file.write(f"{time.time()}\n")
        if i == 0 and len(Path("order-0").read_text().split()) == 1:
            raise ValueError("the first time")
        time.sleep(0.6 if i < 8 else 0.05)  # the other worker is busy, the slot that failed is not
        return float(i)

    handle = run(job, Space(i=Int(0, 11)), name="order", min="loss", grid=True, jobs=8, stop="median", retry=1)
    assert handle.counts == {"completed": 12}
    trial = handle.trials()[0]
    ((_, _, _, first),) = handle._store.attempts(trial.trial_id)
    pids = {row.number: row.worker for row in handle.trials()}
    assert int(first.split("/")[1]) // 4 != int(pids[0].split("/")[1]) // 4 or trial.attempt == 2


# -- what a worker did before it died ---------------------------------------------------------------------------------


def test_a_trial_that_has_ended_is_not_lost_with_a_worker_that_dies_before_it_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hear = DaskExecutor._on_message

    def hear_no_end(self: DaskExecutor, message: Any) -> None:  # as if word of it had died with the worker
        at, (address, text) = message
        told = json.loads(text)
        told["events"] = [event for event in told["events"] if event["kind"] == "started"]
        hear(self, (at, (address, json.dumps(told))))

    monkeypatch.setattr(DaskExecutor, "_on_message", hear_no_end)
    executor, jobs = DaskExecutor("local", slots=2), JobFolder(tmp_path / "sweeps")
    try:
        reporting = "report(0, loss=5)\nloss = 5"
        bodies = ["loss = 4", "raise ValueError('why')", reporting, "import time\ntime.sleep(600)"]
        tasks = [jobs.task(jobs.write(body)) for body in bodies]
        executor.submit([Task(task["trial_id"], task) for task in tasks])
        wait_for(lambda: any(isinstance(e, Started) and e.trial_id == tasks[3]["trial_id"] for e in executor.events(1)))
        assert all(Path(task["folder"], ".end.json").exists() for task in tasks[:3])
        worker = next(p for p in psutil.Process().children(recursive=True) if "spawn_main" in command_of(p))
        worker.kill()
        ends: dict[int, Any] = {}
        limit = time.monotonic() + 60
        while len(ends) < 4 and time.monotonic() < limit:
            ends.update((e.trial_id, e) for e in executor.events(0.05) if isinstance(e, Finished | Lost))
        first, second, third, fourth = (ends[task["trial_id"]] for task in tasks)
        assert (first.state, first.metrics) == ("completed", {"loss": 4.0})
        assert (second.reason, second.error) == ("error", "ValueError: why")
        assert isinstance(third, Lost), "a report of it was not heard: it is not done"
        assert isinstance(fourth, Lost)
        assert not any(Path(task["folder"], ".end.json").exists() for task in tasks)
    finally:
        executor.close()


# -- enough -----------------------------------------------------------------------------------------------------------


def test_fail_fast_cancels_all_that_run_and_nothing_is_lost(folder: Path) -> None:
    def job(i: int) -> float:
        if i == 3:
            Path("fail-fast-began").touch()
            raise ValueError("why")
        while not Path("fail-fast-over").exists():
            report(loss=i)
            time.sleep(0.02)
        return float(i)

    options: dict[str, Any] = {"name": "fast", "min": "loss", "grid": True, "jobs": 6, "fail_fast": True}
    with pytest.raises(SweepError, match="1 trial failed and none may: ValueError: why"):
        run(job, Space(i=Int(0, 19)), **options)
    handle = sweep("fast")
    counts = handle.counts
    assert handle.state == "failed"
    assert (counts["failed"], counts.get("completed", 0), counts.get("running", 0)) == (1, 0, 0)
    assert counts["cancelled"] <= 5
    Path("fail-fast-over").touch()
    more = run(job, Space(i=Int(0, 19)), **{**options, "fail_fast": False, "keep_going": True})
    assert (more.counts["completed"], more.counts["failed"]) == (19, 1)


def test_more_failures_than_allowed_end_a_sweep_with_many_running(folder: Path) -> None:
    def job(i: int) -> float:
        time.sleep(0.02)
        if i % 2:
            raise ValueError("odd")
        return float(i)

    with pytest.raises(SweepError, match="trials failed and 3 may"):
        run(job, Space(i=Int(0, 199)), name="many", min="loss", grid=True, jobs=6, max_failures=3)
    handle = sweep("many")
    assert 4 <= handle.counts["failed"] <= 4 + 5  # those that ran beside the fourth may have failed, too
    assert sum(handle.counts.values()) < 60
    assert not {"running"} & set(handle.counts)


def test_a_retry_is_no_failure_until_its_last_attempt(folder: Path) -> None:
    def job(i: int) -> float:
        n = (checkpoint() or 0) + 1
        checkpoint(n)
        if n <= 2:
            raise ValueError("not yet")
        return float(n)

    handle = run(job, Space(i=Int(0, 9)), name="twice", min="loss", grid=True, jobs=4, retry=2, fail_fast=True)
    assert handle.counts == {"completed": 10}
    assert {t.attempt for t in handle.trials()} == {3}


def test_keep_going_runs_everything_whatever_fails(folder: Path) -> None:
    def job(i: int) -> float:
        if i >= 4 and i % 2:
            os._exit(3)
        return float(i)

    handle = run(job, Space(i=Int(0, 29)), name="going", min="loss", grid=True, jobs=6)
    assert (handle.state, handle.counts) == ("finished", {"completed": 17, "failed": 13})
    assert all(t.attempt == 1 for t in handle.trials())
