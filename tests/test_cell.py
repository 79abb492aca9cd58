"""A cell becomes a job: its space, its identity, and a body that a trial runs with drawn values in the right places."""

from __future__ import annotations

import json
import random
import textwrap
from pathlib import Path
from typing import Any

import pytest
from cells import notebook, parse, run_cell, run_trial
from IPython.core.inputtransformer2 import TransformerManager

from jupyter_sweep.errors import Mistakes
from jupyter_sweep.space.parameter import Choice, Float, Int
from jupyter_sweep.space.space import Space

PRODUCT = textwrap.dedent("""\
    width   = choice(64, 128, 256, default=128)
    lr      = loguniform(1e-5, 1e-1, default=3e-4)
    dropout = uniform(0.0, 0.6)
    opt     = choice("sgd", "adam")
    if opt == "sgd":
        momentum = uniform(0.0, 0.99)
    require(width * lr < 20)

    model = make_mlp(width, dropout)          # defined in another cell
    for epoch in range(3):
        train_epoch(model, data, opt, lr)     # `data` is a notebook variable, any size
        report(acc=accuracy(model, data), epoch=epoch)
    save("model.joblib", model)
    """)
PRODUCT_CELLS = textwrap.dedent("""\
    data = [1.0, 2.0]
    def make_mlp(width, dropout): return {"width": width, "dropout": dropout, "w": 0.0}
    def train_epoch(model, data, opt, lr): model["w"] += lr * sum(data)
    def accuracy(model, data): return model["w"]
    """)


def names(body: str, *cells: str, **options: Any) -> list[str]:
    return parse(body, notebook(*cells), **options).space.names


def fingerprint(body: str, *cells: str, **options: Any) -> str:
    return parse(body, notebook(*cells), **options).fingerprint


# what is a parameter


def test_the_cell_of_the_contract_is_read() -> None:
    job = parse(PRODUCT, notebook(PRODUCT_CELLS), targets=["acc"])
    assert job.space == Space(
        width=Choice(64, 128, 256, default=128),
        lr=Float(1e-5, 1e-1, log=True, default=3e-4),
        dropout=Float(0, 0.6),
        opt=Choice("sgd", "adam"),
        momentum=Float(0, 0.99, when="opt == 'sgd'"),
        constraints=job.space.constraints,
    )
    assert [(c.expression, c.line) for c in job.space.constraints] == [("width * lr < 20", 8)]
    assert [c.name for c in job.captures] == ["make_mlp", "train_epoch", "data", "accuracy"]


def test_the_cell_of_the_contract_runs_as_a_trial_and_as_a_plain_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace = notebook(PRODUCT_CELLS)
    ended = run_trial(parse(PRODUCT, namespace), tmp_path)
    run_cell(PRODUCT, namespace)
    for name in ("width", "lr", "dropout", "opt", "momentum", "model"):
        assert ended[name] == namespace[name]
    assert [step for step, _ in ended["reports"]] == [0, 1, 2]


@pytest.mark.parametrize(
    "body",
    [
        "import jupyter_sweep as js\nlr = js.uniform(0, 1)\n",
        "import jupyter_sweep\nlr = jupyter_sweep.uniform(0, 1)\n",
        "import jupyter_sweep.vocabulary\nlr = jupyter_sweep.vocabulary.uniform(0, 1)\n",
        "from jupyter_sweep import uniform as u\nlr = u(0, 1)\n",
        "from jupyter_sweep import *\nlr = uniform(0, 1)\n",
        "from jupyter_sweep import vocabulary as v\nlr = v.uniform(0, 1)\n",
        "from random import uniform\nfrom jupyter_sweep import uniform\nlr = uniform(0, 1)\n",
        "try:\n    from jupyter_sweep import uniform\nexcept ImportError:\n    pass\nlr = uniform(0, 1)\n",
        "from jupyter_sweep import uniform; lr: float = uniform(0, 1)\n",
    ],
)
def test_a_range_is_known_by_any_way_of_importing_it(body: str) -> None:
    job = parse(body + "print(lr)\n", notebook(words=False))
    assert job.space == Space(lr=Float(0, 1))


def test_a_name_of_the_notebook_may_stand_for_a_range() -> None:
    assert names("lr = draw(0, 1)\nprint(lr)\n", "draw = uniform\n") == ["lr"]


def test_calls_of_other_libraries_are_ordinary_code() -> None:
    body = "lr = uniform(0, 1)\nx = random.choice([lr])\ny = np.random.uniform(0, 1)\nprint(x, y)\n"
    assert names(body, "import random\nimport numpy as np\n") == ["lr"]


def test_a_local_name_inside_a_function_is_not_taken_for_a_range() -> None:
    assert names("def f(uniform):\n    return uniform(0, 1)\nlr = uniform(0, 1)\nf(lr)\n") == ["lr"]


def test_bounds_may_be_computed_from_the_notebook_and_from_literals_of_the_body() -> None:
    body = textwrap.dedent("""\
        import numpy as np
        top = 4
        top *= 2
        a = randint(1, n_max)
        b = randint(1, top)
        c = choice(*np.linspace(0, 1, 3))
        d = uniform(*limits, **options)
        e = choice(*[2**k for k in range(top)])
        print(a, b, c, d, e)
        """)
    job = parse(body, notebook("n_max = 3\nlimits = (0, 9)\noptions = {'step': 3}\n"))
    assert job.space == Space(
        a=Int(1, 3), b=Int(1, 8), c=Choice(0.0, 0.5, 1.0), d=Float(0, 9, step=3), e=Choice(1, 2, 4, 8, 16, 32, 64, 128)
    )


# conditions

NESTED = textwrap.dedent("""\
    opt = choice("sgd", "adam", "lion")
    if opt == "sgd":
        momentum = uniform(0, 1)
        if momentum > 0.5:
            nesterov = choice(True, False)
            print(nesterov)
        print(momentum)
    elif opt == "adam":
        beta = uniform(0.9, 1)
        print(beta)
    else:
        decay = uniform(0, 0.1)
        print(decay)
    """)


def test_branches_make_conditional_parameters() -> None:
    space = parse(NESTED).space
    assert list(space.defaults()) == ["opt", "momentum"]
    assert space.active({"opt": "sgd", "momentum": 0.9}) == ["opt", "momentum", "nesterov"]
    assert space.active({"opt": "adam"}) == ["opt", "beta"]
    assert space.active({"opt": "lion"}) == ["opt", "decay"]


def test_a_trial_reaches_exactly_the_ranges_that_its_conditions_make_active(tmp_path: Path) -> None:
    job, rng = parse(NESTED), random.Random(0)
    for params in [job.space.sample(rng) for _ in range(10)]:
        ended = run_trial(job, tmp_path, params)
        assert {name: ended[name] for name in job.space.names if name in ended} == params


CONDITIONAL_EXPRESSION = textwrap.dedent("""\
    kernel = choice("rbf", "poly", "linear")
    gamma = loguniform(1e-4, 1e1) if kernel != "linear" else "scale"
    degree = randint(2, 5) if kernel == "poly" else 3
    print(gamma, degree)
    """)


def test_a_conditional_expression_is_read_like_an_if(tmp_path: Path) -> None:
    job = parse(CONDITIONAL_EXPRESSION)
    assert job.space.active({"kernel": "linear"}) == ["kernel"]
    assert job.space.active({"kernel": "poly"}) == ["kernel", "gamma", "degree"]
    ended = run_trial(job, tmp_path, {"kernel": "linear"})
    assert (ended["gamma"], ended["degree"]) == ("scale", 3)


ALTERNATIVES = textwrap.dedent("""\
    opt = choice("sgd", "adam")
    if opt == "sgd":
        lr = loguniform(1e-2, 1.0)
    else:
        lr = loguniform(1e-5, 1e-3)
    wd = uniform(0, 1) if opt == "sgd" else uniform(2, 3)
    require(lr * wd < 10)
    print(lr, wd)
    """)


def test_one_name_may_have_another_range_in_each_branch(tmp_path: Path) -> None:
    job = parse(ALTERNATIVES)
    assert job.space.names == ["opt", "lr", "wd"]
    for seed in range(10):
        params = job.space.sample(random.Random(seed))
        low, high = (1e-2, 1.0) if params["opt"] == "sgd" else (1e-5, 1e-3)
        assert low <= params["lr"] <= high
        ended = run_trial(job, tmp_path, params)
        assert (ended["lr"], ended["wd"]) == (params["lr"], params["wd"])


def test_a_condition_may_read_the_value_that_another_branch_gives() -> None:
    body = textwrap.dedent("""\
        opt = choice("sgd", "adam")
        if opt == "sgd":
            momentum = uniform(0, 1)
        else:
            momentum = 0.9
        if momentum > 0.6:
            warm = randint(1, 3)
            print(warm)
        """)
    space = parse(body).space
    assert "warm" in space.active({"opt": "adam"})
    assert "warm" not in space.active({"opt": "sgd", "momentum": 0.5})
    assert "warm" in space.active({"opt": "sgd", "momentum": 0.7})


def test_a_condition_reads_the_value_that_one_branch_has_changed() -> None:
    body = "o = choice(0, 1)\nx = 1\nif o:\n    x = 2\nif x > 1:\n    n = randint(1, 2)\n    print(n)\n"
    space = parse(body).space
    assert space.active({"o": 1}) == ["o", "n"]
    assert space.active({"o": 0}) == ["o"]


def test_a_condition_may_read_what_the_body_derives_from_parameters() -> None:
    body = textwrap.dedent("""\
        size = choice({"width": 64, "layers": 6}, {"width": 256, "layers": 2})
        layers, width = size["layers"], size["width"]
        big = width * layers > limit
        if big and mode in modes:
            drop = uniform(0, 1)
            print(drop)
        require(math.log2(width) < 9)
        """)
    space = parse(body, notebook("import math\nlimit = 400\nmode = 'a'\nmodes = {'a', 'b'}\n")).space
    assert space.active({"size": {"width": 64, "layers": 6}}) == ["size"]
    assert space.active({"size": {"width": 256, "layers": 2}}) == ["size", "drop"]
    assert space.constants == {"limit": 400, "mode": "a", "modes": {"a", "b"}}
    assert Space.from_json(json.loads(json.dumps(space.to_json()))) == space


def test_a_condition_reads_the_notebook_value_of_a_name_that_becomes_a_parameter_later() -> None:
    body = "if depth > 2:\n    lr = uniform(0, 1)\n    print(lr)\ndepth = randint(1, 5)\nprint(depth)\n"
    assert parse(body, notebook("depth = 3\n")).space.active({}) == ["lr", "depth"]
    assert parse(body, notebook("depth = 1\n")).space.active({}) == ["depth"]


# constraints


def test_a_constraint_on_parameters_is_decided_before_the_start() -> None:
    job = parse(
        "a = randint(1, 9)\nb = randint(1, 9)\nrequire(a < b and b < top)\nprint(a, b)\n", notebook("top = 5\n")
    )
    assert job.space.allows({"a": 1, "b": 4})
    assert not job.space.allows({"a": 4, "b": 1})
    assert not job.space.allows({"a": 4, "b": 7})
    assert "require" not in job.python


def test_a_constraint_in_a_branch_holds_elsewhere() -> None:
    body = "a = randint(1, 9)\nb = choice(0, 1)\nif b:\n    require(a > 5)\nprint(a)\n"
    space = parse(body).space
    assert space.allows({"a": 1, "b": 0})
    assert not space.allows({"a": 1, "b": 1})


def test_a_constraint_on_what_the_body_computes_stays_in_the_body(tmp_path: Path) -> None:
    job = parse("a = randint(1, 9)\nn = count(a)\nrequire(n < 5)\nprint(n)\n", notebook("def count(a): return a\n"))
    assert job.space.constraints == ()
    assert "require(n < 5)" in job.python
    assert run_trial(job, tmp_path, {"a": 1})["n"] == 1


def test_what_a_function_assigns_as_global_is_there_and_decides_nothing_before_the_start(tmp_path: Path) -> None:
    body = "a = randint(1, 9)\n{}def step():\n    global n\n    n = a\nstep()\nrequire(n > 2)\nprint(n)\n"
    for first in ("", "n = 0\n"):
        job = parse(body.format(first))
        assert job.space.constraints == ()
        assert run_trial(job, tmp_path, {"a": 5})["n"] == 5


def test_a_constraint_on_members_of_an_enum_of_texts_stays_in_the_body() -> None:
    cells = "import enum\nclass O(str, enum.Enum):\n    A = 'a'\n    B = 'b'\nfrom jupyter_sweep import Choice, Space\n"
    body = "{}a = randint(1, 9)\nrequire(o == 'a' or a > 5)\nprint(o, a)\n"
    for job in (
        parse(body.format("o = choice(*O)\n"), notebook(cells)),
        parse(body.format(""), names := notebook(cells), space=names["Space"](o=names["Choice"](*names["O"]))),
    ):
        assert job.space.constraints == ()
        assert "require(o == 'a' or a > 5)" in job.python


@pytest.mark.parametrize(
    "law",
    ["require(a > 0)", "require(\n    a > 0 and\n    'é' != 'a'\n)", "x = 1; require(a > 0); y = randint(1, 2)"],
)
def test_what_follows_a_decided_constraint_keeps_its_place(law: str, tmp_path: Path) -> None:
    body = f"a = randint(1, 9)\n{law}\nb = randint(5, 6); print(a, b)\n"
    job = parse(body, allow_unused=True)
    assert [len(line) for line in job.python.split("\n")] == [len(line.encode()) for line in body.split("\n")]
    assert run_trial(job, tmp_path, {"a": 3, "b": 6, "y": 1})["b"] == 6


def test_a_decided_constraint_at_the_end_gives_no_value(tmp_path: Path) -> None:
    job = parse("a = randint(1, 9)\nprint(a)\nrequire(a > 0)\n")
    assert run_trial(job, tmp_path)["result"] == ()


def test_a_constraint_may_read_what_is_unpacked_from_a_coupled_choice() -> None:
    body = textwrap.dedent("""\
        opt = choice("sgd", "adam")
        if opt == "sgd":
            momentum = uniform(0.0, 0.99, default=0.9)
        else:
            momentum = 0.0
        size = choice({"width": 64, "layers": 6}, {"width": 256, "layers": 2}, {"width": 512, "layers": 2})
        layers, width = size["layers"], size["width"]
        require(width * layers <= 768 and momentum < 0.95)
        print(layers, width, opt, momentum)
        """)
    space = parse(body).space
    assert [size["width"] for size in (p["size"] for p in parse(body, pins={"opt": "adam"}).space.grid())] == [64, 256]
    assert space.allows({"opt": "adam", "size": {"width": 64, "layers": 6}})
    assert not space.allows({"opt": "sgd", "momentum": 0.97, "size": {"width": 64, "layers": 6}})


# the line


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0.5", 0.5), ("2", 2.0), ("1/4", 0.25), ("best['lr']", 0.125), ("lr0", 0.0625)],
)
def test_a_pin_fixes_a_parameter_also_outside_of_its_range(text: str, expected: float, tmp_path: Path) -> None:
    namespace = notebook("best = {'lr': 0.125}\nlr0 = 0.0625\n")
    job = parse("lr = loguniform(1e-3, 1e-1)\nprint(lr)\n", namespace, pins={"lr": text})
    assert job.space.varying == []
    assert job.space.defaults() == {"lr": expected}
    assert run_trial(job, tmp_path)["lr"] == expected


@pytest.mark.parametrize("text", ["sgd", "'sgd'", '"sgd"'])
def test_a_pin_of_text_needs_no_quotes(text: str) -> None:
    namespace = notebook("def sgd(): pass\n")
    assert parse("o = choice('adam', 'sgd')\nprint(o)\n", namespace, pins={"o": text}).space.defaults() == {"o": "sgd"}


def test_a_range_on_the_line_narrows_a_parameter_without_its_range_being_imported() -> None:
    body = "import jupyter_sweep as js\nlr = js.loguniform(1e-5, 1.0, default=1e-4)\nprint(lr)\n"
    job = parse(body, notebook("from random import choice\n", words=False), pins={"lr": "choice(0.1, 0.2)"})
    assert list(job.space.grid()) == [{"lr": 0.1}, {"lr": 0.2}]


def test_a_pin_that_is_the_name_of_a_choice_is_that_choice_whatever_the_notebook_calls_by_it() -> None:
    body, namespace = (
        "o = choice('adam', 'sgd', 'None', None, '1', 1)\nprint(o)\n",
        notebook("adam = 'sgd'\nx = 'sgd'\n"),
    )
    for text, value in (("adam", "adam"), ("x", "sgd"), ("None", None), ("1", 1)):
        assert parse(body, namespace, pins={"o": text}).space.defaults() == {"o": value}


def test_pins_and_narrower_ranges_leave_the_identity_alone() -> None:
    body = "lr = uniform(0, 1)\nprint(lr)\n"
    assert len({fingerprint(body, pins=pins) for pins in ({}, {"lr": "0.5"}, {"lr": "uniform(0, 0.1)"})}) == 1


def test_a_pin_replaces_a_literal_of_the_body(tmp_path: Path) -> None:
    body = "lr = uniform(0, 1)\nepochs = 10\nname = 'a'\nprint(lr, epochs, name)\n"
    job = parse(body, pins={"epochs": "3", "name": "data/x.csv"})
    assert job.space.names == ["lr", "epochs", "name"]
    assert [p.name for p in job.space.varying] == ["lr"]
    ended = run_trial(job, tmp_path)
    assert (ended["epochs"], ended["name"]) == (3, "data/x.csv")


def test_a_range_on_the_line_makes_a_parameter_of_a_literal() -> None:
    job = parse("epochs = 10\nprint(epochs)\n", pins={"epochs": "randint(1, 3)"})
    assert job.space == Space(epochs=Int(1, 3))


def test_a_pin_of_a_name_with_a_default_before_a_branch_pins_the_range() -> None:
    body = "o = choice('a', 'b')\nm = 0.0\nif o == 'b':\n    m = uniform(0, 1)\nprint(m)\n"
    job = parse(body, pins={"m": "0.25"})
    assert job.space.active({"o": "a"}) == ["o"]
    assert job.space.parameters["m"].value == 0.25


def test_an_overridden_literal_counts_in_the_condition_that_reads_it() -> None:
    body = "deep = False\nif deep:\n    n = randint(1, 2)\n    print(n)\nlr = uniform(0, 1)\nprint(lr)\n"
    assert parse(body).space.active({}) == ["lr"]
    job = parse(body, pins={"deep": "True"})
    assert job.space.active({"deep": True}) == ["deep", "n", "lr"]


# --space

SPACE = Space(lr=Float(0, 1), depth=Int(1, 3))


def test_a_given_space_needs_no_ranges_in_the_body(tmp_path: Path) -> None:
    job = parse("loss = lr * depth\n", space=SPACE)
    assert job.space == SPACE
    assert run_trial(job, tmp_path, {"lr": 0.5, "depth": 2})["loss"] == 1.0


def test_literals_of_the_body_give_way_to_a_given_space(tmp_path: Path) -> None:
    job = parse("lr = 0.1\ndepth = 2\nloss = lr * depth\n", space=SPACE)
    assert run_trial(job, tmp_path, {"lr": 0.5, "depth": 3})["loss"] == 1.5


def test_ranges_of_the_body_join_a_given_space() -> None:
    assert parse("width = randint(1, 2)\nprint(lr, depth, width)\n", space=SPACE).space.names == [
        "lr",
        "depth",
        "width",
    ]


def test_notebook_values_of_the_names_of_a_given_space_are_not_captured() -> None:
    assert parse("print(lr, depth)\n", notebook("lr = 5\n"), space=SPACE).captures == ()


def test_a_pin_narrows_a_given_space() -> None:
    assert parse("print(lr, depth)\n", space=SPACE, pins={"depth": "2"}).space.defaults() == {"lr": 0.5, "depth": 2}


# identity

BASE = "lr = uniform(0, 1)\nif lr > 0.5:\n    n = randint(1, 4)\n    print(n)\nloss = f(lr) + K\n"
CELLS = ("K = 1\n", "def f(x):\n    return x + 1\n")


@pytest.mark.parametrize(
    "body",
    [
        "# a comment\n" + BASE,
        "\n\n" + BASE.replace("loss = f(lr) + K", "loss = f( lr )+K  # why"),
        BASE.replace("uniform(0, 1)", "loguniform(1e-3, 1, default=0.1)"),
        BASE.replace("randint(1, 4)", "choice(1, 2)"),
        BASE.replace("loss", "require(lr < 0.9)\nloss"),
    ],
)
def test_comments_spacing_ranges_and_constraints_are_no_part_of_the_identity(body: str) -> None:
    assert fingerprint(body, *CELLS) == fingerprint(BASE, *CELLS)


@pytest.mark.parametrize(
    ("body", "cells", "options"),
    [
        (BASE.replace("+ K", "- K"), CELLS, {}),
        (BASE.replace("0.5", "0.6"), CELLS, {}),
        (BASE, ("K = 2\n", CELLS[1]), {}),
        (BASE, ("K = 1.0\n", CELLS[1]), {}),
        (BASE, (CELLS[0], "def f(x):\n    return x + 2\n"), {}),
        (BASE, CELLS, {"version_tag": "2"}),
    ],
)
def test_code_conditions_data_and_version_are_the_identity(body: str, cells: tuple[str, ...], options: Any) -> None:
    assert fingerprint(body, *cells, **options) != fingerprint(BASE, *CELLS)


def test_what_a_trial_does_not_read_is_no_part_of_the_identity() -> None:
    cells = ("other = 1\nn_max = 4\n", "other = 2\nn_max = 9\n")
    body = "n = randint(1, n_max)\nprint(n)\n"
    assert fingerprint(body, cells[0]) == fingerprint(body, cells[1])


def test_ignored_names_are_captured_but_not_counted(tmp_path: Path) -> None:
    body = "lr = uniform(0, 1)\nworkers = {}\nprint(lr, workers, verbose)\n"
    jobs = [parse(body.format(n), notebook(f"verbose = {n}\n"), ignore=["workers", "verbose", "lr"]) for n in (1, 2)]
    assert jobs[0].fingerprint == jobs[1].fingerprint
    assert jobs[0].space.parameters["lr"].meta
    assert run_trial(jobs[1], tmp_path)["verbose"] == 2
    assert fingerprint(body.format(1), "verbose = 1\n") != fingerprint(body.format(1), "verbose = 2\n")


@pytest.mark.parametrize(
    "body",
    [
        "lr = uniform(0, 1)\nwhere = str('{}')\nprint(lr, where)\n",
        "lr = uniform(0, 1)\nwhere: str = str('{}')\nprint(lr, where)\n",
        "lr = uniform(0, 1)\nif lr > 0.5:\n    where = '{}'\nelse:\n    where = ''\nprint(lr, where)\n",
        "lr = uniform(0, 1)\nfor i in range(2):\n    where = f'{}/{{i}}'\nprint(lr, where)\n",
    ],
)
def test_what_the_body_assigns_to_an_ignored_name_does_not_count(body: str, tmp_path: Path) -> None:
    one, two = (parse(body.format(text), ignore=["where"]) for text in ("cpu", "cuda"))
    assert one.fingerprint == two.fingerprint
    assert parse(body.format("cpu")).fingerprint != parse(body.format("cuda")).fingerprint
    assert "cuda" in run_trial(two, tmp_path, {"lr": 0.75})["where"]


def test_what_a_function_assigns_to_a_name_of_its_own_counts_whatever_is_ignored() -> None:
    body = "lr = uniform(0, 1)\nwhere = 1\ndef f():\n    where = {}\n    return where\nprint(lr, where, f())\n"
    assert len({parse(body.format(n), ignore=["where"]).fingerprint for n in (1, 2)}) == 2


def test_a_plain_run_of_the_body_in_the_kernel_changes_nothing() -> None:
    body = textwrap.dedent("""\
        lr = uniform(0, 1)
        if lr > 0.2:
            momentum = uniform(0, 1)
        for epoch in range(2):
            acc = lr + epoch
        try:
            extra = acc
        except ValueError:
            extra = None
        total = acc + extra + (momentum if lr > 0.2 else 0)
        """)
    fresh, used = notebook(), notebook(body)
    assert parse(body, used).fingerprint == parse(body, fresh).fingerprint
    assert parse(body, used).captures == ()


def test_a_name_that_is_read_before_it_is_assigned_is_captured(tmp_path: Path) -> None:
    job = parse("lr = uniform(0, 1)\nK += 1\nprint(lr, K)\n", notebook("K = 4\n"))
    assert [c.name for c in job.captures] == ["K"]
    assert run_trial(job, tmp_path)["K"] == 5


# what the notebook hands over


def test_choices_of_functions_travel_with_the_job(tmp_path: Path) -> None:
    cells = "def relu(x): return max(x, 0)\ndef double(x): return 2 * x\n"
    job = parse("act = choice(relu, double, 3, default=double)\ny = act(4) if act != 3 else 3\n", notebook(cells))
    space = Space.from_json(json.loads(json.dumps(job.space.to_json())))
    assert space == job.space
    assert [str(c) for c in space.parameters["act"].choices] == ["relu", "double", "3"]
    values = [run_trial(job, tmp_path, {"act": choice})["y"] for choice in space.parameters["act"].choices]
    assert values == [4, 8, 3]
    assert str(space.defaults()["act"]) == "double"


def test_choices_of_groups_with_functions_travel_with_the_job(tmp_path: Path) -> None:
    cells = "def relu(x): return max(x, 0)\n"
    job = parse("g = choice({'act': relu, 'n': 2}, {'act': None, 'n': 3})\nn = g['n']\nprint(g)\n", notebook(cells))
    for params in job.space.grid():
        ended = run_trial(job, tmp_path, params)
        assert ended["n"] == params["g"]["n"]


def test_choices_of_two_functions_of_one_name_are_told_apart(tmp_path: Path) -> None:
    job = parse("f = choice(*fs)\ny = f(1)\n", notebook("fs = [lambda x, k=k: x + k for k in range(3)]\n"))
    assert len({str(c) for c in job.space.parameters["f"].choices}) == 3
    assert [run_trial(job, tmp_path, params)["y"] for params in job.space.grid()] == [1, 2, 3]


def test_a_function_of_the_notebook_may_read_a_parameter_as_a_global(tmp_path: Path) -> None:
    job = parse("lr = uniform(0, 1)\nloss = f()\n", notebook("def f(): return g()\ndef g(): return lr * 2\n"))
    assert run_trial(job, tmp_path, {"lr": 0.25})["loss"] == 0.5


@pytest.mark.parametrize(
    "use", ["!train --lr {lr}", "frame.query('x > @lr')", "exec('print(lr)')", "print(locals())", "print(f'{lr:.2f}')"]
)
def test_a_parameter_that_is_read_in_another_way_is_no_orphan(use: str) -> None:
    assert names(f"lr = uniform(0, 1)\n{use}\n", "frame = 1\n", transform=TransformerManager().transform_cell) == ["lr"]


def test_an_orphan_in_a_branch_is_a_warning_and_unused_ones_may_be_allowed() -> None:
    body = "o = choice('a', 'b')\nif o == 'a':\n    m = uniform(0, 1)\n"
    assert parse(body).warnings == ("the parameter m is never read",)
    assert names("lr = uniform(0, 1)\n", allow_unused=True) == ["lr"]


# metrics


@pytest.mark.parametrize(
    ("body", "cells"),
    [
        ("report(loss=lr)", ""),
        ("js.report(loss=lr)", "import jupyter_sweep as js"),
        ("loss = lr", ""),
        ("for i in range(3):\n    loss = lr", ""),
        ("def f():\n    global loss\n    loss = lr\nf()", ""),
        ("print(lr)\nlr", ""),
        ("print(lr)\n{'loss': 1}", ""),
        ("report(**metrics(lr))", "def metrics(x): return {'loss': x}"),
        ("train(lr)\nprint(1)", "def train(x): report(loss=x)"),
        ("train(lr)\nprint(1)", "def train(x): inner(x)\ndef inner(x): report(loss=x)"),
        ("Model().train(lr)\nprint(1)", "class Model:\n    def train(self, x): report(loss=x)"),
        ("model.train(lr)\nprint(1)", "class Model:\n    def train(self, x): report(loss=x)\nmodel = Model()"),
        ("steps[0](lr)\nprint(1)", "steps = [lambda x: report(loss=x)]"),
        ("run(report, lr)\nprint(1)", "def run(f, x): f(loss=x)"),
        ("exec(code)\nprint(lr)", "code = 'loss = lr'"),
        ("from math import *\nprint(lr)", ""),
    ],
)
def test_a_metric_that_may_come_is_no_mistake(body: str, cells: str) -> None:
    assert parse(f"lr = uniform(0, 1)\n{body}\n", notebook(cells), targets=["loss"]).targets == ("loss",)


# IPython's syntax

TRANSFORM = TransformerManager().transform_cell


@pytest.mark.parametrize(
    "above",
    ["\n\n", "!echo a \\\n   b\n", "%timeit 1\n", "files = !ls \\\n  -l\n# c\n", "print?\n", "x = (1,\n 2)\n"],
)
def test_lines_are_those_of_the_user_after_the_translation(above: str) -> None:
    body = above + "lr = uniform(0, 1)\nprint(lr, wrong)\n"
    with pytest.raises(Mistakes) as caught:
        parse(body, transform=TRANSFORM)
    assert [(m.line, m.text) for m in caught.value.mistakes] == [(body.count("\n") + 1, "print(lr, wrong)")]


def test_a_cell_magic_inside_the_body_is_named_as_what_hides_the_ranges() -> None:
    with pytest.raises(Mistakes, match="another cell magic"):
        parse("%%time\nlr = uniform(0, 1)\nprint(lr)\n", transform=TRANSFORM)


@pytest.mark.parametrize("body", ["lr = uniform(0, 1\n", 'x = """a\n', "lr = )\n", "  a\n b\n", "!", "%"])
def test_half_written_cells_are_a_mistake_and_no_crash(body: str) -> None:
    with pytest.raises(Mistakes):
        parse(body, transform=TRANSFORM)


def test_deep_code_is_read() -> None:
    long_sum = "x = " + " + ".join(["lr"] * 900)
    chain = "if lr < 0: y = 0\n" + "".join(f"elif lr < {i}: y = {i}\n" for i in range(200))
    assert names(f"lr = uniform(0, 1)\n{long_sum}\n{chain}print(x, y)\n") == ["lr"]


def test_an_indented_cell_is_read() -> None:
    assert names("    lr = uniform(0, 1)\n    print(lr)\n", transform=TRANSFORM) == ["lr"]


def test_top_level_await_is_allowed(tmp_path: Path) -> None:
    job = parse("import asyncio\nlr = uniform(0, 1)\nloss = await asyncio.sleep(0, lr)\n", targets=["loss"])
    assert run_trial(job, tmp_path)["loss"] == 0.5


# files


def test_writing_twice_changes_nothing(tmp_path: Path) -> None:
    job = parse(PRODUCT, notebook(PRODUCT_CELLS), targets=["acc"])
    first = job.write(str(tmp_path))
    before = {p.name: (p.stat().st_ino, p.read_bytes()) for p in tmp_path.glob("*.json")}
    assert job.write(str(tmp_path)) == first
    assert {p.name: (p.stat().st_ino, p.read_bytes()) for p in tmp_path.glob("*.json")} == before


def test_the_files_are_private(tmp_path: Path) -> None:
    parse(PRODUCT, notebook(PRODUCT_CELLS)).write(str(tmp_path))
    assert {oct(p.stat().st_mode & 0o777) for p in tmp_path.iterdir()} == {"0o600"}


def test_the_notebook_is_left_as_it_was() -> None:
    namespace = notebook(PRODUCT_CELLS)
    before = dict(namespace)
    parse(PRODUCT, namespace)
    assert namespace == before
