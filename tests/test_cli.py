"""`jupyter sweep`, in processes of their own: what they print, where, and with which exit status they end."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from conftest import end_processes_of
from waiting import wait_for

from jupyter_sweep import sweep
from jupyter_sweep.cli import arguments
from jupyter_sweep.handle import Handle

CELLS = """\
# %% [markdown]
# %%sweep is written about here, not run.

# %%
from jupyter_sweep import choice, report, uniform
import helper_beside

# %%sweep --max acc -n 6 --algo random --no-canary
x = uniform(0.0, 1.0)
opt = choice("sgd", "adam")
print("trial of", opt, "\\u00e9")
for epoch in range(3):
    report(acc=helper_beside.twice(x), epoch=epoch)
"""
SCRIPT = """\
import sys
from jupyter_sweep import Float, Space, run

def job(x):
    return 1 / (x > {above})

print("the script's own words")
found = run(job, Space(x=Float(0, 1)), min="loss", n=4, algo="random", no_canary=True, {more})
print("best of", found.name, len(found.df))
"""
WAITING = """\
# %%
from jupyter_sweep import report, uniform
import os, time

# %%sweep {name} --min loss -n 4 --jobs 2 --no-canary
x = uniform(0.0, 1.0)
for step in range(3000):
    report(loss=x, step=step)
    if os.path.exists({go!r}):
        break
    time.sleep(0.02)
"""


class Folder:
    """A folder with one store for all tests, so that they share warm drivers; each uses names of its own."""

    def __init__(self, path: Path) -> None:
        self.path, self.home = path, path / "sweeps"
        self.env = {**os.environ, "JUPYTER_SWEEP_HOME": str(self.home), "JUPYTER_SWEEP_IDLE_S": "60"}
        self.env.update(IPYTHONDIR=str(path / ".ipython"), COLUMNS="80", NO_COLOR="1")
        (path / "helper_beside.py").write_text("def twice(x):\n    return 2 * x\n")

    def words(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "jupyter_sweep", *words]

    def __call__(self, *words: str, status: int = 0, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run a command that must end with `status`."""
        options = {"cwd": self.path, "env": self.env, "stdin": subprocess.DEVNULL, **more}
        done = subprocess.run(self.words(*words), capture_output=True, text=True, timeout=120, check=False, **options)
        assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
        return done

    def json(self, *words: str, status: int = 0) -> Any:
        return json.loads(self(*words, "--json", status=status).stdout)

    def write(self, name: str, text: str) -> Path:
        path = self.path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def handle(self, name: str) -> Handle:
        return sweep(name, folder=self.home)

    def waiting(self, name: str) -> tuple[subprocess.Popen[str], Path]:
        """Start a sweep whose trials wait for a file, and wait until two run."""
        go = self.path / f"{name}-go"
        self.write(f"{name}.py", WAITING.format(name=name, go=str(go)))
        command = subprocess.Popen(
            self.words("run", f"{name}.py"),
            cwd=self.path,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        wait_for(lambda: self.handle(name).counts.get("running") == 2, 120)
        return command, go


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folder]:
    made = Folder(tmp_path_factory.mktemp("cli"))
    yield made
    end_processes_of(made.home)


@pytest.fixture(scope="module")
def digits(folder: Folder) -> Folder:
    """The folder with a sweep `digits` of six trials, run from a text file."""
    folder.write("digits.py", CELLS)
    folder("run", "digits.py")
    return folder


# -- run --------------------------------------------------------------------------------------------------------------


def test_a_text_with_cells_is_run_and_run_again_runs_nothing(digits: Folder) -> None:
    done = digits("run", "digits.py")
    assert digits.handle("digits").counts == {"completed": 6}
    assert digits.handle("digits").version == 1
    assert "6 of 6 trials" in done.stdout
    assert "Traceback" not in done.stderr


def test_options_of_the_command_line_take_the_place_of_the_files(digits: Folder) -> None:
    digits("run", "digits.py", "--name", "other", "--min", "acc", "-n", "3", "x=0.25", "--tag", "mine")
    found = digits.handle("other")
    assert found.definition.objective.direction == "minimize"
    assert list(found.df["x"].unique()) == [0.25]
    assert found.definition.tags == ("mine",)
    assert digits.handle("digits").counts == {"completed": 6}


def test_a_notebook_is_run_as_a_text_is(folder: Folder) -> None:
    cells = [
        "%load_ext jupyter_sweep\nfrom jupyter_sweep import randint",
        "%%sweep --min loss --grid\nk = randint(1, 3)\nloss = k",
    ]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    (folder.path / "deep").mkdir()
    path = folder.path / "deep" / "my book.ipynb"
    nbformat.write(book, path)
    before = path.read_bytes()
    folder("run", "deep/my book.ipynb")
    assert folder.handle("my_book").counts == {"completed": 3}
    assert path.read_bytes() == before


def test_a_script_that_calls_run_is_followed(folder: Folder) -> None:
    folder.write("quick.py", SCRIPT.format(above=-1, more=""))
    done = folder("run", "quick.py", "-n", "5")
    assert done.stdout.splitlines() == ["the script's own words", "best of quick 5"]
    assert "5/5" in done.stderr


def test_trials_that_fail_beyond_what_is_allowed_give_status_1(folder: Folder) -> None:
    folder.write("failing.py", SCRIPT.format(above=2, more=""))
    done = folder("run", "failing.py", status=1)
    assert "the first 3 trials all failed" in done.stderr
    assert 'File "' not in done.stderr
    folder.write("some.py", SCRIPT.format(above=0.5, more="keep_going=True, seed=3"))
    done = folder("run", "some.py")
    failed = folder.handle("some").counts["failed"]
    assert f"{failed} trial{'s' * (failed > 1)} failed ({failed} error). Trial " in done.stderr, (
        "where progress is shown"
    )
    assert "ZeroDivisionError: division by zero" in done.stderr.splitlines()[-1]
    assert "failed" not in done.stdout
    folder("run", "some.py", "--name", "none", "--fail-fast", status=1)


def test_a_script_that_exits_with_a_sentence_says_it(folder: Folder) -> None:
    folder.write("exits.py", 'import sys\nsys.exit("There is no file data.csv.")\n')
    assert folder("run", "exits.py", status=2).stderr == "There is no file data.csv.\n"
    folder.write("quiet.py", "import sys\nsys.exit(3)\n")
    assert folder("run", "quiet.py", status=2).stderr == ""


def test_a_script_that_breaks_shows_its_own_lines_alone(folder: Folder) -> None:
    folder.write("broken.py", "def f():\n    return 1 / 0\n\nf()\n")
    done = folder("run", "broken.py", status=2)
    assert "ZeroDivisionError" in done.stderr
    assert done.stderr.count("File ") == 2
    assert "jupyter_sweep/" not in done.stderr


MISTAKES = [
    ([], "run takes one file"),
    (["digits.py", "quick.py"], "run takes one file"),
    (["gone.py"], "no file gone.py"),
    (["digits.py", "--nax", "acc"], "Did you mean '--max'"),
    (["digits.py", "--on", "nowhere-at-all", "-n", "x"], "nowhere-at-all"),
    (["digits.py", "--name", "../up"], "../up"),
    (["digits.py", "--name"], "--name needs a value"),
    (["plain.py"], "started no sweep"),
    (["two.py", "--name", "one"], "has 3 %%sweep cells"),
    (["params.yaml"], "later release"),
    (["no.ipynb"], "is no notebook"),
]


@pytest.mark.parametrize(("words", "said"), MISTAKES, ids=[said for _, said in MISTAKES])
def test_a_mistake_is_one_message_with_status_2_and_nothing_is_written(
    folder: Folder, tmp_path: Path, words: list[str], said: str
) -> None:
    for name in ("digits.py", "quick.py"):
        (tmp_path / name).write_text(CELLS)
    shutil.copy(folder.path / "helper_beside.py", tmp_path)
    (tmp_path / "plain.py").write_text("x = 1\n")
    (tmp_path / "two.py").write_text(CELLS.replace("# %% [markdown]", "# %%sweep a --min b\nx = 1"))
    for name in ("params.yaml", "no.ipynb"):
        (tmp_path / name).write_text("a: 1\n")
    env = {**folder.env, "JUPYTER_SWEEP_HOME": str(tmp_path / "sweeps")}
    done = folder("run", *words, status=2, cwd=tmp_path, env=env)
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "sweeps").exists()


# -- interrupts and requests ------------------------------------------------------------------------------------------


def test_an_interrupt_lets_end_what_runs_and_the_sweep_is_resumed(folder: Folder) -> None:
    command, go = folder.waiting("held")
    command.send_signal(signal.SIGINT)
    assert command.stdout is not None
    assert any("Interrupt again to end it now" in line for line in command.stdout)
    go.touch()
    rest = command.stdout.read()
    assert command.wait(60) == 130, rest
    assert folder.handle("held").counts == {"completed": 2}
    assert "held goes on" in folder("resume", "held").stdout
    folder("wait", "held", "60")
    assert folder.handle("held").counts == {"completed": 4}


def test_a_finished_sweep_is_not_resumed(digits: Folder) -> None:
    before = digits.handle("digits").times
    assert "digits is finished already" in digits("resume", "digits").stdout
    assert digits.handle("digits").times == before


def test_two_interrupts_end_what_runs(folder: Folder) -> None:
    command, _ = folder.waiting("killed")
    command.send_signal(signal.SIGINT)
    assert command.stdout is not None
    for line in command.stdout:
        if "Interrupt again" in line:
            break
    command.send_signal(signal.SIGINT)
    command.communicate(timeout=60)
    assert command.returncode == 130
    wait_for(lambda: folder.handle("killed").state == "interrupted")
    assert folder.handle("killed").counts.get("cancelled") == 2


def test_a_sweep_is_steered_from_another_process(folder: Folder) -> None:
    command, go = folder.waiting("steered")
    found = folder.json("show", "steered")
    assert found["driver"]["pid"] == folder.handle("steered").driver
    assert folder("wait", "steered", "0.1s", status=1).stdout == "steered still runs after 0.1s.\n"
    assert {row["sweep"] for row in folder.json("workers", "steered")} - {""} == {"steered"}
    assert "steered" in folder("clusters").stdout
    folder("scale", "steered", "1")
    assert "cancelled within 5 s" in folder("stop", "steered").stdout
    command.communicate(timeout=60)
    assert command.returncode == 130
    assert folder("stop", "steered").stdout == "steered is stopped already.\n"
    assert "runs 3 trials at once" in folder("scale", "steered", "3").stdout
    go.touch()
    folder("resume", "steered")
    folder("wait", "steered")
    assert folder.handle("steered").counts == {"completed": 2, "cancelled": 2}  # -n counts what was cancelled, too


def test_a_killed_command_leaves_the_sweep_to_its_driver(folder: Folder) -> None:
    command, go = folder.waiting("left")
    command.kill()
    command.communicate()
    folder("pause", "left")
    go.touch()
    wait_for(lambda: folder.handle("left").state == "paused" and not folder.handle("left").counts.get("running"))
    folder("resume", "left")
    folder("wait", "left", "60")


# -- looking ----------------------------------------------------------------------------------------------------------


def test_list_show_and_best_give_the_promised_json_and_nothing_else(digits: Folder) -> None:
    handle = digits.handle("digits")
    best = handle.best
    assert best is not None
    (one,) = (row for row in digits.json("list") if row["name"] == "digits")
    counts = {"completed": 6}
    assert one == {
        "name": "digits", "version": 1, "state": "finished", "counts": counts, "metric": "acc", "best": best.value,
    }  # fmt: skip
    shown = digits.json("show", "digits")
    assert list(shown) == ["name", "version", "state", "driver", "trials"]
    assert [list(row) for row in shown["trials"]] == [list(handle.df.columns)] * 6
    assert digits.json("best", "digits") == {"params": best.params, "metrics": best.metrics, "trial": best.trial}


def test_every_text_fits_80_columns(digits: Folder) -> None:
    digits("run", "digits.py", "--name", "a-" + "long" * 15, "--note", "words " * 60)
    commands = [["list"], ["show", "digits"], ["show", "a-" + "long" * 15], ["why", "digits", "0"], ["clusters"]]
    commands += [["workers"], ["clean"], ["--help"], *([verb, "--help"] for verb in arguments.VERBS)]
    for words in commands:
        lines = digits(*words).stdout.splitlines()
        assert lines, words
        assert [line for line in lines if len(line) > 80] == [], words


def test_show_has_the_table_and_best_the_cell(digits: Folder) -> None:
    best = digits.handle("digits").best
    assert best is not None
    shown = digits("show", "digits").stdout
    assert shown.startswith("digits v1: finished · random on local")
    assert [word for line in shown.splitlines() if line.startswith("trial  ") for word in line.split()] == [
        "trial", "state", "acc", "x", "opt",
    ]  # fmt: skip
    assert digits("best", "digits").stdout == best.cell


def test_a_log_is_printed_as_it_is(digits: Folder) -> None:
    text = digits("log", "digits", "0").stdout
    assert text == digits.handle("digits").log(0)
    assert "\u00e9" in text
    assert digits("log", "digits", "0", "--follow").stdout == text


def test_a_log_is_followed_to_its_end(folder: Folder) -> None:
    go = folder.path / "followed-go"
    text = WAITING.format(name="followed", go=str(go)).replace("    report(", "    print('step', step)\n    report(")
    folder.write("followed.py", text)
    folder("run", "followed.py", "--bg")
    wait_for(lambda: "step 2" in folder.handle("followed").log(0), 120)
    command = subprocess.Popen(
        folder.words("log", "followed", "0", "--follow"), env=folder.env, stdout=subprocess.PIPE, text=True
    )
    assert command.stdout is not None
    assert command.stdout.readline() == "step 0\n"
    go.touch()
    rest = command.stdout.read()
    assert command.wait(60) == 0
    assert "step 0\n" + rest == folder.handle("followed").log(0)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "html", "yaml", "py", "optuna"])
def test_a_sweep_is_exported(digits: Folder, tmp_path: Path, kind: str) -> None:
    done = digits("export", "digits", "--to", kind, cwd=tmp_path)
    (path,) = tmp_path.iterdir()
    assert path.stem == "digits"
    assert path.name in done.stderr
    assert "6 trials" in done.stderr
    assert done.stdout == ""


def test_an_exported_script_is_run_by_the_command_line(digits: Folder) -> None:
    digits("export", "digits", "exported.py")
    text = (digits.path / "exported.py").read_text()
    digits.write("exported.py", text.replace("# %%sweep", "import helper_beside\n\n# %%sweep"))
    digits("run", "exported.py", "--name", "exported")
    assert list(digits.handle("exported").df["acc"]) == list(digits.handle("digits").df["acc"])


def test_without_a_path_csv_goes_to_stdout(digits: Folder) -> None:
    assert digits("export", "digits").stdout == digits.handle("digits").df.to_csv(index=False)


def test_a_reader_that_has_enough_is_no_error(digits: Folder) -> None:
    command = " ".join(digits.words("export", "digits")) + " | head -1; exit ${PIPESTATUS[0]}"
    done = subprocess.run(["bash", "-c", command], env=digits.env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("number,")


def test_an_older_version_is_shown_by_its_number(digits: Folder) -> None:
    digits.write("versions.py", CELLS)
    digits("run", "versions.py")
    digits.write("versions.py", CELLS.replace("twice(x)", "twice(x) - 1"))
    digits("run", "versions.py")
    assert digits.json("show", "versions")["version"] == 2
    first = digits.json("show", "versions", "--version", "1")
    assert [row["number"] for row in first["trials"]] == list(range(6))
    assert "the body changed" in digits("why", "versions").stdout


def test_what_is_not_there_is_told_with_status_2(digits: Folder) -> None:
    for words, said in (
        (["show", "digit"], "Did you mean 'digits'"),
        (["shwo", "digits"], "Did you mean 'show'"),
        (["log", "digits", "99"], "no trial 99"),
        (["log", "digits", "x"], "invalid int value"),
        (["show", "digits", "--version", "7"], "version 7"),
        (["show", "digits", "--jsn"], "unrecognized arguments: --jsn"),
        (["export", "digits", "a.cvs"], "Did you mean '.csv'"),
        (["export", "digits", "--to", "xls"], "there is no such kind"),
        (["drop", "digits"], "Nobody can be asked here"),
        (["scale", "digits", "0"], "at least 1 trial"),
    ):
        done = digits(*words, status=2)
        assert said in " ".join(done.stderr.split()), (words, done.stderr)
        assert done.stdout == ""
        assert "Traceback" not in done.stderr


def test_best_of_a_sweep_without_a_result_has_status_1(folder: Folder) -> None:
    folder.write("empty.py", SCRIPT.format(above=2, more=""))
    folder("run", "empty.py", status=1)
    assert "no completed trial" in folder("best", "empty", status=1).stderr
    assert folder.json("best", "empty", status=1) is None


def test_a_folder_without_sweeps_is_empty_and_stays_so(tmp_path: Path, folder: Folder) -> None:
    env = {key: value for key, value in folder.env.items() if key != "JUPYTER_SWEEP_HOME"}
    assert folder("list", "--json", cwd=tmp_path, env=env).stdout == "[]\n"
    assert [place["name"] for place in json.loads(folder("clusters", "--json", cwd=tmp_path, env=env).stdout)] == [
        "local"
    ]
    assert "No sweeps in" in folder("list", cwd=tmp_path, env=env).stdout
    folder("show", "digits", cwd=tmp_path, env=env, status=2)
    assert list(tmp_path.iterdir()) == []


def test_folder_names_the_store_or_what_holds_it(digits: Folder, tmp_path: Path) -> None:
    env = {key: value for key, value in digits.env.items() if key != "JUPYTER_SWEEP_HOME"}
    for named in (str(digits.path), str(digits.home)):
        assert digits("best", "digits", "--folder", named, cwd=tmp_path, env=env).stdout


def test_a_dropped_sweep_is_gone_with_its_folder(folder: Folder) -> None:
    folder.write("gone.py", SCRIPT.format(above=-1, more=""))
    folder("run", "gone.py", "--name", "gone")
    assert (folder.home / "gone").is_dir()
    folder("drop", "gone", "--yes")
    assert not (folder.home / "gone").exists()
    folder("show", "gone", status=2)


def test_needs_say_which_profile_has_them_and_why_the_others_have_not(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "sweeps.toml").write_text(
        '[profiles.small]\non = "local"\ncpu = {mem = "4G", cores = 2}\n'
        '[profiles.large]\non = "local"\ncpu = {mem = "64G", cores = 16}\n'
    )
    env = {**folder.env, "JUPYTER_CONFIG_DIR": str(tmp_path / "config")}
    done = folder("clusters", "--needs", "cuda(mem=16G) | cpu(mem=8G, cores=8)", "--json", cwd=tmp_path, env=env)
    found = json.loads(done.stdout)
    assert (found["profile"], found["alternative"]) == ("large", 1)
    said = folder("clusters", "--needs", "cuda(mem=16G) * 2", cwd=tmp_path, env=env, status=1).stdout
    assert "small" in said
    assert "large" in said


def test_a_hostile_value_can_not_move_about_in_the_terminal(folder: Folder) -> None:
    text = '# %%\nfrom jupyter_sweep import choice\n\n# %%sweep hostile --min loss --grid --note "\\u202eon"\n'
    text += 'x = choice("\\x1b[2J<script>", "../../etc/passwd\\n", "$(rm -rf /)", "\\u202etfel")\nloss = len(x)\n'
    folder.write("hostile.py", text)
    done = folder("run", "hostile.py")
    for words in (["list"], ["show", "hostile"], ["why", "hostile"], ["best", "hostile"]):
        shown = folder(*words).stdout + done.stdout
        assert [c for c in shown if not (c.isprintable() or c == "\n")] == []
    assert folder.handle("hostile").counts == {"completed": 4}
    assert all(path.is_relative_to(folder.home) for path in (folder.home / "hostile").resolve().iterdir())


# -- the program ------------------------------------------------------------------------------------------------------


def test_jupyter_sweep_is_the_same_program(folder: Folder) -> None:
    jupyter = Path(sys.executable).with_name("jupyter")
    options = {"env": folder.env, "capture_output": True, "text": True, "check": False, "timeout": 60}
    done = subprocess.run([str(jupyter), "sweep", "--help"], **options)  # type: ignore[call-overload]
    assert done.stdout == folder("--help").stdout


def test_every_verb_is_in_the_help_and_has_its_own(folder: Folder) -> None:
    text = folder("--help").stdout
    assert all(f"\n  {verb}" in text for verb in arguments.VERBS)
    assert folder("--version").stdout.strip()
    assert "--trials N" in folder("run", "--help").stdout


def test_progress_is_written_over_in_a_terminal(folder: Folder) -> None:
    folder.write("tty.py", SCRIPT.format(above=-1, more=""))
    ours, theirs = pty.openpty()
    command = subprocess.Popen(
        folder.words("run", "tty.py"), cwd=folder.path, env=folder.env, stdout=subprocess.DEVNULL, stderr=theirs
    )
    os.close(theirs)
    seen, limit = b"", time.monotonic() + 60
    while time.monotonic() < limit and select.select([ours], [], [], 60)[0]:
        try:
            seen += os.read(ours, 65536)
        except OSError:  # the other end was closed
            break
    assert command.wait(60) == 0
    os.close(ours)
    assert b"\r\x1b[2Ktty " in seen
    assert re.search(rb"[0-4]/4", seen)
