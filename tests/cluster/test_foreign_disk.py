"""Trials on hosts that share no disk with the driver: Dask workers that don't see the folder of the sweeps."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cluster.away import Cluster, cluster, missing, wait_until
from cluster.desk import WAIT_S, Bench, sent, start_kernel
from conftest import command_of, end_processes_of, processes_of

from jupyter_sweep.executors.base import Lost, Reported, Started

pytestmark = [pytest.mark.skipif(bool(missing()), reason=missing()), pytest.mark.timeout(600)]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Cluster]:
    with cluster(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def lonely(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One worker, alone on its host, for the tests that do it no harm."""
    with cluster(tmp_path_factory.mktemp("lonely")) as place:
        place.worker("a", "h1")
        made = Bench(place)
        yield made
        made.executor.close()


@pytest.fixture
def bench(lonely: Bench) -> Bench:
    lonely.seen.clear()
    return lonely


# -- a whole sweep ----------------------------------------------------------------------------------------------------


def test_a_sweep_on_two_such_hosts_ends_with_results_logs_and_artifacts_in_the_store(place: Cluster) -> None:
    for name, host in (("a", "h1"), ("b", "h2")):
        place.worker(name, host, HOST_OF_TEST=host)
    handle = start_kernel(place.desk, place.address, n=6, steps=3, pause=0.2)
    try:
        assert handle.wait(WAIT_S)
        assert (handle.state, handle.counts) == ("finished", {"completed": 6}), handle.df
        hosts = set()
        for trial in handle.trials():
            folder = handle.folder.parent / trial.folder
            files = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
            parts = {f"parts/{step}.txt" for step in range(3)}
            assert files == {"params.json", "metrics.json", "log.txt", "checkpoint.joblib", "model.joblib", *parts}
            assert json.loads((folder / "params.json").read_text()) == trial.params
            assert handle.log(trial.number) == f"x is {trial.params['x']} and data has 300000\n"
            model = handle.load("model.joblib", trial=trial.number)
            assert (model["x"], model["told"], model["own"], model["sum"]) == (trial.params["x"], "yes", None, 0.0)
            assert not Path(model["cwd"]).is_relative_to(place.desk)
            hosts.update(model["trail"])
            assert len(handle.curves[handle.curves.number == trial.number]) == 3
        assert hosts == {"h1", "h2"}
        log = "".join(path.read_text() for path in (handle.folder.parent / ".driver").glob("*.log"))
        buffers = [name for name in sent(log) if name.endswith(".bin")]
        assert len(buffers) == 2, log  # one array, two hosts
        assert (handle.folder.parent / ".driver").exists()
        # The end of a trial is told before its folder there is removed.
        wait_until(lambda: not [p for h in ("h1", "h2") for p in place.scratch(h).glob("*/trials/*/*.*") if p.is_dir()])
    finally:
        end_processes_of(place.desk / "sweeps")


def test_a_trial_whose_host_dies_goes_on_from_its_checkpoint_on_another(place: Cluster) -> None:
    workers = {"h1": place.worker("a", "h1", HOST_OF_TEST="h1")}
    handle = start_kernel(place.desk, place.address, n=1, steps=40, pause=0.1)
    try:
        wait_until(lambda: any(handle.folder.glob("*/checkpoint.joblib")))
        workers["h2"] = place.worker("b", "h2", HOST_OF_TEST="h2")
        workers["h1"].send_signal(signal.SIGKILL)
        assert handle.wait(WAIT_S)
        (trial,) = handle.trials()
        assert (handle.state, trial.state, trial.attempt) == ("finished", "completed", 2), handle.df
        assert handle.load("model.joblib")["trail"] == ["h1", "h2"]
        folder = handle.folder.parent / trial.folder
        assert {p.name for p in folder.glob("parts/*")} == {f"{step}.txt" for step in range(40)}
        assert handle.log(0).count("x is") == 2
        second = [r.step for r in handle.reports() if r.attempt == 2]
        assert 0 < second[0] < 40
        assert second == list(range(second[0], 40))
    finally:
        end_processes_of(place.desk / "sweeps")


def test_a_driver_that_is_killed_leaves_nothing_on_its_hosts_and_its_sweep_goes_on(place: Cluster) -> None:
    for name, host in (("a", "h1"), ("b", "h2")):
        place.worker(name, host, HOST_OF_TEST=host)
    handle = start_kernel(place.desk, place.address, n=2, steps=60, pause=0.1)
    home = place.desk / "sweeps"
    try:
        wait_until(lambda: len([*home.rglob("checkpoint.joblib")]) == 2)
        driver = next(p for p in processes_of(home) if "jupyter_sweep.runner.driver" in command_of(p))
        driver.kill()
        wait_until(lambda: not any(place.scratch(host).exists() for host in ("h1", "h2")))
        wait_until(lambda: processes_of(home) == [])
        handle.resume()
        assert handle.wait(WAIT_S)
        assert (handle.state, handle.counts) == ("finished", {"completed": 2}), handle.df
        assert [len(handle.load("model.joblib", trial=n)["trail"]) for n in (0, 1)] == [2, 2]
        assert [handle.log(n).count("x is") for n in (0, 1)] == [2, 2]
    finally:
        end_processes_of(home)


# -- data -------------------------------------------------------------------------------------------------------------

MB = 1 << 20
PSS = """
    import os, time
    total = float(X[:, 0].sum())
    folder = os.environ["SHARED_BY_TEST"]
    X.sum()
    open(f"{folder}/up{os.getpid()}", "w").close()
    while len(os.listdir(folder)) < both:
        time.sleep(0.02)
    pss, inside = 0, False
    for line in open("/proc/self/smaps"):
        if "-" in line.split()[0]:
            inside = ".bin" in line
        elif inside and line.startswith("Pss:"):
            pss += int(line.split()[1])
    time.sleep(1)
    report(loss=1, pss_mb=pss / 1024, total=total)
"""


def test_an_array_is_sent_once_per_host_and_its_workers_share_the_one_copy(
    place: Cluster, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "up").mkdir()
    for name, host in (("a", "h1"), ("b", "h1"), ("c", "h2")):
        place.worker(name, host, SHARED_BY_TEST=str(tmp_path / "up"))
    array = np.random.default_rng(0).random((MB // 8, 100))
    bench = Bench(place)
    try:
        job = bench.folder.write(PSS, values={"X": array, "both": 3})
        ends = [bench.end(task) for task in [bench.submit(job) for _ in range(3)]]
        assert [(end.state, end.error) for end in ends] == [("completed", "")] * 3
        assert {end.metrics["total"] for end in ends} == {float(array[:, 0].sum())}
        host = {event.trial_id: event.worker for event in bench.seen if isinstance(event, Started)}
        pss = {host[end.trial_id].rpartition("/")[2]: end.metrics["pss_mb"] for end in ends}
        assert pss.keys() == {"a", "b", "c"}
        assert max(pss["a"], pss["b"]) < 55
        assert 95 < pss["c"] < 105
        for _ in range(4):
            bench.end(bench.submit(job))
        names = sent(capfd.readouterr().out)
        assert len(names) == 2 * 3, names  # to each host the job's file, what is pickled, and the array
        assert len({*names}) == 3
    finally:
        bench.executor.close()


def test_when_the_worker_that_fetches_dies_another_of_its_host_fetches(
    place: Cluster, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jupyter_sweep.executors.ferry.PIECE", MB)
    workers = [place.worker("a", "h1"), place.worker("b", "h1")]
    bench = Bench(place)
    try:
        job = bench.folder.write("loss = float(X[0])", values={"X": np.full(400 * MB // 8, 7.0)})
        tasks = [bench.submit(job), bench.submit(job)]

        def fetching() -> int:
            """Give the index of the worker that has the file open."""
            for i, worker in enumerate(workers):
                if any(path.endswith(".bin.part") for path in _open_files(worker.pid)):
                    return i
            return -1

        wait_until(lambda: fetching() >= 0)
        workers[fetching()].send_signal(signal.SIGKILL)
        bench.retries_lost = True
        for end in map(bench.end, tasks):
            assert (end.state, end.metrics) == ("completed", {"loss": 7.0})
        assert len([name for name in sent(capfd.readouterr().out) if name.endswith(".bin")]) == 1
    finally:
        bench.executor.close()


def _open_files(pid: int) -> list[str]:
    try:
        return [os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/fd")]
    except FileNotFoundError:
        return []


def test_data_that_does_not_fit_loses_the_trial_and_says_why_and_what_to_do(place: Cluster) -> None:
    place.worker("a", "h1", space="90m")
    bench = Bench(place)
    try:
        small = bench.folder.write("loss = float(X[0])", values={"X": np.ones(20 * MB // 8)})
        assert bench.end(bench.submit(small)).state == "completed"
        other, _ = bench.run("loss = float(X[0])", values={"X": np.zeros(20 * MB // 8)})
        assert (other.state, other.metrics) == ("completed", {"loss": 0.0})  # the first made room for it
        end, _ = bench.run("loss = 1", values={"X": np.ones(50 * MB // 8)})
        assert isinstance(end, Lost)
        assert "could not get what the trial needs: 50 MB do not fit into" in end.why
        assert "JUPYTER_SWEEP_SCRATCH" in end.why
    finally:
        bench.executor.close()


def test_a_worker_that_sees_the_store_uses_it_as_it_is(place: Cluster, capfd: pytest.CaptureFixture[str]) -> None:
    place.worker("a", "h1", away=False)
    bench = Bench(place)
    try:
        end, folder = bench.run("import os\nprint(os.getcwd())\nloss = float(X[0])", values={"X": np.ones(MB)})
        assert end.metrics == {"loss": 1.0}
        assert (folder / "log.txt").read_text() == f"{place.desk}\n"
        assert not place.scratch("h1").exists()
        assert sent(capfd.readouterr().out) == []
    finally:
        bench.executor.close()
    assert list((place.desk / "sweeps").glob("disk-*")) == []


# -- the way back -----------------------------------------------------------------------------------------------------


def test_a_log_is_followed_while_its_trial_runs(bench: Bench) -> None:
    task = bench.submit(bench.folder.write("import time\nprint('begun')\nwhile True: time.sleep(0.01)"))
    log = Path(task.payload["folder"], "log.txt")
    bench.started(task)
    wait_until(lambda: log.exists() and log.read_text() == "begun\n")
    bench.executor.stop(task.trial_id, "cancelled")
    assert bench.end(task).state == "cancelled"


def test_a_long_log_comes_whole_and_one_beyond_its_limit_without_its_middle(bench: Bench) -> None:
    text = "".join(f"{i:09}\n" for i in range(300_000))
    lines = "for k in range(0, {}, 10_000): print('\\n'.join(f'{{i:09}}' for i in range(k, k + 10_000)))\nloss = 1"
    end, folder = bench.run(lines.format(300_000))
    assert end.state == "completed"
    assert (folder / "log.txt").read_text() == text
    end, folder = bench.run(lines.format(4_000_000))
    found = (folder / "log.txt").read_text()
    assert found.startswith(text)
    assert found.endswith("003999999\n")
    assert "bytes are left out here" in found
    assert len(found) < 21 * MB


def test_the_log_of_a_second_attempt_follows_that_of_the_first(bench: Bench) -> None:
    task = bench.submit(bench.folder.write("print('again')\nloss = 1"))
    bench.end(task)
    bench.seen.clear()
    bench.executor.submit([task])
    bench.end(task)
    assert Path(task.payload["folder"], "log.txt").read_text() == "again\nagain\n"


ENDS = {
    "raises": ("raise ValueError('no')", {}, ("failed", "error")),
    "leaves": ("os._exit(3)", {}, ("failed", "crash")),
    "is killed": ("os.kill(os.getpid(), 9)", {}, ("failed", "crash")),
    "hangs": ("while True: pass", {"timeout_s": 6.0}, ("failed", "timeout")),
}


@pytest.mark.parametrize("how", ENDS)
def test_log_and_artifacts_of_a_trial_come_home_however_it_ends(how: str, bench: Bench) -> None:
    source, changes, end = ENDS[how]
    begin = "import os\nprint('seen')\ntrial().save('part.joblib', 1)\ntrial().checkpoint(2)\n"
    task = bench.submit(bench.folder.write(begin + source), **changes)
    found = bench.end(task)
    assert (found.state, found.reason) == end, found
    folder = Path(task.payload["folder"])
    assert {p.name for p in folder.iterdir()} == {"log.txt", "part.joblib", "checkpoint.joblib"}
    assert (folder / "log.txt").read_text().startswith("seen\n")


@pytest.mark.parametrize("why", ["pruned", "cancelled"])
def test_a_trial_that_is_stopped_brings_its_files_home(why: str, bench: Bench) -> None:
    source = "import time\ntrial().save('part.joblib', 1)\nprint('saved')\nwhile True: time.sleep(0.01)"
    task = bench.submit(bench.folder.write(source))
    folder = Path(task.payload["folder"])
    wait_until(lambda: bool(bench.started(task)) and (folder / "log.txt").exists())
    assert not (folder / "part.joblib").exists()
    bench.executor.stop(task.trial_id, why)
    assert bench.end(task).state == why
    assert (folder / "part.joblib").exists()


def test_large_artifacts_are_there_before_the_end_is_told(bench: Bench) -> None:
    source = """
        import numpy as np
        for i in range(3):
            trial().save(f"deep/er/{i}.joblib", np.full(2_500_000, i))
        trial().save("empty", None)
        loss = 1
    """
    task = bench.submit(bench.folder.write(source))
    folder = Path(task.payload["folder"])
    assert bench.end(task).state == "completed"
    import joblib

    assert [joblib.load(folder / f"deep/er/{i}.joblib").sum() for i in range(3)] == [0, 2_500_000, 5_000_000]
    assert [p for p in folder.rglob("*") if p.name.endswith((".part", ".tmp"))] == []
    assert [oct(p.stat().st_mode & 0o777) for p in folder.rglob("*.joblib")] == ["0o600"] * 3


def test_an_artifact_that_can_not_be_stored_fails_its_trial(bench: Bench) -> None:
    task = bench.submit(bench.folder.write("import time\ntrial().save('deep/m', 1)\ntime.sleep(1)\nloss = 1"))
    bench.started(task)
    Path(task.payload["folder"], "deep").write_text("in the way")
    end = bench.end(task)
    assert (end.state, end.reason) == ("failed", "error")
    assert end.error.startswith("deep/m: [Errno 20] Not a directory")


def test_a_name_that_leads_out_of_the_trials_folder_is_refused(bench: Bench) -> None:
    task = bench.submit(bench.folder.write("import time\nwhile True: time.sleep(0.01)"))
    bench.started(task)
    topic = bench.executor._topic
    names = ["../out", "/tmp/out-of-sweeps", "a/../../out", "params.json", "log.txt", "", "link/out"]
    os.symlink("/tmp", Path(task.payload["folder"], "link"))

    def forge(name: str, names: list[str], dask_worker: Any = None) -> Any:
        """Have a worker offer what no honest one does."""

        outpost = dask_worker.plugins[name].pool._outpost
        (visit,) = outpost._visits
        parcels = sys.modules[type(outpost.parcels).__module__]
        offer = parcels.Offer([parcels.Offered(name, "/etc/hostname") for name in names])
        outpost.parcels.add(offer)
        visit._homeward._tell_offer(offer)
        return offer.id

    def problems(name: str, offer: str, dask_worker: Any = None) -> Any:
        found = dask_worker.plugins[name].pool.parcels._open[offer]
        return dict(found.problems) if found.over.is_set() else None

    client = bench.executor._client
    (offer,) = client.run(forge, topic, names).values()
    wait_until(lambda: None not in client.run(problems, topic, offer).values())
    (found,) = client.run(problems, topic, offer).values()
    assert found.keys() == {*names}
    assert "no name inside the trial's folder; refused" in found["../out"]
    assert "only the driver writes; refused" in found["params.json"]
    assert not list(bench.folder.home.rglob("out"))
    assert not Path("/tmp/out-of-sweeps").exists()
    assert not Path("/tmp/out").exists()
    bench.executor.stop(task.trial_id, "cancelled")
    assert bench.end(task).state == "cancelled"


def test_a_worker_gets_no_other_file_than_its_trial_names(bench: Bench) -> None:
    secret = bench.folder.data / "secret"
    secret.write_text("of another sweep")
    task = bench.submit(bench.folder.write("import time\nwhile True: time.sleep(0.01)"))
    bench.started(task)

    def ask(name: str, wanted: str, dask_worker: Any = None) -> Any:

        outpost = dask_worker.plugins[name].pool._outpost
        (visit,) = outpost._visits
        parcels = sys.modules[type(outpost.parcels).__module__]
        want = parcels.Want(f"/tmp/stolen-by-test-{__import__('os').getpid()}", lambda n: None)
        outpost.parcels.add(want)
        outpost._line.tell(visit._given, "want", want=want.id, name=wanted)
        return want.id

    def answer(name: str, want: str, dask_worker: Any = None) -> Any:
        found = dask_worker.plugins[name].pool.parcels._open[want]
        return found.problem if found.over.is_set() else None

    client, topic = bench.executor._client, bench.executor._topic
    for wanted in ("secret", "../launch.json", str(secret), "../../../../etc/passwd"):
        (want,) = client.run(ask, topic, wanted).values()
        wait_until(lambda want=want: None not in client.run(answer, topic, want).values())
        (why,) = client.run(answer, topic, want).values()
        assert "the trial does not need a file" in why
    bench.executor.stop(task.trial_id, "cancelled")
    bench.end(task)


def test_reports_and_ends_come_in_order_also_with_files_on_their_way(bench: Bench) -> None:
    source = """
        for i in range(50):
            report(i, loss=i)
            trial().checkpoint([0.0] * 100_000)
        print("x" * 500_000)
    """
    end, folder = bench.run(source)
    assert isinstance(bench.seen[0], Started)
    assert [event.step for event in bench.seen[1:-1] if isinstance(event, Reported)] == list(range(50))
    assert bench.seen[-1] is end
    assert end.state == "completed"
    assert (folder / "log.txt").stat().st_size == 500_001
    assert (folder / "checkpoint.joblib").exists()


def test_a_trial_whose_worker_dies_before_its_files_are_home_is_lost(
    place: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jupyter_sweep.executors.ferry.PIECE", 64 << 10)
    worker = place.worker("a", "h1")
    bench = Bench(place)
    try:
        job = bench.folder.write("trial().save('big', bytes(200_000_000))\nloss = 1")
        task = bench.submit(job)
        folder = Path(task.payload["folder"])
        wait_until(lambda: any(p.stat().st_size for p in folder.glob(".*.part")))
        worker.send_signal(signal.SIGKILL)
        assert isinstance(bench.end(task), Lost)
        wait_until(lambda: list(folder.glob(".*.part")) == [])
        assert not (folder / "big").exists()
    finally:
        bench.executor.close()


def test_nothing_is_left_on_a_host_whose_workers_live_on(place: Cluster) -> None:
    place.worker("a", "h1")
    place.worker("b", "h1")
    bench = Bench(place)
    job = bench.folder.write("trial().save('m', 1)\ntrial().stage(len, ([],))\nopen('out', 'w').close()\nloss = 1")
    for task in [bench.submit(job) for _ in range(4)]:
        assert bench.end(task).state == "completed"
    scratch = place.scratch("h1")
    (store,) = [p for p in scratch.iterdir() if p.is_dir()]
    assert {p.name for p in store.iterdir()} == {"data", "stages", "work", "trials"}
    assert [oct(p.stat().st_mode & 0o777) for p in (scratch, store)] == ["0o700"] * 2
    bench.executor.close()
    wait_until(lambda: not scratch.exists())


def test_nothing_is_left_on_a_host_whose_workers_were_killed(place: Cluster) -> None:
    workers = [place.worker("a", "h1"), place.worker("b", "h1")]
    bench = Bench(place)
    try:
        job = bench.folder.write("import time\nwhile True: time.sleep(0.01)")
        for task in (bench.submit(job), bench.submit(job)):
            bench.started(task)
        assert place.scratch("h1").exists()
        for worker in workers:
            worker.send_signal(signal.SIGKILL)
        wait_until(lambda: not place.scratch("h1").exists())
    finally:
        bench.executor.close()
