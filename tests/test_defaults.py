"""`[defaults]` of sweeps.toml, the editor of that file, and the questions of `%sweep init`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_sweep import SweepError
from jupyter_sweep.definition import Spec
from jupyter_sweep.magics import questions
from jupyter_sweep.notation import toml_text
from jupyter_sweep.notation.options import Options, from_keywords, read_line
from jupyter_sweep.notation.profiles import FILE
from jupyter_sweep.widgets.config_page import ConfigForm

Line = Callable[[str], Options]
FILE_TEXT = """\
# our places
[profiles.lab]
on = "local"   # this one

[defaults]
stop = "asha"   # usually
timeout = "20m"
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and settings of Jupyter that hold nothing."""
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "jupyter"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def given(text: str, line: str) -> Options:
    Path(FILE).write_text(text)
    options, mistakes = read_line(line)
    assert mistakes == []
    return options


def refused(text: str, line: str = "--min loss") -> str:
    Path(FILE).write_text(text)
    return "\n".join(map(str, read_line(line)[1]))


# -- the table --------------------------------------------------------------------------------------------------------


def test_a_default_holds_where_the_line_says_nothing() -> None:
    options = given('[defaults]\nstop = "asha"\ntrials = 60\ntag = "mine"\n', "--min loss")
    assert (options.stop, options.trials, options.tag) == (Spec("asha"), 60, ("mine",))


def test_the_line_counts_more_than_a_default() -> None:
    assert given('[defaults]\nstop = "asha"\n', "--min loss --stop none").stop == Spec("none")


def test_a_default_holds_for_a_call_of_run_too() -> None:
    Path(FILE).write_text("[defaults]\njobs = 3\n")
    assert from_keywords(min="loss").jobs == 3


@pytest.mark.parametrize(
    ("text", "line", "field"),
    [
        ('timeout = "20m"', "--min loss --on inline", "timeout"),
        ('algo = "random"', "--min loss --grid", "algo"),
        ("max-failures = 3", "--min loss --keep-going", "max_failures"),
        ('isolation = "inline"', "--min loss --timeout 3", "isolation"),
    ],
)
def test_a_default_that_does_not_go_with_the_line_gives_way(text: str, line: str, field: str) -> None:
    assert getattr(given(f"[defaults]\n{text}\n", line), field) == getattr(Options(), field)


def test_the_file_beside_the_notebook_counts_more_than_that_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "jupyter").mkdir()
    (tmp_path / "jupyter" / FILE).write_text("[defaults]\njobs = 1\nretry = 2\n")
    options = given("[defaults]\njobs = 4\n", "--min loss")
    assert (options.jobs, options.retry) == (4, 2)


def test_all_mistakes_of_the_table_are_told_with_the_nearest_option() -> None:
    said = refused('[defaults]\nstopp = "asha"\ntimeout = "20x"\njobs = true\n')
    assert "'stopp' is no option that can have a default. Did you mean 'stop'?" in said
    assert "timeout wants a duration such as 30s" in said
    assert "jobs wants a text or a number, got True" in said
    assert "--on of [defaults] 'lap' is no place to run. Did you mean 'lab'?" in refused(
        '[defaults]\non = "lap"\n[profiles.lab]\non = "local"\n'
    )


# -- the editor -------------------------------------------------------------------------------------------------------


def ask(editor: ConfigForm, kind: str, **message: Any) -> dict[str, Any]:
    editor._received(editor, {"kind": kind, "rev": 1, **message}, [])
    state: dict[str, Any] = editor.state
    return state


def test_a_default_is_changed_in_the_text_and_its_comment_stays(folder: Path) -> None:
    (folder / FILE).write_text(FILE_TEXT)
    editor = ConfigForm(folder / FILE)
    ask(editor, "default", name="stop", value="median")
    state = ask(editor, "default", name="jobs", value="4")
    assert state["text"] == FILE_TEXT.replace('"asha"', '"median"').replace("[defaults]\n", "[defaults]\njobs = 4\n")
    assert state["defaults"] == {"jobs": "4", "stop": "median", "timeout": "20m"}
    assert (folder / FILE).read_text() == FILE_TEXT
    assert ask(editor, "save")["saved"]
    assert (folder / FILE).read_text() == state["text"]


def test_a_default_that_is_emptied_goes_and_the_first_one_brings_its_table(folder: Path) -> None:
    editor = ConfigForm(folder / FILE)
    assert ask(editor, "default", name="on", value="lab")["text"] == '[defaults]\non = "lab"\n'
    assert ask(editor, "default", name="on", value="")["text"] == "[defaults]\n"


def test_the_editor_tells_the_mistakes_of_the_file_as_a_sweep_does(folder: Path) -> None:
    editor = ConfigForm(folder / FILE)
    state = ask(editor, "text", text='[profiles.lab]\non = "locall"\n[defaults]\njobs = 0\n')
    assert "Did you mean 'local'?" in state["mistakes"][0]
    assert "jobs wants a whole number from 1" in state["mistakes"][1]
    assert ask(editor, "text", text="[[[")["mistakes"][0].startswith("can't be read: ")


@pytest.mark.parametrize("template", ["this machine", "hosts by ssh", "Slurm"])
def test_a_new_profile_is_one_that_can_be_read(folder: Path, template: str) -> None:
    (folder / FILE).write_text(FILE_TEXT)
    state = ask(ConfigForm(folder / FILE), "add", template=template)
    assert [p["name"] for p in state["profiles"]] == ["lab", "place"]
    assert state["text"].startswith(FILE_TEXT)
    assert state["mistakes"] == []


def test_a_value_over_several_lines_is_left_to_the_text() -> None:
    text = '[defaults]\nnote = """\nstop = "x"\n"""\nstop = "asha"\n'
    with pytest.raises(SweepError, match="change it in the text"):
        toml_text.with_value(text, "defaults", "stop", "median")


# -- the questions ----------------------------------------------------------------------------------------------------


def answered(*answers: str) -> tuple[str, list[str]]:
    """Give the cell that answers make, and what was said of wrong ones."""
    rest, said = list(answers), list[str]()
    return questions.cell(lambda _question: rest.pop(0), said.append), said


def test_answers_end_in_a_cell_with_what_is_not_usual() -> None:
    source, said = answered(
        "digits", "max", "acc", "random", "60", "", "", "2", "", "", "train",
        "lr", "float", "1e-5", "1e-1", "yes", "opt", "choice", '"sgd", "adam"', "stop",
    )  # fmt: skip
    assert said == []
    assert source == (
        "%%sweep digits --max acc -n 60 --algo random --jobs 2\n"
        "from jupyter_sweep import choice, loguniform\n"
        'lr = loguniform(1e-5, 1e-1)\nopt = choice("sgd", "adam")\n\nacc = train(lr=lr, opt=opt)\n'
    )


def test_a_wrong_answer_is_told_as_the_cell_would_and_asked_for_again() -> None:
    source, said = answered(
        "", "", "", "tpee", "tpe", "0", "5", "", "", "", "", "", "x * x",
        "x", "float", "3", "1", "no", "x", "float", "", "", "", "stop",
    )  # fmt: skip
    assert "'tpee' is no algorithm. Did you mean 'tpe'?" in said[0]
    assert "wants a whole number from 1" in said[1]
    assert "low <= high must hold, got low=3.0, high=1.0" in said[2]
    assert (
        source == "%%sweep --min loss -n 5\nfrom jupyter_sweep import uniform\nx = uniform(0.0, 1.0)\n\nloss = x * x\n"
    )
