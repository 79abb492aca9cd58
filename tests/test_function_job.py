"""A function as a job: called with the parameters as keywords, identified with everything it refers to."""

from __future__ import annotations

import enum
import functools
from pathlib import Path
from typing import Any

import pytest
from cells import notebook, run_trial

from jupyter_sweep.errors import Mistakes
from jupyter_sweep.jobs.function import FunctionJob, function_job
from jupyter_sweep.space.parameter import Choice, Float, Int
from jupyter_sweep.space.space import Space

SPACE = Space(lr=Float(0, 1), depth=Int(1, 3))


def made(source: str, space: Space = SPACE, **options: Any) -> FunctionJob:
    return function_job(notebook(source)["train"], space, folder="", **options)


def test_a_function_is_called_with_the_parameters_as_keywords(tmp_path: Path) -> None:
    job = made("scale = 10\ndef train(depth, *, lr=5, other=1): return {'loss': lr * depth * scale + other}\n")
    assert run_trial(job, tmp_path, {"lr": 0.5, "depth": 2})["result"] == {"loss": 11.0}
    assert "def train" in job.source


@pytest.mark.parametrize(
    "source",
    ["train = lambda **params: sum(params.values())\n", "class train:\n    def __init__(self, lr, depth): pass\n"],
)
def test_anything_that_takes_the_keywords_will_do(source: str) -> None:
    assert made(source).space == SPACE


def test_what_the_function_refers_to_is_its_identity() -> None:
    source = "K = {}\ndef helper(x): return x + K\ndef train(lr, depth): return helper(lr){}\n"
    first = made(source.format(1, "")).fingerprint
    assert made(source.format(1, "  # why")).fingerprint == first
    assert made("\n\n" + source.format(1, "")).fingerprint == first
    assert made(source.format(1, ""), Space(lr=Float(0, 9), depth=Int(1, 2))).fingerprint == first
    others = [made(source.format(2, "")), made(source.format(1, " + 1")), made(source.format(1, ""), version_tag="2")]
    assert len({first, *(job.fingerprint for job in others)}) == 4


def test_functions_may_be_choices(tmp_path: Path) -> None:
    namespace = notebook("def a(x): return x\ndef b(x): return -x\ndef train(f): return f(2)\n")
    job = function_job(namespace["train"], Space(f=Choice(namespace["a"], namespace["b"])), folder="")
    assert [run_trial(job, tmp_path, params)["result"] for params in job.space.grid()] == [2, -2]


def test_ignored_parameters_are_meta() -> None:
    job = made("def train(lr, depth): return lr\n", ignore=["depth"])
    assert job.space.parameters["depth"].meta


@pytest.mark.parametrize(
    ("source", "space", "says"),
    [
        ("def train(lr): return lr\n", SPACE, ["takes no keyword 'depth'"]),
        ("def train(lr, depht): return lr\n", SPACE, ["Did you mean 'depht'?", "needs 'depht'"]),
        ("def train(lr, depth, data): return lr\n", SPACE, ["needs 'data'"]),
        ("def train(lr, /, depth): return lr\n", SPACE, ["takes no keyword 'lr'", "needs 'lr'"]),
        ("train = 3\n", SPACE, ["can't be called"]),
        ("def train(lr): return lr\n", {"lr": 1}, ["of type dict"]),
        ("def train(): return 1\n", Space(), ["nothing to vary"]),
        ("def train(error): return 1\n", Space(error=Int(0, 1)), ["can't be called 'error'"]),
        ("def train(a, b): return 1\n", Space(a=Int(0, 1), b=Int(0, 1, when="a > 0")), ["give it a default: b=None"]),
    ],
)
def test_a_function_that_does_not_fit_the_space_is_told_before_the_start(
    source: str, space: Any, says: list[str]
) -> None:
    with pytest.raises(Mistakes) as caught:
        made(source, space)
    assert len(caught.value.mistakes) == len(says)
    for text in says:
        assert text in str(caught.value)


class Word(str, enum.Enum):
    """Texts that JSON does not keep as what they are."""

    A = "a"
    B = "b"


@pytest.mark.parametrize(
    "laws",
    [
        Space(opt=Choice(*Word), lr=Float(0, 1, when="opt == 'a'")),
        Space(opt=Choice(*Word), lr=Float(0, 1), constraints=["opt == 'a' or lr < 0.5"]),
    ],
)
def test_a_law_that_could_never_hold_since_it_meets_the_label_of_an_object_is_refused(laws: Space) -> None:
    with pytest.raises(Mistakes, match="the values of 'opt' are objects"):
        made("def train(opt, lr=0): return lr\n", laws)


def test_a_law_may_ask_whether_an_object_is_there() -> None:
    space = Space(opt=Choice(None, len), lr=Float(0, 1, when="opt is not None"))
    assert made("def train(opt, lr=0): return lr\n", space).space.active({"opt": None}) == ["opt"]


def test_a_wrapped_function_keeps_its_own_signature() -> None:
    namespace = notebook(
        "import functools\ndef inner(lr, depth, k): return lr * k\ntrain = functools.partial(inner, k=2)\n"
    )
    assert isinstance(namespace["train"], functools.partial)
    assert function_job(namespace["train"], SPACE, folder="").kind == "function"


def test_a_function_that_cannot_travel_is_told_by_name() -> None:
    with pytest.raises(Mistakes, match="lock"):
        made("import threading\nlock = threading.Lock()\ndef train(lr, depth): return lock\n")
