"""`%%sweep` and `%sweep` in a shell of this process, from the line to the results; kernels: test_magics_kernel.py."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import end_processes_of, processes_of
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from waiting import wait_for

import jupyter_sweep
from jupyter_sweep import SweepError
from jupyter_sweep.magics import frontend, verbs
from jupyter_sweep.notation import table

SETUP = """
import random
from jupyter_sweep import choice, loguniform, randint, report, require, seed, sweep, uniform
def score(x, k):
    return (x - 0.3) ** 2 + k / 10
"""
BODY = "x = uniform(0.0, 1.0)\nk = randint(1, 4)\nloss = score(x, k)\n"
ALL = ["completed"]


@pytest.fixture(scope="module")
def started() -> Iterator[InteractiveShell]:
    """One shell for all tests: it is a singleton, and costs a second."""
    shell = InteractiveShell.instance(history_length=0)
    shell.history_manager.enabled = False
    yield shell
    InteractiveShell.clear_instance()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One sweeps folder for all tests, so that they share a warm driver; each uses names of its own."""
    folder = tmp_path_factory.mktemp("magics") / "sweeps"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_SWEEP_HOME", str(folder))
        patch.setenv("JUPYTER_SWEEP_IDLE_S", "60")
        patch.chdir(folder.parent)
        yield folder
    end_processes_of(folder)


@pytest.fixture
def shell(started: InteractiveShell, folder: Path) -> Iterator[InteractiveShell]:
    """The shell with the extension loaded, and a namespace of its own."""
    started.reset(new_session=False)
    started.run_line_magic("load_ext", "jupyter_sweep")
    assert started.run_cell(SETUP).success
    yield started
    started.run_line_magic("unload_ext", "jupyter_sweep")


def plain(text: str) -> str:
    """Take the colours out of a text."""
    return re.sub(r"\x1b\[[\d;]*m", "", text)


def run(shell: InteractiveShell, cell: str) -> str:
    """Run a cell that must succeed and give what it printed."""
    with capture_output(display=False) as captured:
        result = shell.run_cell(cell)
    assert result.success, captured.stdout
    assert result.result is None
    return plain(captured.stdout)


def refused(shell: InteractiveShell, cell: str) -> str:
    """Run a cell that must end with a message and give it."""
    with capture_output(display=False):
        error = shell.run_cell(cell).error_in_exec
    assert isinstance(error, SweepError)
    assert isinstance(error, UsageError)
    return str(error)


def frame(shell: InteractiveShell, name: str) -> list[dict[str, object]]:
    """Give the rows of a sweep's table as the user's own namespace sees it."""
    rows: list[dict[str, object]] = shell.ev(f"sweep({name!r}).df.to_dict('records')")
    return rows


# -- the extension ----------------------------------------------------------------------------------------------------


def test_unloading_leaves_the_shell_as_it_was_and_loading_again_works(started: InteractiveShell, home: Path) -> None:
    def parts() -> tuple[object, ...]:
        magics = started.magics_manager.magics
        matchers, transformers = started.Completer.custom_matchers, started.input_transformers_post
        return "sweep" in magics["cell"], "sweep" in magics["line"], len(matchers), len(transformers)

    before = parts()
    assert before[:2] == (False, False)
    for _ in range(2):
        started.run_line_magic("load_ext", "jupyter_sweep")
        assert parts() == (True, True, before[2] + 1, before[3] + 1)
        started.run_line_magic("reload_ext", "jupyter_sweep")
        assert parts() == (True, True, before[2] + 1, before[3] + 1)
        started.run_line_magic("unload_ext", "jupyter_sweep")
        assert parts() == before


def test_the_question_mark_explains_every_option_and_every_verb(shell: InteractiveShell) -> None:
    cell, line = shell.object_inspect_text("%%sweep"), shell.object_inspect_text("%sweep")
    for option in table.OPTIONS:
        assert f"--{option.name}" in cell
    for verb in verbs.NAMES:
        assert f"%sweep {verb}" in line


def test_every_public_name_is_there() -> None:
    for name in jupyter_sweep.__all__:
        assert getattr(jupyter_sweep, name) is not None
    namespace: dict[str, object] = {}
    exec("from jupyter_sweep import *", namespace)
    assert set(jupyter_sweep.__all__) - {"__version__"} <= set(namespace)
    with pytest.raises(AttributeError, match="nothing"):
        _ = jupyter_sweep.nothing


def test_the_version_is_that_of_the_build() -> None:
    build = (Path(jupyter_sweep.__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8")
    assert f'\nversion = "{jupyter_sweep.__version__}"\n' in build


@pytest.mark.parametrize(
    ("notebook", "name"),
    [
        (None, "sweep-loss"),
        ("/tmp/digits.ipynb", "digits-loss"),
        ("/tmp/my first.ipynb", "my_first-loss"),
        ("/tmp/01 ünï.ipynb", "sweep-01_ünï-loss"),
        (f"/tmp/{'n' * 90}.ipynb", f"{'n' * 59}-loss"),
        ("/tmp/???.ipynb", "sweep-loss"),
    ],
)
def test_a_sweep_without_a_name_is_named_after_notebook_and_target(notebook: str | None, name: str) -> None:
    given = frontend.default_name(Path(notebook) if notebook else None, "loss")
    assert given == name
    assert table.NAME.fullmatch(given)


# -- a cell -----------------------------------------------------------------------------------------------------------


def test_a_cell_runs_its_trials_and_gives_no_output_of_its_own(shell: InteractiveShell) -> None:
    run(shell, f"%%sweep first --min loss -n 5 --jobs 2 --algo random\n{BODY}")
    rows = frame(shell, "first")
    assert [row["state"] for row in rows] == ["completed"] * 5
    assert all(row["loss"] == shell.user_ns["score"](row["x"], row["k"]) for row in rows)
    assert {"x", "k", "loss"} & set(shell.user_ns) == set()


def test_running_a_finished_cell_again_runs_nothing_and_more_trials_run_the_rest(shell: InteractiveShell) -> None:
    run(shell, f"%%sweep again --on inline --min loss -n 3 --algo random\n{BODY}")
    before = frame(shell, "again")
    run(shell, f"%%sweep again --on inline --min loss -n 3 --algo random\n# another comment\n{BODY}")
    assert frame(shell, "again") == before
    run(shell, f"%%sweep again --on inline --min loss -n 4 --algo random\n{BODY}")
    assert frame(shell, "again")[:3] == before
    run(shell, f"%%sweep again --on inline --min loss -n +2 --algo random\n{BODY}")
    assert len(frame(shell, "again")) == 6
    assert shell.ev("sweep('again').version") == 1


def test_an_edited_helper_of_another_cell_starts_a_new_version(shell: InteractiveShell) -> None:
    run(shell, f"%%sweep v --on inline --min loss -n 2 --algo random\n{BODY}")
    run(shell, "def score(x, k):\n    return x + k")
    run(shell, f"%%sweep v --on inline --min loss -n 2 --algo random\n{BODY}")
    assert shell.ev("[h.version for h in sweep('v').versions]") == [1, 2]
    assert all(row["loss"] == row["x"] + row["k"] for row in frame(shell, "v"))


def test_the_handle_is_bound_where_the_line_says(shell: InteractiveShell) -> None:
    run(shell, f"%%sweep bound --on inline --min loss -n 2 -o result\n{BODY}")
    assert shell.user_ns["result"].name == "bound"


def test_the_line_arrives_as_written(shell: InteractiveShell) -> None:
    shell.user_ns["x"] = 3
    run(shell, f"%%sweep raw --on inline --min loss -n 1 --note 'costs $x {{x}}' -o h\n{BODY}")
    assert shell.user_ns["h"].definition.note == "costs $x {x}"


def test_pins_and_ranges_on_the_line_hold_for_every_trial(shell: InteractiveShell) -> None:
    run(shell, f"%%sweep pins --on inline --min loss -n 4 --algo random k=2 x=uniform(0.25, 0.5)\n{BODY}")
    rows = frame(shell, "pins")
    assert {row["k"] for row in rows} == {2}
    assert all(0.25 <= float(str(row["x"])) <= 0.5 for row in rows)


def test_a_space_of_the_notebook_takes_the_place_of_ranges(shell: InteractiveShell) -> None:
    run(shell, "from jupyter_sweep import Choice, Float, Space\nspace = Space(x=Float(0.1, 0.2), k=Choice(1, 2))")
    run(shell, "%%sweep spaced --on inline --min loss -n 3 --space space\nloss = score(x, k)")
    assert all(0.1 <= float(str(row["x"])) <= 0.2 and row["k"] in (1, 2) for row in frame(shell, "spaced"))


def test_a_space_may_be_made_of_names_of_the_notebook_in_a_comprehension(shell: InteractiveShell) -> None:
    run(shell, "from jupyter_sweep import Float, Space\nwidths = ['w1', 'w2']")
    line = '%%sweep spread --min loss --dry-run --space "Space(**{name: Float(0, 1) for name in widths})"'
    assert "w2  uniform(0.0, 1.0)" in run(shell, f"{line}\nloss = w1 + w2")


def test_a_dry_run_shows_what_would_run_and_writes_nothing(shell: InteractiveShell, home: Path) -> None:
    said = run(shell, f"%%sweep plan --min loss -n 7 --stop asha --seed 5 --dry-run\n{BODY}")
    for words in ("plan", "minimize loss", "7", "tpe", "asha", "seed 5", "uniform(0.0, 1.0)", "randint(1, 4)", "score"):
        assert words in said
    assert re.search(r"x=0\.\d+ +k=\d", said)
    assert not home.exists()
    assert processes_of(home) == []


def test_a_cell_with_failed_trials_ends_normally_and_says_how_many_and_why(shell: InteractiveShell) -> None:
    said = run(shell, "%%sweep some --on inline --min loss --grid\nk = choice(1, 0, 2)\nloss = 1 / k")
    assert "1 trial failed (1 error)" in said
    assert "ZeroDivisionError" in said


@pytest.mark.parametrize(("name", "limit"), [("fast", "--fail-fast"), ("few", "--max-failures 0")])
def test_a_cell_beyond_its_failures_ends_with_one_error(shell: InteractiveShell, name: str, limit: str) -> None:
    body = "k = choice(1, 0, 2, 3, 4)\nloss = 1 / k"
    said = refused(shell, f"%%sweep {name} --min loss --grid --jobs 1 {limit}\n{body}")
    assert "ZeroDivisionError" in said
    assert [row["state"] for row in frame(shell, name)].count("completed") < 4


def test_a_body_without_the_metric_fails_the_cell_and_lists_the_numbers_it_saw(shell: InteractiveShell) -> None:
    said = refused(shell, "%%sweep lost --on inline --min loss -n 3\nk = choice(1, 2, 3)\nlos = k * 2.0")
    assert "loss" in said
    assert "los" in said.replace("loss", "")


def test_an_inline_sweep_runs_in_this_process(shell: InteractiveShell) -> None:
    body = "import os\nk = choice(1, 2, 3)\nloss = os.getpid() + 0 * k"
    run(shell, f"%%sweep here --min loss --grid --on inline\n{body}")
    assert [row["loss"] for row in frame(shell, "here")] == [os.getpid()] * 3


@pytest.mark.parametrize("above", ["%%time", "%%capture out"])
def test_other_cell_magics_may_stand_above(shell: InteractiveShell, above: str) -> None:
    said = run(shell, f"{above}\n%%sweep under --on inline --min loss -n 2\n{BODY}")
    assert [row["state"] for row in frame(shell, "under")] == ["completed"] * 2
    assert ("Wall time" in said) == (above == "%%time")


def test_a_cell_in_the_background_returns_at_once_and_can_be_waited_for(shell: InteractiveShell) -> None:
    run(shell, "%%sweep bg --min loss -n 2 --bg\nimport time\nk = choice(1, 2)\ntime.sleep(0.5)\nloss = k")
    assert not shell.ev("sweep('bg').ended")
    assert "still runs" in run(shell, "%sweep wait bg 0.01s")
    assert "finished" in run(shell, "%sweep wait bg 60s")


# -- the verbs --------------------------------------------------------------------------------------------------------


@pytest.fixture
def swept(shell: InteractiveShell, home: Path) -> InteractiveShell:
    """A shell with a finished sweep "s", the only one of its folder; its trials print and draw random numbers."""
    body = "x = uniform(0.0, 1.0)\nnoise = random.random() + seed() % 7\nprint('x is', x)\nloss = score(x, noise)\n"
    run(shell, f"%%sweep s --min loss -n 4 --on inline --algo random --seed 3\n{body}")
    return shell


def test_without_a_verb_all_sweeps_are_listed(swept: InteractiveShell) -> None:
    run(swept, f"%%sweep other --on inline --max loss -n 1\n{BODY}")
    said = run(swept, "%sweep")
    assert re.search(r"^s +1 +finished +4 completed +min loss", said, re.MULTILINE)
    assert re.search(r"^other +1 +finished +1 completed +max loss", said, re.MULTILINE)


def test_a_log_holds_what_the_trial_printed(swept: InteractiveShell) -> None:
    assert f"x is {frame(swept, 's')[2]['x']}" in run(swept, "%sweep log s 2")


def test_the_best_cell_gives_the_best_parameters_when_it_runs(swept: InteractiveShell) -> None:
    run(swept, run(swept, "%sweep best s"))
    assert swept.user_ns["x"] == swept.ev("sweep('s').best.params['x']")


@pytest.mark.parametrize("number", [0, 3])
def test_a_replay_gives_the_recorded_metric_to_the_last_bit(swept: InteractiveShell, number: int) -> None:
    said = run(swept, f"%sweep replay s {number}")
    recorded = frame(swept, "s")[number]
    assert f"loss={recorded['loss']!r}, as recorded" in said
    assert swept.user_ns["loss"] == recorded["loss"]
    assert swept.user_ns["x"] == recorded["x"]


def test_a_replay_of_a_trial_of_another_process_agrees_to_the_last_bit(shell: InteractiveShell) -> None:
    numpy = pytest.importorskip("numpy")
    shell.user_ns["data"] = numpy.random.default_rng(0).normal(size=(300, 300))
    body = "import numpy as np\nk = choice(0.5, 0.7)\nw = np.random.normal(size=(300, 300))\n"
    run(shell, f"%%sweep matrices --min loss --grid --seed 9\n{body}loss = float(np.tanh(k * data @ w @ data).sum())")
    for row in frame(shell, "matrices"):
        assert f"loss={row['loss']!r}, as recorded" in run(shell, f"%sweep replay matrices {row['number']}")


def test_a_replay_draws_objects_that_were_choices(shell: InteractiveShell) -> None:
    run(shell, "def double(x):\n    return 2 * x\ndef triple(x):\n    return 3 * x")
    run(shell, "%%sweep functions --min loss --grid --on inline\nf = choice(double, triple)\nloss = f(5)")
    assert [row["f"] for row in frame(shell, "functions")] == ["double", "triple"]
    assert "loss=15.0, as recorded" in run(shell, "%sweep replay functions 1")


def test_a_replay_after_a_change_says_that_the_numbers_differ(swept: InteractiveShell) -> None:
    run(swept, "def score(x, k):\n    return 7.5")
    said = run(swept, "%sweep replay s 1")
    assert "loss=7.5" in said
    assert f"loss={frame(swept, 's')[1]['loss']!r} was recorded" in said


def test_a_replay_runs_the_body_of_the_trials_own_version(shell: InteractiveShell) -> None:
    for cpus, body in ((1, "a = choice(2, 3)\nloss = a * 10.0"), (2, "b = choice(5, 7)\nother = b\nloss = b * 100.0")):
        run(shell, f"%%sweep older --min loss --grid --on inline --cpus {cpus}\n{body}")
    said = [run(shell, f"%sweep replay older {number}") for number in range(4)]
    wanted = (20.0, 30.0, 500.0, 700.0)
    assert [f"loss={loss!r}, as recorded" in text for loss, text in zip(wanted, said, strict=True)] == [True] * 4


def test_a_replay_of_a_kept_row_has_an_added_parameter_at_its_default(shell: InteractiveShell) -> None:
    run(shell, "%%sweep grown --min loss --grid --on inline\na = choice(2, 3)\nloss = a * 10.0")
    body = "a = choice(2, 3)\nb = choice(0, 1)\nloss = a * 10.0 + b"
    run(shell, f"%%sweep grown --min loss --grid --on inline --code ignore\n{body}")
    assert "loss=30.0, as recorded" in run(shell, "%sweep replay grown 1")
    assert shell.user_ns["b"] == 0


def test_an_error_in_a_replay_shows_the_line_of_the_body_and_none_of_ours(shell: InteractiveShell) -> None:
    run(shell, "%%sweep bad --on inline --min loss --grid\nk = choice(1, 0)\nloss = 1 / k")
    with capture_output(display=False) as captured:
        error = shell.run_cell("%sweep replay bad 1").error_in_exec
    assert isinstance(error, ZeroDivisionError)
    assert "loss = 1 / k" in plain(captured.stdout)
    assert "jupyter_sweep" not in captured.stdout


def test_dropping_a_sweep_wants_a_yes_and_leaves_nothing_of_it(swept: InteractiveShell, home: Path) -> None:
    assert "--yes" in refused(swept, "%sweep drop s")
    assert (home / "s").is_dir()
    run(swept, "%sweep drop s --yes")
    assert not (home / "s").exists()
    assert "There are no sweeps" in refused(swept, "%sweep show s")


def test_a_running_sweep_is_not_dropped_but_stopped_paused_and_resumed(shell: InteractiveShell, folder: Path) -> None:
    run(shell, "%%sweep r --min loss --grid --jobs 1 --bg\nimport time\nk = randint(1, 50)\ntime.sleep(0.2)\nloss = k")
    wait_for(lambda: list((folder / "r").glob("0*")))
    assert "stop it first" in refused(shell, "%sweep drop r --yes")
    run(shell, "%sweep pause r")
    run(shell, "%sweep wait r 60s")
    assert shell.ev("sweep('r').state") == "paused"
    paused_with = len(frame(shell, "r"))
    run(shell, "%sweep resume r")
    wait_for(lambda: len(frame(shell, "r")) > paused_with)
    run(shell, "%sweep stop r")
    run(shell, "%sweep wait r 60s")
    assert shell.ev("sweep('r').state") == "stopped"
    assert "already" in run(shell, "%sweep stop r")
    run(shell, "%sweep drop r --yes")


def test_a_dry_run_of_a_stored_sweep_counts_what_is_there(swept: InteractiveShell) -> None:
    assert "4 trials there already" in run(swept, "%sweep dry-run s")


def test_a_finished_sweep_is_not_resumed_and_says_what_could_be_added(swept: InteractiveShell, home: Path) -> None:
    assert run(swept, "%sweep resume s") == "s is finished already; -n +10 adds trials.\n"
    run(swept, "%%sweep whole --min loss --grid --on inline\nk = choice(1, 2)\nloss = k")
    said = run(swept, "%sweep resume whole")
    assert said == "whole is finished already: the space is exhausted: 2 configurations.\n"
    assert processes_of(home) == []


def test_a_finished_sweep_is_resumed_while_something_is_left(shell: InteractiveShell, home: Path) -> None:
    body = "import time\nk = randint(1, 4)\ntime.sleep(0.3)\nloss = k"
    run(shell, f"%%sweep again --min loss --grid --on inline --time 0.5s\n{body}")
    assert shell.ev("sweep('again').state") == "finished"
    assert len(frame(shell, "again")) < 4
    assert "again goes on" in run(shell, "%sweep resume again")
    run(shell, "%%sweep failed --min loss --grid --on inline\nk = choice(1, 0)\nloss = 1 / k")
    assert "is finished already" in run(shell, "%sweep resume failed")


def test_a_wait_that_has_no_duration_says_whose_it_is(swept: InteractiveShell) -> None:
    assert refused(swept, "%sweep wait s abc").startswith("%sweep wait s SECONDS wants a duration such as 30s")


def foretold(said: str) -> list[str]:
    """Give the configurations that a dry run lists."""
    return [line.strip() for line in said.rpartition(" configurations\n")[2].splitlines()]


def shown(rows: list[dict[str, object]]) -> list[str]:
    """Give rows of a table as a dry run lists configurations."""
    return [f"x={row['x']:.6g}  k={row['k']!r}" for row in rows]


@pytest.mark.parametrize("extra", ["--on inline", "--jobs 1", "--on inline --no-canary", "--on inline --repeat 2"])
def test_a_dry_run_lists_what_then_runs_first_and_after_that_what_comes_next(
    shell: InteractiveShell, home: Path, extra: str
) -> None:
    line = f"%%sweep ahead --min loss --algo random --seed 4 {extra}"
    first = foretold(run(shell, f"{line} -n 7 --dry-run\n{BODY}"))
    run(shell, f"{line} -n 7\n{BODY}")
    nothing = [foretold(run(shell, f"{line} -n 7 --dry-run\n{BODY}")), foretold(run(shell, "%sweep dry-run ahead"))]
    more = foretold(run(shell, f"{line} -n 12 --dry-run\n{BODY}"))
    two_more = foretold(run(shell, f"{line} -n +2 --dry-run\n{BODY}"))
    run(shell, f"{line} -n 12\n{BODY}")
    ran = list(dict.fromkeys(shown(frame(shell, "ahead"))))
    assert first == ran[:5]
    assert more == ran[7:12]
    assert two_more == ran[7:9]
    assert nothing == [["none: nothing would run, as all are there already"]] * 2


def test_a_dry_run_lists_no_more_than_the_space_and_the_number_of_trials_leave(shell: InteractiveShell) -> None:
    body = "k = choice(1, 2, 3)\nloss = k"
    assert len(foretold(run(shell, f"%%sweep few3 --min loss -n 20 --dry-run\n{body}"))) == 3
    assert len(foretold(run(shell, f"%%sweep few2 --min loss -n 2 --dry-run\n{body}"))) == 2
    run(shell, f"%%sweep few1 --min loss -n 2 --on inline\n{body}")
    (last,) = foretold(run(shell, f"%%sweep few1 --min loss -n 20 --on inline --dry-run\n{body}"))
    assert {last} == {"k=1", "k=2", "k=3"} - {f"k={row['k']}" for row in frame(shell, "few1")}


def test_a_dry_run_of_a_stopped_sweep_lists_first_what_it_left_undone(shell: InteractiveShell, home: Path) -> None:
    body = "import time\nk = randint(1, 9)\ntime.sleep(0.2)\nloss = k"
    run(shell, f"%%sweep left --min loss --grid --jobs 1 --bg\n{body}")
    wait_for(lambda: shell.ev("sweep('left').counts.get('completed', 0)") >= 2)
    run(shell, "%sweep pause left")
    run(shell, "%sweep wait left 60s")
    done = shell.ev("sweep('left').counts['completed']")
    listed = foretold(run(shell, "%sweep dry-run left"))
    assert listed == [f"k={k}" for k in range(done + 1, 10)][:5]


def test_a_misspelt_sweep_is_met_with_the_nearest(swept: InteractiveShell) -> None:
    run(swept, f"%%sweep digits --on inline --min loss -n 1\n{BODY}")
    assert "'digits'" in refused(swept, "%sweep show digist")
    assert "%sweep show digits" in refused(swept, "%sweep digits")


def test_a_replay_leaves_the_artifacts_of_the_trial_alone(shell: InteractiveShell, folder: Path) -> None:
    body = "from jupyter_sweep import checkpoint, save\nk = choice(1, 2)\nstate = checkpoint()\ncheckpoint(k)\n"
    body += "save('k.joblib', k)\nloss = k if state is None else 9"
    run(shell, f"%%sweep kept --min loss --grid --on inline\n{body}")
    (saved,) = folder.glob("kept/0000*/k.joblib")
    before = saved.stat().st_mtime_ns
    assert "loss=1.0, as recorded" in run(shell, "%sweep replay kept 0")
    assert saved.stat().st_mtime_ns == before


# -- a terminal -------------------------------------------------------------------------------------------------------


def terminal(*cells: str) -> list[str]:
    """Give the command that runs cells in IPython's terminal shell."""
    calls = "\n".join(f"get_ipython().run_cell({cell!r})" for cell in (SETUP, *cells))
    return [sys.executable, "-m", "IPython", "--colors=NoColor", "--ext=jupyter_sweep", "-c", calls]


def test_a_cell_runs_in_a_terminal(folder: Path) -> None:
    command = terminal(f"%%sweep t --min loss -n 3\n{BODY}", "print(sweep('t').counts)")
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "{'completed': 3}" in done.stdout


def _hear_interrupts() -> None:
    """Undo what a shell does to a job in the background: it has it, and all that it starts, ignore interrupts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interrupt_in_a_terminal_leaves_a_sweep_that_can_be_resumed(folder: Path) -> None:
    cell = "%%sweep ti --min loss --grid --jobs 1\nimport time\nk = randint(1, 60)\ntime.sleep(0.3)\nloss = k"
    command = terminal(cell, "print('state', sweep('ti').state)")
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, preexec_fn=_hear_interrupts, **output) as process:
        wait_for(lambda: list(folder.glob("ti/0*/params.json")))
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert "state interrupted" in said
    assert said.count("SweepError: Interrupted") == 1
    assert "Traceback" not in said
