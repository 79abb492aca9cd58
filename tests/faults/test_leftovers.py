"""What the next driver does to processes that bear the numbers of a dead driver's trials."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from jobfiles import is_alive
from made_trials import make_sweep
from waiting import wait_for

from jupyter_sweep import Int
from jupyter_sweep.runner.resume import release_orphans
from jupyter_sweep.store import leases
from jupyter_sweep.store.sqlite import NewTrial, Store

TRIAL = "# sweep-trial\nimport time\ntime.sleep(600)"
DRIVER = """
import subprocess, sys
trial = subprocess.Popen([sys.executable, "-c", sys.argv[1]], start_new_session=True)
print(trial.pid, flush=True)
sys.stdin.read()
trial.kill()
"""


@pytest.fixture
def orphan() -> Iterator[int]:
    """The process of a trial that has no driver."""
    with subprocess.Popen([sys.executable, "-c", TRIAL], start_new_session=True) as process:
        yield process.pid
        process.kill()


@pytest.fixture
def innocent() -> Iterator[int]:
    """The process of a trial whose driver lives."""
    command = [sys.executable, "-c", DRIVER, TRIAL, "jupyter_sweep.runner.driver"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        yield int(driver.stdout.readline())
        driver.communicate()


def release(home: Path, pid: int, worker: str) -> None:
    """Have the next driver take over a sweep with one trial that ran under this number."""
    store = Store(home)
    sweep = store.create_sweep(make_sweep(k=Int(1, 9)))
    (trial,) = store.add_trials(sweep, [NewTrial({"k": 1}, "f")])
    store.start_trial(trial.trial_id, worker=worker, pid=pid, at=time.time())
    assert release_orphans(store, sweep, at=time.time()) == 1
    assert store.counts(sweep.sweep_id) == {"waiting": 1}


@pytest.mark.parametrize("worker", ["local/0", "threads/1", f"{leases.HOST}/40123"])
def test_what_is_left_of_a_trial_of_this_host_is_ended(tmp_path: Path, orphan: int, worker: str) -> None:
    release(tmp_path, orphan, worker)
    wait_for(lambda: not is_alive(orphan))


def test_a_trial_of_this_host_is_left_alone_where_one_of_another_host_had_its_number(
    tmp_path: Path, orphan: int
) -> None:
    release(tmp_path, orphan, "elsewhere/0")
    time.sleep(0.1)
    assert is_alive(orphan)


def test_a_trial_of_another_driver_is_left_alone_that_was_given_the_number_again(tmp_path: Path, innocent: int) -> None:
    release(tmp_path, innocent, "local/0")
    time.sleep(0.1)
    assert is_alive(innocent)
