"""Cells that are run again: nothing twice, nothing stale. Real kernels, restarted ones, and one warm driver for all."""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import shared_home
from kernels import Kernel
from waiting import wait_for

from jupyter_sweep.handle import Handle
from jupyter_sweep.live import sweep
from jupyter_sweep.runner.launch import driver_key
from jupyter_sweep.space.fingerprint import fingerprint
from jupyter_sweep.store.sqlite import NewTrial, Store

#: Every trial that really runs leaves one byte in a file.
RAN = 'with open("ran-{name}", "a") as file:\n    file.write(".")\n'
XY = "x = uniform(0.0, 1.0)\nk = randint(1, 4)\nloss = (x - 0.3) ** 2 + k / 100\n"
SEEDED = ("random", "grid", "sobol", "tpe")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One notebook folder for all tests, so that they share a warm driver; each uses names of its own."""
    with shared_home(tmp_path_factory.mktemp("rerun"), idle_s=60) as folder:
        yield folder


@pytest.fixture
def kernel(folder: Path) -> Iterator[Kernel]:
    with Kernel(folder) as kernel:
        yield kernel


def ran(name: str) -> int:
    """Give how many trials have really run whose body begins with RAN."""
    path = Path(f"ran-{name}")
    return path.stat().st_size if path.exists() else 0


def rows(handle: Handle) -> list[tuple[Any, ...]]:
    """Give all that stays as it is once a trial is final."""
    return [(t.number, t.params, t.metrics, t.state, t.seed, t.attempt, t.finished_at) for t in handle.trials()]


def drawn(handle: Handle) -> list[tuple[Any, ...]]:
    """Give what must be the same in every folder: parameters, seeds and results, in order of number."""
    return [(t.params, t.seed, t.metrics, t.repetition, t.proposal) for t in handle.trials()]


def params(handle: Handle, name: str) -> list[Any]:
    return [t.params.get(name) for t in handle.trials()]


# -- how much: budgets and the search ---------------------------------------------------------------------------------


def test_a_cell_run_again_starts_only_what_is_missing(kernel: Kernel) -> None:
    body = RAN.format(name="more") + XY
    first = rows(kernel.sweep("more --min loss -n 40 --jobs 2", body))
    assert (len(first), ran("more")) == (40, 40)
    assert rows(kernel.sweep("more --min loss -n 40 --jobs 2", body)) == first
    sixty = rows(kernel.sweep("more --min loss -n 60 --jobs 2", body.replace("\n", "  # again\n\n", 1)))
    assert sixty[:40] == first
    assert (len(sixty), ran("more")) == (60, 60)
    for total in (65, 70):
        assert len(kernel.sweep("more --min loss -n +5 --jobs 2", body).trials()) == ran("more") == total
    assert kernel.sweep("more --min loss -n 40 --jobs 2", body).version == 1
    assert ran("more") == 70
    assert kernel.sweep("more --min loss", body).counts == {"completed": 70}
    with Kernel(Path.cwd()) as restarted:
        assert restarted.sweep("more --min loss -n 70 --jobs 2", body).version == 1
        assert ran("more") == 70
        assert len(restarted.sweep("more --min loss -n 72 --jobs 2", body).trials()) == ran("more") == 72


WIDER = "# a comment\n\n" + XY.replace("uniform(0.0, 1.0)", "uniform( -5.0, 9.0,default=2.0 )")


@pytest.mark.parametrize(
    ("name", "line", "body"),
    [
        ("seed", "--jobs 2 --algo random --seed 9", XY),
        ("search", "--jobs 1 --algo sobol --stop median", XY),
        ("limits", "--jobs 2 --note why --tag t --cpus 1 --timeout 50 --mem 4G --retry 1", XY),
        ("range", "--jobs 2 --algo random", WIDER),
        ("pinned", "--jobs 2 --algo random k=2", XY),
        ("narrowed", "--jobs 2 --algo random x=uniform(0.1,0.2)", XY),
    ],
    ids=lambda value: value if value.isidentifier() else "",
)
def test_a_change_of_how_it_is_searched_is_no_change_of_what_is_run(
    kernel: Kernel, name: str, line: str, body: str
) -> None:
    mark = RAN.format(name=name)
    first = rows(kernel.sweep(f"{name} --min loss -n 6 --jobs 2 --algo random", mark + XY))
    assert rows(kernel.sweep(f"{name} --min loss -n 6 {line}", mark + body)) == first
    handle = kernel.sweep(f"{name} --min loss -n 8 {line}", mark + body)
    assert rows(handle)[:6] == first
    assert (len(rows(handle)), ran(name), handle.version) == (8, 8, 1)
    other = kernel.sweep(f"{name} --max loss -n 8 --jobs 2 --algo random", mark + XY)
    assert ran(name) == 8
    assert other.best is not None
    assert other.best.value == max(t.metrics["loss"] for t in other.trials())


def test_a_range_narrowed_on_the_line_uses_its_points_again(kernel: Kernel) -> None:
    body = RAN.format(name="narrow") + "k = randint(1, 6)\nloss = k\n"
    assert params(kernel.sweep("narrow --min loss --grid --jobs 2", body), "k") == [1, 2, 3, 4, 5, 6]
    assert len(kernel.sweep("narrow --min loss --grid --jobs 2 k=randint(2,3)", body).trials()) == ran("narrow") == 6
    kernel.sweep("narrow --min loss --grid --jobs 2 k=5", body)
    assert ran("narrow") == 6
    wider = kernel.sweep("narrow --min loss --grid --jobs 2", body.replace("(1, 6)", "(0, 8)"))
    assert params(wider, "k") == [1, 2, 3, 4, 5, 6, 0, 7, 8]
    assert (ran("narrow"), wider.version) == (9, 1)


# -- what: code and data ----------------------------------------------------------------------------------------------

EDITS = {
    "helper": ("def score(x):\n    return x * 1\n", "def score(x):\n    return x * 2\n"),
    "helpers_helper": (
        "def inner(x):\n    return x * 1\ndef score(x):\n    return inner(x)\n",
        "def inner(x):\n    return x * 2\ndef score(x):\n    return inner(x)\n",
    ),
    "global_of_a_helper": (
        "factor = 1\ndef score(x):\n    return x * factor\n",
        "factor = 2\ndef score(x):\n    return x * factor\n",
    ),
    "element_of_an_array": (
        "import numpy\ndata = numpy.ones(50_000)\ndef score(x):\n    return x * float(data[-1])\n",
        "import numpy\ndata = numpy.ones(50_000)\ndata[-1] = 2\ndef score(x):\n    return x * float(data[-1])\n",
    ),
    "local_module": (
        "open('mod_a.py', 'w').write('N = 1\\n')\nimport mod_a\ndef score(x):\n    return x * mod_a.N\n",
        "open('mod_a.py', 'w').write('N = 2\\n')\nimport mod_a\ndef score(x):\n    return x * mod_a.N\n",
    ),
    "module_of_a_module": (
        "open('mod_c.py', 'w').write('N = 1\\n')\nopen('mod_b.py', 'w').write('from mod_c import N\\ndef f(x):\\n"
        "    return x * N\\n')\nfrom mod_b import f as score\n",
        "open('mod_c.py', 'w').write('N = 2\\n')\nfrom mod_b import f as score\n",
    ),
    "class": (
        "class Model:\n    def __call__(self, x):\n        return x * 1\nscore = Model()\n",
        "class Model:\n    def __call__(self, x):\n        return x * 2\nscore = Model()\n",
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_changed_code_or_data_starts_a_version_and_the_old_one_comes_back_with_the_old_code(
    kernel: Kernel, name: str
) -> None:
    before, after = EDITS[name]
    line, body = f"{name} --min loss --grid --jobs 2", RAN.format(name=name) + "k = choice(1, 2, 3)\nloss = score(k)\n"
    kernel.cell(before)
    first = kernel.sweep(line, body)
    assert (first.version, ran(name), first.df["loss"].tolist()) == (1, 3, [1, 2, 3])
    kept = rows(first)
    kernel.cell(after)
    second = kernel.sweep(line, body)
    assert (second.version, ran(name), second.df["loss"].tolist()) == (2, 6, [2, 4, 6])
    assert second.df["number"].tolist() == [3, 4, 5]
    if name == "local_module":
        assert any("mod_a" in warning for warning in second.definition.job.warnings), "loaded is not what runs"
    assert [h.version for h in second.versions] == [1, 2]
    assert rows(sweep(name, version=1)) == kept
    kernel.cell(before)
    assert rows(kernel.sweep(line, body)) == kept, "the old code takes the old version up again"
    with Kernel(Path.cwd()) as restarted:
        restarted.cell(before)
        assert restarted.sweep(line, body).version == 1
        restarted.cell(after)
        assert restarted.sweep(line, body).version == 2
    assert ran(name) == 6


def test_a_version_taken_up_again_goes_on_where_it_was(kernel: Kernel) -> None:
    body = RAN.format(name="turns") + "x = uniform(0, 1)\nloss = {} * x\n"
    for factor, total in ((1, 3), (2, 3), (1, 5), (2, 5)):
        handle = kernel.sweep(f"turns --min loss -n {total} --jobs 1 --algo random", body.format(factor))
        assert (handle.version, len(handle.trials())) == (factor, total)
    numbers = [t.number for v in (1, 2) for t in sweep("turns", version=v).trials()]
    assert sorted(numbers) == list(range(10))
    assert ran("turns") == 10
    assert drawn(sweep("turns", version=1))[2][0] == drawn(sweep("turns", version=2))[2][0]


def test_options_of_identity(kernel: Kernel) -> None:
    body = RAN.format(name="ident") + "k = choice(1, 2)\nloss = k * scale\n"
    line = "ident --min loss --grid --jobs 2"
    kernel.cell("scale = 1")
    kernel.sweep(line, body)
    kernel.cell("scale = 3")
    assert kernel.sweep(f"{line} --code ignore", body).version == 1
    assert ran("ident") == 2, "--code ignore adopts what is there"
    assert kernel.sweep(line, body).version == 1, "and it stays adopted"
    assert kernel.sweep(f"{line} --fresh", body).version == 2
    assert ran("ident") == 4
    assert kernel.sweep(f"{line} --version v2", body).version == 3
    assert kernel.sweep(line, body).version == 2
    assert ran("ident") == 6
    kernel.cell("scale = 4")
    assert kernel.sweep(f"{line} --ignore scale", body).version == 4
    kernel.cell("scale = 5")
    assert kernel.sweep(f"{line} --ignore scale", body).version == 4
    assert ran("ident") == 8


def test_what_was_adopted_from_other_code_is_told_as_long_as_it_is_there(kernel: Kernel) -> None:
    def told(line: str, scale: int) -> tuple[list[str], str]:
        kernel.cell(f"scale = {scale}")
        handle = kernel.sweep(
            f"badge --min loss --algo random --jobs 2 {line}", "k = randint(1, 99)\nloss = k * scale\n"
        )
        assert handle.version == 1
        return handle.snapshot()["sweep"]["warnings"], handle.definition.job.fingerprint[:6]

    nothing, first = told("-n 3", 1)
    assert nothing == []
    adopted = [f"3 trials are of other code ({first}), adopted by --code ignore"]
    assert told("-n 4 --code ignore", 2) == (adopted, second := sweep("badge").definition.job.fingerprint[:6])
    assert adopted[0] in kernel.cell("%sweep show badge")
    assert told("-n 4", 2)[0] == told("-n 5", 2)[0] == told("-n 5 --code ignore", 2)[0] == adopted
    (both,), _ = told("-n 6 --code ignore", 3)
    assert both == f"5 trials are of other code ({first}, {second}), adopted by --code ignore"
    (others,), code = told("-n 6 --code ignore", 1)
    assert code == first
    assert others.startswith("3 trials are of other code ("), "what is its own again is not told"
    assert second in others


@pytest.mark.parametrize("option", ["", ", ignore_default=True"])
def test_a_parameter_added_or_removed_with_the_code_ignored_loses_nothing(kernel: Kernel, option: str) -> None:
    name = f"added{len(option)}"
    body = RAN.format(name=name) + "k = choice(1, 2)\nloss = k\n"
    line = f"{name} --min loss --grid --jobs 2"
    before = rows(kernel.sweep(line, body))
    wider = RAN.format(name=name) + f"k = choice(1, 2)\nj = choice(0, 1{option})\nloss = k + j\n"
    handle = kernel.sweep(f"{line} --code ignore", wider)
    assert (handle.version, ran(name)) == (1, 4)
    four = rows(handle)
    assert four[:2] == before
    assert [t.params for t in handle.trials()[2:]] == [{"k": 1, "j": 1}, {"k": 2, "j": 1}]
    again = kernel.sweep(f"{line} --code ignore", body)
    assert (again.state, again.version, ran(name)) == ("finished", 1, 4)
    assert rows(kernel.sweep(f"{line} --code ignore --repeat 2", body))[:4] == four
    assert ran(name) == 6


def test_a_trial_that_waits_since_before_a_parameter_was_added_runs_at_its_default(kernel: Kernel) -> None:
    line = "kept --min loss --algo random --jobs 1"
    handle = kernel.sweep(f"{line} -n 2", "k = randint(1, 99)\nloss = k\n")
    store = Store(handle.folder.parent)
    point = {"k": 100}
    mark = fingerprint(handle.definition.space, point, 0, handle.definition.job.fingerprint)
    (waiting,) = store.add_trials(handle.definition, [NewTrial(point, mark)])
    grown = kernel.sweep(f"{line} -n 3 --code ignore", "k = randint(1, 99)\nj = choice(5, 6)\nloss = k + j\n")
    ended = grown.trial(waiting.number)
    assert (ended.state, ended.metrics) == ("completed", {"loss": 105.0})
    assert json.loads((store.home / ended.folder / "params.json").read_text()) == {"k": 100, "j": 5}


def test_a_meta_parameter_varies_but_makes_no_new_trial(kernel: Kernel) -> None:
    body = RAN.format(name="meta") + "k = choice(1, 2, 3)\njobs = choice(1, 2, 4, 8, meta=True)\nloss = k / jobs\n"
    handle = kernel.sweep("meta --min loss --algo random -n 20 --jobs 1", body)
    assert sorted(params(handle, "k")) == [1, 2, 3]
    assert ran("meta") == 3
    kernel.sweep("meta --min loss --algo sobol --seed 4 -n 20 --jobs 1", body.replace("1, 2, 4, 8", "16, 32"))
    assert ran("meta") == 3


# -- what a trial sees ------------------------------------------------------------------------------------------------


def test_what_a_trial_does_to_a_captured_object_nobody_else_sees(kernel: Kernel) -> None:
    kernel.cell("import numpy\nitems, big = [], numpy.zeros(100_000)\nclass Counter:\n    n = 0\n    seen = []\n")
    body = "k = randint(1, 12)\nitems.append(k)\nbig += 1\nCounter.n += 1\nCounter.seen.append(k)\n"
    body += "loss = len(items) + big.max() + Counter.n + len(Counter.seen)\n"
    handle = kernel.sweep("mutate --min loss --grid --jobs 2", body)
    assert set(handle.df["loss"]) == {4.0}
    assert kernel.value("items, float(big.max()), Counter.n, Counter.seen") == ([], 0.0, 0, [])


def test_captured_functions_see_names_that_the_body_binds_anew(kernel: Kernel) -> None:
    kernel.cell("rate = 100\ndef deep():\n    return rate\ndef score():\n    return deep() + rate\n")
    handle = kernel.sweep("rebind --min loss --grid --jobs 2", "rate = choice(1, 2, 3)\nloss = score()\n")
    assert handle.df["loss"].tolist() == [2, 4, 6]
    body = "k = choice(1, 2)\ndef deep():\n    return 7 * k\nloss = score()\n"
    assert kernel.sweep("rebind2 --min loss --grid --jobs 2", body).df["loss"].tolist() == [107, 114]


def test_a_module_that_is_edited_during_a_sweep_does_not_change_it(kernel: Kernel) -> None:
    module = Path("tuned.py")
    module.write_text("VALUE = 1\n")
    body = "import time, tuned\nk = randint(1, 8)\nopen('tuned-begun', 'w').close()\ntime.sleep(0.15)\n"
    body += "loss = tuned.VALUE + 0 * k\n"
    kernel.cell(f"%%sweep tuned --min loss --grid --jobs 2 --bg\n{body}")
    wait_for(Path("tuned-begun").exists)
    module.write_text("VALUE = 2\n")
    handle = sweep("tuned")
    assert handle.wait(60)
    assert handle.df["loss"].tolist() == [1] * 8
    second = kernel.sweep("tuned --min loss --grid -n 2 --jobs 2", body)
    assert (second.version, second.df["loss"].tolist()) == (2, [2, 2])


def test_environment_and_folder_are_those_of_who_runs_the_cell_also_on_a_warm_driver(kernel: Kernel) -> None:
    body = "import os\nk = randint(1, 20)\nprint(os.getcwd())\nloss = int(os.environ['MY_SETTING']) + 0 * k\n"
    kernel.cell("os.environ['MY_SETTING'] = '1'")
    kernel.sweep("environ --min loss --grid -n 2 --jobs 2", body)
    driver = {t.worker for t in sweep("environ").trials()}
    Path("elsewhere").mkdir()
    with Kernel(Path.cwd() / "elsewhere", env={"MY_SETTING": "2"}) as other:
        handle = other.sweep("environ --min loss --grid -n 4 --jobs 2", body)
    assert handle.df["loss"].tolist() == [1, 1, 2, 2]
    assert [os.path.basename(handle.log(n).strip()) for n in range(4)] == [Path.cwd().name] * 2 + ["elsewhere"] * 2
    assert driver == {t.worker for t in handle.trials()}
    kernel.cell("os.environ['MY_SETTING'] = '3'\nos.chdir('elsewhere')\nsweep('environ').resume()")
    handle = kernel.sweep("environ --min loss --grid -n 5 --jobs 2", body)
    assert handle.df["loss"].tolist()[4] == 3
    assert handle.log(4).strip().endswith("elsewhere")


# -- the same every time ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algo", SEEDED)
def test_two_steps_give_what_one_gives_and_a_new_folder_what_the_old_one_gave(
    kernel: Kernel, algo: str, tmp_path: Path
) -> None:
    body = "a = choice(1, 2, 3)\nb = randint(0, 9)\nif a == 2:\n    c = uniform(0, 1, step=0.25)\n"
    body += "else:\n    c = 0.5\nloss = (b - 4) ** 2 + a * c + seed() % 10 / 100\n"
    line = f"{{}} --min loss --algo {algo} -n {{}} --seed 5"
    kernel.sweep(line.format(f"two-{algo}", 11) + " --jobs 1", body)
    two = drawn(kernel.sweep(line.format(f"two-{algo}", 24) + " --jobs 1", body))
    one = drawn(kernel.sweep(line.format(f"one-{algo}", 24) + " --jobs 1", body))
    assert len(one) == 24
    assert two == one
    home = {"JUPYTER_SWEEP_HOME": str(tmp_path / "sweeps")}
    with Kernel(tmp_path, env=home) as elsewhere:
        elsewhere.cell(f"%%sweep {line.format('new', 24)} --on inline\n{body}")
        fields = "(t.params, t.seed, t.metrics, t.repetition, t.proposal)"
        assert elsewhere.value(f"[{fields} for t in sweep('new').trials()]") == one


@pytest.mark.parametrize("algo", ["random", "tpe"])
def test_a_sweep_that_was_stopped_goes_on_as_if_it_had_not_been(kernel: Kernel, algo: str) -> None:
    body = "x = uniform(0, 1)\nfor step in range(3):\n    time.sleep(0.02)\n    report(loss=x * step, step=step)\n"
    line = f"--min loss --algo {algo} -n 24 --jobs 1"
    whole = drawn(kernel.sweep(f"whole-{algo} {line}", body))
    kernel.cell(f"%%sweep cut-{algo} {line} --bg\n{body}")
    handle = sweep(f"cut-{algo}")
    for total in (3, 12):
        wait_for(lambda total=total: handle.counts.get("completed", 0) >= total)
        handle.stop()
        assert handle.wait(60)
        handle.resume()
    assert handle.wait(60)
    found = [row for row, t in zip(drawn(handle), handle.trials(), strict=True) if t.state != "cancelled"]
    assert [row for row in found if row not in whole] == [], "a point that was cancelled twice may be left out"
    assert len({row[-1] for row in found}) == len(found)
    assert len(found) >= 22, "each stop cancels the one trial that ran"


def test_a_finite_space_ends_with_each_configuration_once(kernel: Kernel) -> None:
    body = RAN + "a = choice('x', 'y', default='y')\nb = randint(1, 3, default=2)\nloss = b + (a == 'x')\n"
    grid = kernel.sweep("end-grid --min loss --grid --jobs 2", body.format(name="end-grid"))
    assert list(zip(params(grid, "a"), params(grid, "b"), strict=True)) == list(itertools.product("xy", (1, 2, 3)))
    for algo in ("random", "sobol", "tpe"):
        handle = kernel.sweep(f"end-{algo} --min loss --algo {algo} -n 50 --jobs 2", body.format(name=f"end-{algo}"))
        assert handle.trials()[0].params == {"a": "y", "b": 2}, "the defaults come first"
        points = [tuple(t.params.values()) for t in handle.trials()]
        assert sorted(points) == list(itertools.product("xy", (1, 2, 3)))
        assert (handle.state, ran(f"end-{algo}")) == ("finished", 6)
        assert "exhausted" in handle.definition.message
        kernel.sweep(f"end-{algo} --min loss --algo {algo} -n 50 --jobs 2", body.format(name=f"end-{algo}"))
        assert ran(f"end-{algo}") == 6
    cut = kernel.sweep("end-cut --min loss --grid -n 4 --jobs 2", body.format(name="end-cut"))
    assert len(cut.trials()) == 4


# -- trials that fail -------------------------------------------------------------------------------------------------


def test_a_trial_that_fails_once_is_tried_again_and_both_attempts_are_known(kernel: Kernel) -> None:
    body = "k = choice(1, 2, 3)\nmark = f'tried-{k}'\nif not os.path.exists(mark):\n    open(mark, 'w').close()\n"
    body += "    print('first')\n    raise OSError('flaky')\nprint('second')\nloss = k\n"
    handle = kernel.sweep("retry --min loss --grid --jobs 2 --retry 2", body)
    assert [(t.state, t.attempt) for t in handle.trials()] == [("completed", 2)] * 3
    assert handle.df["attempt"].tolist() == [2, 2, 2]
    earlier = [Store("sweeps").attempts(t.trial_id) for t in handle.trials()]
    assert [(a[:3]) for found in earlier for a in found] == [(1, "error", "OSError: flaky")] * 3
    log = handle.log(0)
    assert log.index("first") < log.index("flaky") < log.index("second")
    never = kernel.sweep("never --min loss --grid -n 2 --jobs 2 --retry 2", "k = choice(1, 2)\nloss = k / 0\n")
    assert [(t.state, t.reason, t.attempt) for t in never.trials()] == [("failed", "error", 3)] * 2


def test_a_metric_that_is_missing_or_no_number(kernel: Kernel) -> None:
    body = "k = randint(1, 50)\naccuracy = k / 2\nname = 'a'\nif k > 100:\n    loss = 0\n"
    handle = kernel.sweep("missing --min loss -n 9 --jobs 2 --algo random", body)
    assert handle.state == "failed"
    assert [t.state for t in handle.trials()] == ["failed"]
    assert "accuracy" in handle.definition.message
    assert "name" not in handle.definition.message.partition("Numbers seen:")[2]
    assert "accuracy" in kernel.refused(f"%%sweep missing2 --min loss -n 9 --jobs 2\n{body}")
    nan = kernel.sweep("nan --min loss --grid --jobs 2", "k = choice(1, 2)\nloss = float('nan') if k == 1 else k\n")
    assert [(t.state, t.reason) for t in nan.trials()] == [("failed", "nan"), ("completed", "")]
    assert nan.best is not None
    assert nan.best.trial == 1


def test_the_first_failures_end_a_sweep_and_leaving_is_a_failure(kernel: Kernel) -> None:
    handle = kernel.sweep("three --min loss -n 30 --jobs 1", "x = uniform(0, 1)\nimport sys\nsys.exit(3)\nloss = x\n")
    assert handle.state == "failed"
    assert handle.counts["failed"] == 3
    assert all(t.reason == "error" and "SystemExit" in t.error for t in handle.trials() if t.state == "failed")
    body = "import sys\nk = randint(0, 5)\nif k:\n    sys.exit('enough')\nloss = k\n"
    handle = kernel.sweep("keeps --min loss --grid --jobs 1", body)
    assert (handle.state, handle.counts) == ("finished", {"completed": 1, "failed": 5})
    body = "import sys\nk = randint(0, 9)\nif k % 2:\n    sys.exit('enough')\nloss = k\n"
    limited = "limit --min loss --grid --jobs 1 --max-failures 2"
    handle = kernel.sweep(limited, body)
    assert (handle.state, handle.counts["failed"]) == ("failed", 3)
    before = rows(handle)
    assert rows(kernel.sweep(limited, body)) == before, "what went beyond its failures starts nothing"


def test_time_limits_of_a_trial_and_of_the_sweep(kernel: Kernel) -> None:
    body = "import time\nk = choice(1, 2, 3)\ntime.sleep(30 if k == 2 else 0)\nloss = k\n"
    handle = kernel.sweep("slow --min loss --grid --jobs 2 --timeout 3.5s", body)
    ends = [(str(t.state), t.reason) for t in handle.trials()]
    assert ends == [("completed", ""), ("failed", "timeout"), ("completed", "")]
    endless = kernel.sweep("endless --min loss -n 500 --jobs 2 --time 4s", "import time\n" + XY + "time.sleep(0.5)\n")
    assert endless.state == "finished"
    assert "time" in endless.definition.message
    assert 0 < endless.counts["completed"] < 20


# -- repetitions ------------------------------------------------------------------------------------------------------


def test_repetitions_count_as_configurations_and_more_of_them_add_only_the_missing(kernel: Kernel) -> None:
    body = RAN.format(name="repeat") + "x = uniform(0, 1)\nloss = x + random.random()\n"
    handle = kernel.sweep("repeat --min loss -n 4 --repeat 2 --jobs 2 --algo random", body)
    assert (len(handle.df), len(handle.configs), ran("repeat")) == (8, 4, 8)
    assert sorted(handle.df["repetition"]) == [0] * 4 + [1] * 4
    assert len(set(handle.df["loss"])) == 8
    configs = handle.configs
    assert configs["n"].tolist() == [2] * 4
    means = handle.df.groupby("x")["loss"].mean().sort_index().tolist()
    assert configs.set_index("x")["mean"].sort_index().tolist() == pytest.approx(means)
    before = rows(handle)
    handle = kernel.sweep("repeat --min loss -n 4 --repeat 3 --jobs 2 --algo random", body)
    assert rows(handle)[:8] == before
    assert (ran("repeat"), handle.configs["n"].tolist()) == (12, [3] * 4)
    assert handle.best is not None
    assert handle.best.value == pytest.approx(handle.configs["mean"].min())
    assert handle.best.trial in handle.tied["number"].tolist()
    handle = kernel.sweep("repeat --min loss -n 6 --repeat 3 --jobs 2 --algo random", body)
    assert (ran("repeat"), len(handle.configs)) == (18, 6)
    handle = kernel.sweep("repeat --min loss -n +1 --repeat 3 --jobs 2 --algo random", body)
    assert (ran("repeat"), len(handle.configs)) == (21, 7)
    handle = kernel.sweep("repeat --min loss -n 9 --jobs 2 --algo random", body)
    assert (ran("repeat"), len(handle.configs)) == (23, 9), "fewer repetitions: new configurations have one"


# -- what trials keep -------------------------------------------------------------------------------------------------


def test_artifacts_checkpoints_stages_folds_and_seeds(kernel: Kernel) -> None:
    kernel.cell(
        "class Model:\n    def __init__(self, k):\n        self.k = k\n"
        "def prepare(kind):\n    open(f'staged-{kind}', 'a').write('.')\n    return {'kind': kind}\n"
    )
    body = (
        "k = choice(3, 1, 2)\n"
        "state = checkpoint() or {'epoch': 0}\n"
        "for epoch in range(state['epoch'], 4):\n"
        "    open(f'epochs-{k}', 'a').write(str(epoch))\n"
        "    checkpoint({'epoch': epoch + 1})\n"
        "    if epoch == 1 and not os.path.exists(f'died-{k}'):\n"
        "        open(f'died-{k}', 'w').close()\n"
        "        os._exit(9)\n"
        "kind = stage(prepare, k % 2)['kind']\n"
        "for fold in folds(3):\n"
        "    report(acc=k + fold, fold=fold)\n"
        "save('model.joblib', Model(k))\n"
        "save('deep/seed.joblib', seed())\n"
        "loss = k + kind\n"
    )
    handle = kernel.sweep("keeps2 --min loss --grid --jobs 2 --retry 1", body)
    assert [(t.state, t.attempt) for t in handle.trials()] == [("completed", 2)] * 3, handle.df["error"].tolist()
    assert [Path(f"epochs-{k}").read_text() for k in (1, 2, 3)] == ["0123"] * 3, "the retry goes on where it was"
    assert [Path(f"staged-{kind}").read_text() for kind in (0, 1)] == [".", "."], "computed once for all trials"
    assert kernel.value("sweep('keeps2').load('model.joblib').k") == kernel.value("sweep('keeps2').best.params['k']")
    assert [kernel.value(f"sweep('keeps2').load('model.joblib', trial={n}).k") for n in range(3)] == [3, 1, 2]
    assert [handle.load("deep/seed.joblib", trial=n) for n in range(3)] == [t.seed for t in handle.trials()]
    curves = handle.curves
    assert curves[curves["number"] == 1][["step", "acc"]].values.tolist() == [[0, 1], [1, 2], [2, 3]]
    for trial in handle.trials():
        there = Path("sweeps") / trial.folder
        assert json.loads((there / "params.json").read_text()) == trial.params
        assert json.loads((there / "metrics.json").read_text()) == trial.metrics


# -- the verbs --------------------------------------------------------------------------------------------------------


def test_a_sweep_is_paused_stopped_resumed_replayed_and_dropped(kernel: Kernel) -> None:
    mark, limit = RAN.format(name="verbs"), Path.cwd() / "verbs-end-up-to"
    body = "k = randint(1, 14)\nprint('k is', k)\nimport os\n"
    body += f"while os.path.getsize('ran-verbs') >= int(open({str(limit)!r}).read() or 0):\n    time.sleep(0.02)\n"
    body += f"{mark}loss = (k - 4) ** 2\n"
    limit.write_text("4")
    Path("ran-verbs").touch()
    line = "%%sweep verbs --min loss --grid --jobs 2 --bg\n"
    kernel.cell(line + body)
    handle = sweep("verbs")
    # One at least: of trials as short as the first ones a slot may be given all that are left.
    wait_for(lambda: handle.counts.get("completed", 0) >= 4 and handle.counts.get("running", 0) > 0)
    kernel.cell("%sweep pause verbs")
    wait_for(lambda: not handle._store.open_requests(driver_key(handle.definition.executor)))

    def over() -> bool:  # one that was on its way to a slot may still have begun
        limit.write_text(str(handle.counts["completed"] + handle.counts.get("running", 0)))
        return handle.ended

    wait_for(over)
    assert handle.state == "paused"
    assert set(handle.counts) <= {"completed", "waiting"}
    done = handle.counts["completed"]
    assert done < 14
    kernel.cell("%sweep resume verbs")
    limit.write_text(str(done + 2))
    wait_for(lambda: handle.counts["completed"] > done)
    kernel.cell("%sweep stop verbs")
    assert handle.wait(60)
    assert handle.state == "stopped"
    assert set(handle.counts) <= {"completed", "waiting", "cancelled"}
    limit.write_text("99")
    assert kernel.sweep("verbs --min loss --grid --jobs 2", body).state == "finished"
    completed = [t.params["k"] for t in handle.trials() if t.state == "completed"]
    assert sorted(completed) == list(range(1, 15)), "a cancelled point of a grid is not left out"
    best = kernel.cell("%sweep best verbs")
    assert "k = 4" in best.splitlines()
    assert kernel.cell("%sweep log verbs 0").strip() == "k is 1"
    shown = kernel.cell("%sweep show verbs")
    assert "14 completed" in shown
    assert "finished" in shown
    assert "as recorded" in kernel.cell("%sweep replay verbs 0")
    assert kernel.value("(k, loss)") == (1, 9)
    kernel.cell("%sweep drop verbs --yes")
    assert not Path("sweeps/verbs").exists()
    assert re.search("There is no sweep 'verbs'|There are no sweeps", kernel.refused("%sweep show verbs"))
    assert kernel.sweep("verbs --min loss --grid -n 2 --jobs 2", body).df["number"].tolist() == [0, 1]


# -- spaces and targets -----------------------------------------------------------------------------------------------


def test_coupled_choices_and_conditional_parameters(kernel: Kernel) -> None:
    body = (
        "size = choice({'width': 8, 'layers': 2}, {'width': 16, 'layers': 1})\n"
        "opt = choice('sgd', 'adam')\n"
        "if opt == 'sgd':\n"
        "    momentum = choice(0.0, 0.5)\n"
        "else:\n"
        "    beta = choice(1, 2)\n"
        "require(size['width'] < 16 or opt == 'sgd')\n"
        "loss = size['width'] * size['layers'] + (momentum if opt == 'sgd' else beta)\n"
    )
    handle = kernel.sweep("spaces --min loss --grid --jobs 2", body)
    df = handle.df
    assert df[["size.width", "size.layers"]].values.tolist() == [[8, 2]] * 4 + [[16, 1]] * 2
    assert df["opt"].tolist() == ["sgd", "sgd", "adam", "adam", "sgd", "sgd"]
    assert df["beta"].dropna().tolist() == [1, 2]
    assert str(df["beta"].dtype) == "Int64"
    assert df["state"].tolist() == ["completed"] * 6
    assert handle.best is not None
    assert handle.best.params == {"size": {"width": 8, "layers": 2}, "opt": "sgd", "momentum": 0.0}
    assert "beta" not in json.loads((Path("sweeps") / handle.trials()[0].folder / "params.json").read_text())
    kernel.cell(kernel.cell("%sweep best spaces"))
    assert kernel.value("size, opt, momentum") == ({"width": 8, "layers": 2}, "sgd", 0.0)


def test_two_targets_give_a_pareto_set(kernel: Kernel) -> None:
    body = "x = choice(0.0, 0.25, 0.5, 0.75, 1.0, 2.0)\nreport(error=(x - 1) ** 2, cost=x)\n"
    handle = kernel.sweep("pareto --min error --min cost --grid --jobs 2", body)
    assert [(o.metric, o.direction) for o in handle.definition.objectives] == [
        ("error", "minimize"),
        ("cost", "minimize"),
    ]
    assert handle.best is not None
    assert (handle.best.params["x"], handle.best.metrics) == (1.0, {"error": 0.0, "cost": 1.0})
    assert handle.tied["number"].tolist() == [handle.best.trial]
    (front,) = handle.plot.pareto().lines
    assert sorted(front.get_ydata()) == [0.0, 0.25, 0.5, 0.75, 1.0], "all but x = 2, which is worse in both"
    tpe = kernel.sweep("pareto2 --min error --max gain --jobs 2 -n 14", body.replace("cost=x", "gain=x"))
    assert tpe.counts == {"completed": 6}
