"""Seeded mistakes of a user: each gives one message without a traceback of ours, starts nothing and writes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import processes_of
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from jupyter_sweep import SweepError

SETUP = """
from jupyter_sweep import choice, loguniform, randint, report, require, uniform, proposer, run, sweep, Space, Float
import threading
helper = lambda x: x * 2
budget = 0
lock = threading.Lock()
space = Space(lr=Float(0.1, 1.0))
"""
GOOD = "x = choice(1, 2)\nloss = x\n"


class Case(NamedTuple):
    """A cell that is wrong, and words that its message must hold."""

    line: str
    body: str
    said: tuple[str, ...]


CELLS = {
    "no target": Case("digits", GOOD, ("--min loss", "--max loss", "line 1")),
    "no target, with the metric that is reported": Case("d -n 3", "x = choice(1, 2)\nreport(acc=x)", ("--max acc",)),
    "an unknown option": Case("d --min loss --trails 3", GOOD, ("--trails", "'--trials'")),
    "an option of a later release": Case("d --min loss --after learn", GOOD, ("--after", "not in this release")),
    "one and a half devices": Case("d --min loss --gpus 1.5", GOOD, ("--gpus", "1.5", "2 gives", "part of one")),
    "more devices than are named": Case("d --min loss --gpus 2 --devices 0,0", GOOD, ("--gpus 2", "1 device")),
    "devices that no variable could name": Case("d --min loss --devices cuda:0", GOOD, ("--devices", "0,1", "GPU-")),
    "devices in this process": Case("d --min loss --on inline --gpus 1", GOOD, ("inline", "--gpus")),
    "an algorithm of a later release": Case("d --min loss --algo cmaes", GOOD, ("cmaes", "not in this release")),
    "a misspelt algorithm": Case("d --min loss --algo tpee", GOOD, ("'tpee'", "'tpe'")),
    "an option that the algorithm has not": Case("d --min loss --algo tpe(startup=3)", GOOD, ("startup", "n_startup")),
    "an option that the stop rule has not": Case("d --min loss --stop asha(etta=3)", GOOD, ("etta", "eta")),
    "no trials": Case("d --min loss -n 0", GOOD, ("-n", "'0'")),
    "negative trials": Case("d --min loss -n -5", GOOD, ("-n", "'-5'")),
    "no trials, from a variable": Case("d --min loss -n {budget}", GOOD, ("-n", "'0'")),
    "an unknown variable in braces": Case("d --min loss -n {nothing}", GOOD, ("{nothing}", "NameError")),
    "a size without unit": Case("d --min loss --mem 8", GOOD, ("--mem", "8G")),
    "a wrong unit of time": Case("d --min loss --timeout 5parsec", GOOD, ("--timeout", "20m")),
    "inline with a timeout": Case("d --min loss --on inline --timeout 5s", GOOD, ("inline", "--timeout")),
    "inline with jobs": Case("d --min loss --on inline --jobs 2", GOOD, ("inline", "--jobs")),
    "inline with memory": Case("d --min loss --on inline --mem 1G", GOOD, ("inline", "--mem")),
    "a place that is none": Case(
        "d --min loss --on slrm", GOOD, ("'slrm'", "'slurm'", "tcp://HOST:PORT", "sweeps.toml")
    ),
    "an address without a port": Case("d --min loss --on 10.0.0.1", GOOD, ("10.0.0.1:8786", "ssh:10.0.0.1")),
    "an address where nobody is": Case(
        "d --min loss --on tcp://127.0.0.1:1", GOOD, ("nobody answers", "dask scheduler")
    ),
    "the word of an address alone": Case("d --min loss --on tcp", GOOD, ("--on tcp", "tcp://HOST:PORT")),
    "the word of ssh alone": Case("d --min loss --on ssh", GOOD, ("--on ssh", "ssh:HOST,HOST")),
    "the word of a class alone": Case("d --min loss --on class", GOOD, ("--on class", "class:module.Class")),
    "a class that is not there": Case("d --min loss --on class:os.Nowhere", GOOD, ("os has no class 'Nowhere'",)),
    "an option that jobs have not": Case("d --min loss --on slurm:partion=a", GOOD, ("'partion'", "'partition'")),
    "a need that can't be read": Case("d --min loss --needs cuda(mem=16)", GOOD, ("--needs", "unit of memory", "^")),
    "a need without profiles": Case("d --min loss --needs cuda", GOOD, ("--needs", "[profiles.NAME]", "sweeps.toml")),
    "a need and a place": Case("d --min loss --needs cuda --on local", GOOD, ("--needs", "--on local")),
    "a grid by another algorithm": Case("d --min loss --grid --algo random", GOOD, ("--grid", "random")),
    "a grid of a range without steps": Case("d --min loss --grid", "x = uniform(0, 1)\nloss = x", ("step",)),
    "a law that a range never meets": Case(
        "d --min loss",
        "x = uniform(0, 1)\nrequire(x > 2)\nloss = x",
        ("line 3", "require(x > 2)", "uniform(0.0, 1.0)", "->"),
    ),
    "a law that no choice meets": Case(
        "d --min loss", "x = choice(1, 2)\ny = uniform(0, 1)\nrequire(x > 2)\nloss = x + y", ("line 4", "choice(1, 2)")
    ),
    "a law of the notebook that a grid never meets": Case(
        "d --min loss --grid",
        "x = randint(1, 9)\nrequire(x < budget)\nloss = x",
        ("line 3", "randint(1, 9)", "budget = 0"),
    ),
    "a law that a pinned value breaks": Case(
        "d --min loss x=1", "x = choice(1, 2)\nrequire(x > 1)\nloss = x", ("line 3", "x = 1", "require(x > 1)")
    ),
    "laws that exclude each other": Case(
        "d --min loss", "x = randint(1, 9)\nrequire(x > 5)\nrequire(x < 3)\nloss = x", ("line 3", "hold together")
    ),
    "two laws that never hold": Case(
        "d --min loss",
        "x = randint(1, 9)\nrequire(x > 9)\nrequire(x < 1)\nloss = x",
        ("2 mistakes", "line 3", "line 4"),
    ),
    "both ways": Case("d --min loss --max loss", GOOD, ("loss", "--min", "--max")),
    "keep going and fail fast": Case("d --min loss --keep-going --fail-fast", GOOD, ("--keep-going", "--fail-fast")),
    "a name that is none": Case("2fast --min loss", GOOD, ("'2fast'", "letter")),
    "two names": Case("one two --min loss", GOOD, ("'two'",)),
    "a quote that is never closed": Case("d --min loss --note 'open", GOOD, ("quote", "'open")),
    "a pin of nothing that the body declares": Case("d --min loss depth=3", GOOD, ("depth", "x")),
    "a pin of another type": Case("d --min loss x=high", "x = uniform(0, 1)\nloss = x", ("x=high", "line 1")),
    "a pin with spaces": Case("d --min loss x = 1", GOOD, ("'='", "spaces")),
    "a space that is none": Case("d --min loss --space budget", "loss = lr", ("--space", "budget", "int")),
    "a space that does not exist": Case("d --min loss --space nowhere", "loss = lr", ("nowhere", "NameError")),
    "a variable that is no name": Case("d --min loss -o my-var", GOOD, ("-o", "'my-var'")),
    "a syntax error": Case("d --min loss", "x = choice(1, 2)\nloss = (x\n", ("line 3",)),
    "an undefined name": Case("d --min loss", "x = choice(1, 2)\nloss = halper(x)", ("halper", "line 3", "helper")),
    "no parameter": Case("d --min loss", "loss = 3", ("parameter",)),
    "a parameter that is never read": Case("d --min loss", "x = choice(1, 2)\nloss = 3", ("x", "--allow-unused")),
    "a shadowed word": Case("d --min loss", "from random import choice\nx = choice([1, 2])\nloss = x", ("choice",)),
    "a range in a loop": Case("d --min loss", "for i in range(3):\n    x = uniform(0, 1)\nloss = x", ("line 3",)),
    "a range upside down": Case("d --min loss", "x = uniform(1, 0)\nloss = x", ("line 2", "low")),
    "a capture that can't travel": Case("d --min loss", "x = choice(1, 2)\nwith lock:\n    loss = x", ("lock",)),
    "a parameter with a column's name": Case("d --min loss", "state = choice(1, 2)\nloss = state", ("state",)),
    "mistakes of line and body": Case(
        "d -n 0 --mem 8", "x = uniform(1, 0)\nloss = x", ("-n", "--mem", "target", "low")
    ),
}
LINES = {
    "an unknown verb": ("shwo digits", ("'shwo'", "'show'")),
    "a verb of a later release": ("rename a b", ("rename", "not in this release")),
    "options with one percent sign": ("--min loss -n 3", ("%%sweep",)),
    "a missing name": ("show", ("NAME", "Usage: %sweep show NAME")),
    "a missing number": ("log digits", ("NUMBER", "Usage: %sweep log NAME NUMBER")),
    "a word too many": ("stop a b", ("'b'", "Usage: %sweep stop NAME")),
    "an unknown flag": ("drop a --force", ("--force", "--yes")),
    "a folder without sweeps": ("best digits", ("no sweeps",)),
    "a quote that is never closed": ("show 'dig", ("quote",)),
}
#: Calls in a plain cell, and words of their message.
CALLS = {
    "a sweep that is not there": ('sweep("nosuch")', "no sweeps"),
    "an unknown keyword": ("run(print, space, mim='loss')", "'min'"),
    "a space upside down": ("Space(lr=Float(2, 1))", "low <= high"),
    "an unknown algorithm": ('proposer("gp", space, min="loss")', "'gp'"),
    "a range upside down": ("uniform(1, 0)", "low <= high"),
    "a metric that is no number": ('report(loss="x")', "report(loss=...)"),
    "what does not hold": ("require(budget > 0)", "does not hold"),
}


@pytest.fixture
def shell(home: Path) -> Iterator[InteractiveShell]:
    """A shell with the extension loaded, and no file of its history."""
    made = InteractiveShell.instance(history_length=0)
    made.history_manager.enabled = False
    made.run_line_magic("load_ext", "jupyter_sweep")
    assert made.run_cell(SETUP).success
    yield made
    made.run_line_magic("unload_ext", "jupyter_sweep")
    InteractiveShell.clear_instance()


@pytest.mark.parametrize("case", CELLS)
def test_a_wrong_cell_ends_with_one_message_and_nothing_started(
    case: str, shell: InteractiveShell, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line, body, said = CELLS[case]
    error = shell.run_cell(f"%%sweep {line}\n{body}").error_in_exec
    assert_told(error, capsys.readouterr(), said)
    assert_nothing_started(home)


@pytest.mark.parametrize("case", LINES)
def test_a_wrong_line_ends_with_one_message_and_nothing_written(
    case: str, shell: InteractiveShell, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line, said = LINES[case]
    error = shell.run_cell(f"%sweep {line}").error_in_exec
    assert_told(error, capsys.readouterr(), said)
    assert_nothing_started(home)


@pytest.mark.parametrize("line", ["--min loss", "--min loss -n 2 --dry-run"])
def test_a_dry_run_and_an_empty_cell_write_nothing_either(line: str, shell: InteractiveShell, home: Path) -> None:
    shell.run_cell(f"%%sweep {line}\n" + (GOOD if "dry" in line else "\n"))
    assert_nothing_started(home)


def test_the_line_is_quoted_and_counted_as_line_one(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell("%%sweep digits -n 3 --min\nx = choice(1, 2)\nloss = nowhere(x)\n")
    said = capsys.readouterr().out
    assert "2 mistakes" in said
    assert said.index("line 1: --min needs a value") < said.index("%%sweep digits -n 3 --min") < said.index("line 3")


@pytest.mark.parametrize("case", CALLS)
def test_a_wrong_call_in_a_plain_cell_shows_where_it_stands_and_its_message(
    case: str, shell: InteractiveShell, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call, said = CALLS[case]
    error = shell.run_cell(f"def called():\n    return {call}\n\ncalled()").error_in_exec
    assert isinstance(error, SweepError)
    assert said in str(error)
    frames = [f"Cell In[1], line 4\n    called()\nCell In[1], line 2\n    return {call}"]
    assert capsys.readouterr().out.strip() == "\n".join([*frames, f"SweepError: {error}"])
    assert_nothing_started(home)


def test_a_mistake_in_a_file_of_the_user_shows_its_line_too(
    shell: InteractiveShell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_ranges.py").write_text("import jupyter_sweep\n\ndef wide():\n    jupyter_sweep.uniform(1, 0)\n")
    shell.run_cell("import own_ranges\nown_ranges.wide()")
    shown = capsys.readouterr().out
    assert f"File {tmp_path / 'own_ranges.py'}, line 4\n    jupyter_sweep.uniform(1, 0)\nSweepError: " in shown


def test_a_kind_of_error_that_the_user_made_keeps_its_name(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell("import jupyter_sweep\nclass Own(jupyter_sweep.SweepError): ...\nraise Own('why')")
    assert capsys.readouterr().out.endswith("Own: why\n")


def assert_told(error: BaseException | None, output: pytest.CaptureResult[str], said: tuple[str, ...]) -> None:
    """Hold an error against what a user may see of it: one message, both kinds of error, no frame of anybody."""
    assert isinstance(error, SweepError), output
    assert isinstance(error, UsageError)
    shown = output.out + output.err
    assert shown.count(str(error)) == 1
    assert "Traceback" not in shown
    assert "File " not in shown
    for words in said:
        assert words in str(error)


def assert_nothing_started(home: Path) -> None:
    """Nothing was written: not even the folder; no process serves it."""
    assert not home.exists()
    assert [path.name for path in home.parent.iterdir()] == []
    assert processes_of(home) == []
