"""The law of an executor, held against each of them: inline, threads, local."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import psutil
import pytest
from conftest import command_of
from jobfiles import JobFolder

from jupyter_sweep.errors import SweepError
from jupyter_sweep.executors import clusters
from jupyter_sweep.executors.base import Event, Executor, Finished, Lost, Reported, Started, Task
from jupyter_sweep.executors.dask import DaskExecutor
from jupyter_sweep.executors.inline import Inline

WAIT_S = 90
ENDLESS = """
import time
for i in range(10**9):
    time.sleep(0.01)
    report(i, loss=i)
"""
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
mark()
while True: time.sleep(0.01)
"""


class Bench:
    """An executor and the jobs that it runs."""

    def __init__(self, executor: Executor, folder: JobFolder) -> None:
        self.executor, self.folder = executor, folder

    def task(self, body: str, **changes: Any) -> Task:
        payload = self.folder.task(self.folder.write(body), **changes)
        del payload["ticket"]
        return Task(payload["trial_id"], payload)

    def submit(self, *bodies: str) -> list[int]:
        """Submit one batch; give the trials' ids."""
        batch = [self.task(body) for body in bodies]
        self.executor.submit(batch)
        return [task.trial_id for task in batch]

    def until(self, done: Callable[[list[Event]], bool]) -> list[Event]:
        """Collect events until `done` holds of them."""
        events: list[Event] = []
        limit = time.monotonic() + WAIT_S
        while not done(events):
            assert time.monotonic() < limit, events
            events += self.executor.events(0.05)
        return events

    def ends(self, trial_ids: list[int]) -> dict[int, Any]:
        """Wait for the end of trials; give their last events."""
        events = self.until(lambda found: len(ends_of(found)) == len(trial_ids))
        found = {event.trial_id: event for event in ends_of(events)}
        assert found.keys() == set(trial_ids)
        return found

    def run(self, body: str) -> list[Event]:
        """Run one trial; give all its events."""
        (trial_id,) = self.submit(body)
        return self.until(lambda found: any(event.trial_id == trial_id for event in ends_of(found)))


def ends_of(events: list[Event]) -> list[Event]:
    return [event for event in events if isinstance(event, Finished | Lost)]


def make(kind: str) -> Executor:
    return Inline() if kind == "inline" else DaskExecutor(kind, slots=2)


@pytest.fixture(scope="module", params=["inline", "threads", "local"])
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    executor = make(request.param)
    yield Bench(executor, JobFolder(tmp_path_factory.mktemp(request.param) / "sweeps"))
    executor.close()


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Processes that tests may kill."""
    executor = DaskExecutor("local", slots=2)
    yield Bench(executor, JobFolder(tmp_path_factory.mktemp("killed") / "sweeps"))
    executor.close()


# -- one trial --------------------------------------------------------------------------------------------------------


def test_a_result_comes_after_its_start(bench: Bench) -> None:
    before = time.time()
    started, finished = bench.run("loss = 3\nprint('seen')")
    assert isinstance(started, Started)
    assert isinstance(finished, Finished)
    assert (finished.state, finished.reason, finished.metrics, finished.numbers) == (
        "completed",
        "",
        {"loss": 3.0},
        None,
    )
    assert started.worker.partition("/")[0] == bench.executor.name
    assert before <= started.at <= finished.at <= time.time()
    assert (bench.folder.home / f"{finished.trial_id:04d}" / "log.txt").read_text() == "seen\n"


def test_an_exception_is_told_with_its_traceback(bench: Bench) -> None:
    finished = bench.run("def f():\n    raise ValueError('why')\nf()")[-1]
    assert isinstance(finished, Finished)
    assert (finished.state, finished.reason, finished.error) == ("failed", "error", "ValueError: why")
    assert [line for line in finished.traceback.splitlines() if "File" in line] == [
        '  File "<sweep digits>", line 4, in <module>',
        '  File "<sweep digits>", line 3, in f',
    ]


def test_reports_come_in_order_between_start_and_end(bench: Bench) -> None:
    events = bench.run("for i in range(200): report(i, loss=i / 2)")
    assert isinstance(events[0], Started)
    reports = [(event.step, event.metrics["loss"]) for event in events[1:-1] if isinstance(event, Reported)]
    assert reports == [(i, i / 2) for i in range(200)]


def test_a_target_without_a_value_comes_with_the_numbers_seen(bench: Bench) -> None:
    finished = bench.run("accuracy = 0.5")[-1]
    assert isinstance(finished, Finished)
    assert (finished.state, finished.numbers) == ("failed", ("accuracy",))


def test_the_trials_of_a_batch_run_one_after_another(bench: Bench) -> None:
    ids = bench.submit(*[f"import time\nloss = {i}\nbegun = time.time()" for i in range(5)])
    events = bench.until(lambda found: len(ends_of(found)) == 5)
    assert [event.trial_id for event in ends_of(events)] == ids
    assert [event.metrics["loss"] for event in ends_of(events) if isinstance(event, Finished)] == [
        0.0,
        1.0,
        2.0,
        3.0,
        4.0,
    ]
    at = [event.at for event in events]
    assert at == sorted(at)


def test_many_batches_end_completely_each_trial_once(bench: Bench) -> None:
    ids = [trial_id for _ in range(8) for trial_id in bench.submit(*["loss = 1"] * 5)]
    assert {end.state for end in bench.ends(ids).values()} == {"completed"}
    assert bench.executor.events(0) == []


def test_a_trial_can_be_submitted_again_after_its_end(bench: Bench) -> None:
    task = bench.task("n = trial().checkpoint() or 0\ntrial().checkpoint(n + 1)\nloss = n")
    values = []
    for _ in range(2):
        bench.executor.submit([task])
        values.append(bench.ends([task.trial_id])[task.trial_id].metrics["loss"])
    assert values == [0.0, 1.0]


def test_asking_for_events_that_do_not_come_ends_in_time(bench: Bench) -> None:
    assert bench.executor.events(0.05) == []
    assert bench.executor.events(0) == []


def test_asking_for_events_ends_in_time_though_a_signal_comes_and_takes_long(local: Bench) -> None:
    before = signal.signal(signal.SIGUSR1, lambda *_: time.sleep(0.5))
    main = threading.main_thread().ident
    assert main is not None
    timer = threading.Timer(0.1, signal.pthread_kill, (main, signal.SIGUSR1))
    timer.start()
    try:
        assert local.executor.events(0.3) == []
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)


def test_stopping_what_is_over_or_was_never_there_is_no_mistake(bench: Bench) -> None:
    (trial_id,) = bench.submit("loss = 1")
    bench.ends([trial_id])
    bench.executor.stop(trial_id, "cancelled")
    bench.executor.stop(10**9, "cancelled")
    assert bench.run("loss = 1")[-1].state == "completed"  # type: ignore[union-attr]


# -- stop -------------------------------------------------------------------------------------------------------------


def test_a_running_trial_is_stopped_and_keeps_what_it_reported(bench: Bench) -> None:
    if isinstance(bench.executor, Inline):
        (trial_id,) = stopped_by_its_listener(bench.executor, bench)
        events = bench.until(lambda found: bool(ends_of(found)))
    else:
        (trial_id,) = bench.submit(ENDLESS)
        bench.until(lambda found: any(isinstance(event, Reported) for event in found))
        bench.executor.stop(trial_id, "pruned")
        events = bench.until(lambda found: bool(ends_of(found)))
    (end,) = ends_of(events)
    assert isinstance(end, Finished)
    assert (end.trial_id, end.state, end.reason, "loss" in end.metrics) == (trial_id, "pruned", "", True)


def stopped_by_its_listener(executor: Inline, bench: Bench) -> list[int]:
    def listen(event: Event) -> None:
        if isinstance(event, Reported) and event.step == 3:
            executor.stop(event.trial_id, "pruned")

    executor.listener = listen
    try:
        return bench.submit(ENDLESS)
    finally:
        executor.listener = None


@pytest.mark.parametrize("kind", ["threads", "local"])
def test_a_queued_trial_is_stopped_at_once_and_never_runs(kind: str, tmp_path: Path) -> None:
    executor = DaskExecutor(kind, slots=1)
    bench = Bench(executor, JobFolder(tmp_path / "sweeps"))
    try:
        running, behind = bench.submit(ENDLESS, "open('ran', 'w')\nloss = 1")
        (queued,) = bench.submit("open('ran', 'w')\nloss = 1")
        bench.until(lambda found: any(isinstance(event, Reported) for event in found))
        for trial_id in (behind, queued):
            executor.stop(trial_id, "cancelled")
        events = bench.until(lambda found: len(ends_of(found)) == 2)
        assert [(end.trial_id, end.state) for end in ends_of(events) if isinstance(end, Finished)] == [
            (behind, "cancelled"),
            (queued, "cancelled"),
        ]
        executor.stop(running, "pruned")
        assert bench.ends([running])[running].state == "pruned"
        assert bench.run("loss = 2")[-1].metrics == {"loss": 2.0}  # type: ignore[union-attr]
        assert not (bench.folder.home / "ran").exists()
    finally:
        executor.close()


def test_a_disowned_trial_ends_without_a_word_and_may_be_submitted_again(local: Bench, tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    task = local.task(
        f"import time\nfor i in range(10**9):\n    open({str(alive)!r}, 'w').close()\n    time.sleep(0.01)"
    )
    local.executor.submit([task])
    local.until(lambda found: any(isinstance(event, Started) for event in found))
    local.executor.disown([task.trial_id])
    again = local.task("import time\ntime.sleep(3)\nloss = 7").payload  # longer than the other one may take to end
    local.executor.submit([Task(task.trial_id, {**again, "trial_id": task.trial_id})])
    events = local.until(lambda found: bool(ends_of(found)))
    assert [type(event) for event in events] == [Started, Finished]
    assert events[-1].metrics == {"loss": 7.0}  # type: ignore[union-attr]
    alive.unlink()
    time.sleep(0.2)
    assert not alive.exists()


def test_a_stop_does_not_wait_for_the_trial(local: Bench) -> None:
    (trial_id,) = local.submit(DEAF)
    wait_until((local.folder.home / "mark").exists)
    begun = time.monotonic()
    local.executor.stop(trial_id, "cancelled")
    returned = time.monotonic() - begun
    assert local.ends([trial_id])[trial_id].state == "cancelled"
    assert returned < time.monotonic() - begun


# -- lost -------------------------------------------------------------------------------------------------------------


def process_of(bench: Bench, worker: str) -> psutil.Process:
    return psutil.Process(next(row["pid"] for row in bench.executor.workers() if row["worker"] == worker))


def test_a_killed_worker_loses_its_trials_and_comes_back(local: Bench) -> None:
    running, behind = local.submit(ENDLESS, "loss = 1")
    (beside,) = local.submit(ENDLESS)
    events = local.until(lambda found: {e.trial_id for e in found if isinstance(e, Started)} == {running, beside})
    start = next(e for e in events if isinstance(e, Started) and e.trial_id == running)
    process_of(local, start.worker).kill()
    ends = local.ends([running, behind, beside])
    assert [type(ends[i]) for i in (running, behind, beside)] == [Lost, Lost, Lost]
    assert ends[running].why == "the worker process died"
    wait_until(lambda: not psutil.pid_exists(start.pid))
    ids = [local.submit("import time\ntime.sleep(0.3)\nloss = 1")[0] for _ in range(4)]
    assert {end.state for end in local.ends(ids).values()} == {"completed"}
    wait_until(lambda: len(workers_running(local)) == 1)


def test_a_worker_that_is_killed_while_nothing_runs_comes_back_and_is_listed(local: Bench) -> None:
    wait_until(lambda: len(workers_running(local)) == 1)
    (before,) = workers_running(local)
    psutil.Process(before).kill()
    wait_until(lambda: len(workers_running(local) - {before}) == 1)
    assert {row["state"] for row in local.executor.workers()} == {"idle"}


def workers_running(bench: Bench) -> set[int]:
    return {row["pid"] for row in bench.executor.workers() if psutil.pid_exists(row["pid"])}


def wait_until(holds: Callable[[], bool]) -> None:
    limit = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_a_trial_that_kills_itself_costs_no_worker(local: Bench) -> None:
    before = workers_running(local)
    finished = local.run("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")[-1]
    assert isinstance(finished, Finished)
    assert (finished.state, finished.reason) == ("failed", "crash")
    assert workers_running(local) == before


# -- the end ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["inline", "threads", "local"])
def test_after_close_nothing_is_left_and_closing_again_does_no_harm(kind: str, tmp_path: Path) -> None:
    before = {process.pid for process in psutil.Process().children()}
    threads, environment = threading.active_count(), dict(os.environ)
    executor = make(kind)
    bench = Bench(executor, JobFolder(tmp_path / "sweeps"))
    bench.folder.write_launch(BENCH=str(tmp_path))
    if kind != "inline":
        bench.submit("import subprocess\nsubprocess.Popen(['sleep', '600'], start_new_session=True)\n" + ENDLESS)
        bench.submit(DEAF)
        bench.submit("loss = 1")
        bench.until(lambda found: any(isinstance(event, Reported) for event in found))
    executor.close()
    executor.close()
    children = {p: command_of(p) for p in psutil.Process().children() if p.pid not in before}
    started = [p for p, command in children.items() if command and "resource_tracker" not in command]
    assert started + [p for p in psutil.process_iter() if environment_of(p).get("BENCH") == str(tmp_path)] == []
    assert dict(os.environ) == environment
    wait_until(lambda: threading.active_count() <= threads + 3)  # Dask keeps a pool of threads of its own


def environment_of(process: psutil.Process) -> dict[str, str]:
    try:
        return dict(process.environ())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return {}


DRIVER = """
import sys, time
sys.path[:0] = {path!r}
from pathlib import Path

if __name__ == "__main__":
    from jobfiles import JobFolder
    from jupyter_sweep.executors.base import Task
    from jupyter_sweep.executors.dask import DaskExecutor
    executor = DaskExecutor({kind!r}, slots=2)
    folder = JobFolder(Path({home!r}))
    for _ in range(2):
        body = "import os, subprocess, time\\np = subprocess.Popen(['sleep', '600'])\\n"
        body += "open(f'up{{os.getpid()}}', 'w').write(f'{{os.getpid()}} {{os.getppid()}} {{p.pid}}')\\ntime.sleep(600)"
        task = folder.task(folder.write(body))
        executor.submit([Task(task["trial_id"], task)])
    print("submitted", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("kind", ["threads", "local"])
def test_nothing_outlives_a_driver_that_is_killed(kind: str, tmp_path: Path) -> None:
    home = tmp_path / "sweeps"
    script = tmp_path / "driver.py"
    script.write_text(DRIVER.format(path=[p for p in sys.path if p], kind=kind, home=str(home)))
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as driver:
        wait_until(lambda: len([p for p in home.glob("up*") if p.read_text()]) == 2 if home.exists() else False)
        processes = psutil.Process(driver.pid).children(recursive=True)
        assert len(processes) >= 6
        driver.send_signal(signal.SIGKILL)
        _, alive = psutil.wait_procs(processes, timeout=WAIT_S)
        assert alive == []


# -- Dask -------------------------------------------------------------------------------------------------------------


def test_nobody_else_can_reach_the_cluster(local: Bench) -> None:
    listening = [
        connection.laddr.ip
        for process in [psutil.Process(), *psutil.Process().children(recursive=True)]
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert set(listening) == {"127.0.0.1"}


def test_slots_can_be_added(tmp_path: Path) -> None:
    executor = DaskExecutor("threads", slots=1)
    bench = Bench(executor, JobFolder(tmp_path / "sweeps"))
    try:
        executor.scale(3)
        body = """
            import os, time
            open(f"here{os.getpid()}", "w")
            while sum(name.startswith("here") for name in os.listdir()) < 3:
                time.sleep(0.01)
            loss = 1
        """
        for _ in range(3):
            bench.submit(body)
        states: list[str] = []
        while len(states) < 3:
            for end in ends_of(bench.until(lambda found: bool(ends_of(found)))):
                assert isinstance(end, Finished)
                if end.state == "cancelled":  # it had not begun when another slot was there
                    bench.submit(body)
                else:
                    states.append(end.state)
        assert states == ["completed"] * 3
        assert executor.slots == 3
    finally:
        executor.close()


def test_workers_that_went_for_good_are_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jupyter_sweep.executors.dask._HEAL_AFTER_S", 0.2)
    executor = DaskExecutor("threads", slots=2)
    try:
        cluster = executor._backend._cluster  # type: ignore[attr-defined]
        cluster.scale(0)
        wait_until(lambda: len(cluster.scheduler.workers) == 0)
        wait_until(lambda: len(cluster.scheduler.workers) == 1)
    finally:
        executor.close()


BARE_CLUSTER = """
import sys
sys.modules["jupyter_sweep"] = None  # an import of it fails
from distributed import LocalCluster

if __name__ == "__main__":
    with LocalCluster(n_workers=1, threads_per_worker=2, processes=False, protocol="tcp://", host="127.0.0.1",
                      dashboard_address=None, memory_limit=0) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


def test_a_cluster_of_somebody_else_needs_nothing_of_ours(tmp_path: Path) -> None:
    script = tmp_path / "cluster.py"
    script.write_text(BARE_CLUSTER)
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=tmp_path,
    ) as cluster:
        assert cluster.stdout is not None
        executor = DaskExecutor(cluster.stdout.readline().strip())
        bench = Bench(executor, JobFolder(tmp_path / "sweeps"))
        try:
            assert executor.slots == 2
            ids = [bench.submit("report(loss=1)")[0] for _ in range(3)]
            assert {end.state for end in bench.ends(ids).values()} == {"completed"}
            children = [p for p in psutil.Process(cluster.pid).children(recursive=True) if "marshal" in command_of(p)]
            assert children
            with pytest.raises(SweepError, match="only who runs it"):
                executor.scale(4)
        finally:
            executor.close()
        _, alive = psutil.wait_procs(children, timeout=WAIT_S)
        assert alive == []
        assert cluster.poll() is None
        cluster.communicate("")


def test_it_works_without_the_package_that_draws_the_dashboard(tmp_path: Path) -> None:
    code = f"""
import sys
sys.path[:0] = {[p for p in sys.path if p]!r}
sys.modules["bokeh"] = None  # an import of it fails
from jupyter_sweep.executors.dask import DaskExecutor
executor = DaskExecutor("threads", slots=1)
print(executor.slots, executor.dashboard)
executor.close()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("1 None\n", "")


# -- inline -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def inline(tmp_path: Path) -> Bench:
    return Bench(Inline(), JobFolder(tmp_path / "sweeps"))


def test_inline_prints_go_to_the_cell_and_to_the_log(inline: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    finished = inline.run("import os\nprint(os.getpid())\nloss = 1")[-1]
    assert capsys.readouterr().out == f"{os.getpid()}\n"
    assert (inline.folder.home / f"{finished.trial_id:04d}" / "log.txt").read_text() == f"{os.getpid()}\n"


def state_of_this_process() -> list[Any]:
    import random

    import numpy as np

    generators = [random.getstate(), repr(np.random.get_state())]
    return [*generators, os.getcwd(), dict(os.environ), list(sys.path), sys.stdout, sys.modules["__main__"]]


def test_inline_leaves_this_process_as_it_was(inline: Bench) -> None:
    before = state_of_this_process()
    body = """
        import os, sys, random, numpy as np
        os.chdir("/")
        os.environ["LEAK"] = "1"
        sys.path.append("x")
        loss = random.random() + np.random.rand()
    """
    inline.run(body)
    assert state_of_this_process() == before
    assert "_sweep_trial" not in sys.modules


def test_inline_saves_objects_of_classes_that_the_body_made(inline: Bench) -> None:
    finished = inline.run("class Own: x = 4\ntrial().save('own', Own())\nloss = 1")[-1]
    path = inline.folder.home / f"{finished.trial_id:04d}" / "own"
    assert joblib.load(path).x == 4


def test_inline_seeds_as_the_others_do(inline: Bench, local: Bench) -> None:
    body = "import random, numpy as np\nloss = random.random() + np.random.rand()"
    assert inline.run(body)[-1].metrics == local.run(body)[-1].metrics  # type: ignore[union-attr]


def test_inline_tells_its_listener_while_the_body_waits_and_true_stops_it(inline: Bench) -> None:
    heard: list[Event] = []

    def listen(event: Event) -> bool:
        heard.append(event)
        return isinstance(event, Reported) and event.step == 2

    inline.executor.listener = listen  # type: ignore[attr-defined]
    inline.submit(ENDLESS)
    assert [type(event) for event in heard] == [Started, Reported, Reported, Reported]
    (end,) = inline.executor.events(0)
    assert isinstance(end, Finished)
    assert (end.state, end.metrics) == ("pruned", {"loss": 2.0})


def test_an_interrupt_of_an_inline_trial_comes_out_and_cancels_its_batch(inline: Bench) -> None:
    batch = [inline.task(body) for body in ("loss = 1", "raise KeyboardInterrupt", "loss = 1")]
    with pytest.raises(KeyboardInterrupt):
        inline.executor.submit(batch)
    ends = ends_of(inline.executor.events(0))
    assert [end.state for end in ends if isinstance(end, Finished)] == ["completed", "cancelled", "cancelled"]


@pytest.mark.parametrize("limit", [{"timeout_s": 3}, {"memory_gb": 1}])
def test_inline_refuses_limits_that_it_can_not_keep(inline: Bench, limit: dict[str, float]) -> None:
    with pytest.raises(SweepError, match="can't be kept with --on inline"):
        inline.executor.submit([inline.task("loss = 1", **limit)])
    with pytest.raises(SweepError, match="--jobs 2"):
        Inline(slots=2)


def test_an_exception_of_an_inline_trial_is_left_for_the_debugger(inline: Bench) -> None:
    inline.run("seen = 5\n1 / 0")
    traceback = sys.last_traceback
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    assert traceback is not None
    assert traceback.tb_frame.f_globals["seen"] == 5
    del sys.last_type, sys.last_value, sys.last_traceback


# -- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["local", "threads", "inline", "tcp://10.0.0.1:8786"])
def test_words_are_read_and_described(word: str) -> None:
    assert str(clusters.parse(word)) == word
    assert clusters.describe(clusters.parse(word))


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("lokal", "Did you mean 'local'?"),
        ("local:4", "--jobs gives the number"),
        ("tcp://nowhere", "can't be read"),
    ],
)
def test_other_words_are_refused_with_the_way_out(word: str, told: str) -> None:
    with pytest.raises(SweepError) as caught:
        clusters.parse(word)
    assert told in str(caught.value)


def test_a_scheduler_that_does_not_answer_is_said_with_what_to_do() -> None:
    with pytest.raises(SweepError, match=r"nobody answers there.*Start a scheduler with `dask scheduler`"):
        DaskExecutor("tcp://127.0.0.1:1")
