"""The data of plots as pages get them, and what an open row tells."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from made_trials import make_sweep, make_trial, mixed_sweep, mixed_trials

from jupyter_sweep import Float, Space, report, run, save
from jupyter_sweep.errors import SweepError
from jupyter_sweep.results import plotdata
from jupyter_sweep.trial import Report


def test_the_data_of_all_plots_is_json_and_the_best_curve_comes_first() -> None:
    sweep = mixed_sweep("min loss, min ms")
    trials, reports = mixed_trials(sweep, 60)
    found = plotdata.plots(sweep, trials, reports)
    json.dumps(found, allow_nan=False)
    ended = {t.number: t.metrics["loss"] for t in trials if "loss" in t.metrics}
    assert found["curves"][0]["number"] == min(ended, key=lambda n: ended[n])
    assert found["importance"][0]["param"] == "lr"
    assert found["pareto"]
    assert len(found["timeline"]) == 60


def test_lists_are_capped_and_what_was_cut_is_named() -> None:
    sweep = mixed_sweep()
    found = plotdata.plots(sweep, *mixed_trials(sweep, 200))
    assert len(found["curves"]) == plotdata.CURVES
    assert found["cut"] == ["curves"]


def test_an_unknown_metric_is_a_mistake_that_names_the_known_ones() -> None:
    sweep = mixed_sweep()
    with pytest.raises(SweepError, match=r"metric 'los'.*There are: loss"):
        plotdata.plots(sweep, *mixed_trials(sweep, 5), metric="los")


def test_the_curves_of_a_trial_are_by_metric_with_words_for_what_json_lacks() -> None:
    trial = make_trial(3, {"x": 1.0}, 0.5)
    reports = [
        Report(103, step, {"loss": value, "acc": 0.1}, 10.0 + step) for step, value in enumerate([1.0, math.nan])
    ]
    assert plotdata.trial_curves(trial, reports) == [
        {"metric": "loss", "points": [[0, 1.0], [1, "nan"]]},
        {"metric": "acc", "points": [[0, 0.1], [1, 0.1]]},
    ]


def test_a_sweep_without_trials_has_empty_plots() -> None:
    found = plotdata.plots(make_sweep(lr=Float(0.1, 1.0)), [], [])
    assert found["curves"] == found["history"] == found["pareto"] == []
    assert not found["told"]


def learn(x: float) -> float:
    for step in range(3):
        report(loss=x * (3 - step), step=step)
    save("weights.joblib", [x])
    return x


def test_an_open_row_tells_curves_and_files_with_their_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_SWEEP_HOME", str(tmp_path / "sweeps"))
    handle = run(learn, Space(x=Float(1, 2)), name="rows", min="loss", n=2, on="inline")
    told = handle.about(1)
    saved = next((handle.folder.parent / handle.trial(1).folder).rglob("weights.joblib"))
    assert told["artifacts"] == [{"name": "weights.joblib", "size": saved.stat().st_size}]
    (curve,) = told["curves"]
    assert curve["metric"] == "loss"
    assert [step for step, _ in curve["points"]] == [0, 1, 2]
    assert told["attempts"] == []
    with pytest.raises(SweepError, match="inline"):
        handle.retry(1)
