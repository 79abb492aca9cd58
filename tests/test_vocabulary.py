"""The words of a cell in a plain cell, and what they hand to a running trial."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import joblib
import numpy as np
import pytest
from cells import notebook, run_cell

import jupyter_sweep as js
from jupyter_sweep import vocabulary
from jupyter_sweep.errors import ConstraintNotMet, SweepError
from jupyter_sweep.space.parameter import Choice, Float, Int, LogNormal, Normal, Ordinal, Parameter


class Recorder:
    """The worker's side of the words: writes down what it is asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            self.calls.append((name, *args))
            return {"seed": 11, "stage": "staged", "checkpoint": "state"}.get(name)

        return call


@pytest.fixture
def trial(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """A running trial."""
    module = ModuleType("_sweep_trial")
    module.context = Recorder()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "_sweep_trial", module)
    return module.context  # type: ignore[attr-defined,no-any-return]


# ranges

PLAIN: list[tuple[Any, Any]] = [
    (js.uniform(0, 1), 0.5),
    (js.uniform(0, 1, default=0.2), 0.2),
    (js.loguniform(1e-4, 1e-2), 1e-3),
    (js.randint(1, 8), 4),
    (js.randint(1, 9, step=3), 4),
    (js.lograndint(1, 100), 10),
    (js.choice(64, 128, 256, default=128), 128),
    (js.choice("sgd", "adam"), "sgd"),
    (js.ordinal("s", "m", "l"), "m"),
    (js.normal(3, 1), 3.0),
    (js.lognormal(0, 1), 1.0),
]


@pytest.mark.parametrize(("value", "expected"), PLAIN)
def test_a_range_gives_a_real_value_in_a_plain_cell(value: Any, expected: Any) -> None:
    assert type(value) is type(expected)
    assert value == pytest.approx(expected)


@pytest.mark.parametrize(
    ("word", "args", "expected"),
    [
        (js.uniform, (0, 1), Float(0, 1)),
        (js.loguniform, (1e-4, 1), Float(1e-4, 1, log=True)),
        (js.randint, (1, 8), Int(1, 8)),
        (js.lograndint, (1, 8), Int(1, 8, log=True)),
        (js.choice, (1, "a"), Choice(1, "a")),
        (js.ordinal, (1, 2), Ordinal(1, 2)),
        (js.normal, (0, 1), Normal(0, 1)),
        (js.lognormal, (0, 1), LogNormal(0, 1)),
    ],
)
def test_each_word_knows_its_parameter_and_gives_its_start(word: Any, args: Any, expected: Parameter) -> None:
    make = vocabulary.parameter_of(word)
    assert make is not None
    assert make(*args) == expected
    assert word(*args) == expected.start


def test_no_other_object_is_taken_for_a_range() -> None:
    impostor = lambda low, high: low  # noqa: E731
    impostor.parameter = js.uniform.parameter  # type: ignore[attr-defined]
    assert vocabulary.parameter_of(impostor) is None
    assert vocabulary.parameter_of(np.random.uniform) is None


def test_the_package_gives_every_word() -> None:
    assert {getattr(js, word) for word in vocabulary.WORDS} == {getattr(vocabulary, word) for word in vocabulary.WORDS}


@pytest.mark.parametrize("word", sorted(vocabulary.RANGES))
def test_help_shows_the_arguments_and_what_a_range_gives(word: str) -> None:
    signature = inspect.signature(vocabulary.RANGES[word])
    assert signature.return_annotation in ("float", "int", "Any")
    assert {"default", "prior", "meta", "ignore_default"} <= set(signature.parameters)
    assert vocabulary.RANGES[word].__doc__.startswith("Give ")


@pytest.mark.parametrize("values", [[1, 2], (1, 2), {1}, range(3)])
def test_a_choice_of_one_list_is_refused_with_the_call_that_was_meant(values: Any) -> None:
    with pytest.raises(SweepError, match=r"List the values themselves: choice\("):
        js.choice(values)


def test_a_range_that_the_sweep_cannot_see_is_refused_in_a_trial(trial: Recorder) -> None:
    with pytest.raises(SweepError, match="top level"):
        js.uniform(0, 1)


def test_words_travel_by_name() -> None:
    for word in vocabulary.WORDS:
        assert pickle.loads(pickle.dumps(getattr(vocabulary, word))) is getattr(vocabulary, word)


# require


def test_require_names_the_law_and_the_values_in_a_plain_cell() -> None:
    with pytest.raises(ConstraintNotMet) as caught:
        run_cell("width, lr = 64, 0.5\nrequire(width * lr < 20)\n", notebook())
    assert str(caught.value) == "require(width * lr < 20) does not hold for width=64, lr=0.5."


def test_require_over_several_lines_still_says_that_it_does_not_hold() -> None:
    with pytest.raises(ConstraintNotMet, match="does not hold"):
        run_cell("require(\n    1 > 2\n)\n", notebook())


def test_a_constraint_that_does_not_hold_is_a_mistake_of_the_user() -> None:
    assert issubclass(ConstraintNotMet, SweepError)


def test_require_that_holds_does_nothing(trial: Recorder) -> None:
    js.require(np.bool_(True))
    assert trial.calls == []


def test_require_ends_a_trial(trial: Recorder) -> None:
    js.require(0 > 1)
    assert [call[:2] for call in trial.calls] == [("require", False)]


# report


@pytest.mark.parametrize("value", [1, 0.5, True, float("nan"), np.float32(1), np.array([2.0]), np.int64(3)])
def test_numbers_are_reported_as_they_are(trial: Recorder, value: Any) -> None:
    js.report(acc=value, epoch=3)
    assert trial.calls == [("report", None, {"acc": value, "epoch": 3})]


def test_a_step_is_handed_on(trial: Recorder) -> None:
    js.report(acc=1, step=np.int64(4))
    assert trial.calls == [("report", 4, {"acc": 1})]


@pytest.mark.parametrize(
    ("metrics", "says"),
    [
        ({"acc": "0.5"}, "report(acc=...) must be one number, got str '0.5'"),
        ({"acc": None}, "NoneType"),
        ({"acc": [1.0]}, "list"),
        ({"acc": np.zeros(3)}, "ndarray of shape (3,)"),
        ({"acc": 1j}, "complex"),
        ({}, "no metric"),
        ({"acc": 1, "step": 1.5}, "whole number"),
        ({"acc": 1, "step": True}, "whole number"),
    ],
)
def test_what_is_no_number_is_refused_also_in_a_plain_cell(metrics: dict[str, Any], says: str) -> None:
    with pytest.raises(SweepError) as caught:
        js.report(**metrics)
    assert says in str(caught.value)


def test_report_gives_and_prints_nothing_in_a_plain_cell(capsys: pytest.CaptureFixture[str]) -> None:
    assert js.report(acc=1.0, epoch=1) is None  # type: ignore[func-returns-value]
    assert capsys.readouterr().out == ""


# the others


def test_seed_is_the_trial_s_and_always_the_same_in_a_plain_cell(trial: Recorder) -> None:
    assert js.seed() == 11
    sys.modules.pop("_sweep_trial")
    assert js.seed() == js.seed() == 0


def test_folds_are_numbered_from_zero() -> None:
    assert list(js.folds(3)) == [0, 1, 2]
    for wrong in (0, -1, 2.0, True):
        with pytest.raises(SweepError, match="folds"):
            js.folds(wrong)  # type: ignore[arg-type]


def test_a_stage_calls_its_function_in_a_plain_cell() -> None:
    assert js.stage(max, 1, 2) == 2


def test_a_stage_is_handed_to_the_trial(trial: Recorder) -> None:
    assert js.stage(max, 1, 2) == "staged"  # type: ignore[comparison-overlap]
    assert trial.calls == [("stage", max, (1, 2))]


def test_a_saved_object_is_read_by_joblib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    js.save("models/best.joblib", {"w": np.arange(3)})
    assert joblib.load("models/best.joblib")["w"].tolist() == [0, 1, 2]
    assert [p.name for p in (tmp_path / "models").iterdir()] == ["best.joblib"]


@pytest.mark.parametrize("name", ["", "/tmp/x", "../x", "a/../../x", 3])
def test_saving_outside_of_the_folder_is_refused(name: Any) -> None:
    with pytest.raises(SweepError, match="inside the trial's folder"):
        js.save(name, 1)


def test_saving_and_checkpoints_are_handed_to_the_trial(trial: Recorder) -> None:
    js.save("x", 1)
    assert js.checkpoint() == "state"
    js.checkpoint(None)
    assert trial.calls == [("save", "x", 1), ("checkpoint",), ("checkpoint", None)]


def test_a_checkpoint_is_not_kept_in_a_plain_cell() -> None:
    assert js.checkpoint() is None
    assert js.checkpoint(5) is None
    with pytest.raises(SweepError, match="one state"):
        js.checkpoint(1, 2)


def test_words_load_no_heavy_library() -> None:
    code = "import sys, jupyter_sweep.vocabulary; print({'numpy', 'IPython', 'pandas', 'joblib'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
