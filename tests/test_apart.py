"""A proposer that lives in a process of its own proposes what it would here, and its death costs nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from conftest import command_of

from jupyter_sweep import Choice, Float, Space, run
from jupyter_sweep.errors import SweepError
from jupyter_sweep.proposers.apart import Apart, Gone
from jupyter_sweep.proposers.optuna import Tpe
from jupyter_sweep.runner import choosing
from jupyter_sweep.trial import Objective, Trial, TrialState

SPACE = Space(a=Float(0, 1), b=Choice("x", "y"))
LOSS = (Objective("loss", "minimize"),)


def made(space: Space = SPACE) -> Apart:
    return Apart("tpe", space, LOSS, seed=0, options={"n_startup": 3})


@pytest.fixture
def apart() -> Iterator[Apart]:
    proposer = made()
    yield proposer
    end(proposer)


def end(proposer: Apart) -> None:
    proposer._process.end()
    if type(proposer._process).spare is proposer._process:
        type(proposer._process).spare = None


def finished(number: int, params: dict[str, object]) -> Trial:
    loss = float(params["a"]) ** 2  # type: ignore[arg-type]
    return Trial(0, 0, number, params, TrialState.COMPLETED, {"loss": loss})


def test_it_proposes_what_the_same_proposer_proposes_here(apart: Apart) -> None:
    here = Tpe(SPACE, LOSS, seed=0, n_startup=3)
    for number in range(12):
        (ours,), (theirs,) = here.ask(1), apart.ask(1)
        assert theirs == ours
        for proposer in (here, apart):
            proposer.tell(finished(number, ours.params))


def test_it_says_when_the_space_is_exhausted() -> None:
    proposer = made(Space(b=Choice("x", "y")))
    assert not proposer.exhausted
    assert len(proposer.ask(5)) == 2
    assert proposer.exhausted
    end(proposer)


def test_a_mistake_of_the_space_is_the_same_mistake() -> None:
    proposer = made(Space(a=Float(0, 1), constraints=["a > 2"]))
    with pytest.raises(SweepError):
        proposer.ask(1)
    end(proposer)


def test_a_closed_one_leaves_its_process_to_the_next(apart: Apart) -> None:
    apart.ask(1)
    pid = apart._process._popen.pid
    apart.close()
    apart.close()
    again = made()
    assert again._process._popen.pid == pid
    assert again.ask(1) == Tpe(SPACE, LOSS, seed=0, n_startup=3).ask(1)
    end(again)


def test_what_it_chose_ahead_comes_next_and_nothing_comes_twice(apart: Apart) -> None:
    here = Tpe(SPACE, LOSS, seed=0, n_startup=3)
    assert apart.ask(2) == here.ask(2)
    apart.tell(finished(0, {"a": 0.5, "b": "x"}))
    assert apart.ask(2) == here.ask(2)  # these were chosen before that was told
    assert [p.index for n in (1, 3, 2) for p in apart.ask(n)] == [5, 6, 7, 8, 9, 10]


@pytest.mark.parametrize("n", [1, 2, 3, 5, 6, 7])
def test_a_finite_space_is_proposed_whole_however_many_are_asked_for(n: int) -> None:
    proposer = made(Space(b=Choice("x", "y"), c=Choice(1, 2, 3)))
    found = []
    while not proposer.exhausted:
        found += proposer.ask(n)
    assert len({str(p.params) for p in found}) == len(found) == 6
    assert proposer.ask(n) == []
    end(proposer)


def test_one_that_chooses_ahead_leaves_its_process_to_the_next_too(apart: Apart) -> None:
    apart.ask(3)
    apart.close()
    again = made()
    assert again._process is apart._process
    assert again.ask(1) == Tpe(SPACE, LOSS, seed=0, n_startup=3).ask(1)
    end(again)


def test_one_that_was_killed_says_so_at_once(apart: Apart) -> None:
    apart.ask(1)
    os.kill(apart._process._popen.pid, signal.SIGKILL)
    with pytest.raises(Gone, match="ended"):
        apart.ask(1)
    apart.close()
    assert type(apart._process).spare is None


def choosers(driver: int) -> list[int]:
    family = psutil.Process(driver).children(recursive=True)
    return [p.pid for p in family if "jupyter_sweep.proposers.apart" in command_of(p)]


@pytest.mark.faults
def test_a_sweep_goes_on_when_the_process_that_chooses_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_SWEEP_HOME", str(tmp_path / "sweeps"))
    monkeypatch.setenv("JUPYTER_SWEEP_IDLE_S", "1")

    def job(a: float, b: str) -> float:
        return a * a

    handle = run(job, SPACE, name="apart", min="value", n=400, jobs=2, bg=True)
    deadline, killed = time.monotonic() + 60, 0
    while killed < 2 and handle.counts.get("completed", 0) < 390 and time.monotonic() < deadline:
        driver = handle.driver
        for pid in choosers(driver) if driver else []:
            with contextlib.suppress(ProcessLookupError):  # it may have ended meanwhile
                os.kill(pid, signal.SIGKILL)
                killed += 1
        time.sleep(0.02)
    assert killed, "no process ever chose"
    assert handle.wait(60)
    assert handle.counts == {"completed": 400}
    assert sorted(handle.df["number"]) == list(range(400))
    assert handle.definition.state == "finished"


def test_the_process_pays_only_for_short_trials_of_a_proposer_that_learns() -> None:
    assert not choosing.limits.choosing_is_slow([10.0] * 50, known=100)
    assert not choosing.limits.choosing_is_slow([0.001] * 50, known=3)
    assert choosing.limits.choosing_is_slow([0.001] * 50, known=100)
