"""kill -9 of everything, at random moments. How often is set by JUPYTER_SWEEP_KILLS (5; by hand 20)."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from jupyter_sweep.live import Handle, sweep

pytestmark = pytest.mark.timeout(600)

KILLS = int(os.environ.get("JUPYTER_SWEEP_KILLS", "5"))
STEPS = 4
KERNEL = f"""
import sys, time
from jupyter_sweep import Float, Int, Space, report, run

def job(x, k):
    for step in range({STEPS}):
        time.sleep(0.03)
        report(loss=(x - 0.3) ** 2 + k / 100 + 1 / (step + 1), step=step)

space = Space(x=Float(0, 1), k=Int(1, 9))
run(job, space, name="s", min="loss", n=60, jobs=2, algo="tpe", seed=3, bg="--bg" in sys.argv)
print("DONE", flush=True)
"""


def start_kernel(folder: Path, *options: str) -> subprocess.Popen[str]:
    (folder / "kernel.py").write_text(KERNEL)
    return subprocess.Popen(
        [sys.executable, "kernel.py", *options], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def handle_of(folder: Path, limit_s: float = 60) -> Handle:
    """Give the handle once a driver has the sweep, or had it to the end."""
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        try:
            handle = sweep("s", folder=folder)
            if handle.driver is not None or handle.ended:
                return handle
        except Exception:
            pass
        time.sleep(0.05)
    raise AssertionError("no driver took the sweep up")


def wait_for_driver(handle: Handle, limit_s: float = 60) -> int | None:
    """Resume the sweep if its driver is dead and give the pid of the one that has it, or None when the sweep ended."""
    if handle.driver is None and not handle.ended:
        handle.resume()
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        pid = handle.driver
        if pid is not None or handle.ended:
            return pid
        time.sleep(0.02)
    raise AssertionError("no driver came back")


def family(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def workers(driver: int) -> list[int]:
    """Give the processes of Dask workers: what the driver spawned."""
    return [p.pid for p in family(driver) if "spawn_main" in " ".join(_cmdline(p))]


def trial_children(handle: Handle) -> list[int]:
    return [t.pid for t in handle.trials() if t.state == "running" and t.pid]


def _cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def kill(pids: list[int]) -> bool:
    if not pids:
        return False
    try:
        os.kill(random.choice(pids), signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def final_rows(handle: Handle) -> dict[int, tuple[object, ...]]:
    return {t.number: (t.state, t.attempt, t.finished_at, str(t.metrics)) for t in handle.trials() if t.is_final}


def account(handle: Handle, seen: dict[int, tuple[object, ...]], *, failures: int = 0) -> None:
    """Hold the store against what was promised."""
    trials = handle.trials()
    assert handle.state == "finished", handle
    assert len(trials) == 60
    assert [t.number for t in trials] == list(range(60))
    assert len({json.dumps(t.params, sort_keys=True) for t in trials}) == 60
    assert sum(t.state == "completed" for t in trials) >= 60 - failures
    rows = final_rows(handle)
    assert {n: rows[n] for n in seen} == seen, "a final trial changed"
    steps: dict[int, set[int]] = {}
    for report in handle.reports():
        steps.setdefault(report.trial_id, set()).add(report.step)
    for trial in trials:
        if trial.state == "completed":
            assert steps[trial.trial_id] == set(range(STEPS)), trial
            assert json.loads((handle.folder.parent / trial.folder / "metrics.json").read_text()) == trial.metrics
            assert json.loads((handle.folder.parent / trial.folder / "params.json").read_text()) == trial.params


def kill_again_and_again(folder: Path, strike: Callable[[Handle, int], bool], pause_s: tuple[float, float]) -> Handle:
    kernel = start_kernel(folder, "--bg")
    kernel.communicate(timeout=60)
    handle, seen, struck = handle_of(folder), {}, 0
    while struck < KILLS:
        time.sleep(random.uniform(*pause_s))
        pid = wait_for_driver(handle)
        if pid is None:
            break
        seen.update(final_rows(handle))
        struck += strike(handle, pid)
    until = time.monotonic() + 240
    while not handle.wait(1) and time.monotonic() < until:
        pass
    assert struck > 0
    account(handle, seen, failures=KILLS)
    return handle


@pytest.mark.usefixtures("nothing_left")
def test_a_driver_killed_at_random_moments_loses_and_repeats_nothing(home: Path) -> None:
    handle = kill_again_and_again(home.parent, lambda _, pid: kill([pid]), (0.1, 1.2))
    assert all(t.state == "completed" for t in handle.trials())


@pytest.mark.usefixtures("nothing_left")
def test_a_worker_killed_at_random_moments_loses_and_repeats_nothing(home: Path) -> None:
    kill_again_and_again(home.parent, lambda _, pid: kill(workers(pid)), (0.3, 1.0))


@pytest.mark.usefixtures("nothing_left")
def test_a_trials_process_killed_at_random_moments_costs_that_trial_alone(home: Path) -> None:
    handle = kill_again_and_again(home.parent, lambda handle, _: kill(trial_children(handle)), (0.2, 0.6))
    failed = [t for t in handle.trials() if t.state == "failed"]
    assert all(t.reason == "crash" and "SIGKILL" in t.error for t in failed), failed


@pytest.mark.usefixtures("nothing_left")
def test_a_kernel_killed_at_random_moments_does_not_disturb_the_sweep(home: Path) -> None:
    folder, seen = home.parent, {}
    for _ in range(KILLS):
        kernel = start_kernel(folder)
        handle = handle_of(folder)
        time.sleep(random.uniform(0.05, 0.5))
        seen = final_rows(handle)
        kernel.kill()
        kernel.communicate(timeout=30)
    last = start_kernel(folder)
    output, _ = last.communicate(timeout=240)
    assert "DONE" in output, output
    account(sweep("s", folder=folder), seen)
