"""joblib within a trial, and joblib on a sweep's cluster, with scikit-learn as people use it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import psutil
import pytest
from conftest import command_of
from jobfiles import JobFolder, Runner
from joblib import Parallel, delayed, parallel_config
from waiting import wait_for

from jupyter_sweep import SweepError, parallel, register_joblib


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    runner = Runner(JobFolder(tmp_path / "sweeps"))
    yield runner
    runner.slot.close()


# -- within a trial ---------------------------------------------------------------------------------------------------

LOOK = """
    import os
    from joblib import Parallel, delayed, effective_n_jobs, parallel_config
    def look(_):
        import os, time
        open(f"here-{{os.getpid()}}", "w").close()
        limit = time.monotonic() + 60
        while sum(name.startswith("here-") for name in os.listdir()) < n and time.monotonic() < limit:
            time.sleep(0.01)
        return os.getpid(), os.environ["OMP_NUM_THREADS"]
    with parallel_config({config}):
        n = effective_n_jobs({n_jobs})
        seen = Parallel(n_jobs={n_jobs})(delayed(look)(i) for i in range(6))
    pids, threads = {{pid for pid, _ in seen}}, {{int(n) for _, n in seen}}
    report(n=n, processes=len(pids), apart=os.getpid() not in pids, threads=max(threads))
    loss = 1
"""


@pytest.mark.parametrize(
    ("cpus", "n_jobs", "config", "n", "threads"),
    [(2, -1, '"loky"', 2, 2), (2, -1, '"sweep"', 2, 1), (2, 8, '"sweep"', 2, 1)],
)
def test_n_jobs_within_a_trial_is_a_matter_of_its_cpus(
    runner: Runner, cpus: int, n_jobs: int, config: str, n: int, threads: int
) -> None:
    end = runner.body(LOOK.format(config=config, n_jobs=n_jobs), cpus=cpus)
    assert end["state"] == "completed", end["traceback"]
    assert end["metrics"] == {"n": n, "processes": n, "apart": 1, "threads": threads, "loss": 1}


def test_a_trial_with_one_cpu_runs_everything_in_its_own_process(runner: Runner) -> None:
    end = runner.body(LOOK.format(config='"sweep"', n_jobs=-1), cpus=1)
    assert (end["metrics"]["n"], end["metrics"]["apart"]) == (1, 0)


def test_a_search_of_scikit_learn_runs_within_a_trial(runner: Runner) -> None:
    body = """
        from joblib import parallel_config
        from sklearn.datasets import load_iris
        from sklearn.model_selection import GridSearchCV
        from sklearn.neighbors import KNeighborsClassifier
        X, y = load_iris(return_X_y=True)
        with parallel_config("sweep"):
            search = GridSearchCV(KNeighborsClassifier(), {"n_neighbors": [1, 5]}, cv=3).fit(X, y)
        accuracy = search.best_score_
    """
    end = runner.body(body, targets=("accuracy",), cpus=2)
    assert end["metrics"]["accuracy"] > 0.9


# -- on a cluster -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def registered() -> Iterator[None]:
    register_joblib()
    yield
    parallel.close_all()
    wait_for(lambda: not [p for p in psutil.Process().children(recursive=True) if "sweep-trial" in command_of(p)])


def where(i: int) -> tuple[int, int]:
    return i, os.getpid()


def test_tasks_run_in_processes_of_their_own_and_come_back_in_order() -> None:
    with parallel_config("sweep", jobs=2):
        found = Parallel()(delayed(where)(i) for i in range(20))
    assert [i for i, _ in found] == list(range(20))
    assert os.getpid() not in {pid for _, pid in found}


def test_n_jobs_means_slots_of_the_cluster() -> None:
    with parallel_config("sweep", jobs=2):
        assert [joblib.effective_n_jobs(n) for n in (-1, 1, 2, 8, -2)] == [2, 1, 2, 2, 1]


def test_a_search_of_scikit_learn_finds_on_the_cluster_what_it_finds_here() -> None:
    from sklearn.datasets import load_iris
    from sklearn.model_selection import GridSearchCV
    from sklearn.neighbors import KNeighborsClassifier

    X, y = load_iris(return_X_y=True)

    def search() -> Any:
        return GridSearchCV(KNeighborsClassifier(), {"n_neighbors": [1, 5, 15]}, cv=3).fit(X, y)

    here = search()
    with parallel_config("sweep", jobs=2):
        there = search()
    assert there.best_params_ == here.best_params_
    assert (there.cv_results_["mean_test_score"] == here.cv_results_["mean_test_score"]).all()


def broken(i: int) -> int:
    if i == 3:
        raise KeyError("three")
    return i


def test_an_exception_is_raised_as_it_is_and_the_cluster_goes_on() -> None:
    with parallel_config("sweep", jobs=2):
        with pytest.raises(KeyError, match="three"):
            Parallel()(delayed(broken)(i) for i in range(6))
        assert Parallel()(delayed(broken)(i) for i in range(3)) == [0, 1, 2]


def crash(i: int) -> int:
    if i == 1:
        os.kill(os.getpid(), signal.SIGSEGV)
    return i


def test_a_crash_and_the_time_limit_are_told_in_a_sentence() -> None:
    import time

    with parallel_config("sweep", jobs=2), pytest.raises(SweepError, match="killed by SIGSEGV"):
        Parallel()(delayed(crash)(i) for i in range(2))
    with parallel_config("sweep", jobs=2, timeout="1s"), pytest.raises(SweepError, match="ran longer than its 1 s"):
        Parallel()(delayed(time.sleep)(60) for _ in range(2))
    with parallel_config("sweep", jobs=2):
        assert Parallel()(delayed(abs)(i) for i in (-1, 1)) == [1, 1]


def test_wrong_options_are_said_before_anything_starts() -> None:
    with pytest.raises(SweepError, match="mempry: no option of the back end 'sweep'"):
        parallel_config("sweep", mempry="2G")
    with pytest.raises(SweepError, match="'nowhere' is no place to run"):
        parallel_config("sweep", on="nowhere")
    with pytest.raises(SweepError, match="sequential"):
        parallel_config("sweep", on="inline")
