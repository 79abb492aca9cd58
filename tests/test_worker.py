"""What one trial sees and what it leaves: bodies, captured objects, seeds, modules, metrics, stages, output."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from jobfiles import JobFolder, Runner

from jupyter_sweep import worker


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    runner = Runner(JobFolder(tmp_path / "sweeps"))
    yield runner
    runner.slot.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """One warm child for tests that leave it as it was."""
    runner = Runner(JobFolder(tmp_path_factory.mktemp("shared") / "sweeps"))
    yield runner
    runner.slot.close()


# -- the body ---------------------------------------------------------------------------------------------------------


def test_drawn_values_stand_where_the_ranges_stood(shared: Runner) -> None:
    body = """
        lr = loguniform(1e-5, 1e-1, default=3e-4)
        if lr > 1:
            m = uniform(0, 1)
        loss = lr * 2
    """
    end = shared.body(body, {"lr": 0.25})
    assert (end["state"], end["reason"], end["metrics"]) == ("completed", "", {"loss": 0.5})


def test_a_range_whose_branch_was_not_drawn_is_named(shared: Runner) -> None:
    end = shared.body("if True:\n    m = uniform(0, 1)\nloss = 1")
    assert end["state"] == "failed"
    assert "'m' has no value in this trial" in end["error"]


def test_a_traceback_shows_the_users_lines_under_the_cells_numbers_and_nothing_of_ours(shared: Runner) -> None:
    end = shared.body("def f(x):\n    return 1 / x\n\nf(0)", title="digits")
    assert (end["state"], end["reason"]) == ("failed", "error")
    assert end["error"] == "ZeroDivisionError: division by zero"
    files = [line for line in end["traceback"].splitlines() if line.startswith("  File")]
    assert files == ['  File "<sweep digits>", line 5, in <module>', '  File "<sweep digits>", line 3, in f']
    assert "    return 1 / x" in end["traceback"]
    assert end["traceback"] in end["log"]


def test_frames_of_ours_are_left_out_of_chained_exceptions_too(shared: Runner) -> None:
    body = """
        try:
            report(loss="x")
        except TypeError as error:
            raise KeyError("a") from error
    """
    end = shared.body(body)
    assert end["error"] == "KeyError: 'a'"
    assert "report(loss=...) takes a number, got str 'x'" in end["traceback"]
    assert "context.py" not in end["traceback"]


def test_top_level_await_works(shared: Runner) -> None:
    end = shared.body("import asyncio\nawait asyncio.sleep(0)\nloss = await asyncio.sleep(0, 4)")
    assert end["metrics"] == {"loss": 4.0}


def test_the_body_is_module_level_code_named_main(shared: Runner) -> None:
    body = """
        import pickle, sys
        K = 1
        def f():
            global K
            K += 1
        f()
        class C: pass
        assert __name__ == "__main__" and sys.modules["__main__"].C is C
        assert type(pickle.loads(pickle.dumps(C()))) is C
        loss = K
    """
    assert shared.body(body)["metrics"] == {"loss": 2.0}


def test_future_statements_of_ours_do_not_leak_into_the_body(shared: Runner) -> None:
    assert shared.body("def f(x: int): pass\nloss = f.__annotations__['x'] is int")["metrics"] == {"loss": 1.0}


def test_a_job_that_is_a_function_gets_the_parameters_as_keywords(shared: Runner) -> None:
    setup = "def train(lr, depth): return {'loss': lr * depth, 'n': 3}"
    job = shared.folder.write("", setup=setup, function="train")
    assert shared.run(job, {"lr": 0.5, "depth": 4})["metrics"] == {"loss": 2.0, "n": 3.0}


def test_encoded_parameters_come_as_they_were_drawn(shared: Runner) -> None:
    params = {"a": {"__tuple__": [1, 2.0]}, "b": {"__dict__": [["__x", True]]}, "c": None, "d": [1], "e": {"w": "s"}}
    body = "\n".join(f"{name} = choice(1)" for name in params) + "\nprint(repr((a, b, c, d, e)))\nloss = 0"
    assert shared.body(body, params)["log"] == "((1, 2.0), {'__x': True}, None, [1], {'w': 's'})\n"


def test_a_choice_that_json_can_not_hold_is_the_object_of_the_notebook(shared: Runner) -> None:
    opaque = {"__object__": "relu", "digest": "12345678"}
    body = "act = choice(relu, tanh)\nloss = act(-3)"
    end = shared.body(body, {"act": opaque}, choices={"act": [[opaque, abs]]})
    assert end["metrics"] == {"loss": 3.0}


# -- captured objects -------------------------------------------------------------------------------------------------


def test_captured_functions_see_names_that_the_body_rebinds(shared: Runner) -> None:
    end = shared.body("K = 5\nloss = helper()", setup="K = 3\ndef helper(): return K", names=["K", "helper"])
    assert end["metrics"] == {"loss": 5.0}


def test_nothing_a_trial_does_to_captured_objects_is_seen_by_the_next(runner: Runner) -> None:
    setup = """
        import numpy as np
        X = np.zeros(50_000)
        small = [0]
        class Model:
            count = 0
        def f(): pass
    """
    body = """
        loss = X[0] + small[0] + Model.count + getattr(f, "n", 0) + hasattr(Model, "new")
        X[:] += 1
        small[0] += 1
        Model.count += 1
        Model.new = f.n = 1
    """
    job = runner.folder.write(body, setup=setup, names=["X", "small", "Model", "f"])
    assert len(list(runner.folder.data.glob("*.bin"))) == 1
    ends = [runner.run(job) for _ in range(3)]
    assert [end["metrics"] for end in ends] == [{"loss": 0.0}] * 3
    assert len({end["pid"] for end in ends}) == 1


def test_a_large_array_is_neither_copied_nor_charged_to_the_trial(runner: Runner) -> None:
    job = runner.folder.write("loss = X.sum()", values={"X": np.ones(12_500_000)})
    runner.run(job)
    end = runner.run(job, memory_gb=0.05)
    assert end["metrics"] == {"loss": 12_500_000.0}
    assert end["peak_memory_gb"] < 0.02


def test_a_local_module_comes_from_the_source_that_travelled(runner: Runner, tmp_path: Path) -> None:
    path = tmp_path / "sweeps" / "helpers.py"
    path.write_text("VALUE = 'on disk'")
    modules = {
        "helpers": {"path": str(path), "package": False, "source": "VALUE = 7\ndef where(): return __file__"},
        "pack": {"path": str(tmp_path / "pack" / "__init__.py"), "package": True, "source": "from . import inner"},
        "pack.inner": {"path": str(tmp_path / "pack" / "inner.py"), "package": False, "source": "N = 1 / 2"},
    }
    body = """
        import helpers, pack, inspect
        print(helpers.where(), *pack.__path__)
        assert "VALUE = 7" in inspect.getsource(helpers)
        loss = helpers.VALUE + pack.inner.N
    """
    end = runner.body(body, modules=modules)
    assert end["metrics"] == {"loss": 7.5}
    assert end["log"].split() == [str(path), str(tmp_path / "pack")]


def test_other_sources_of_local_modules_mean_another_process(runner: Runner) -> None:
    def job(value: int) -> str:
        modules = {"helpers": {"path": "/nowhere/helpers.py", "package": False, "source": f"VALUE = {value}"}}
        return runner.folder.write("import helpers\nloss = helpers.VALUE", modules=modules)

    first, second = runner.run(job(1)), runner.run(job(2))
    assert [first["metrics"], second["metrics"]] == [{"loss": 1.0}, {"loss": 2.0}]
    assert first["pid"] != second["pid"]


# -- what every trial starts with -------------------------------------------------------------------------------------


def test_folder_environment_path_and_streams_are_put_back(runner: Runner) -> None:
    spoil = """
        import os, sys, warnings
        os.chdir("/")
        os.environ["LEAK"] = "1"
        os.environ.pop("HOME", None)
        sys.path.insert(0, "/leak")
        sys.argv.append("leak")
        warnings.simplefilter("error")
        sys.stdout.close()
        os.close(2)
        loss = 0
    """
    look = """
        import os, sys, warnings
        print(os.getcwd(), os.environ.get("LEAK"), "HOME" in os.environ, sys.path[0], len(sys.argv))
        warnings.warn("still a warning")
        loss = 0
    """
    runner.folder.write_launch(HOME="/home/x")
    first, second = runner.body(spoil), runner.body(look)
    assert first["pid"] == second["pid"]
    home = str(runner.folder.home)
    assert second["log"].splitlines()[0] == f"{home} None True {home} 1"
    assert "UserWarning: still a warning" in second["log"]


def test_environment_and_folder_are_those_of_the_launch_file(runner: Runner, tmp_path: Path) -> None:
    body = "import os\nprint(os.getcwd(), os.environ['GREETING'])\nloss = 0"
    runner.folder.write_launch(cwd=tmp_path, GREETING="hello")
    assert runner.body(body)["log"] == f"{tmp_path} hello\n"
    runner.folder.write_launch(GREETING="changed on resume")
    assert runner.body(body)["log"] == f"{runner.folder.home} changed on resume\n"


def test_threads_of_libraries_are_limited_to_the_trials_cpus(runner: Runner) -> None:
    body = "import os\nloss = int(os.environ['OMP_NUM_THREADS']) + int(os.environ['LOKY_MAX_CPU_COUNT'])"
    runner.folder.write_launch(OMP_NUM_THREADS="64")
    assert runner.body(body, cpus=3)["metrics"] == {"loss": 6.0}
    assert runner.body(body, cpus=0.5)["metrics"] == {"loss": 2.0}


@pytest.mark.parametrize(
    ("given", "seen"), [(None, "Agg"), ("module://matplotlib_inline.backend_inline", "Agg"), ("svg", "svg")]
)
def test_figures_never_want_a_screen(
    runner: Runner, monkeypatch: pytest.MonkeyPatch, given: str | None, seen: str
) -> None:
    monkeypatch.delenv("MPLBACKEND", raising=False)
    if given is not None:
        monkeypatch.setenv("MPLBACKEND", given)
    runner.folder.write_launch()
    assert runner.body("import os\nprint(os.environ['MPLBACKEND'])\nloss = 0")["log"] == f"{seen}\n"


def test_input_is_at_its_end(shared: Runner) -> None:
    assert shared.body("input()")["error"].startswith("EOFError")


def test_the_same_seed_gives_the_same_numbers_wherever_numpy_is_imported(runner: Runner) -> None:
    draw = "print(random.random(), np.random.rand())\nloss = 0"
    job = runner.folder.write("import random\nimport numpy as np\n" + draw)
    first = runner.run(job, seed=11)["log"]  # imports numpy
    again = runner.run(job, seed=11)["log"]  # has it already
    captured = runner.body(draw, setup="import random\nimport numpy as np", names=["random", "np"], seed=11)["log"]
    other = runner.run(job, seed=12)["log"]
    assert first == again == captured != other


def test_seed_is_the_trials_own(shared: Runner) -> None:
    assert shared.body("loss = trial().seed()", seed=123)["metrics"] == {"loss": 123.0}


# -- reports and metrics ----------------------------------------------------------------------------------------------


def steps(end: dict[str, Any]) -> list[int]:
    return [event["step"] for event in end["reports"]]


def test_the_step_is_given_or_an_int_among_epoch_iter_round_fold_or_the_count(shared: Runner) -> None:
    body = """
        report(9, loss=1)
        report(loss=2, fold=4, epoch=3)
        report(loss=3, epoch=1.5)
        report(loss=4)
    """
    end = shared.body(body)
    assert steps(end) == [9, 3, 2, 3]
    assert [event["metrics"] for event in end["reports"]] == [
        {"loss": 1.0},
        {"loss": 2.0, "fold": 4.0},
        {"loss": 3.0, "epoch": 1.5},
        {"loss": 4.0},
    ]


def test_numpy_scalars_are_numbers_and_steps(shared: Runner) -> None:
    end = shared.body("import numpy as np\nreport(loss=np.float32(0.5), epoch=np.int64(3), one=np.ones(1))")
    assert (steps(end), end["metrics"]) == ([3], {"loss": 0.5, "one": 1.0})


def test_a_step_that_no_store_holds_is_refused_in_the_body(shared: Runner) -> None:
    end = shared.body("report(2**63 - 1, loss=1)\nreport(epoch=2**63, loss=2)")
    assert (steps(end), end["state"]) == ([2**63 - 1], "failed")
    assert "a step is a whole number of at most 64 bits" in end["error"]


def test_the_last_report_that_holds_the_target_is_the_value(shared: Runner) -> None:
    end = shared.body("report(loss=1)\nreport(loss=2)\nreport(other=3)\nloss = 9")
    assert end["metrics"] == {"loss": 2.0, "other": 3.0}


@pytest.mark.parametrize(
    ("body", "metrics"),
    [
        ("loss = 3", {"loss": 3.0}),
        ("1 + 1", {"loss": 2.0}),
        ("{'loss': 4, 'acc': 0.5, 'name': 'x'}", {"loss": 4.0, "acc": 0.5}),
        ("loss = 1\n5", {"loss": 1.0}),
        ("loss = True", {"loss": 1.0}),
    ],
)
def test_the_first_rule_that_applies_gives_the_value(shared: Runner, body: str, metrics: dict[str, float]) -> None:
    end = shared.body(body)
    assert (end["state"], end["metrics"]) == ("completed", metrics)


def test_a_number_as_last_expression_says_nothing_about_two_targets(shared: Runner) -> None:
    end = shared.body("loss = 1\n5", targets=["loss", "acc"])
    assert (end["state"], end["reason"]) == ("failed", "error")
    assert "without a value of acc" in end["error"]


def test_a_missing_target_fails_with_the_numbers_that_were_seen(shared: Runner) -> None:
    body = """
        p = uniform(0, 1)
        report(val=1)
        accuracy = 0.5
        name = "x"
        _hidden = 3
        lr = captured
    """
    end = shared.body(body, {"p": 1.0}, values={"captured": 7})
    assert (end["state"], end["reason"], end["numbers"]) == ("failed", "error", ["val", "accuracy", "lr"])
    assert "Numbers seen: val, accuracy, lr." in end["error"]


def test_a_target_that_is_not_a_number_fails_as_nan(shared: Runner) -> None:
    end = shared.body("loss = float('nan')")
    assert (end["state"], end["reason"], end["numbers"]) == ("failed", "nan", None)


def test_infinity_is_a_value(shared: Runner) -> None:
    assert shared.body("loss = float('inf')")["state"] == "completed"


def test_a_require_that_does_not_hold_ends_the_trial_as_refused(shared: Runner) -> None:
    end = shared.body("try:\n    trial().require(False, 'w * lr < 20')\nexcept Exception:\n    pass\nloss = 1")
    assert (end["state"], end["reason"], end["error"]) == ("pruned", "constraint", "w * lr < 20")


def test_reports_reach_the_supervisor_in_order_and_complete(shared: Runner) -> None:
    end = shared.body("for i in range(2000): report(i, loss=i)")
    assert steps(end) == list(range(2000))


def test_reports_of_many_threads_arrive_whole(shared: Runner) -> None:
    body = """
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda i: report(i, loss=i), range(400)))
    """
    assert sorted(steps(shared.body(body))) == list(range(400))


def test_a_report_from_a_forked_process_is_refused_and_the_frames_stay_whole(runner: Runner) -> None:
    body = """
        import os
        for i in range(50):
            pid = os.fork()
            if pid == 0:
                try:
                    report(loss=1)
                except RuntimeError:
                    os._exit(3)
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
            report(loss=2)
    """
    assert runner.body(body)["metrics"] == {"loss": 2.0}


def test_a_forked_process_that_runs_out_of_the_body_does_not_answer_for_the_trial(runner: Runner) -> None:
    end = runner.body("import os\npid = os.fork()\nif pid:\n    os.waitpid(pid, 0)\nloss = 1 if pid else 2")
    assert end["metrics"] == {"loss": 1.0}
    assert runner.body("loss = 3")["metrics"] == {"loss": 3.0}


# -- what a trial keeps -----------------------------------------------------------------------------------------------


def test_saved_objects_lie_in_the_trials_folder_and_can_be_read_elsewhere(shared: Runner) -> None:
    body = """
        class Own: x = 4
        trial().save("deep/model.joblib", {"a": [1]})
        trial().save("own", Own())
        loss = 0
    """
    end = shared.body(body)
    assert joblib.load(end["folder"] / "deep" / "model.joblib") == {"a": [1]}
    assert joblib.load(end["folder"] / "own").x == 4
    assert sorted(p.name for p in end["folder"].iterdir()) == ["deep", "log.txt", "own"]


@pytest.mark.parametrize("name", ["../x", "/tmp/x", "a/../../x", "log.txt", "params.json", "", "."])
def test_nothing_is_saved_outside_the_folder_or_over_what_is_ours(shared: Runner, name: str) -> None:
    end = shared.body(f"trial().save({name!r}, 1)\nloss = 0")
    assert end["error"].startswith("ValueError: save(")


def test_a_checkpoint_is_there_for_the_next_attempt(shared: Runner) -> None:
    body = "state = trial().checkpoint()\ntrial().checkpoint((state or 0) + 1)\nloss = state or 0"
    task = shared.folder.task(shared.folder.write(body))
    values = [shared.run_task({**task, "attempt": n})["metrics"]["loss"] for n in (1, 2, 3)]
    assert values == [0.0, 1.0, 2.0]


def test_a_stage_is_computed_once_for_all_trials_and_no_trial_spoils_it(runner: Runner) -> None:
    setup = """
        import numpy as np
        def slow(n):
            print("computing")
            return np.ones(n)
    """
    body = "x = trial().stage(slow, (50_000,))\nloss = x.sum()\nx[:] = 7"
    job = runner.folder.write(body, setup=setup, names=["slow"])
    ends = [runner.run(job) for _ in range(3)]
    assert [end["log"] for end in ends] == ["computing\n", "", ""]
    assert [end["metrics"] for end in ends] == [{"loss": 50_000.0}] * 3


STAGE = "K = 1\ndef helper(n): return n + K\ndef slow(n): return helper(n)"


@pytest.mark.parametrize(
    ("setup", "args"),
    [
        (STAGE.replace("K = 1", "K = 2"), "(1,)"),  # another value that it reads
        (STAGE.replace("n + K", "n * K"), "(1,)"),  # another helper
        (STAGE + " + 0", "(1,)"),  # another function
        (STAGE, "(True,)"),  # an argument of another type
        (STAGE, "(2,)"),
    ],
)
def test_a_stage_is_computed_again_when_anything_it_depends_on_changes(
    shared: Runner, tmp_path: Path, setup: str, args: str
) -> None:
    def files(setup: str, args: str) -> list[Path]:
        body = f"trial().stage(slow, {args})\nloss = 0"
        job = shared.folder.write(body, setup=setup, names=["K", "helper", "slow"])
        assert shared.run_task({**shared.folder.task(job), "stage_dir": str(tmp_path)})["state"] == "completed"
        return list(tmp_path.glob("*.joblib"))

    assert len(files(STAGE, "(1,)")) == 1
    assert len(files("# moved by a line\n" + STAGE, "(1,)")) == 1
    assert len(files(setup, args)) == 2


def test_a_stage_says_which_argument_it_can_not_tell_apart(shared: Runner) -> None:
    end = shared.body("import threading\ntrial().stage(print, (threading.Lock(),))\nloss = 1")
    assert end["error"].startswith("TypeError: stage() tells its results apart by content, and a lock has none")


# -- shell commands and output ----------------------------------------------------------------------------------------


def test_shell_commands_and_magics_work_where_ipython_is(runner: Runner) -> None:
    body = """
        anyone = "me"
        get_ipython().system("echo $HOME {anyone} | wc -w")
        out = get_ipython().getoutput("echo a; echo b")
        get_ipython().run_line_magic("matplotlib", "inline")
        get_ipython().run_line_magic("timeit", "-n1 -r1 anyone")
        display(list(out))
        loss = len(out)
    """
    for _ in range(2):  # the second trial has a namespace of its own
        end = runner.body(body)
        assert end["metrics"] == {"loss": 2.0}, end["traceback"]
        assert end["log"].startswith("2")
        assert "loop" in end["log"]
        assert "['a', 'b']" in end["log"]
    end = runner.body("get_ipython().run_line_magic('timeit', 'anyone')\nloss = 0")
    assert "name 'anyone' is not defined" in end["traceback"]


def test_shell_commands_work_without_ipython_and_magics_say_what_they_need(runner: Runner) -> None:
    body = """
        import sys
        sys.modules["IPython.core.interactiveshell"] = None
        get_ipython().system("echo hi")
        loss = len(get_ipython().getoutput("echo a"))
        get_ipython().run_line_magic("timeit", "1")
    """
    end = runner.body(body)
    assert end["log"].startswith("hi\n")
    assert "get_ipython().run_line_magic needs IPython" in end["error"]


def test_prints_of_python_of_c_and_of_other_processes_are_in_the_log_in_order(runner: Runner) -> None:
    body = r"""
        import ctypes, os, subprocess, sys
        c = ctypes.CDLL(None)
        print("python")
        c.puts(b"c"), c.fflush(None)
        os.write(2, b"descriptor 2\n")
        subprocess.run(["echo", "process"])
        print("half \ud800", file=sys.stderr)
        c.puts(b"c at the end")
        loss = 0
    """
    lines = ["python", "c", "descriptor 2", "process", "half \\ud800", "c at the end"]
    assert runner.body(body)["log"].splitlines() == lines


def test_each_trial_has_its_own_log_and_an_attempt_adds_to_it(shared: Runner) -> None:
    first, second = (shared.folder.task(shared.folder.write(f"print({n})\nloss = 0")) for n in (1, 2))
    assert [shared.run_task(task)["log"] for task in (first, second, first)] == ["1\n", "2\n", "1\n1\n"]
    assert os.stat(Path(first["folder"], "log.txt")).st_mode & 0o777 == 0o600


# -- files ------------------------------------------------------------------------------------------------------------

LOAD_FROM_TEXT = """
import json, sys
sources = json.load(open("sources.json"))
space = {"__name__": "loader"}
exec(sources["loader"], space)
package = space["install"]("_from_text", space["compiled"](sources))
assert package.pool.Pool
roots = {name.partition(".")[0] for name in sys.modules}
print(sorted(root for root in roots - set(sys.stdlib_module_names) if not root.startswith("_")))
"""


def test_the_package_loads_from_text_alone_and_needs_the_standard_library_only(tmp_path: Path) -> None:
    (tmp_path / "sources.json").write_text(json.dumps(worker.sources()))
    command = [sys.executable, "-I", "-S", "-c", LOAD_FROM_TEXT]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_pickle_that_can_not_be_read_fails_the_trial_with_its_reason(runner: Runner) -> None:
    job = runner.folder.write("loss = 1")
    (runner.folder.data / job.replace("json", "pkl")).write_bytes(pickle.dumps(np.ones(3))[:20])
    end = runner.run(job)
    assert (end["state"], end["reason"]) == ("failed", "error")
    assert end["error"].startswith(("_pickle.UnpicklingError", "UnpicklingError", "EOFError"))


def test_a_launch_file_that_is_gone_fails_the_trial_in_one_line(runner: Runner) -> None:
    job = runner.folder.write("loss = 1")
    runner.folder.launch.unlink()
    end = runner.run(job)
    assert (end["state"], end["reason"], end["traceback"]) == ("failed", "error", "")
    assert "launch.json" in end["error"]


def test_a_working_directory_that_is_gone_fails_the_trial_in_one_line(runner: Runner, tmp_path: Path) -> None:
    runner.folder.write_launch(cwd=tmp_path / "gone")
    end = runner.body("loss = 1")
    assert (end["state"], end["reason"], end["traceback"]) == ("failed", "error", "")
    assert str(tmp_path / "gone") in end["error"]
