"""`run(job, space, ...)`: a sweep over a function, in processes, in threads, and in this very process."""

from __future__ import annotations

import functools
import json
import math
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from conftest import command_of, processes_of, shared_home

from jupyter_sweep import Choice, Float, Int, Space, SweepError, checkpoint, report, run, save, seed, sweep
from jupyter_sweep.handle import Handle
from jupyter_sweep.notation import table

SPACE = Space(x=Float(0, 1), k=Int(1, 4))
WHERE: list[dict[str, Any]] = [{"on": "inline"}, {"jobs": 2}, {"on": "threads", "jobs": 2}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One folder for all tests, so that they share warm drivers; each uses names of its own."""
    with shared_home(tmp_path_factory.mktemp("functions")) as folder:
        yield folder


def bowl(x: float, k: int) -> float:
    return (x - 0.3) ** 2 + k / 100


def rows(handle: Handle) -> list[tuple[Any, ...]]:
    return [(t.number, t.params, t.metrics, t.state, t.seed, t.finished_at) for t in handle.trials()]


@pytest.mark.parametrize("where", WHERE, ids=["inline", "local", "threads"])
def test_a_function_is_run_over_its_space_and_again_only_for_what_is_missing(
    folder: Path, where: dict[str, Any]
) -> None:
    name = f"f-{where.get('on', 'local')}"
    handle = run(bowl, SPACE, name=name, min="loss", n=8, algo="random", seed=4, **where)
    assert (handle.state, handle.counts) == ("finished", {"completed": 8})
    assert all(t.metrics == {"loss": bowl(**t.params)} for t in handle.trials())
    assert handle.trials()[0].params == SPACE.defaults()
    assert handle.best is not None
    assert handle.best.value == handle.df["loss"].min()
    first = rows(handle)
    assert rows(run(bowl, SPACE, name=name, min="loss", n=8, algo="random", seed=4, **where)) == first
    more = run(bowl, Space(x=Float(-1, 2), k=Int(1, 9)), name=name, min="loss", n=11, algo="random", **where)
    assert rows(more)[:8] == first
    assert len(more.trials()) == 11
    assert [(t.params, t.seed) for t in handle.trials()[:8]] == [
        (t.params, t.seed) for t in sweep(name, version=1).trials()[:8]
    ]
    assert sweep(name).sweep_id == handle.sweep_id
    assert repr(handle).startswith(f"<sweep '{name}' version 1: finished")


def test_all_ways_to_run_give_the_same(folder: Path) -> None:
    def noisy(x: float, k: int) -> dict[str, float]:
        for step in range(3):
            report(loss=bowl(x, k) + random.random() / (step + 1), step=step)
        save("seed.joblib", seed())
        return {"loss": bowl(x, k) + random.random(), "drawn": random.random()}

    found = []
    for where in WHERE:
        name = f"same-{where.get('on', 'local')}"
        handle = run(noisy, SPACE, name=name, min="loss", n=6, seed=2, **{**where, "jobs": where.get("jobs") and 1})
        found.append([(t.params, t.seed, t.metrics) for t in handle.trials()])
        assert len(handle.curves) == 18
        assert [handle.load("seed.joblib", trial=t.number) for t in handle.trials()] == [
            t.seed for t in handle.trials()
        ]
    assert found[0] == found[1] == found[2]


def test_functions_of_all_sorts_and_what_they_give(folder: Path) -> None:
    class Scaled:
        def __init__(self, by: float) -> None:
            self.by = by

        def __call__(self, k: int, extra: str = "e") -> float:
            return self.by * k

    def add(base: float, k: int) -> float:
        return base + k

    space = Space(k=Choice(3, 1, 2))
    jobs: dict[str, Callable[..., Any]] = {
        "closure": lambda k: k,
        "instance": Scaled(1.0),
        "partial": functools.partial(add, 0.0),
        "keywords": lambda **given: given["k"],
    }
    for kind, job in jobs.items():
        for where in ({"on": "inline"}, {"jobs": 2}):
            handle = run(job, space, name=f"{kind}-{'in' if 'on' in where else 'out'}", min="loss", grid=True, **where)
            assert handle.df["loss"].tolist() == [3, 1, 2], kind


def test_a_call_without_a_name_is_named_after_its_function_and_target(folder: Path) -> None:
    class Scaled:
        def __call__(self, k: int) -> dict[str, float]:
            return {"loss": float(k), "val/loss": float(k)}

    def add(base: float, k: int) -> float:
        return base + k

    def écart(k: int) -> float:
        return k

    jobs: list[tuple[Callable[..., Any], str, str]] = [
        (functools.partial(functools.partial(add), 0.0), "loss", "add-loss"),
        (lambda k: k, "loss", "lambda-loss"),
        (Scaled(), "val/loss", "Scaled-val_loss"),
        (écart, "loss", "sweep-écart-loss"),
    ]
    for job, target, name in jobs:
        handle = run(job, Space(k=Choice(3, 1)), min=target, grid=True, on="inline")
        assert (handle.name, handle.folder.name) == (name, name)
        assert table.NAME.fullmatch(name)


# -- inline -----------------------------------------------------------------------------------------------------------


def test_inline_runs_in_this_very_process_and_leaves_it_as_it_was(folder: Path) -> None:
    def here(k: int) -> dict[str, float]:
        import numpy

        numpy.random.seed(k)
        os.environ["SET_BY_A_TRIAL"] = "1"
        os.chdir("/")
        return {"loss": k, "pid": os.getpid(), "thread": threading.get_ident()}

    before = os.getcwd(), random.getstate(), list(sys.path), dict(os.environ)
    handle = run(here, Space(k=Int(1, 5)), name="here", min="loss", grid=True, on="inline")
    assert (os.getcwd(), random.getstate(), list(sys.path), dict(os.environ)) == before
    assert set(handle.df["pid"]) == {os.getpid()}
    assert set(handle.df["thread"]) == {threading.get_ident()}
    spans = [(t.started_at or 0, t.finished_at or 0) for t in handle.trials()]
    assert all(ended <= begun for (_, ended), (begun, _) in pairwise(spans)), "one at a time"
    assert handle.driver is None


def test_a_breakpoint_in_an_inline_trial_opens_the_debugger_in_its_frame(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def looked_into(k: int) -> int:
        secret = k * 7
        breakpoint()
        print("secret is", secret)
        return secret

    stops = []
    monkeypatch.setattr(sys, "breakpointhook", lambda: stops.append(dict(sys._getframe(1).f_locals)))
    handle = run(looked_into, Space(k=Choice(1, 2)), name="looked", min="loss", grid=True, on="inline")
    assert stops == [{"k": 1, "secret": 7}, {"k": 2, "secret": 14}]
    assert handle.log(1) == "secret is 14\n"
    assert "secret is 14" in capsys.readouterr().out


def test_inline_trials_report_and_are_pruned(folder: Path) -> None:
    def curve(k: int) -> None:
        for step in range(20):
            report(loss=k + 1 / (step + 1), step=step)

    handle = run(curve, Space(k=Int(1, 12)), name="curve", min="loss", grid=True, on="inline", stop="median")
    pruned = [t for t in handle.trials() if t.state == "pruned"]
    assert pruned
    assert handle.counts["completed"] + len(pruned) == 12
    assert handle.best is not None
    assert handle.best.params == {"k": 1}
    reports = handle.curves.groupby("number").size()
    assert all(reports[t.number] < 20 for t in pruned)
    assert all(reports[t.number] == 20 for t in handle.trials() if t.state == "completed")


def test_an_interrupt_of_an_inline_sweep_leaves_it_to_be_gone_on_with(folder: Path) -> None:
    def interrupted(k: int) -> int:
        with open("inline-ran", "a") as file:
            file.write(f"{k} ")
        if k == 3 and not os.path.exists("inline-went-on"):
            signal.raise_signal(signal.SIGINT)
        return k

    space, options = Space(k=Int(1, 6)), {"name": "stopped", "min": "loss", "grid": True, "on": "inline"}
    with pytest.raises(KeyboardInterrupt):
        run(interrupted, space, **options)
    handle = sweep("stopped")
    assert handle.state == "interrupted"
    ends = [str(t.state) for t in handle.trials()]
    assert ends[:3] == ["completed", "completed", "cancelled"]
    assert set(ends[3:]) <= {"waiting"}, "what had not begun still can"
    assert handle.ended
    Path("inline-went-on").touch()
    assert run(interrupted, space, **options).state == "finished"
    assert sorted(Path("inline-ran").read_text().split()) == ["1", "2", "3", "3", "4", "5", "6"]
    assert sorted(t.params["k"] for t in handle.trials() if t.state == "completed") == [1, 2, 3, 4, 5, 6]
    assert run(interrupted, Space(k=Int(1, 8)), **{**options, "on": "local", "jobs": 2}).counts["completed"] == 8


def test_checkpoints_and_retries_work_inline(folder: Path) -> None:
    def flaky(k: int) -> int:
        begun = checkpoint() or 0
        checkpoint(begun + 1)
        if begun < 2:
            raise OSError("not yet")
        return k + begun

    handle = run(flaky, Space(k=Choice(1, 2)), name="flaky", min="loss", grid=True, on="inline", retry=2)
    assert [(t.metrics, t.attempt) for t in handle.trials()] == [({"loss": 3.0}, 3), ({"loss": 4.0}, 3)]


def test_the_files_of_a_trial_are_flat_objects_that_every_reader_of_json_takes(folder: Path) -> None:
    def job(size: dict[str, int], lr: float) -> float:
        report(worst=math.inf)
        return math.nan

    space = Space(size=Choice({"width": 64, "depth": 2}), lr=Choice(0.5))
    (trial,) = run(job, space, name="flat", min="loss", grid=True, on="inline", keep_going=True).trials()

    def read(name: str) -> object:
        return json.loads((sweep("flat").home / trial.folder / name).read_text(), parse_constant=lambda word: word)

    assert read("params.json") == {"size.width": 64, "size.depth": 2, "lr": 0.5}
    assert read("metrics.json") == {"worst": "inf", "loss": None}


# -- what goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", WHERE, ids=["inline", "local", "threads"])
def test_fail_fast_raises_and_keep_going_does_not(folder: Path, where: dict[str, Any]) -> None:
    def sometimes(k: int) -> float:
        time.sleep(0.1 * (k != 2))
        return 1 / (k - 2)

    name, space = f"fast-{where.get('on', 'local')}", Space(k=Int(1, 9))
    with pytest.raises(SweepError, match="ZeroDivisionError"):
        run(sometimes, space, name=name, min="loss", grid=True, fail_fast=True, **where)
    counts = sweep(name).counts
    assert counts["failed"] == 1
    assert counts.get("completed", 0) < 8
    with pytest.raises(SweepError, match="ZeroDivisionError"):
        run(sometimes, space, name=name, min="loss", grid=True, fail_fast=True, **where)
    assert sweep(name).counts == counts, "what went beyond its failures starts nothing"
    handle = run(sometimes, space, name=name, min="loss", grid=True, **where)
    assert handle.state == "finished"
    assert handle.counts["failed"] == 1
    assert handle.counts["completed"] == 8


def test_a_call_that_waited_says_how_many_failed_and_why(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def inverse(k: int) -> float:
        return 1 / (k - 2)

    space, given = Space(k=Int(1, 3)), {"name": "told", "min": "loss", "grid": True, "jobs": 2}
    run(inverse, space, **given)
    assert capsys.readouterr().out == "1 trial failed (1 error). Trial 1: ZeroDivisionError: division by zero\n"
    run(inverse, space, **{**given, "bg": True, "name": "untold"}).wait()
    run(bowl, SPACE, name="well", min="loss", n=2)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("where", WHERE, ids=["inline", "local", "threads"])
def test_a_failure_shows_the_lines_of_the_user_and_none_of_ours(folder: Path, where: dict[str, Any]) -> None:
    def wrong(k: int) -> float:
        return 1 / (k - 2)

    name = f"wrong-{where.get('on', 'local')}"
    handle = run(wrong, Space(k=Int(1, 2)), name=name, min="loss", grid=True, **where)
    failure = handle.failure(1)
    assert failure["error"] == "ZeroDivisionError: division by zero"
    assert "return 1 / (k - 2)" in failure["traceback"]
    assert "return 1 / (k - 2)" in handle.log(1)
    assert failure["traceback"].count("File ") == 1


@pytest.mark.parametrize(
    ("job", "space", "options", "words"),
    [
        (bowl, SPACE, {}, ["min"]),
        (bowl, SPACE, {"min": "loss", "n": 0, "algo": "typo", "timeout": "soon"}, ["n=", "typo", "timeout"]),
        (bowl, SPACE, {"max": 3}, ["max=", "the name of a metric", "the number 3"]),
        (bowl, SPACE, {"min": "loss", "timout": 3}, ["timout", "timeout"]),
        (bowl, SPACE, {"min": "loss", "grid": True}, ["x", "step="]),
        (bowl, SPACE, {"min": "loss", "on": "inline", "jobs": 2, "timeout": 3}, ["jobs", "timeout"]),
        (bowl, Space(x=Float(0, 1)), {"min": "loss"}, ["k"]),
        (bowl, Space(x=Float(0, 1), k=Int(1, 2), z=Int(1, 2)), {"min": "loss"}, ["z"]),
        (bowl, {"x": (0, 1)}, {"min": "loss"}, ["Space"]),
        (3, SPACE, {"min": "loss"}, ["3"]),
        (bowl, Space(), {"min": "loss"}, ["parameter"]),
        (lambda k: threading.Lock() and k, Space(k=Int(1, 2)), {"min": "loss", "name": "a b"}, ["a b"]),
    ],
)
def test_mistakes_are_told_before_anything_is_started_or_written(
    home: Path, job: Any, space: Any, options: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(SweepError) as told:
        run(job, space, **options)
    assert all(word in str(told.value) for word in words), told.value
    assert not home.exists()
    assert processes_of(home) == []


@pytest.mark.parametrize(
    ("job", "space", "options", "words"),
    [
        (bowl, Space(x=Float(0, 1)), {"n": 0, "jobz": 2}, ["n=", "jobz", "no target", "'k'"]),
        (bowl, {"x": (0, 1)}, {"mim": "loss"}, ["'min'", "no target", "of type dict"]),
        (3, SPACE, {"min": "loss", "timeout": "soon"}, ["timeout", "can't be called"]),
        (bowl, Space(x=Float(0, 1)), {"min": "loss", "grid": True}, ["step=", "'k'"]),
        (3, {"x": (0, 1)}, {"min": "loss", "n": 0}, ["n=", "can't be called", "of type dict"]),
        (3, Space(x=Float(0, 1), state=Int(1, 2)), {"min": "loss"}, ["can't be called", "'state'"]),
    ],
)
def test_mistakes_of_options_job_and_space_are_told_together(
    home: Path, job: Any, space: Any, options: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(SweepError) as told:
        run(job, space, **options)
    said = str(told.value)
    assert said.startswith(f"{len(words)} mistakes; nothing was started.\n")
    assert all(word in said for word in words), said
    assert "line 1" not in said, "a call has no lines of a cell"
    assert not home.exists()


def test_what_can_not_travel_is_named_beside_the_options(home: Path) -> None:
    lock = threading.Lock()
    with pytest.raises(SweepError, match=r"(?s)'min'.*lock"):
        run(lambda k: lock and k, Space(k=Int(1, 2)), mim="loss")
    assert not home.exists()


def test_what_can_not_travel_is_named_before_before_the_start(home: Path) -> None:
    lock = threading.Lock()

    def locked(k: int) -> int:
        with lock:
            return k

    with pytest.raises(SweepError, match="lock"):
        run(locked, Space(k=Int(1, 2)), name="locked", min="loss")
    assert not home.exists()


# -- finding it again -------------------------------------------------------------------------------------------------


def test_a_handle_is_found_by_name_version_and_folder(home: Path, tmp_path: Path) -> None:
    def run_in(folder: Path, factor: int) -> Handle:
        def scaled(k: int) -> int:
            return k * factor

        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("JUPYTER_SWEEP_HOME", str(folder / "sweeps"))
            return run(scaled, Space(k=Choice(1, 2)), name="digits", min="loss", grid=True, on="inline")

    there = tmp_path / "there"
    run_in(tmp_path, 1)
    run_in(tmp_path, 2)
    run_in(there, 3)
    assert sweep("digits").df["loss"].tolist() == [2, 4]
    assert sweep("digits", version=1).df["loss"].tolist() == [1, 2]
    assert sweep().name == "digits"
    for folder in (there, str(there), there / "sweeps"):
        assert sweep("digits", folder=folder).df["loss"].tolist() == [3, 6], "a folder given is the folder meant"
    with pytest.raises(SweepError, match="'digits'"):
        sweep("digist")
    with pytest.raises(SweepError, match="no version 7"):
        sweep("digits", version=7)
    with pytest.raises(SweepError, match="no sweeps"):
        sweep("digits", folder=tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
    run_in(tmp_path, 1)
    assert sweep("digits").version == 1
    assert [h.version for h in sweep("digits").versions] == [1, 2]


def test_a_call_in_the_background_returns_at_once_and_is_waited_for_and_stopped(folder: Path) -> None:
    def slow(k: int) -> int:
        time.sleep(0.2)
        return k

    handle = run(slow, Space(k=Int(1, 90)), name="bg", min="loss", grid=True, jobs=2, bg=True)
    assert not handle.wait(0.3)
    while not handle.counts.get("completed"):
        time.sleep(0.02)
    assert handle.driver is not None
    handle.stop()
    assert handle.wait(60)
    assert handle.state == "stopped"
    assert handle.counts.get("cancelled", 0) <= 2
    assert run(slow, Space(k=Int(1, 3)), name="bg", min="loss", n="+1", algo="random", jobs=2).state == "finished"


def test_nobody_reads_the_options_of_a_place_from_a_command_line(folder: Path) -> None:
    (folder / "sweeps.toml").write_text("[profiles.quiet]\non = 'local'\nadapt = {maximum = 2}\n")
    handle = run(bowl, Space(x=Float(0, 1), k=Int(1, 3)), name="quiet", min="value", n=3, on="quiet")
    (folder / "sweeps.toml").unlink()
    assert handle.counts == {"completed": 3}
    lines = [command_of(process) for process in processes_of(folder)]
    assert any("runner.driver" in line and "quiet" in line for line in lines)
    assert not any("maximum" in line for line in lines)
