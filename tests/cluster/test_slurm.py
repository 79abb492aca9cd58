"""Sweeps on a real Slurm of one node (see `slurm.py`): jobs that come, are cancelled, run out of time, and go."""

from __future__ import annotations

import json
import os
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import distributed
import psutil
import pytest
from cluster import slurm
from cluster.slurm import Slurm
from conftest import command_of, end_processes_of, processes_of
from jobfiles import JobFolder
from waiting import wait_for

from jupyter_sweep import Float, Int, Space, SweepError, checkpoint, report, run
from jupyter_sweep.executors.base import Event, Finished, Lost, Started, Task
from jupyter_sweep.executors.dask import DaskExecutor
from jupyter_sweep.executors.doubts import DIED
from jupyter_sweep.handle import Handle
from jupyter_sweep.magics import workers
from jupyter_sweep.runner import elastic
from jupyter_sweep.store.sqlite import Store

pytestmark = [
    pytest.mark.skipif(bool(slurm.missing()), reason=slurm.missing()),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

SPACE = Space(x=Float(0, 1), k=Int(1, 9))
#: Loopback only, as everything of this Slurm.
HERE = "slurm:interface=lo,walltime=10m"
LIMIT_S = 180.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    with slurm.running(tmp_path_factory.mktemp("slurm") / "one") as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(running.conf))
        yield running


@pytest.fixture
def queue(cluster: Slurm, home: Path) -> Iterator[Slurm]:
    """The Slurm, without a job before and after the test."""
    yield cluster
    end_processes_of(home)
    cluster.wait_for_no_jobs()


def slow_bowl(x: float, k: int) -> float:
    for step in range(4):
        time.sleep(0.1)
        report(loss=(x - 0.3) ** 2 + k / 100 + 1 / (step + 1), step=step)
    return (x - 0.3) ** 2 + k / 100


def account(handle: Handle, n: int) -> None:
    """Hold what the store has against what was asked: each trial once, with its numbers in its folder."""
    trials = handle.trials()
    assert handle.state == "finished", handle.definition.message
    assert [(t.number, t.state.value) for t in trials] == [(i, "completed") for i in range(n)]
    assert len({json.dumps(t.params, sort_keys=True) for t in trials}) == n
    for trial in trials:
        folder = handle.folder.parent / trial.folder
        assert json.loads((folder / "metrics.json").read_text()) == trial.metrics
        assert json.loads((folder / "params.json").read_text()) == trial.params


def running_on(handle: Handle) -> set[str]:
    return {t.worker for t in handle.trials() if t.state.value == "running" and t.worker}


# -- through the door that users come in by ---------------------------------------------------------------------------


def test_a_sweep_runs_in_jobs_and_leaves_none_behind(queue: Slurm, home: Path) -> None:
    handle = run(slow_bowl, SPACE, name="s", min="loss", n=20, algo="random", jobs=2, on=HERE, bg=True)
    wait_for(lambda: len(running_on(handle)) == 2, LIMIT_S)
    assert len(queue.running()) == 2
    wait_for(lambda: handle.ended, LIMIT_S)
    account(handle, 20)
    host = os.uname().nodename
    assert {t.worker for t in handle.trials()} == {f"{host}/0", f"{host}/1"}
    wait_for(lambda: not processes_of(home), LIMIT_S)
    wait_for(lambda: queue.jobs() == {}, LIMIT_S)  # Slurm itself takes a moment to clear up
    assert [p.name for p in (home / ".driver").iterdir() if p.is_dir()] == ["job-logs"]


def held_up(x: float, k: int) -> float:
    """Wait for a file that the test makes."""
    while not os.path.exists("go"):
        time.sleep(0.05)
    return x + k


def test_a_job_cancelled_in_mid_trial_costs_an_attempt_and_no_trial(queue: Slurm, home: Path) -> None:
    handle = run(held_up, SPACE, name="s", min="loss", n=6, algo="random", jobs=2, no_canary=True, on=HERE, bg=True)
    wait_for(lambda: len(running_on(handle)) == 2, LIMIT_S)
    (job, other) = queue.running()
    queue.cancel(job)
    wait_for(lambda: handle.attempts() and len(running_on(handle)) == 2, LIMIT_S)
    assert other in queue.running()
    (home.parent / "go").touch()
    wait_for(lambda: handle.ended, LIMIT_S)
    account(handle, 6)
    (lost,) = handle.attempts()
    assert (lost.attempt, lost.reason) == (1, "lost")
    assert f"slurm job {job}" in lost.error or lost.error == DIED, "Dask may know of the worker before Slurm of the job"
    assert [(t.number, t.attempt) for t in handle.trials() if t.attempt > 1] == [(lost.number, 2)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("partition=nosuch", r"invalid partition.*nosuch.*Partitions here: main, physics, short"),
        ("partition=physics,account=chemistry", r"Invalid account.*AllowAccounts=physics"),
        ("partition=short,walltime=2h", r"Requested time limit is invalid.*MaxTime=00:30:00"),
        (f"cores={slurm.CPUS + 1}", r"More processors requested than permitted"),
    ],
)
def test_what_slurm_would_refuse_is_refused_in_its_words_before_anything_is_written(
    options: str, said: str, queue: Slurm, home: Path
) -> None:
    with pytest.raises(SweepError, match=rf"(?s)Slurm refuses the job: {said}") as refused:
        run(slow_bowl, SPACE, name="s", min="loss", n=3, on=f"slurm:interface=lo,{options}")
    assert "Traceback" not in str(refused.value)
    assert not home.exists()
    assert not processes_of(home)


def test_a_job_that_slurm_would_take_and_never_start_is_refused_too(queue: Slurm, home: Path) -> None:
    word = "slurm:interface=lo,partition=short,walltime=2h"
    with (
        queue.lax(),
        pytest.raises(SweepError, match=r"wait for ever: .* 02:00:00, and partition short allows 00:30:00"),
    ):
        run(slow_bowl, SPACE, name="s", min="loss", n=3, on=word)
    assert not home.exists()


def test_without_slurms_commands_that_is_said(queue: Slurm, home: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "/nowhere")
        with pytest.raises(SweepError, match="no command sbatch"):
            run(slow_bowl, SPACE, name="s", min="loss", n=3, on=HERE)
    assert not home.exists()


def test_without_work_there_are_no_jobs_until_there_is_work_again(
    queue: Slurm, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_SWEEP_IDLE_S", "60")
    where = {"jobs": 1, "on": f"{HERE},idle=1s", "bg": True}
    handle = run(slow_bowl, SPACE, name="s", min="loss", n=3, algo="random", **where)
    wait_for(lambda: handle.ended, LIMIT_S)
    driver = drivers(home)
    queue.wait_for_no_jobs()
    handle = run(slow_bowl, SPACE, name="s", min="loss", n=6, algo="random", **where)
    wait_for(lambda: handle.ended, LIMIT_S)
    account(handle, 6)
    assert drivers(home) == driver != []


def drivers(home: Path) -> list[int]:
    return [p.pid for p in processes_of(home) if "jupyter_sweep.runner.driver" in command_of(p)]


def counting(x: float) -> float:
    """Count to 40, keeping what was reached; the log tells where it began."""
    at = checkpoint() or 0
    print(f"from {at}", flush=True)
    for i in range(at, 40):
        time.sleep(0.1)
        checkpoint(i + 1)
        report(loss=x, step=i)
    return x


def test_a_trial_whose_job_runs_out_of_time_goes_on_in_another_from_its_checkpoint(queue: Slurm) -> None:
    space, word = Space(x=Float(0, 1)), "slurm:interface=lo,walltime=2h"
    handle = run(counting, space, name="s", min="loss", n=1, algo="random", jobs=1, on=word, bg=True)
    wait_for(lambda: len(handle.reports()) >= 8, LIMIT_S)
    (first,) = queue.running()
    queue.shorten(first, minutes=1)  # less than the two minutes that a job of two hours keeps for its end
    wait_for(lambda: handle.ended, LIMIT_S)
    (trial,) = handle.trials()
    assert (trial.state.value, trial.attempt) == ("completed", 2)
    (attempt,) = handle.attempts()
    assert (attempt.reason, attempt.error) == (
        "walltime",
        f"slurm job {first} was ended: its time of 02:00:00 is nearly up",
    )
    begun = [line for line in handle.log(0).splitlines() if line.startswith("from")]
    assert int(begun[-1].split()[1]) >= 8


def test_jobs_that_wait_are_shown_with_their_reason_and_none_is_left_when_the_driver_is_killed(
    queue: Slurm, home: Path
) -> None:
    word = f"{HERE},cores={slurm.CPUS},max_jobs=2"
    space = Space(x=Float(0, 1))
    handle = run(counting, space, name="s", min="loss", n=6, algo="random", jobs=2 * slurm.CPUS, on=word, bg=True)
    host = os.uname().nodename
    wait_for(lambda: running_on(handle) == {f"{host}/0.{slot}" for slot in range(slurm.CPUS)}, LIMIT_S)
    wait_for(lambda: "1 job waits in the queue (Resources)" in handle.snapshot()["sweep"]["where"], LIMIT_S)
    listing = workers.listing(elastic.clusters(Store(home, create=False))).splitlines()
    waiting = next(line.split() for line in listing if "queued" in line)
    assert waiting[-3:] == [sorted(queue.jobs(), key=int)[-1], "PD", "Resources"]
    assert handle.driver is not None
    psutil.Process(handle.driver).kill()
    queue.wait_for_no_jobs()
    wait_for(lambda: not processes_of(home), LIMIT_S)
    assert [p.name for p in (home / ".driver").iterdir() if p.is_dir()] == ["job-logs"]
    handle.resume()
    wait_for(lambda: handle.ended, LIMIT_S)
    account(handle, 6)


def test_jobs_that_never_come_to_life_end_the_sweep_with_what_they_printed(queue: Slurm, home: Path) -> None:
    (home.parent / "sweeps.toml").write_text(
        '[profiles.broken]\non = "slurm:interface=lo"\nprescript = ["echo no such module", "exit 3"]\n'
    )
    handle = run(slow_bowl, SPACE, name="s", min="loss", n=3, jobs=1, on="broken", bg=True)
    wait_for(lambda: handle.ended, LIMIT_S)
    assert handle.state == "failed"
    assert "3 jobs in a row ended before their worker came" in handle.definition.message
    assert "no such module" in handle.definition.message


# -- below it: one executor in this process ---------------------------------------------------------------------------


class Bench:
    """An executor on the Slurm, and jobs that it runs."""

    def __init__(self, folder: Path, **profile: Any) -> None:
        self.folder = JobFolder(folder)
        self.payloads: dict[int, dict[str, Any]] = {}
        slots = profile.pop("slots", None)
        self.executor = DaskExecutor("lab", slots=slots, options={"on": "slurm:interface=lo,walltime=10m", **profile})

    def submit(self, body: str) -> int:
        payload = self.folder.task(self.folder.write(body))
        del payload["ticket"]
        trial_id = int(payload["trial_id"])
        self.payloads[trial_id] = payload
        self.executor.submit([Task(trial_id, payload)])
        return trial_id

    def start(self, body: str) -> int:
        """Submit a trial, and wait until it runs."""
        trial_id = self.submit(body)
        assert isinstance(self.first(trial_id, Started, Finished, Lost), Started)
        return trial_id

    def end_of(self, trial_id: int) -> Any:
        return self.first(trial_id, Finished, Lost)

    def first(self, trial_id: int, *kinds: type[Event]) -> Any:
        """Wait for an event; a trial that comes back from a worker that is gone, without having begun, goes again."""
        limit = time.monotonic() + LIMIT_S
        while True:
            assert time.monotonic() < limit, f"trial {trial_id}: {self.executor.workers()}"
            for event in self.executor.events(0.05):
                if event.trial_id != trial_id or not isinstance(event, kinds):
                    continue
                if isinstance(event, Finished) and event.state == "cancelled":
                    self.executor.submit([Task(trial_id, self.payloads[trial_id])])
                else:
                    return event

    def log(self, trial_id: int) -> str:
        return (self.folder.home / f"{trial_id:04d}" / "log.txt").read_text()


@pytest.fixture(scope="module")
def lab(cluster: Slurm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One cluster of one job at a time for the tests below; each leaves it able to run a trial."""
    folder = tmp_path_factory.mktemp("lab")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_SWEEP_LOGS", str(folder / "shared"))
        lab = Bench(folder / "sweeps", slots=1, env={"FROM_PROFILE": "a b"}, prescript="export FROM_PRESCRIPT=c")
    yield lab
    lab.executor.close()
    assert not list((folder / "shared").glob("sweep-*"))
    cluster.wait_for_no_jobs()


ENDLESS = "import time\nfor i in range(10**9):\n    time.sleep(0.05)\n    report(i, loss=i)"


def test_a_trial_whose_process_dies_crashed_and_one_whose_job_ends_is_lost(lab: Bench, cluster: Slurm) -> None:
    crash = lab.end_of(
        lab.submit("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\nimport time\ntime.sleep(9)")
    )
    assert (crash.state, crash.reason) == ("failed", "crash")
    trial = lab.start(ENDLESS)
    (job,) = cluster.running()
    cluster.cancel(job)
    lost = lab.end_of(trial)
    assert isinstance(lost, Lost)
    assert f"slurm job {job}" in lost.why


def worker_of(trial: int, lab: Bench) -> int | None:
    """Give the process of the worker that runs a trial."""
    return next((row["pid"] for row in lab.executor.workers() if row["trials"] == [trial]), None)


def test_a_worker_that_dies_gets_another_in_its_job(lab: Bench, cluster: Slurm) -> None:
    trial = lab.start(ENDLESS)
    (before,) = cluster.running()
    wait_for(lambda: worker_of(trial, lab) is not None, LIMIT_S)
    os.kill(worker_of(trial, lab) or 0, signal.SIGKILL)
    assert isinstance(lab.end_of(trial), Lost)
    assert lab.end_of(lab.submit("loss = 1")).state == "completed"
    assert cluster.running() == [before]


def test_variables_of_profile_prescript_and_slurm_reach_the_trials(lab: Bench, cluster: Slurm) -> None:
    names = ("FROM_PROFILE", "FROM_PRESCRIPT", "SLURM_JOB_ID", "OMP_NUM_THREADS")
    trial = lab.submit(f"import os\nprint([os.environ.get(n) for n in {names}])\nloss = 1")
    assert lab.end_of(trial).state == "completed"
    assert lab.log(trial) == f"{['a b', 'c', cluster.running()[0], '1']}\n"


def test_connections_are_encrypted_and_a_stranger_is_refused(lab: Bench) -> None:
    address = lab.executor._client.scheduler.address
    assert address.startswith("tls://127.0.0.1:")
    with pytest.raises(OSError, match=r"Timed out|(?i:certificate)"):
        distributed.Client(address, security=distributed.Security.temporary(), timeout=3, set_as_default=False)
    (private,) = (lab.folder.home.parent / "shared").glob("sweep-*")
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in private.iterdir()} == {0o600}
