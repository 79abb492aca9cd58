"""A cluster that grows and shrinks while its sweep runs: nothing that runs is ended, lost, or run twice.

Trials wait at gates: each leaves its `k` in a file when it begins, and ends when a file opens its own gate, or all. So
a slow machine changes how long a test takes, and not what it sees.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from conftest import processes_of
from jobfiles import JobFolder
from kernels import Kernel
from waiting import wait_for

from jupyter_sweep.errors import Mistakes, SweepError
from jupyter_sweep.executors import clusters
from jupyter_sweep.executors.backends import adapt
from jupyter_sweep.executors.base import Event, Finished, Lost, Started, Task
from jupyter_sweep.executors.dask import DaskExecutor
from jupyter_sweep.handle import Handle
from jupyter_sweep.live import sweep

GATED = """k = randint(1, {n})
with open("ran-{name}", "a") as ran:
    ran.write(str(k) + " ")
while not any(map(os.path.exists, ["gate-{name}", "gate-{name}-" + str(k)])):
    time.sleep(0.02)
loss = k
"""
WAIT_S = 120


def gated(name: str, n: int) -> str:
    """Give a body of `n` configurations that waits at the gates of its sweep, which are shut."""
    return GATED.format(name=name, n=n)


def let_end(name: str, numbers: Iterable[int] | None = None) -> None:
    """Let some trials end, or all."""
    for gate in [f"gate-{name}"] if numbers is None else [f"gate-{name}-{number + 1}" for number in numbers]:
        Path(gate).touch()


def ran(name: str) -> list[int]:
    """Give each `k` that has really run."""
    path = Path(f"ran-{name}")
    return sorted(int(k) for k in path.read_text().split()) if path.exists() else []


def running(name: str) -> dict[int, int]:
    """Give the process of each trial that runs, by number."""
    return {t.number: t.pid for t in sweep(name).trials() if t.state == "running" and t.pid is not None}


def until_running(name: str, n: int) -> dict[int, int]:
    """Wait until `n` trials run, and give them."""
    wait_for(lambda: len(running(name)) == n, WAIT_S)
    return running(name)


def until_narrowed(name: str, n: int) -> float:
    """Let all but `n` trials end until no more than `n` run, and give when that was.

    Those that were on their way to a slot when a sweep was narrowed may still begin.
    """

    def narrowed() -> bool:
        there = sorted(running(name))
        let_end(name, there[n:])
        return len(there) == n

    wait_for(narrowed, WAIT_S)
    return time.time()


def most_when_one_began(handle: Handle, after: float) -> int:
    """Give how many trials ran, itself counted, when one began after a moment; the most of it."""
    spans = [(t.started_at, t.finished_at or time.time()) for t in handle.trials() if t.started_at is not None]
    return max(sum(a <= start < b for a, b in spans) for start, _ in spans if start > after)


def is_whole(handle: Handle, n: int, name: str) -> None:
    """Assert that `n` trials ran once each, at the first attempt, to their end."""
    assert handle.counts == {"completed": n}
    assert {t.attempt for t in handle.trials()} == {1}
    assert ran(name) == list(range(1, n + 1))


@pytest.mark.usefixtures("nothing_left")
def test_a_sweep_that_is_scaled_up_and_down_runs_each_trial_once(home: Path) -> None:
    with Kernel(home.parent) as kernel:
        kernel.cell(f"%%sweep s --min loss --grid --jobs 2 --bg\n{gated('s', 30)}")
        until_running("s", 2)
        assert "runs 8 at once from now on" in kernel.cell("%sweep scale s 8")
        before = until_running("s", 8)
        handle = sweep("s")
        assert handle.definition.budget.parallel == 8
        wait_for(lambda: list(handle.workers["state"]) == ["busy"] * 8, WAIT_S)
        kernel.cell("sweep('s').scale(3)")
        wait_for(lambda: "draining" in set(handle.workers["state"]), WAIT_S)
        let_end("s", sorted(before)[:4])
        wait_for(lambda: all(handle.trial(number).is_final for number in sorted(before)[:4]), WAIT_S)
        at = until_narrowed("s", 3)
        let_end("s")
        assert handle.wait(WAIT_S)
        is_whole(handle, 30, "s")
        assert most_when_one_began(handle, at) <= 3
        wait_for(lambda: len(sweep("s").workers) <= 4, WAIT_S)  # of two worker processes one is gone


@pytest.mark.usefixtures("nothing_left")
def test_scaling_down_lets_run_what_runs_and_holds_back_what_waits(home: Path) -> None:
    with Kernel(home.parent) as kernel:
        kernel.cell(f"%%sweep s --min loss --grid --jobs 6 --no-canary --bg\n{gated('s', 12)}")
        before = until_running("s", 6)
        handle = sweep("s")
        handle.scale(1)
        wait_for(lambda: "draining" in set(handle.workers["state"]), WAIT_S)
        assert running("s") == before
        let_end("s", before)
        wait_for(lambda: all(handle.trial(number).is_final for number in before), WAIT_S)
        assert {handle.trial(number).state.value for number in before} == {"completed"}
        at = until_narrowed("s", 1)
        last = running("s")
        let_end("s", last)
        wait_for(lambda: running("s").keys() - last.keys(), WAIT_S)
        assert most_when_one_began(handle, at) == 1
        handle.scale(4)
        let_end("s")
        assert handle.wait(WAIT_S)
        is_whole(handle, 12, "s")


@pytest.mark.usefixtures("nothing_left")
def test_a_cell_run_again_with_other_jobs_scales_its_running_sweep(home: Path) -> None:
    with Kernel(home.parent) as kernel:
        cell = "%%sweep s --min loss --grid --jobs {} --bg\n" + gated("s", 30)
        kernel.cell(cell.format(2))
        until_running("s", 2)
        kernel.cell(cell.format(6))
        before = until_running("s", 6)
        kernel.cell(cell.format(1))
        let_end("s", before)
        wait_for(lambda: before.keys().isdisjoint(running("s")), WAIT_S)
        until_narrowed("s", 1)
        kernel.cell(cell.format(6))
        until_running("s", 6)
        let_end("s")
        handle = sweep("s")
        assert handle.wait(WAIT_S)
        is_whole(handle, 30, "s")
        assert len(handle.versions) == 1


@pytest.mark.usefixtures("nothing_left")
def test_a_sweep_that_shares_its_cluster_is_narrowed_without_taking_slots_from_the_other(home: Path) -> None:
    with Kernel(home.parent) as kernel:
        kernel.cell(f"%%sweep a --min loss --grid --jobs 6 --bg\n{gated('a', 20)}")
        before = until_running("a", 6)
        kernel.cell("%sweep scale a 1")
        kernel.cell(f"%%sweep b --min loss --grid --jobs 6 --bg\n{gated('b', 20)}")
        let_end("a", before)
        wait_for(lambda: before.keys().isdisjoint(running("a")), WAIT_S)
        wait_for(lambda: len(running("a")) <= 1 and len(running("b")) >= 5, WAIT_S)  # six slots in all
        assert sweep("b").snapshot()["sweep"]["slots"] == 6
        let_end("a")
        let_end("b")
        assert sweep("a").wait(WAIT_S)
        assert sweep("b").wait(WAIT_S)
        is_whole(sweep("a"), 20, "a")
        is_whole(sweep("b"), 20, "b")


@pytest.mark.usefixtures("nothing_left")
def test_a_worker_that_is_killed_while_it_drains_costs_its_trials_an_attempt_and_nothing_else(home: Path) -> None:
    with Kernel(home.parent) as kernel:
        kernel.cell(f"%%sweep s --min loss --grid --jobs 8 --no-canary --bg\n{gated('s', 12)}")
        before = until_running("s", 8)
        handle = sweep("s")
        handle.scale(4)
        wait_for(lambda: list(handle.workers["state"]).count("draining") == 4, WAIT_S)
        rows = handle.workers
        drained = rows[rows["state"] == "draining"]
        lost = {int(number) for number in drained["number"]}
        pids = {int(pid) for pid in drained["pid"]}
        for process in processes_of(home):
            if process.pid in pids:
                process.kill()
        wait_for(lambda: {a.number for a in handle.attempts()} == lost, WAIT_S)
        kept = before.keys() - lost
        assert {number: before[number] for number in kept}.items() <= running("s").items()
        let_end("s")
        assert handle.wait(WAIT_S)
        assert handle.counts == {"completed": 12}
        assert {a.reason for a in handle.attempts()} == {"lost"}
        assert {t.number for t in handle.trials() if t.attempt > 1} == lost
        assert Counter(ran("s")) == Counter({k: 2 if k - 1 in lost else 1 for k in range(1, 13)})


@pytest.mark.usefixtures("nothing_left")
def test_what_can_not_be_scaled_is_refused_and_goes_on_as_it_was(home: Path) -> None:
    from distributed import LocalCluster

    with (
        LocalCluster(
            1, threads_per_worker=2, processes=False, protocol="tcp", dashboard_address="127.0.0.1:0"
        ) as somebodys,
        Kernel(home.parent) as kernel,
    ):
        where = somebodys.scheduler_address
        kernel.cell(f"%%sweep s --min loss --grid --on {where} --bg\n{gated('s', 6)}")
        before = until_running("s", 2)
        said = kernel.refused("%sweep scale s 5")
        assert "the cluster has 2 slots, and only who runs it can give it more" in said
        kernel.cell("%sweep scale s 1")
        let_end("s", before)
        wait_for(lambda: before.keys().isdisjoint(running("s")), WAIT_S)
        until_narrowed("s", 1)
        assert "at least 1 trial" in kernel.refused("%sweep scale s 0")
        assert "a whole number" in kernel.refused("%sweep scale s many")
        let_end("s")
        assert sweep("s").wait(WAIT_S)
        is_whole(sweep("s"), 6, "s")
        assert len(somebodys.scheduler_info["workers"]) == 1


def test_a_sweep_at_rest_takes_its_new_width_up_when_it_goes_on(home: Path) -> None:
    with Kernel(home.parent) as kernel:
        kernel.cell(f"%%sweep s --min loss --grid --jobs 1 --bg\n{gated('s', 8)}")
        until_running("s", 1)
        kernel.cell("%sweep stop s")
        wait_for(lambda: sweep("s").ended)
        assert "it runs 4 at once when it goes on" in kernel.cell("%sweep scale s 4")
        kernel.cell("%sweep resume s")
        until_running("s", 4)
        let_end("s")
        assert sweep("s").wait(WAIT_S)
        assert sweep("s").counts["completed"] == 8


# -- the executor by itself -------------------------------------------------------------------------------------------


class Bench:
    """An executor, the trials given to it, and what it told of them.

    With `persists`, trials that come back without having begun are submitted again, as a sweep does.
    """

    def __init__(self, executor: DaskExecutor, folder: JobFolder, *, persists: bool = False) -> None:
        self.executor, self.folder, self.persists = executor, folder, persists
        self.tasks: dict[int, Task] = {}
        self.running: dict[int, str] = {}
        self.back: set[int] = set()
        self.done: dict[int, Event] = {}

    def submit(self, n: int, *, at_once: int = 1, gate: Path | None = None) -> list[int]:
        """Submit `n` trials, which end at once, or when the file `gate` is there; give their ids."""
        wait = f"while not os.path.exists({str(gate)!r}):\n    time.sleep(0.02)\n" if gate else ""
        job = self.folder.write(f"import os, time\n{wait}loss = 1")
        tasks = []
        for _ in range(n):
            payload = self.folder.task(job)
            del payload["ticket"]
            tasks.append(Task(payload["trial_id"], payload))
            self.tasks[payload["trial_id"]] = tasks[-1]
        for i in range(0, n, at_once):
            self.executor.submit(tasks[i : i + at_once])
        return [task.trial_id for task in tasks]

    def until(self, true: object) -> None:
        limit = time.monotonic() + WAIT_S
        while not true():  # type: ignore[operator]
            assert time.monotonic() < limit, (self.running, self.back, self.done)
            for event in self.executor.events(0.05):
                self._hear(event)

    def _hear(self, event: Event) -> None:
        assert event.trial_id not in self.done, event
        assert event.trial_id not in self.back, event
        if isinstance(event, Started):
            self.running[event.trial_id] = event.worker
        elif isinstance(event, Finished | Lost) and event.trial_id in self.running:
            del self.running[event.trial_id]
            self.done[event.trial_id] = event
        elif isinstance(event, Finished | Lost):
            assert isinstance(event, Finished)
            assert event.state == "cancelled"
            if self.persists:
                self.executor.submit([self.tasks[event.trial_id]])
            else:
                self.back.add(event.trial_id)

    @property
    def heard(self) -> int:
        """Trials whose end was told."""
        return len(self.done) + len(self.back)

    @property
    def states(self) -> set[str]:
        return {e.state if isinstance(e, Finished) else "lost" for e in self.done.values()}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    executor = DaskExecutor("local", slots=8)
    yield Bench(executor, JobFolder(tmp_path / "sweeps"))
    executor.close()


@pytest.mark.parametrize("at_once", [1, 5])
def test_a_recalled_trial_ends_as_cancelled_unless_it_has_begun(bench: Bench, at_once: int) -> None:
    gate = bench.folder.home.parent / "gate"
    ids = bench.submit(40, at_once=at_once, gate=gate)
    bench.until(lambda: len(bench.running) == 8)
    bench.executor.recall(ids)
    bench.until(lambda: len(bench.back) == 32)
    gate.touch()
    bench.until(lambda: bench.heard == 40)
    assert bench.states == {"completed"}
    again = bench.submit(3)
    bench.until(lambda: bench.done.keys() >= set(again))


def test_recalls_while_trials_begin_and_end_all_the_time_lose_none(bench: Bench) -> None:
    ids = bench.submit(600, at_once=3)
    for i in range(0, 600, 7):
        bench.executor.recall(ids[i : i + 50])
        heard = bench.heard
        bench.until(lambda heard=heard: bench.heard > heard or heard == 600)
    bench.until(lambda: bench.heard == 600)
    assert bench.states == {"completed"}


def test_workers_that_go_while_the_executor_looks_leave_it_in_charge(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    executor = DaskExecutor("local", slots=5)  # two workers, of which the second comes and goes
    try:
        for slots in (4, 5, 4):
            executor.scale(slots)
            for _ in range(150):
                executor._wake.set()
                time.sleep(0.02)
        assert executor._thread.is_alive()
        assert "Traceback" not in capfd.readouterr().err
    finally:
        executor.close()


def test_there_are_as_many_slots_as_were_asked_for_whatever_their_number(bench: Bench) -> None:
    bench.persists = True
    for n in (8, 6, 11, 1, 5):
        bench.executor.scale(n)
        gate = bench.folder.home.parent / f"gate-{n}"
        ids = bench.submit(n + 2, gate=gate)
        bench.until(lambda n=n: len(bench.running) == n)
        gate.touch()
        bench.until(lambda ids=ids: bench.done.keys() >= set(ids))
        spans = [(e.at - e.duration_s, e.at) for i in ids if isinstance(e := bench.done[i], Finished)]
        assert max(sum(a <= start < b - 0.02 for a, b in spans) for start, _ in spans) <= n
    labels = [row["worker"] for row in bench.executor.workers()]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("first", [1, 2, 5, 10])
def test_all_run_at_once_where_there_are_as_many_as_slots(tmp_path: Path, first: int) -> None:
    executor = DaskExecutor("local", slots=first)
    try:
        bench = Bench(executor, JobFolder(tmp_path / "sweeps"), persists=True)
        bench.submit(first, gate=tmp_path / "gate")
        bench.until(lambda: len(bench.running) == first)
        for slots in (first + 1, first + 4):  # what runs goes on, on workers that may have to go
            executor.scale(slots)
            bench.submit(slots - len(bench.running), gate=tmp_path / "gate")
            bench.until(lambda slots=slots: len(bench.running) == slots)
        (tmp_path / "gate").touch()
        bench.until(lambda: len(bench.done) == first + 4)
        assert bench.states == {"completed"}
    finally:
        executor.close()


def test_a_batch_sent_ahead_waits_at_its_slot_while_dask_counts_no_more_than_the_slots(tmp_path: Path) -> None:
    executor = DaskExecutor("local", slots=2)
    try:
        bench = Bench(executor, JobFolder(tmp_path / "sweeps"))
        ids = bench.submit(3, gate=tmp_path / "gate")
        bench.until(lambda: len(bench.running) == 2)
        assert sum(executor._client.nthreads().values()) == 2

        def at_work() -> list[int]:
            return list(executor._client.run(lambda dask_worker: dask_worker.state.executing_count).values())

        wait_for(lambda: at_work() == [3], WAIT_S)
        (waits,) = {*ids} - {*bench.running}
        executor.recall([waits])
        bench.until(lambda: bench.back == {waits})
        (tmp_path / "gate").touch()
        bench.until(lambda: len(bench.done) == 2)
        assert bench.states == {"completed"}
    finally:
        executor.close()


def test_a_cluster_that_adapts_starts_workers_for_work_and_ends_them_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapt, "LINGER_S", 0.5)
    executor = DaskExecutor("lab", options={"on": "local", "adapt": {"maximum": 6}})
    try:
        bench = Bench(executor, JobFolder(tmp_path / "sweeps"), persists=True)
        threads = executor._client.nthreads
        assert (executor.slots, sum(threads().values())) == (6, 0)
        gate = tmp_path / "gate"
        bench.submit(9, gate=gate)
        bench.until(lambda: len(bench.running) == 6)
        gate.touch()
        bench.until(lambda: len(bench.done) == 9)
        assert bench.states == {"completed"}
        wait_for(lambda: not threads(), WAIT_S)
        bench.submit(1, gate=tmp_path / "another")
        bench.until(lambda: len(bench.running) == 1)
        assert 1 <= sum(threads().values()) <= 4
        (tmp_path / "another").touch()
        bench.until(lambda: len(bench.done) == 10)
        with pytest.raises(SweepError, match="more than maximum=6"):
            executor.scale(7)
    finally:
        executor.close()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"minimum": 2}, "no maximum"),
        (8, "no maximum"),
        ({"minimum": 4, "maximum": 2}, "minimum <= maximum >= 1 must hold"),
        ({"maximum": 2, "max": 3, "minimum": -1}, "no option 'max'"),
        ({"maximum": True}, "no whole number"),
    ],
)
def test_an_adapt_that_makes_no_sense_is_refused_with_all_that_is_wrong(given: object, said: str) -> None:
    with pytest.raises(Mistakes, match=said) as caught:
        clusters.parse("lab", {"on": "local", "adapt": given})
    assert "write adapt = {minimum=0, maximum=8}" in str(caught.value)
    assert "0 to 8 slots" in clusters.describe(clusters.parse("lab", {"on": "local", "adapt": {"maximum": 8}}))
