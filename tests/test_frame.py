"""`.df`, `.curves` and `.configs`: columns, types, missing values, names that clash."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
import scipy.stats
from made_trials import make_sweep, make_trial, repeated

from jupyter_sweep.results.frame import configs_frame, curves_frame, trials_frame
from jupyter_sweep.space import Choice, Float, Int, Opaque, Space
from jupyter_sweep.trial import Objective, Report


def test_columns_stand_in_the_promised_order() -> None:
    sweep = make_sweep(lr=Float(0, 1), depth=Int(1, 8))
    frame = trials_frame(sweep, [make_trial(0, {"lr": 0.5, "depth": 2}, {"time": 1.0, "loss": 0.2})])
    assert list(frame.columns) == (
        [
            "number",
            "version",
            "state",
            "reason",
            "lr",
            "depth",
            "loss",
            "time",
            "duration_s",
            "attempt",
            "repetition",
            "worker",
            "error",
        ]
    )


def test_the_device_and_its_memory_stand_last_where_trials_have_one_and_a_parameter_keeps_its_name() -> None:
    trials = [make_trial(0, {"device": "cpu"}), make_trial(1, {"device": "cuda"}, device="0,1", peak_gpu_memory_gb=1.5)]
    frame = trials_frame(make_sweep(device=Choice("cpu", "cuda")), trials)
    assert list(frame.columns[-3:]) == ["error", "trial.device", "peak_gpu_memory_gb"]
    assert list(frame["device"]) == ["cpu", "cuda"]
    assert list(frame["trial.device"]) == ["", "0,1"]
    assert frame.loc[1, "peak_gpu_memory_gb"] == 1.5
    assert "trial.device" not in trials_frame(make_sweep(device=Choice("cpu", "cuda")), trials[:1])


def test_rows_are_in_order_of_number_over_a_range_index() -> None:
    frame = trials_frame(make_sweep(lr=Float(0, 1)), [make_trial(n, {"lr": n / 10}) for n in (5, 3, 4)])
    assert list(frame["number"]) == [3, 4, 5]
    assert isinstance(frame.index, pd.RangeIndex)
    assert list(frame.index) == [0, 1, 2]


def test_a_frame_without_trials_has_the_same_columns_and_types_as_one_with_trials() -> None:
    sweep = make_sweep(lr=Float(0, 1), depth=Int(1, 8), opt=Choice("sgd", "adam"), on=Choice(True, False))
    params = {"lr": 0.5, "depth": 2, "opt": "sgd", "on": True}
    full = trials_frame(sweep, [make_trial(0, params, 0.2, duration_s=1.0)])
    assert trials_frame(sweep, []).dtypes.equals(full.dtypes)


def test_types_follow_the_parameters() -> None:
    sweep = make_sweep(lr=Float(0, 1), depth=Int(1, 8), opt=Choice("sgd", "adam"), on=Choice(True, False))
    frame = trials_frame(sweep, [make_trial(0, {"lr": 0.5, "depth": 2, "opt": "sgd", "on": True}, 0.2)])
    types = frame.dtypes.astype(str)
    assert (types["lr"], types["depth"], types["on"], types["loss"]) == ("float64", "Int64", "boolean", "float64")
    assert types["opt"] in ("str", "object")
    assert (types["number"], types["attempt"], types["duration_s"]) == ("int64", "int64", "float64")


def test_inactive_parameters_are_missing_and_whole_numbers_stay_whole() -> None:
    sweep = make_sweep(opt=Choice("sgd", "adam"), steps=Int(1, 9), heat=Float(0, 1), name=Choice("a", "b"))
    rows = [make_trial(0, {"opt": "adam"}), make_trial(1, {"opt": "sgd", "steps": 7, "heat": 0.5, "name": "b"})]
    frame = trials_frame(sweep, rows)
    assert frame.loc[0, ["steps", "heat", "name"]].isna().all()
    assert frame["steps"].dtype == "Int64"
    assert (frame.loc[1, "steps"], frame.loc[1, "name"]) == (7, "b")


def test_a_choice_of_mixed_types_keeps_the_four_ones_apart() -> None:
    values = [1, 1.0, True, "1"]
    sweep = make_sweep(one=Choice(*values))
    frame = trials_frame(sweep, [make_trial(i, {"one": v}) for i, v in enumerate(values)])
    assert [type(v) for v in frame["one"]] == [int, float, bool, str]


@pytest.mark.parametrize("values", [[(1, 2), (3, 4)], [[1, 2], [3]], [None, "a"], [2**70, 1], [0, 0.5]])
def test_any_choice_comes_back_as_it_was(values: list[Any]) -> None:
    frame = trials_frame(make_sweep(x=Choice(*values)), [make_trial(i, {"x": v}) for i, v in enumerate(values)])
    assert list(frame["x"]) == values


def test_a_coupled_choice_gives_a_column_a_key() -> None:
    sizes = [{"width": 64, "layers": 6}, {"width": 256, "act": "relu"}]
    frame = trials_frame(make_sweep(size=Choice(*sizes)), [make_trial(i, {"size": s}) for i, s in enumerate(sizes)])
    assert [c for c in frame.columns if c.startswith("size")] == ["size.width", "size.layers", "size.act"]
    assert list(frame["size.width"]) == [64, 256]
    assert frame["size.layers"].dtype == "Int64"
    assert pd.isna(frame.loc[1, "size.layers"])


def test_two_functions_of_one_name_are_told_apart_by_digest() -> None:
    acts = [Opaque("relu", "aa"), Opaque("<lambda>", "bb"), Opaque("<lambda>", "cc")]
    frame = trials_frame(make_sweep(act=Choice(*acts)), [make_trial(i, {"act": a}) for i, a in enumerate(acts)])
    assert list(frame["act"]) == ["relu", "<lambda> (bb)", "<lambda> (cc)"]


@pytest.mark.parametrize("name", ["lr", "number", "worker", "state"])
def test_a_metric_with_the_name_of_another_column_is_shown_as_metric_x(name: str) -> None:
    trial = make_trial(0, {"lr": 0.5}, {"loss": 1.0, name: 2.0})
    frame = trials_frame(make_sweep(lr=Float(0, 1)), [trial])
    assert list(frame[f"metric.{name}"]) == [2.0]
    assert frame.columns.is_unique


@pytest.mark.parametrize("name", ["", "a b", "π", "metric.lr", "x\ny", "__len__", "T", "0"])
def test_hostile_names_of_metrics_are_columns_like_others(name: str) -> None:
    trial = make_trial(0, {"lr": 0.5}, {"loss": 1.0, "lr": 3.0, name: 2.0})
    frame = trials_frame(make_sweep(lr=Float(0, 1)), [trial])
    assert frame.columns.is_unique
    assert 2.0 in frame.iloc[0].tolist()


def test_the_error_is_the_last_line_of_the_traceback() -> None:
    text = "Traceback (most recent call last):\n  File ...\nValueError: no such loss\n\n"
    rows = [make_trial(0, {}, None, "failed", reason="error", traceback=text), make_trial(1, {}, None)]
    rows.append(make_trial(2, {}, None, "failed", reason="crash", error="killed by SIGSEGV"))
    frame = trials_frame(make_sweep(), rows)
    assert list(frame["error"]) == ["ValueError: no such loss", "", "killed by SIGSEGV"]
    assert list(frame["reason"]) == ["error", "", "crash"]


def test_the_version_is_the_sweeps_or_the_one_given_for_its_id() -> None:
    rows = [make_trial(0, {}), replace(make_trial(1, {}), sweep_id=2)]
    assert list(trials_frame(make_sweep(), rows)["version"]) == [3, 3]
    assert list(trials_frame(make_sweep(), rows, {1: 1, 2: 2})["version"]) == [1, 2]


def test_values_of_an_earlier_range_of_another_type_stay_visible() -> None:
    sweep = make_sweep(lr=Float(0, 1))
    frame = trials_frame(sweep, [make_trial(0, {"lr": "auto", "gone": 3}), make_trial(1, {"lr": 0.5})])
    assert list(frame["lr"]) == ["auto", 0.5]
    assert frame["gone"].isna().tolist() == [False, True]


def test_one_name_under_two_conditions_is_one_column() -> None:
    space = Space.of(
        [
            replace(Choice("a", "b"), name="kind"),
            replace(Int(1, 9, when='kind == "a"'), name="size"),
            replace(Int(100, 900, when='kind == "b"'), name="size"),
        ]
    )
    sweep = replace(make_sweep(), space=space)
    frame = trials_frame(sweep, [make_trial(0, {"kind": "a", "size": 3}), make_trial(1, {"kind": "b", "size": 300})])
    assert list(frame["size"]) == [3, 300]
    assert [c for c in frame.columns if "size" in c] == ["size"]


def make_report(number: int, step: int, loss: float, *, attempt: int = 1, at: float = 0.0) -> Report:
    return Report(number + 100, step, {"loss": loss}, at or attempt * 100.0 + step, attempt)


def test_curves_give_one_row_a_report_in_order_of_trial_and_time() -> None:
    reports = [make_report(1, 0, 0.5), make_report(0, 0, 0.9), make_report(0, 1, 0.8), make_report(7, 0, 0.1)]
    frame = curves_frame([make_trial(0, {}), make_trial(1, {})], reports)
    assert list(frame.columns) == ["number", "step", "reported_at", "loss"]
    assert frame[["number", "step", "loss"]].to_numpy().tolist() == [[0, 0, 0.9], [0, 1, 0.8], [1, 0, 0.5]]


def test_curves_without_reports_have_the_columns_of_the_objectives() -> None:
    frame = curves_frame([], [], [Objective("loss", "minimize")])
    assert list(frame.columns) == ["number", "step", "reported_at", "loss"]
    assert str(frame["loss"].dtype) == "float64"


def test_an_attempt_that_started_over_leaves_nothing_of_the_one_before() -> None:
    reports = [make_report(0, s, 9.0) for s in range(5)] + [make_report(0, s, 1.0, attempt=2) for s in range(3)]
    frame = curves_frame([make_trial(0, {})], reports)
    assert list(frame["loss"]) == [1.0, 1.0, 1.0]


def test_an_attempt_that_went_on_from_a_checkpoint_keeps_what_came_before() -> None:
    reports = [make_report(0, s, 9.0) for s in range(5)] + [make_report(0, s, 1.0, attempt=2) for s in (3, 4, 5)]
    frame = curves_frame([make_trial(0, {})], reports)
    assert list(zip(frame["step"], frame["loss"], strict=True)) == [(0, 9), (1, 9), (2, 9), (3, 1), (4, 1), (5, 1)]


def test_a_metric_called_step_does_not_hide_the_step() -> None:
    frame = curves_frame([make_trial(0, {})], [Report(100, 4, {"step": 40.0}, 1.0)])
    assert (frame.loc[0, "step"], frame.loc[0, "metric.step"]) == (4, 40.0)


def test_configurations_have_mean_sd_n_and_the_interval_that_scipy_gives() -> None:
    values = [0.3, 0.5, 0.35, 0.41]
    frame = configs_frame(make_sweep(lr=Float(0, 1), repetitions=4), repeated({"lr": 0.5}, values))
    assert list(frame.columns) == ["number", "lr", "mean", "sd", "n", "ci_low", "ci_high"]
    scale = statistics.stdev(values) / 2
    low, high = scipy.stats.t.interval(0.95, 3, statistics.fmean(values), scale)
    row = frame.iloc[0]
    assert row["mean"] == pytest.approx(statistics.fmean(values))
    assert row["sd"] == pytest.approx(statistics.stdev(values))
    assert (row["n"], row["ci_low"], row["ci_high"]) == (4, pytest.approx(low), pytest.approx(high))


def test_a_configuration_is_the_active_parameters_without_meta_ones_and_with_their_types() -> None:
    sweep = make_sweep(x=Choice(1, 1.0), device=Int(0, 7, meta=True))
    rows = [make_trial(0, {"x": 1, "device": 0}), make_trial(1, {"x": 1, "device": 5}), make_trial(2, {"x": 1.0})]
    assert list(configs_frame(sweep, rows)["number"]) == [0, 2]


def test_one_repetition_has_a_mean_and_no_interval_and_none_has_neither() -> None:
    rows = [make_trial(0, {"lr": 0.1}, 0.7), make_trial(1, {"lr": 0.2}, None, "failed")]
    frame = configs_frame(make_sweep(lr=Float(0, 1)), rows)
    assert list(frame["n"]) == [1, 0]
    assert frame["mean"].iloc[0] == 0.7
    assert frame[["sd", "ci_low", "ci_high"]].isna().all(axis=None)
    assert math.isnan(frame["mean"].iloc[1])


@pytest.mark.parametrize("values", [[0.1, 0.1, 0.1], [1e308, 1e308], [math.inf, 1.0], [math.inf, -math.inf]])
def test_equal_huge_and_infinite_values_give_a_mean_without_an_error(values: list[float]) -> None:
    mean = configs_frame(make_sweep(lr=Float(0, 1)), repeated({"lr": 0.5}, values))["mean"].iloc[0]
    expected = values[0] if len(set(values)) == 1 else sum(values)
    assert mean == expected or (math.isnan(mean) and math.isnan(expected))


def test_a_parameter_called_n_does_not_hide_the_number_of_repetitions() -> None:
    frame = configs_frame(make_sweep(n=Int(1, 9)), [make_trial(0, {"n": 7}, 1.0)])
    assert (frame["n"].iloc[0], frame["param.n"].iloc[0]) == (1, 7)
