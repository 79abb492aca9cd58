"""Importance, Pareto set, best so far, Student's distribution."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from made_trials import make_sweep, make_trial, mixed_sweep, mixed_trials

from jupyter_sweep.definition import Sweep
from jupyter_sweep.results.analysis import (
    best_so_far,
    importance,
    mean,
    pareto,
    ranks,
    student_quantile,
    student_within,
)
from jupyter_sweep.space import Choice, Float
from jupyter_sweep.trial import Objective, Params, Trial, is_better_by

LOSS = Objective("loss", "minimize")
ACC, MS = Objective("acc", "maximize"), Objective("ms", "minimize")


def drawn(sweep: Sweep, n: int, value: Callable[[Params], float], *, seed: int = 0) -> list[Trial]:
    rng = random.Random(seed)
    found = [sweep.space.sample(rng) for _ in range(n)]
    return [make_trial(i, params, value(params)) for i, params in enumerate(found)]


FOUR = {f"p{i}": Float(0, 1) for i in range(4)}


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 40])
def test_shares_sum_to_one_and_name_every_varying_parameter(n: int) -> None:
    sweep = mixed_sweep()
    shares = importance(sweep, mixed_trials(sweep, n)[0])
    assert set(shares) == {"lr", "depth", "opt", "momentum", "size"}
    assert sum(shares.values()) == pytest.approx(1)
    assert all(0 <= share <= 1 for share in shares.values())


def test_the_parameter_that_decides_comes_first() -> None:
    sweep = mixed_sweep()
    shares = importance(sweep, mixed_trials(sweep, 60)[0])
    assert next(iter(shares)) == "lr"
    assert shares["lr"] > 0.7


@pytest.mark.parametrize("value", [lambda p: p["p0"], lambda p: (p["p0"] - 0.5) ** 2, lambda p: 10 ** (9 * p["p0"])])
def test_idle_parameters_get_little_whatever_the_shape(value: Callable[[Params], float]) -> None:
    sweep = make_sweep(**FOUR)
    shares = [importance(sweep, drawn(sweep, 60, value, seed=s)) for s in range(5)]
    assert min(s["p0"] for s in shares) > 0.6


def test_a_choice_without_an_order_counts_by_item() -> None:
    sweep = make_sweep(opt=Choice("a", "b", "c"), **FOUR)
    trials = drawn(sweep, 80, lambda p: {"a": 1.0, "b": 9.0, "c": 1.5}[p["opt"]] + 0.01 * p["p1"])
    assert importance(sweep, trials)["opt"] > 0.8


def test_a_conditional_parameter_is_judged_where_it_is_active() -> None:
    sweep = make_sweep(opt=Choice("sgd", "adam"), m=Float(0, 1, when='opt == "sgd"'))
    only_choice = importance(sweep, drawn(sweep, 100, lambda p: 5.0 if p["opt"] == "sgd" else 1.0))
    both = importance(sweep, drawn(sweep, 100, lambda p: p.get("m", 0.5)))
    assert only_choice["m"] < 0.1
    assert both["m"] > 0.8


def test_equal_values_tell_nothing_so_that_shares_are_equal() -> None:
    sweep = make_sweep(**FOUR)
    assert importance(sweep, drawn(sweep, 30, lambda p: 1.0)) == dict.fromkeys(FOUR, 0.25)


def test_importance_does_not_depend_on_the_scale_order_or_infinities() -> None:
    sweep = make_sweep(**FOUR)
    trials = drawn(sweep, 50, lambda p: p["p0"] + p["p1"])
    stretched = drawn(sweep, 50, lambda p: math.inf if p["p0"] + p["p1"] > 1.7 else math.exp(50 * (p["p0"] + p["p1"])))
    assert importance(sweep, trials) == importance(sweep, trials[::-1])
    assert importance(sweep, stretched)["p0"] == pytest.approx(importance(sweep, trials)["p0"], abs=0.1)


def test_failed_trials_and_nan_are_left_out() -> None:
    sweep = make_sweep(**FOUR)
    trials = drawn(sweep, 40, lambda p: p["p2"])
    more = [make_trial(100 + i, {f"p{j}": 0.5 for j in range(4)}, math.nan) for i in range(9)]
    more += [make_trial(200 + i, {f"p{j}": 0.5 for j in range(4)}, 1e9, "failed") for i in range(9)]
    assert importance(sweep, trials + more) == importance(sweep, trials)


def test_another_metric_can_be_asked_for() -> None:
    sweep = make_sweep(**FOUR)
    trials = [t.with_(metrics={"loss": t.params["p0"], "ms": t.params["p3"]}) for t in drawn(sweep, 50, lambda p: 0.0)]
    assert next(iter(importance(sweep, trials))) == "p0"
    assert next(iter(importance(sweep, trials, "ms"))) == "p3"


POINTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=40)


@given(POINTS)
@settings(max_examples=100, deadline=None)
def test_the_pareto_set_is_what_no_other_trial_dominates(points: list[tuple[int, int]]) -> None:
    trials = [make_trial(i, {}, {"acc": float(a), "ms": float(b)}) for i, (a, b) in enumerate(points)]
    pair = (ACC, MS)
    expected = [t for t in trials if not any(is_better_by(pair, o.metrics, t.metrics) for o in trials)]
    assert pareto(trials, pair) == expected
    assert pareto(trials[::-1], pair) == expected


def test_only_completed_trials_with_all_targets_are_in_the_pareto_set() -> None:
    good = {"acc": 9.0, "ms": 0.0}
    trials = [
        make_trial(0, {}, good, "failed"),
        make_trial(1, {}, {"acc": 9.0}),
        make_trial(2, {}, {"acc": 9.0, "ms": math.nan}),
    ]
    trials.append(make_trial(3, {}, {"acc": 1.0, "ms": 5.0}))
    assert [t.number for t in pareto(trials, (ACC, MS))] == [3]


def test_the_pareto_set_of_one_target_is_the_best() -> None:
    trials = [make_trial(i, {}, v) for i, v in enumerate([3.0, 1.0, 2.0, 1.0])]
    assert [t.number for t in pareto(trials, (LOSS,))] == [1, 3]


@pytest.mark.parametrize(
    ("objective", "expected"), [(LOSS, [3, 1, 1, 0]), (Objective("loss", "maximize"), [3, 3, 4, 4])]
)
def test_the_best_so_far_only_gets_better(objective: Objective, expected: list[float]) -> None:
    trials = [make_trial(i, {}, v) for i, v in enumerate([3, 1, 4, 0])]
    trials += [make_trial(9, {}, -5, "failed"), make_trial(10, {}, math.nan)]
    assert best_so_far(trials[::-1], objective) == list(enumerate(expected))


@pytest.mark.parametrize("df", [1, 1.4, 2, 3.7, 9, 40, 1000, 30000])
@pytest.mark.parametrize("t", [0.0, 0.1, 0.9, 2.0, 3.3, 12.0])
def test_students_distribution_is_scipys(df: float, t: float) -> None:
    assert student_within(t, df) == pytest.approx(1 - 2 * scipy.stats.t.sf(t, df), abs=1e-7)


@pytest.mark.parametrize("df", [1, 2, 3, 4, 9, 99, 2000])
def test_students_quantile_is_scipys(df: int) -> None:
    assert student_quantile(df) == pytest.approx(scipy.stats.t.ppf(0.975, df), rel=1e-6)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1))
def test_the_mean_lies_between_the_ends(values: list[float]) -> None:
    assert min(values) - 1e-6 <= mean(values) <= max(values) + 1e-6


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(1, 20))
def test_the_mean_of_equal_values_is_that_value(value: float, n: int) -> None:
    assert mean([value] * n) == value


@given(st.lists(st.integers(0, 5)))
def test_ranks_are_those_of_scipy(values: list[float]) -> None:
    assert [r + 1 for r in ranks(values)] == list(scipy.stats.rankdata(values))
