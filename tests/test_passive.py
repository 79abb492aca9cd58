"""Passive sweeps: a person evaluates what is proposed, and enters the results. Nothing runs, nothing is waited for."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import processes_of, shared_home
from kernels import Kernel

from jupyter_sweep import Float, Int, Space, SweepError, proposer, run, sweep
from jupyter_sweep.handle import Handle

OVEN = Space(temp=Float(20, 80), eggs=Int(1, 5))
CELL = """
temp = uniform(20, 80)
eggs = randint(1, 5)
raise RuntimeError("no oven can be run")
"""


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with shared_home(tmp_path_factory.mktemp("passive")) as folder:
        yield folder


def bake(temp: float, eggs: int) -> float:
    raise AssertionError("nobody runs this")


def begin(name: str, n: int = 4, **options: Any) -> Handle:
    return run(bake, OVEN, name=name, max="taste", n=n, **{"algo": "passive", **options})


def waiting(handle: Handle) -> list[int]:
    return [t.number for t in handle.trials() if t.state == "waiting"]


def test_proposals_stand_as_waiting_and_nothing_runs(folder: Path) -> None:
    handle = begin("oven")
    assert (handle.state, handle.driver, handle.counts) == ("running", None, {"waiting": 4})
    assert processes_of(handle.home) == []
    assert [json.loads((handle.home / t.folder / "params.json").read_text()) for t in handle.trials()] == [
        t.params for t in handle.trials()
    ]
    assert not handle.wait(0.1)


@pytest.mark.parametrize(("algo", "chooser"), [("passive", "random"), ("passive:sobol", "sobol")])
def test_the_points_are_those_of_the_algorithm_behind_it(folder: Path, algo: str, chooser: str) -> None:
    handle = begin(f"of-{chooser}", algo=algo, seed=3)
    assert [t.params for t in handle.trials()] == proposer(chooser, OVEN, max="taste", seed=3).ask(4)


def test_a_result_completes_its_trial_and_the_last_one_finishes_the_sweep(folder: Path) -> None:
    handle = begin("cakes", n=3)
    assert handle.enter(1, taste=7, weight=0.4).state == "completed"
    assert (handle.state, waiting(handle)) == ("running", [0, 2])
    handle.enter(0, taste=3)
    handle.enter(2, taste="5.5")
    assert (handle.state, handle.counts) == ("finished", {"completed": 3})
    assert handle.df["taste"].tolist() == [3.0, 7.0, 5.5]
    assert handle.best is not None
    assert (handle.best.trial, handle.best.metrics) == (1, {"taste": 7.0, "weight": 0.4})
    assert json.loads((handle.home / handle.trial(1).folder / "metrics.json").read_text()) == {
        "taste": 7,
        "weight": 0.4,
    }
    assert handle.wait(1)


def test_a_trial_without_a_result_is_entered_as_failed_and_one_that_is_no_number_too(folder: Path) -> None:
    handle = begin("broken")
    assert handle.enter(0, failed="the oven broke").error == "the oven broke"
    assert handle.enter(1, taste=float("nan")).reason == "nan"
    assert handle.enter(2, failed="half \ud83d of it" + 9000 * "!").error.startswith("half \\ud83d of it")
    assert handle.retry(0)
    assert handle.enter(0, taste=2).attempt == 2


def test_a_model_proposes_one_at_a_time_and_learns_from_each(folder: Path) -> None:
    handle = begin("learns", n=12, algo="passive:tpe(n_startup=4)")
    while handle.state == "running":
        (number,) = waiting(handle)
        handle.enter(number, taste=-((handle.trial(number).params["temp"] - 60) ** 2))
    alone = run(lambda temp, eggs: -((temp - 60) ** 2), OVEN, name="alone", max="taste", n=12, algo="tpe(n_startup=4)",
                jobs=1, no_canary=True)  # fmt: skip
    assert [t.params for t in handle.trials()] == [t.params for t in alone.trials()]


def test_jobs_says_how_many_stand_at_once_and_scale_changes_it(folder: Path) -> None:
    handle = begin("two", n=9, jobs=2)
    assert waiting(handle) == [0, 1]
    handle.enter(0, taste=1)
    assert waiting(handle) == [1, 2]
    handle.scale(4)
    assert waiting(handle) == [1, 2, 3, 4]


def test_the_same_again_proposes_nothing_and_a_larger_n_what_is_missing(folder: Path) -> None:
    handle = begin("more", n=2)
    first = [(t.number, t.params) for t in handle.trials()]
    assert [(t.number, t.params) for t in begin("more", n=2).trials()] == first
    assert [(t.number, t.params) for t in begin("more", n=5).trials()][:2] == first
    assert waiting(handle) == [0, 1, 2, 3, 4]


def test_a_stopped_sweep_takes_no_results_until_it_goes_on(folder: Path) -> None:
    handle = begin("held")
    handle.stop()
    with pytest.raises(SweepError, match="held is stopped; to enter results go on with it"):
        handle.enter(0, taste=1)
    handle.resume()
    assert handle.enter(0, taste=1).state == "completed"


def test_results_that_are_entered_at_the_same_time_are_all_recorded(folder: Path) -> None:
    handle = begin("crowd", n=12, jobs=6)
    errors: list[BaseException] = []

    def enter(number: int) -> None:
        try:
            sweep("crowd").enter(number, taste=number)
        except BaseException as error:
            errors.append(error)

    for numbers in (range(6), range(6, 12)):
        threads = [threading.Thread(target=enter, args=(number,)) for number in numbers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not errors
    assert (handle.state, handle.df["taste"].tolist()) == ("finished", [float(i) for i in range(12)])


def test_repetitions_are_entered_each(folder: Path) -> None:
    handle = begin("twice", n=2, repeat=2)
    for trial in handle.trials():
        handle.enter(trial.number, taste=trial.number)
    assert (handle.state, len(handle.df), len(handle.configs)) == ("finished", 4, 2)


@pytest.mark.parametrize(
    ("number", "result", "said"),
    [
        (9, {"taste": 1}, r"has no trial 9. These wait for their results: 0, 1, 2, 3."),
        (0, {}, "taste is missing: write taste=VALUE"),
        (0, {"taste": "good", "smell": "bad"}, "taste wants a number, got 'good'; smell wants a number, got 'bad'"),
        (0, {"taste": 10**400}, "taste wants a number, got 1000"),
        (0, {"taste": 1, "<b>": 2}, "'<b>' is no name of a metric"),
        (0, {"taste": 1, "failed": "why"}, "has failed or has a result, not both"),
    ],
)
def test_a_wrong_result_is_refused_and_nothing_is_recorded(
    folder: Path, number: int, result: dict[str, Any], said: str
) -> None:
    handle = begin("oven")
    with pytest.raises(SweepError, match=said):
        handle.enter(number, **result)
    assert handle.counts == {"waiting": 4}


def test_a_final_trial_takes_no_other_result(folder: Path) -> None:
    handle = begin("final")
    handle.enter(2, taste=1)
    with pytest.raises(SweepError, match="Trial 2 is completed and does not change any more"):
        handle.enter(2, taste=2)


def test_a_sweep_that_runs_its_trials_takes_no_results(folder: Path) -> None:
    handle = run(lambda temp, eggs: temp, OVEN, name="machine", max="taste", n=1)
    with pytest.raises(SweepError, match="The trials of machine are run, not entered"):
        handle.enter(0, taste=1)


def test_what_nobody_entered_can_be_given_to_machines(folder: Path) -> None:
    handle = begin("handed", n=3)
    handle.enter(0, taste=99)
    run(lambda temp, eggs: temp, OVEN, name="other", max="taste", n=1)
    again = run(bake, OVEN, name="handed", max="taste", n=3, algo="random", keep_going=True, no_canary=True, bg=True)
    assert again.wait(60)
    assert again.version == handle.version
    assert handle.counts == {"completed": 1, "failed": 2}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"on": "threads"}, "passive refuses on=: no machine runs it"),
        ({"timeout": 3}, "passive refuses timeout=: no machine runs it"),
        ({"stop": "asha"}, "passive refuses stop=: its results come whole"),
        ({"algo": "passive:sobel"}, "Did you mean 'sobol'"),
        ({"algo": "passive:passive"}, "from another algorithm"),
        ({"algo": "passive:grid"}, "a grid has no end over temp"),
        ({"algo": "random:sobol"}, "wants one of"),
    ],
)
def test_what_makes_no_sense_without_machines_is_refused(folder: Path, given: dict[str, Any], said: str) -> None:
    with pytest.raises(SweepError, match=said):
        begin("refused", **given)
    with pytest.raises(SweepError, match="no sweep 'refused'"):
        sweep("refused")


def test_a_cell_proposes_and_returns_and_the_line_magic_enters(folder: Path) -> None:
    with Kernel(folder) as kernel:
        out = kernel.cell(f"%%sweep cell --max taste --algo passive -n 2\n{CELL}")
        assert "cell waits for the results of" in out
        assert "%sweep enter cell NUMBER taste=VALUE" in out
        assert kernel.cell("%sweep enter").count("waits for the results of") >= 1
        out = kernel.cell("%sweep enter cell 0 taste=4 number=1")
        assert "Trial 0 of cell is completed." in out
        assert "     1  temp=" in out
        assert "Trial 1 of cell is failed. No trial waits" in kernel.cell('%sweep enter cell 1 --failed "burnt"')
        assert "is said with --failed" in kernel.refused("%sweep enter cell 1 taste=1 failed=2")
        assert "is no METRIC=VALUE" in kernel.refused("%sweep enter cell 1 taste")
        assert sweep("cell").df["error"].tolist() == ["", "burnt"]


def test_faces_say_that_nothing_runs(folder: Path) -> None:
    with Kernel(folder) as kernel:
        out = kernel.cell(f"%%sweep told --max taste --algo passive -n 2 --dry-run\n{CELL}")
        assert "nothing: the trials wait for results that are entered by hand" in out
        kernel.cell(f"%%sweep told --max taste --algo passive -n 2\n{CELL}")
        assert "its result is to be entered: %sweep enter told NUMBER taste=VALUE" in kernel.cell("%sweep why told 0")
        assert "told is passive: no cluster runs its trials" in kernel.refused("%sweep workers told")
        assert "told still runs after 0.1" in kernel.cell("%sweep wait told 0.1")


def test_the_command_line_enters_and_shows_what_waits(folder: Path) -> None:
    begin("shell", n=2)

    def shell(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "jupyter_sweep", *words], capture_output=True, text=True, check=False
        )

    assert "shell waits for the results of\n     0  temp=" in shell("enter").stdout
    done = shell("enter", "shell", "0", "taste=3", "smell=1")
    assert (done.returncode, done.stderr) == (0, "Trial 0 of shell is completed.\n")
    assert "     1  temp=" in done.stdout
    assert shell("enter", "shell", "1", "--failed", "burnt").returncode == 0
    assert shell("enter", "shell").stdout == "No trial waits for a person to enter its result.\n"
    wrong = shell("enter", "shell", "1", "taste")
    assert (wrong.returncode, "'taste' is no METRIC=VALUE" in wrong.stderr) == (2, True)
    assert sweep("shell").df["state"].tolist() == ["completed", "failed"]
