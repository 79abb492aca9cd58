"""`.best`, its cell, and `.tied`."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_trials import make_sweep, make_trial, repeated

from jupyter_sweep.definition import Sweep
from jupyter_sweep.results.best import best_cell, find_best, literal, tied
from jupyter_sweep.space import Choice, Fixed, Float, Int, Opaque
from jupyter_sweep.trial import Params, Trial


def run(cell: str, **names: Any) -> dict[str, Any]:
    """Execute the cell and give the names it sets, except those it was given."""
    namespace = dict(names)
    exec(compile(cell, "cell", "exec"), namespace)
    return {k: v for k, v in namespace.items() if k != "__builtins__" and k not in names}


def cell_of(sweep: Sweep, params: Params, **fields: Any) -> str:
    trial = make_trial(0, params, 0.5, **fields)
    return best_cell(sweep, [trial], trial)


def with_job(sweep: Sweep, **changes: Any) -> Sweep:
    return dataclasses.replace(sweep, job=dataclasses.replace(sweep.job, **changes))


LR = {"lr": Float(0, 1)}


def test_there_is_no_best_before_a_completed_trial_with_a_value() -> None:
    rows = [
        make_trial(0, {"lr": 0.1}, 0.5, "failed"),
        make_trial(1, {"lr": 0.2}, None),
        make_trial(2, {"lr": 0.3}, math.nan),
    ]
    assert find_best(make_sweep(**LR), rows) is None
    assert len(tied(make_sweep(**LR), rows)) == 0


@pytest.mark.parametrize(("targets", "number"), [("min loss", 1), ("max loss", 2)])
def test_the_best_is_best_in_the_direction_of_the_first_target(targets: str, number: int) -> None:
    rows = [make_trial(i, {"lr": i / 10}, v) for i, v in enumerate([0.5, 0.2, 0.9])]
    best = find_best(make_sweep(targets=targets, **LR), rows)
    assert best is not None
    assert (best.trial, best.params, best.metrics) == (
        number,
        {"lr": number / 10},
        {"loss": rows[number].metrics["loss"]},
    )
    assert best.value == rows[number].metrics["loss"]


def test_the_earlier_number_wins_a_tie_in_any_order() -> None:
    rows = [make_trial(i, {"lr": i / 10}, 0.5) for i in (2, 0, 1)]
    best = find_best(make_sweep(**LR), rows)
    assert best is not None
    assert best.trial == 0


@pytest.mark.parametrize(("targets", "sign"), [("min loss", 1), ("max loss", -1)])
def test_with_repetitions_the_mean_decides_not_the_luckiest_trial(targets: str, sign: int) -> None:
    rows = repeated({"lr": 0.1}, [sign * v for v in (0.1, 0.9, 0.9)])
    rows += repeated({"lr": 0.2}, [sign * v for v in (0.4, 0.4, 0.5)], first=3)
    best = find_best(make_sweep(repetitions=3, targets=targets, **LR), rows)
    assert best is not None
    assert (best.trial, best.params) == (3, {"lr": 0.2})
    assert best.metrics["loss"] == pytest.approx(sign * 1.3 / 3)


def test_a_configuration_with_one_repetition_of_five_is_not_the_best_yet() -> None:
    rows = repeated({"lr": 0.1}, [0.5] * 5) + repeated({"lr": 0.2}, [0.1], first=5)
    best = find_best(make_sweep(repetitions=5, **LR), rows)
    assert best is not None
    assert best.trial == 0


def test_while_no_configuration_is_far_enough_the_best_mean_is_the_best() -> None:
    rows = repeated({"lr": 0.1}, [0.5]) + repeated({"lr": 0.2}, [0.1], first=5)
    best = find_best(make_sweep(repetitions=5, **LR), rows)
    assert best is not None
    assert best.trial == 5


def test_failed_repetitions_do_not_count_for_the_mean() -> None:
    rows = [*repeated({"lr": 0.1}, [0.5, 0.5]), make_trial(2, {"lr": 0.1}, 0.0, "failed", repetition=2)]
    best = find_best(make_sweep(repetitions=3, **LR), rows)
    assert best is not None
    assert best.value == 0.5


# -- the cell ----------------------------------------------------------------------------------------------------------


def test_the_cell_assigns_the_active_parameters_as_declared_and_nothing_else() -> None:
    sweep = make_sweep(opt=Choice("sgd", "adam"), lr=Float(0, 1), momentum=Float(0, 1, when='opt == "sgd"'))
    cell = cell_of(sweep, {"lr": 0.00731, "opt": "adam"})
    assert run(cell) == {"opt": "adam", "lr": 0.00731}
    assert "lr = 0.00731" in cell.splitlines()
    assert [line.split()[0] for line in cell.splitlines() if not line.startswith("#")] == ["opt", "lr"]


def test_the_cell_says_where_it_comes_from_in_comments() -> None:
    sweep = dataclasses.replace(make_sweep(targets="max acc", **LR), note="table 2")
    captures = (
        {"name": "X", "kind": "array", "nbytes": 9, "digest": "51c0ffee"},
        {"name": "f", "kind": "function", "digest": "aa"},
    )
    sweep = with_job(sweep, fingerprint="8f3a12" + "0" * 26, captures=captures)
    trial = make_trial(17, {"lr": 0.5}, {"acc": 0.97312345}, seed=77, finished_at=1.7e9)
    cell = best_cell(sweep, [trial] * 30, trial)
    assert cell.splitlines()[:3] == [
        '# best of "digits/3" by max acc: 0.973123',
        "# trial 17 of 30 · code 8f3a12 · data X:51c0 · seed 77 · 2023-11-14 · again: %sweep replay digits 17",
        "# note: table 2",
    ]


def test_with_several_targets_the_cell_says_that_it_is_one_of_a_pareto_set() -> None:
    sweep = make_sweep(targets="max acc, min ms", **LR)
    points = [(0.9, 5.0), (0.8, 2.0), (0.7, 3.0)]
    rows = [make_trial(i, {"lr": i / 10}, {"acc": acc, "ms": ms}) for i, (acc, ms) in enumerate(points)]
    assert best_cell(sweep, rows, rows[0]).splitlines()[2] == (
        "# Pareto set of acc and ms: 2 trials; see sweep('digits').plot.pareto()"
    )


def test_with_repetitions_the_cell_tells_the_interval_and_what_is_tied() -> None:
    rows = repeated({"lr": 0.1}, [0.40, 0.42, 0.41]) + repeated({"lr": 0.2}, [0.41, 0.43, 0.42], first=3)
    best = find_best(make_sweep(repetitions=3, **LR), rows)
    assert best is not None
    first = best.cell.splitlines()[0]
    assert "0.41 (95 % CI 0.385159..0.434841, 3 repetitions)" in first
    assert "trials 3" in first


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(PLAIN)
@settings(max_examples=150, deadline=None)
def test_the_literal_of_any_plain_value_is_read_back_as_it_was(value: Any) -> None:
    again = eval(literal(value))
    assert repr(again) == repr(value)
    assert "\n" not in literal(value)


@given(PLAIN, st.text(max_size=30), st.text(max_size=30))
@settings(max_examples=100, deadline=None)
def test_no_value_name_or_note_breaks_out_of_the_cell(value: Any, note: str, metric: str) -> None:
    sweep = dataclasses.replace(make_sweep(x=Fixed(0)), note=note, name=metric)
    trial = make_trial(0, {"x": value}, {"loss": 0.5})
    cell = best_cell(sweep, [trial], trial)
    assert list(run(cell)) == ["x"]
    assert (
        len(cell.splitlines()) == len(cell.split("\n")) - 1
    )  # no other kind of line end, which IPython would split at


@pytest.mark.parametrize(
    "text",
    ["a\nimport os", "a\r\n!rm x", "a\x0cb", "a\u2028%cd /", "a\x85b", '"""', "'\\", "# x", "\u202eabc", "a\x00b"],
)
def test_hostile_notes_stay_one_comment_line(text: str) -> None:
    cell = cell_of(dataclasses.replace(make_sweep(**LR), note=text), {"lr": 0.5})
    lines = cell.splitlines()
    assert [line[0] for line in lines] == ["#", "#", "#", "l"]
    assert lines[2].isprintable()


@pytest.mark.parametrize("name", ["lr-max", "class", "a b", "1st", "__debug__", "x\n!ls"])
def test_a_name_that_cannot_be_assigned_stands_in_a_comment(name: str) -> None:
    trial = make_trial(0, {name: 0.25, "lr": 0.5}, 0.5)
    cell = best_cell(make_sweep(**LR), [trial], trial)
    assert run(cell) == {"lr": 0.5}
    assert "0.25" in cell


@pytest.mark.parametrize("text", ["what?", "%time", "!ls", "a\n%cd /", "%%bash\nls", "??", "a = !ls", "{x}", "$x"])
def test_ipython_leaves_the_cell_as_it_is(text: str) -> None:
    from IPython.core.inputtransformer2 import TransformerManager

    sweep = dataclasses.replace(make_sweep(x=Choice(text, 1)), note=text)
    cell = cell_of(sweep, {"x": text, text: 1})
    assert TransformerManager().transform_cell(cell) == cell
    assert run(cell) == {"x": text}


def test_infinities_and_nan_are_written_as_calls_of_float() -> None:
    cell = cell_of(make_sweep(a=Fixed(0), b=Fixed(0), c=Fixed(0)), {"a": math.inf, "b": (-math.inf,), "c": math.nan})
    assert 'a = float("inf")' in cell
    values = run(cell)
    assert (values["a"], values["b"]) == (math.inf, (-math.inf,))
    assert math.isnan(values["c"])


def test_a_coupled_choice_is_one_dict() -> None:
    size = {"width": 64, "layers": 6}
    cell = cell_of(make_sweep(size=Choice(size, {"width": 256, "layers": 2})), {"size": size})
    assert run(cell) == {"size": size}


RELU, SCALE, ODD = Opaque("relu", "aa"), Opaque("Scaler", "bb"), Opaque("<lambda>", "cc")


def test_an_object_is_written_as_the_user_wrote_the_item() -> None:
    sweep = with_job(
        make_sweep(act=Choice(RELU, SCALE, ODD)), source="act = choice(relu, Scaler( 3 ), lambda x: x * 2)\n"
    )
    assert run(cell_of(sweep, {"act": SCALE}), Scaler=lambda x: ("scaled", x)) == {"act": ("scaled", 3)}
    assert run(cell_of(sweep, {"act": ODD}))["act"](4) == 8


@pytest.mark.parametrize("source", ["!ls\nact = choice(relu)", "", "act = choice(*ACTS)", "act = choice(relu, gelu)"])
def test_without_its_source_a_function_is_written_by_name(source: str) -> None:
    sweep = with_job(make_sweep(act=Choice(RELU)), source=source)
    function = object()
    assert run(cell_of(sweep, {"act": RELU}), relu=function)["act"] is function


def test_an_object_without_any_text_is_left_out_and_said() -> None:
    cell = cell_of(make_sweep(act=Choice(ODD), lr=Float(0, 1)), {"act": ODD, "lr": 0.5})
    assert run(cell) == {"lr": 0.5}
    assert "# act was <lambda>" in cell


# -- tied --------------------------------------------------------------------------------------------------------------


def tied_numbers(sweep: Sweep, rows: list[Trial]) -> list[int]:
    return list(tied(sweep, rows)["number"])


def test_without_repetitions_only_exactly_equal_values_are_tied() -> None:
    rows = [make_trial(i, {"lr": i / 10}, v) for i, v in enumerate([0.5, 0.2, 0.2000001, 0.2])]
    assert tied_numbers(make_sweep(**LR), rows) == [1, 3]


def test_what_overlaps_is_tied_and_what_is_far_is_not() -> None:
    rows = repeated({"lr": 0.1}, [1.0, 1.2, 1.1, 0.9])
    rows += repeated({"lr": 0.2}, [1.1, 1.3, 1.0, 1.0], first=10)
    rows += repeated({"lr": 0.3}, [5.0, 5.2, 5.1, 4.9], first=20)
    assert tied_numbers(make_sweep(repetitions=4, **LR), rows) == [0, 10]


@given(st.lists(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=4), min_size=1, max_size=6), st.booleans())
@settings(max_examples=100, deadline=None)
def test_the_best_is_always_among_the_tied_and_first(groups: list[list[float]], maximize: bool) -> None:
    rows = [t for i, values in enumerate(groups) for t in repeated({"lr": i / 10}, values, first=10 * i)]
    sweep = make_sweep(repetitions=4, targets="max loss" if maximize else "min loss", **LR)
    best = find_best(sweep, rows)
    frame = tied(sweep, rows)
    assert best is not None
    assert frame["lr"].iloc[0] == best.params["lr"]
    assert frame["number"].is_unique


def test_the_test_is_welchs_as_scipy_has_it() -> None:
    from scipy.stats import ttest_ind

    for shift in (0.1, 0.2, 0.3, 0.4, 0.6, 0.9):
        one, other = [1.0, 1.2, 1.1, 0.9], [x + shift for x in (1.0, 1.5, 0.8, 1.1)]
        rows = repeated({"lr": 0.1}, one) + repeated({"lr": 0.2}, other, first=10)
        p = ttest_ind(one, other, equal_var=False).pvalue
        assert (tied_numbers(make_sweep(repetitions=4, **LR), rows) == [0, 10]) == (p > 0.05)


def test_a_lucky_configuration_that_is_not_far_enough_to_be_the_best_is_tied() -> None:
    rows = repeated({"lr": 0.1}, [1.0, 1.0, 1.0, 1.0]) + repeated({"lr": 0.2}, [0.5], first=10)
    assert tied_numbers(make_sweep(repetitions=4, **LR), rows) == [0, 10]


def test_one_repetition_is_taken_to_vary_as_the_best_does() -> None:
    rows = repeated({"lr": 0.1}, [1.0, 1.2, 1.1, 0.9]) + repeated({"lr": 0.2}, [1.3], first=10)
    rows += repeated({"lr": 0.3}, [9.0], first=20)
    assert tied_numbers(make_sweep(repetitions=4, **LR), rows) == [0, 10]


def test_tied_has_the_columns_of_configs_also_when_empty() -> None:
    sweep = make_sweep(depth=Int(1, 3))
    full = tied(sweep, [make_trial(0, {"depth": 2}, 1.0)])
    assert (
        list(tied(sweep, []).columns)
        == list(full.columns)
        == ["number", "depth", "mean", "sd", "n", "ci_low", "ci_high"]
    )
