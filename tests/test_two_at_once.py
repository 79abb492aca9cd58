"""Several processes and one folder of sweeps: they share a driver and its slots, and nothing is run twice or lost."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from conftest import processes_of
from kernels import Kernel
from waiting import wait_for

from jupyter_sweep.handle import Handle
from jupyter_sweep.live import sweep

SLOW = "k = randint(1, {n})\nopen('ran-{name}', 'a').write(str(k) + ' ')\ntime.sleep({s})\nloss = k\n"


def slow(name: str, n: int, s: float = 0.15) -> str:
    """Give a body that takes `s` seconds and leaves its `k` in a file."""
    return SLOW.format(name=name, n=n, s=s)


def ran(name: str) -> list[int]:
    """Give each `k` that has really run."""
    path = Path(f"ran-{name}")
    return sorted(int(k) for k in path.read_text().split()) if path.exists() else []


def spans(handle: Handle) -> list[tuple[float, float]]:
    """Give when each trial began and ended."""
    trials = [(t.started_at, t.finished_at) for t in handle.trials()]
    return [(begun, ended) for begun, ended in trials if begun is not None and ended is not None]


def at_once(spans: list[tuple[float, float]]) -> int:
    """Give how many of some spans of time overlapped at most."""
    steps = sorted([(begun, 1) for begun, _ in spans] + [(ended, -1) for _, ended in spans])
    most = now = 0
    for _, step in steps:
        now += step
        most = max(most, now)
    return most


def drivers(home: Path) -> list[psutil.Process]:
    found = []
    for process in processes_of(home):
        with contextlib.suppress(psutil.NoSuchProcess):
            found += [process] if "jupyter_sweep.runner.driver" in process.cmdline() else []
    return found


def takes(condition: Callable[[], object], limit_s: float) -> float:
    """Give how long a condition took to hold."""
    begun = time.monotonic()
    wait_for(condition, limit_s)
    return time.monotonic() - begun


@pytest.mark.usefixtures("nothing_left")
def test_two_processes_run_different_sweeps_at_once_on_shared_slots(home: Path) -> None:
    with Kernel(home.parent) as one, Kernel(home.parent) as two:
        one.begin(f"%%sweep left --min loss --grid --jobs 2\n{slow('left', 16)}")
        two.begin(f"%%sweep right --min loss --grid --jobs 2\n{slow('right', 16)}")
        pids = {wait_for(lambda name=name: sweep(name).driver) for name in ("left", "right")}
        assert len(pids) == 1
        assert [one.answer()["error"], two.answer()["error"]] == ["", ""]
        left, right = sweep("left"), sweep("right")
        assert left.counts == right.counts == {"completed": 16}
        assert ran("left") == ran("right") == list(range(1, 17))
        assert at_once(spans(left) + spans(right)) <= 2
        begun, ended = (
            max(s[0][0] for s in (spans(left), spans(right))),
            min(s[-1][1] for s in (spans(left), spans(right))),
        )
        shared = [sum(begun <= b and e <= ended for b, e in spans(h)) for h in (left, right)]
        assert min(shared) * 2 >= max(shared) - 2, f"in the time of both they ran {shared} trials"
        one.begin(f"%%sweep same --min loss --grid --jobs 2\n{slow('one', 6)}")
        two.begin(f"%%sweep same --min loss --grid --jobs 2\n{slow('two', 6)}")
        assert [one.answer()["error"], two.answer()["error"]] == ["", ""]
    both = [t for v in (1, 2) for t in sweep("same", version=v).trials()]
    assert sorted(t.number for t in both) == list(range(12))
    assert len({t.folder for t in both}) == 12
    assert ran("one") == ran("two") == list(range(1, 7))


@pytest.mark.usefixtures("nothing_left")
def test_a_sweep_that_two_processes_start_is_one_sweep_and_obeys_both(home: Path) -> None:
    with Kernel(home.parent) as one, Kernel(home.parent) as two:
        held = "while os.path.exists('held'):\n    time.sleep(0.02)\n"
        cell = "%%sweep s --min loss --grid -n {} --jobs 2\n" + slow("s", 60) + held
        one.begin(cell.format(12))
        two.begin(cell.format(12))
        wait_for(lambda: sweep("s").counts.get("completed", 0) >= 2)
        assert [one.answer()["error"], two.answer()["error"]] == ["", ""]
        assert sweep("s").counts == {"completed": 12}
        assert ran("s") == list(range(1, 13))
        assert len(sweep("s").versions) == 1
        one.begin(cell.format(16))
        wait_for(lambda: len(ran("s")) > 12)
        two.begin(cell.format(20))
        assert [one.answer()["error"], two.answer()["error"]] == ["", ""]
        assert sweep("s").counts == {"completed": 20}
        one.begin(cell.format("+2"))
        two.begin(cell.format("+2"))
        assert [one.answer()["error"], two.answer()["error"]] == ["", ""]
        assert sweep("s").counts == {"completed": 24}
        Path("held").touch()  # none of these ends before the stop
        one.begin(cell.format("+20"))
        wait_for(lambda: len(ran("s")) > 24)
        two.cell("%sweep stop s")
        one.answer()
        assert sweep("s").state == "stopped"
        assert takes(lambda: sweep("s").ended, 5) < 5
        counts = sweep("s").counts
        assert counts["completed"] == 24
        assert counts.get("cancelled", 0) <= 2
        assert set(Counter(ran("s")).values()) == {1}
        assert two.value("sweep('s').best.value") == 1


@pytest.mark.usefixtures("nothing_left")
def test_a_driver_that_is_asked_to_end_leaves_a_sweep_that_goes_on_when_it_is_resumed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_SWEEP_IDLE_S", "0.5")
    with Kernel(home.parent) as kernel:
        held = "while k > 4 and not os.path.exists('gate'):\n    time.sleep(0.02)\n"
        kernel.cell(f"%%sweep s --min loss --grid --jobs 2 --bg\n{slow('s', 14)}{held}")
        wait_for(lambda: sweep("s").counts.get("completed") == 4 and sweep("s").counts.get("running") == 2)
        (driver,) = drivers(home)
        driver.terminate()
        driver.wait(60)
        assert sweep("s").driver is None
        wait_for(lambda: processes_of(home) == [psutil.Process(kernel.pid)])
        before = {t.number: t for t in sweep("s").trials() if t.is_final}
        assert len(before) == 4
        assert all(t.state == "completed" for t in before.values())
        Path("gate").touch()
        kernel.cell("%sweep resume s\n%sweep wait s 60s")
        trials = sweep("s").trials()
        assert [t.state for t in trials] == ["completed"] * 14
        assert {t.number: t for t in trials if t.number in before} == before
        assert {t.attempt for t in trials} == {1, 2}
        assert len(ran("s")) == 16
        wait_for(lambda: processes_of(home) == [psutil.Process(kernel.pid)])  # an idle driver ends with all its own


@pytest.mark.usefixtures("nothing_left")
def test_a_driver_whose_folder_is_gone_ends_and_does_not_make_it_again(home: Path) -> None:
    with Kernel(home.parent) as kernel:
        kernel.begin(f"%%sweep s --min loss --grid --jobs 2\n{slow('s', 400, s=0.3)}")
        wait_for(lambda: len(ran("s")) >= 3)
        while home.exists():  # a folder that a trial gets in the middle of it keeps what holds that
            shutil.rmtree(home, ignore_errors=True)
        assert takes(lambda: not drivers(home), 15) < 10
        told = kernel.answer()
        assert told["error"].startswith("SweepError: "), told
        assert "Traceback" not in told["out"]
    assert not home.exists(), sorted(home.rglob("*"))


@pytest.mark.usefixtures("nothing_left")
def test_a_kernel_that_runs_inline_obeys_others_and_leaves_its_sweep_when_it_dies(home: Path) -> None:
    body = slow("s", 50, s=0.05) + "for step in range(3):\n    report(part=step, step=step)\n    time.sleep(0.05)\n"
    with Kernel(home.parent) as one, Kernel(home.parent) as two:
        one.begin(f"%%sweep s --min loss --grid --on inline\n{body}")
        wait_for(lambda: len(ran("s")) > 2)
        assert "another process" in two.refused(f"%%sweep s --min loss --grid --on inline\n{body}")
        two.cell("%sweep pause s")
        wait_for(lambda: sweep("s").state == "paused")
        assert sweep("s").counts.keys() <= {"completed", "waiting"}
        one.interrupt()
        assert "Interrupted" in one.answer()["error"], "one interrupt ends the cell of a sweep that only waits"
        assert sweep("s").state == "interrupted"
        one.begin(f"%%sweep s --min loss --grid --on inline\n{body}")
        before = len(ran("s"))
        wait_for(lambda: len(ran("s")) > before)
        two.cell("%sweep stop s")
        assert one.answer()["error"] == ""
        assert sweep("s").state == "stopped"
        assert sweep("s").counts.get("cancelled", 0) <= 1
        one.begin(f"%%sweep s --min loss --grid --on inline\n{body}")
        before = len(ran("s"))
        wait_for(lambda: len(ran("s")) > before)
        os.kill(one.pid, signal.SIGKILL)
        wait_for(lambda: sweep("s").driver is None)
        assert sweep("s").wait(5), "nobody waits for a process that is gone"
        assert sweep("s").state == "interrupted"
        handle = two.sweep("s --min loss --grid --jobs 2", body.replace("time.sleep(0.05)", "pass"))
    assert handle.state == "finished"
