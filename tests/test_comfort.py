"""The magics' comfort: compare, check, Tab, help that says all, words for slips, formatters that leave a cell be."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from conftest import end_processes_of
from IPython.core.completer import CompletionContext
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import RichOutput, capture_output

from jupyter_sweep import SweepError, plugins
from jupyter_sweep.magics import completion, verbs
from jupyter_sweep.notation import table

SETUP = "from jupyter_sweep import choice, ordinal, randint, report, sweep, uniform\nimport math\n"
BODY = "x = uniform(0.0, 1.0)\nopt = choice('sgd', 'adam')\nloss = x + len(opt)\n"


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InteractiveShell]:
    """One shell with three small sweeps: `a` in two versions, and `b`."""
    shell = InteractiveShell.instance(history_length=0)
    shell.history_manager.enabled = False
    folder = tmp_path_factory.mktemp("comfort") / "sweeps"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_SWEEP_HOME", str(folder))
        patch.chdir(folder.parent)
        shell.run_line_magic("load_ext", "jupyter_sweep")
        for cell in (
            SETUP,
            f"%%sweep a --min loss -n 3 --algo random --on inline\n{BODY}",
            f"%%sweep a --min loss -n 4 --algo random --on inline\n{BODY.replace('+ len', '+ 2 * len')}",
            f"%%sweep b --min loss -n 2 --algo random --seed 5 --on inline\n{BODY.replace('1.0', '2.0')}",
        ):
            assert shell.run_cell(cell).success
        yield shell
        shell.run_line_magic("unload_ext", "jupyter_sweep")
    end_processes_of(folder)
    InteractiveShell.clear_instance()


def shown(shell: InteractiveShell, cell: str) -> RichOutput:
    """Give the one output of a cell that must succeed."""
    with capture_output() as captured:
        result = shell.run_cell(cell)
    assert result.success, captured.stdout
    (output,) = captured.outputs
    return output


def printed(shell: InteractiveShell, cell: str) -> str:
    with capture_output() as captured:
        result = shell.run_cell(cell)
    assert result.success, captured.stdout
    return str(captured.stdout)


def refused(shell: InteractiveShell, cell: str) -> str:
    with capture_output():
        error = shell.run_cell(cell).error_in_exec
    assert isinstance(error, SweepError)
    return str(error)


# -- compare ----------------------------------------------------------------------------------------------------------


def test_two_sweeps_are_laid_side_by_side(started: InteractiveShell) -> None:
    data = shown(started, "%sweep compare a b").data
    text = data["text/plain"]
    assert re.search(r"^ +a@2 +b@1$", text, re.MULTILINE)
    assert re.search(r"^trials +4 completed +2 completed$", text, re.MULTILINE)
    assert re.search(r"^seed +0 +5$", text, re.MULTILINE)
    assert re.search(r"^x +uniform\(0\.0, 1\.0\) +uniform\(0\.0, 2\.0\)$", text, re.MULTILINE)
    best = started.ev("sweep('a').best")
    assert f"loss {best.value:.6g} (trial {best.trial})" in text
    assert "opt " not in text.partition("ranges that differ")[2].partition("best parameters")[0]
    for words in ("a@2", "b@1", "uniform(0.0, 2.0)", "4 completed", "settings that differ"):
        assert words in data["text/html"]


def test_one_name_compares_its_last_two_versions_and_their_code(started: InteractiveShell) -> None:
    text = shown(started, "%sweep compare a").data["text/plain"]
    assert "a@1" in text
    assert "a@2" in text
    assert "-loss = x + len(opt)" in text
    assert "+loss = x + 2 * len(opt)" in text
    assert shown(started, "%sweep compare a@1 a@2").data["text/plain"] == text


def test_repetitions_are_told_by_their_mean_and_its_interval(started: InteractiveShell) -> None:
    body = "from jupyter_sweep import seed\nk = choice(1, 2)\nloss = k + seed() % 7 / 100"
    started.run_cell(f"%%sweep many --min loss --grid --repeat 3 --on inline\n{body}")
    text = shown(started, "%sweep compare many b").data["text/plain"]
    (row,) = (line for line in text.splitlines() if line.startswith("its repetitions"))
    assert re.search(r"1\.0\d+ \(95 % CI \d\.\d+\.\.\d\.\d+\)  -$", row)
    assert "its repetitions" not in shown(started, "%sweep compare a b").data["text/plain"]
    started.run_cell("%sweep drop many --yes")


@pytest.mark.parametrize(
    ("given", "said"),
    [("b", "With what is 'b'"), ("a bb", "Did you mean 'b'"), ("a@9 b", "no version 9"), ("a@x b", "whole number")],
)
def test_what_can_not_be_compared_is_said(started: InteractiveShell, given: str, said: str) -> None:
    assert said in refused(started, f"%sweep compare {given}")


def test_hostile_texts_are_shown_as_text(started: InteractiveShell) -> None:
    body = "tag = choice('<script>alert(1)</script>', '\u202eevil')\nloss = len(tag)"
    started.run_cell(f"%%sweep odd --min loss --grid --on inline\n{body}")
    data = shown(started, "%sweep compare odd b").data
    assert "<script>" not in data["text/html"]
    assert "&lt;script&gt;" in data["text/html"]
    assert "\u202e" not in data["text/plain"] + data["text/html"]


# -- check ------------------------------------------------------------------------------------------------------------


def write(path: Path, *cells: str) -> Path:
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells]), path)
    return path


def test_a_notebook_without_mistakes_passes_and_nothing_is_started(started: InteractiveShell, tmp_path: Path) -> None:
    path = write(tmp_path / "fine.ipynb", SETUP, f"%%sweep n --min loss\n{BODY}", f"%%time\n%%sweep m --max x\n{BODY}")
    assert printed(started, f"%sweep check {path}") == f"{path}: 2 sweeps, no mistakes.\n"
    assert "no sweep 'n'" in refused(started, "%sweep show n")


def test_every_mistake_of_every_cell_is_told_with_its_place(started: InteractiveShell, tmp_path: Path) -> None:
    wrong = "%%sweep n --mni loss --jbos 3\nx = uniform(1.0, 0.0)\nloss = nothing_of_that_name + x"
    path = write(tmp_path / "bad.ipynb", SETUP, wrong, "%%sweep m\nk = choice(1, 2)\nloss = k", BODY)
    said = refused(started, f"%sweep check {path}")
    assert re.search(rf"^{re.escape(str(path))}:cell 2:1: --mni is no option.*--min", said, re.MULTILINE)
    assert ":cell 2:1: --jbos is no option. Did you mean '--jobs'?" in said
    assert re.search(r":cell 2:2: .*low <= high|:cell 2:2: .*1\.0", said)
    assert re.search(r":cell 2:3: .*nothing_of_that_name", said)
    assert re.search(r":cell 3:1: no target.*--min loss", said)
    assert said.startswith(f"{said.count(':cell ')} mistakes in {path}")


def test_a_percent_script_is_checked_too(started: InteractiveShell, tmp_path: Path) -> None:
    path = tmp_path / "book.py"
    path.write_text("# %%\nk = 3\n\n# %%sweep p --min loss\nz = choice(1, 2)\nloss = z + undefined_here\n")
    assert re.search(r":3: .*undefined_here", refused(started, f"%sweep check {path}"))


def test_a_check_without_a_notebook_asks_for_one(started: InteractiveShell, tmp_path: Path) -> None:
    assert "%sweep check NOTEBOOK.ipynb" in refused(started, "%sweep check")
    assert "can't be read: No such file" in refused(started, f"%sweep check {tmp_path}/none.ipynb")


# -- Tab --------------------------------------------------------------------------------------------------------------


def tab(started: InteractiveShell, line: str, body: str = BODY) -> list[str]:
    """Give the words that Tab offers at the end of the line."""
    matcher = completion.matcher(lambda: Path.cwd())
    context = CompletionContext(
        token="", full_text=f"{line}\n{body}", cursor_position=len(line), cursor_line=0, limit=None
    )
    found = matcher(context)
    fragment = found.get("matched_fragment", "")
    assert line.endswith(fragment or "")
    return [word.text for word in found["completions"]]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("%%sweep --algo tpe(", ["n_startup=", "n_candidates=", "multivariate="]),
        ("%%sweep --algo tpe(n_st", ["n_startup="]),
        ('%%sweep --algo "tpe(n_startup=20, n_', ["n_candidates="]),
        ("%%sweep --stop=asha(et", ["eta="]),
        ("%%sweep --algo tpe(n_startup=", []),
        ("%%sweep --algo nope(", []),
        ("%%sweep --log ml", ["mlflow"]),
        ("%%sweep --log mlflow,t", ["tb"]),
        ("%%sweep --stop me", ["median"]),
        ("%%sweep --min loss op", ["opt="]),
        ("%%sweep --min loss opt=", ["sgd", "adam"]),
        ("%%sweep --min loss opt=a", ["adam"]),
        ("%%sweep --min loss x=", []),
        ("%sweep comp", ["compare"]),
        ("%sweep compare a", ["a"]),
        ("%sweep compare a ", ["a", "b"]),
        ("%sweep export a out --to=pa", ["parquet"]),
        ("%sweep export a --to h", ["html"]),
    ],
)
def test_tab_knows_what_may_come(started: InteractiveShell, line: str, words: list[str]) -> None:
    assert [word for word in tab(started, line) if word != "odd"] == words


def test_tab_offers_every_option_plug_in_place_and_verb(started: InteractiveShell) -> None:
    Path("sweeps.toml").write_text('[profiles.lab]\non = "local"\n')
    assert tab(started, "%%sweep --") == [f"--{option.name}" for option in table.OPTIONS]
    for option, kind in (("algo", "proposer"), ("stop", "pruner"), ("log", "tracker")):
        assert tab(started, f"%%sweep --{option} ") == plugins.names(kind)
    assert {"local", "ssh", "lab"} <= set(tab(started, "%%sweep --on "))
    assert tab(started, "%sweep ") == list(verbs.NAMES)


def test_an_offered_pin_holds(started: InteractiveShell) -> None:
    started.run_cell(f"%%sweep pinned --min loss -n 2 --on inline opt=adam\n{BODY}")
    assert set(started.ev("sweep('pinned').df['opt']")) == {"adam"}


# -- words ------------------------------------------------------------------------------------------------------------


def test_the_help_of_the_cell_holds_every_row_of_the_table_word_for_word(started: InteractiveShell) -> None:
    said = " ".join(started.object_inspect_text("%%sweep").split())
    for option in table.OPTIONS:
        spelled = ", ".join(option.spellings) + (f" {option.metavar}" if option.metavar else "")
        assert f"{spelled} {option.help}" in said
    for kind, name in (("proposer", "algo"), ("pruner", "stop"), ("tracker", "log")):
        assert [n for n in plugins.names(kind) if n not in table.BY_FIELD[name].help] == []


@pytest.mark.parametrize(("slip", "meant"), [("compar", "compare"), ("chekc", "check"), ("exprot", "export")])
def test_a_misspelt_verb_is_met_with_the_nearest(started: InteractiveShell, slip: str, meant: str) -> None:
    assert f"Did you mean {meant!r}?" in refused(started, f"%sweep {slip} a")


# -- formatters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "-m", "ruff", "format"],
        [sys.executable, "-m", "ruff", "check", "--fix-only", "--select", "E,F,I,UP", "--ignore", "F401"],
        ["black", "-q"],
        ["black", "-q", "--python-cell-magics", "sweep"],
        ["nbqa", "--nbqa-process-cells", "sweep", "black"],
    ],
    ids=["ruff format", "ruff check", "black", "black with cell magics", "nbqa"],
)
def test_a_notebook_still_runs_after_a_formatter(home: Path, command: list[str]) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    line = "%%sweep kept --min loss --grid --on inline --note 'two  spaces'"
    path = write(
        home.parent / "book.ipynb", f"%load_ext jupyter_sweep\n{SETUP}", f"{line}\nk  =  choice( 1,2 )\nloss = k"
    )
    formatted = subprocess.run([*command, str(path)], capture_output=True, text=True, timeout=60, check=False)
    assert formatted.returncode == 0, formatted.stderr
    assert nbformat.read(path, 4).cells[1].source.splitlines()[0] == line
    ran = subprocess.run(
        [sys.executable, "-m", "jupyter_sweep", "run", str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert (home / "kept").is_dir()
