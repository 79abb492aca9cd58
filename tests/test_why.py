"""`%sweep why` explains what is there from what was recorded; `%sweep clean` removes what nobody needs, and no more."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import processes_of
from kernels import Kernel
from waiting import wait_for

from jupyter_sweep.live import sweep
from jupyter_sweep.runner import cleaning

LINE = "%%sweep s --min loss -n 2 --on inline {}\n"
BODY = "x = uniform(0.0, 1.0)\nloss = x + a\n"
WAIT_S = 120


@pytest.fixture
def kernel(home: Path) -> Iterator[Kernel]:
    with Kernel(home.parent) as kernel:
        kernel.cell("a = 1")
        kernel.cell(LINE.format("") + BODY)
        yield kernel


def test_why_tells_the_first_version_and_what_ran(kernel: Kernel) -> None:
    said = kernel.cell("%sweep why s")
    assert "Version 1 of s began at " in said
    assert "it is the first" in said
    assert "since then 2 trials ran" in said


def test_why_tells_that_nothing_ran_because_all_was_there(kernel: Kernel) -> None:
    kernel.cell(LINE.format("") + "# a comment\n" + BODY)
    assert "nothing ran: the 2 wanted with -n are there (2 done). -n +10 adds to them." in kernel.cell("%sweep why s")


def test_why_names_what_began_a_new_version(kernel: Kernel) -> None:
    kernel.cell("a = 2\nb = [1, 2]")
    kernel.cell(LINE.format("") + BODY)
    assert "not as in version 1:\n  - a (int) changed\n" in kernel.cell("%sweep why s")
    kernel.cell(LINE.format("") + BODY.replace("a", "b[0]"))
    said = kernel.cell("%sweep why s")
    assert "  - b (list) is new\n  - a is no longer used\n  - the body changed:\n" in said
    assert "      -loss = x + a\n      +loss = x + b[0]\n" in said
    kernel.cell(LINE.format("--fresh") + BODY.replace("a", "b[0]"))
    assert "because of --fresh: code and data are those of version 3" in kernel.cell("%sweep why s")


def test_why_of_a_trial_tells_its_end_its_attempts_and_its_limits(kernel: Kernel) -> None:
    assert "Trial 1 of s is completed: its body ran to the end with loss=" in kernel.cell("%sweep why s 1")
    body = "x = uniform(0.0, 1.0)\nwith open('runs', 'a') as runs:\n    runs.write('.')\n"
    body += "assert os.path.getsize('runs') > 1, 'the first attempt'\nloss = x\n"
    kernel.cell(LINE.format("--retry 1") + body)
    retried = next(t.number for t in sweep("s").trials() if t.attempt == 2)
    said = kernel.cell(f"%sweep why s {retried}")
    assert f"Trial {retried} of s is completed" in said
    assert "attempt 1 on inline/0, at " in said
    assert "error: AssertionError: the first attempt" in said
    assert "attempt 2 on inline/0, at " in said
    assert "2 attempts (--retry 1), beside those lost with a worker" in said


def test_why_of_an_unknown_trial_says_so(kernel: Kernel) -> None:
    assert "has no trial 99" in kernel.refused("%sweep why s 99")
    assert f"has no trial {10**20}" in kernel.refused(f"%sweep log s {10**20}")
    assert "named by its number" in kernel.refused("%sweep log s ²")
    assert "named by its number" in kernel.refused("%sweep why s best")


# -- clean ------------------------------------------------------------------------------------------------------------


def litter(home: Path) -> list[Path]:
    """Leave what a sweep that was dropped while it ran may leave, and make it old; give it."""
    folder = home / "gone" / "0003-x=1"
    folder.mkdir(parents=True)
    (folder / "params.json").write_text("{}")
    launch = home / ".driver" / "launch-77.json"
    launch.parent.mkdir(exist_ok=True)
    launch.write_text("{}")
    then = time.time() - 7200
    os.utime(launch, (then, then))
    return [folder, launch]


def files(home: Path) -> set[Path]:
    return {path for path in home.rglob("*") if not path.name.startswith("sweeps.db")}


def test_clean_shows_what_would_go_and_removes_it_only_with_yes(kernel: Kernel, home: Path) -> None:
    before = files(home)
    assert "nothing to clean" in kernel.cell("%sweep clean")
    left = litter(home)
    said = kernel.cell("%sweep clean")
    assert "Would go: 1 folder of trials that no sweep has, 1 file that no sweep needs" in said
    assert all(str(path) in said for path in left)
    assert all(path.exists() for path in left)
    assert "Gone: 1 folder" in kernel.cell("%sweep clean --yes")
    assert files(home) - {home / ".driver"} == before - {home / ".driver"}
    assert sweep("s").best is not None


@pytest.mark.usefixtures("nothing_left")
def test_clean_ends_an_idle_cluster_and_leaves_one_that_works_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_SWEEP_IDLE_S", "300")
    with Kernel(home.parent) as kernel:
        body = "k = randint(1, 2)\nwhile not os.path.exists('gate'):\n    time.sleep(0.02)\nloss = k\n"
        kernel.cell(f"%%sweep s --min loss --grid --jobs 1 --bg\n{body}")
        wait_for(lambda: sweep("s").counts.get("running"), WAIT_S)
        assert "nothing to clean" in kernel.cell("%sweep clean --yes")
        Path("gate").touch()
        assert sweep("s").wait(WAIT_S)
        wait_for(lambda: cleaning.find(sweep("s")._store).drivers, WAIT_S)
        assert "1 idle cluster" in kernel.cell("%sweep clean")
        assert processes_of(home)
        assert "Gone: 1 idle cluster" in kernel.cell("%sweep clean --yes")
        wait_for(lambda: len(processes_of(home)) <= 1, WAIT_S)  # the kernel
        assert sweep("s").counts == {"completed": 2}
        kernel.cell("%env JUPYTER_SWEEP_IDLE_S=1")
