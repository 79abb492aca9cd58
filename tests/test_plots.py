"""The plots: what they show, that a notebook shows them, that no data or name breaks them."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter
from made_trials import STEPS, make_sweep, make_trial, mixed_sweep, mixed_trials
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from jupyter_sweep.definition import Sweep
from jupyter_sweep.errors import SweepError
from jupyter_sweep.results import plots
from jupyter_sweep.results.canvas import new_axes, to_png, to_svg
from jupyter_sweep.results.plots import Plots
from jupyter_sweep.results.scales import number_scale, parameter_scale
from jupyter_sweep.space import Choice, Float, Int, Opaque
from jupyter_sweep.trial import Attempt, Objective, Report, Trial, TrialState

NAMES = ("history", "curves", "parallel", "importance", "slice", "contour", "pareto", "timeline")
PNG = b"\x89PNG\r\n"


@pytest.fixture(autouse=True)
def _warnings_are_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # of matplotlib, about layout and glyphs
        warnings.simplefilter("error", RuntimeWarning)  # of numpy
        yield


def draw(name: str, sweep: Sweep, trials: list[Trial], reports: list[Report], **options: Any) -> Axes:
    ax: Axes = getattr(plots, name)(sweep, trials, reports, **options)
    return ax


def drawn(name: str, n: int = 40, targets: str = "max acc, min ms", **options: Any) -> Axes:
    sweep = mixed_sweep(targets)
    return draw(name, sweep, *mixed_trials(sweep, n), **options)


def plain_axes() -> Axes:
    """Give Axes of one panel without automatic layout, which takes most of the time of a picture."""
    ax: Axes = Figure().subplots()
    return ax


def texts(ax: Axes) -> str:
    legend = ax.get_legend()
    entries = [] if legend is None else [t.get_text() for t in legend.get_texts()]
    return " | ".join([*(t.get_text() for t in ax.texts), *entries])


# -- all of them -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", [1, 60])
def test_every_plot_is_titled_axes_that_can_be_drawn(name: str, n: int) -> None:
    ax = drawn(name, n)
    assert isinstance(ax, Axes)
    assert "digits" in (ax.get_title() + str(ax.figure.get_suptitle()))
    assert to_png(ax, dpi=20).startswith(PNG)


@pytest.mark.parametrize("name", NAMES)
def test_with_data_both_axes_are_labelled(name: str) -> None:
    ax = drawn(name, **({"param": "lr"} if name == "slice" else {}))
    assert ax.get_xlabel()
    assert ax.get_ylabel() or name == "parallel"


@pytest.mark.parametrize("name", NAMES)
def test_without_trials_the_axes_hold_a_sentence(name: str) -> None:
    ax = draw(name, mixed_sweep("max acc, min ms"), [], [])
    assert texts(ax).endswith(".")
    assert to_png(ax, dpi=20).startswith(PNG)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("state", ["running", "failed"])
def test_trials_that_all_failed_or_have_not_ended_break_no_plot(name: str, state: str) -> None:
    sweep = mixed_sweep("max acc, min ms")
    trials = [t.with_(state=TrialState(state), metrics={}, finished_at=None) for t in mixed_trials(sweep, 5)[0]]
    assert to_png(draw(name, sweep, trials, [], ax=plain_axes()), dpi=20).startswith(PNG)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("values", [[1.0, 1.0, 1.0], [math.inf, 1.0, -1.7e308], [1e-300, 1.0, 1.7e308]])
def test_equal_huge_and_infinite_values_break_no_plot(name: str, values: list[float]) -> None:
    sweep = make_sweep(targets="min loss, min ms", lr=Float(0, 1), depth=Int(1, 8))
    params = [{"lr": 0.1 * i, "depth": 1 + i % 8} for i in range(12)]
    trials = [
        make_trial(i, p, {"loss": values[i % 3], "ms": values[-i % 3]}, started_at=1.0) for i, p in enumerate(params)
    ]
    reports = [Report(t.trial_id, 0, t.metrics, 1.0) for t in trials]
    assert to_png(draw(name, sweep, trials, reports, ax=plain_axes()), dpi=20).startswith(PNG)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", ["$x_\\frac$ %s {0}\na", "_hidden", "学習率" * 99, ""])
def test_hostile_names_break_no_plot(name: str, text: str) -> None:
    sweep = make_sweep(targets="min loss, max ms", x=Choice(text, "b"), y=Float(0, 1))
    objectives = (Objective(text or "m", "minimize"), Objective("ms", "maximize"))
    sweep = dataclasses.replace(sweep, name=text, objectives=objectives)
    rows = [({"x": (text, "b")[i % 2], "y": i / 9, text: 1}, {text or "m": float(i), "ms": 1.0}) for i in range(9)]
    trials = [make_trial(i, p, m, worker=text, started_at=float(i)) for i, (p, m) in enumerate(rows)]
    reports = [Report(t.trial_id, 0, t.metrics, 1.0) for t in trials]
    assert to_png(draw(name, sweep, trials, reports), dpi=20).startswith(PNG)


@pytest.mark.parametrize("name", NAMES)
def test_a_plot_can_be_drawn_into_the_users_axes(name: str) -> None:
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert drawn(name, ax=right) is right
    assert left.get_title() == ""
    assert right.get_title()


@pytest.mark.parametrize("name", ["history", "curves", "parallel", "importance", "slice", "contour"])
def test_another_metric_can_be_drawn_and_an_unknown_one_is_a_mistake(name: str) -> None:
    assert to_png(drawn(name, metric="ms", ax=plain_axes()), dpi=20).startswith(PNG)
    with pytest.raises(SweepError, match=r"'ac'.*Did you mean 'acc'"):
        drawn(name, metric="ac", ax=plain_axes())


@pytest.mark.parametrize("options", [{"name": "slice", "param": "lrr"}, {"name": "contour", "x": "lrr"}])
def test_an_unknown_parameter_is_a_mistake_that_names_the_nearest(options: dict[str, Any]) -> None:
    with pytest.raises(SweepError, match="Did you mean 'lr'"):
        drawn(**options)


@pytest.mark.parametrize("make", [to_png, to_svg])
def test_the_same_data_give_the_same_picture(make: Callable[[Axes], bytes]) -> None:
    assert make(drawn("history")) == make(drawn("history"))


# -- in a notebook -----------------------------------------------------------------------------------------------------


def test_a_notebook_shows_the_picture_of_axes_that_are_the_last_expression() -> None:
    data, metadata = DisplayFormatter().format(drawn("history"))
    assert data["image/png"].startswith(PNG)
    assert metadata["image/png"]["width"] == 640
    assert metadata["image/png"]["alt"] == "digits: history of acc"


def test_drawing_does_not_load_pyplot_or_leave_figures_behind() -> None:
    code = (
        "import sys; from made_trials import mixed_sweep, mixed_trials; from jupyter_sweep.results import plots\n"
        "assert 'matplotlib' not in sys.modules\n"
        "sweep = mixed_sweep(); plots.history(sweep, *mixed_trials(sweep, 5))._repr_png_()\n"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=__file__.rpartition("/")[0])


def test_the_accessor_draws_what_the_store_holds_now_and_reads_reports_for_curves_only() -> None:
    sweep = mixed_sweep("max acc, min ms")
    trials, reports = mixed_trials(sweep, 5)
    asked: list[str] = []

    def read_reports() -> list[Report]:
        asked.append("reports")
        return reports

    accessor = Plots(lambda: (sweep, trials), read_reports)
    for name in NAMES:
        assert isinstance(getattr(accessor, name)(), Axes)
        assert f".{name}()" in repr(accessor)
    assert asked == ["reports"]
    trials.clear()
    assert "No trial has started yet." in texts(accessor.history())


# -- one by one --------------------------------------------------------------------------------------------------------


def points(ax: Axes, label: str) -> list[list[float]]:
    """Give the points whose legend entry starts so."""
    found = [c for c in ax.collections if str(c.get_label()).startswith(label)]
    return [list(map(float, p)) for c in found for p in np.asarray(c.get_offsets())]


def test_history_shows_each_trial_at_its_value_and_the_best_so_far() -> None:
    trials = [make_trial(i, {"lr": 0.1}, v) for i, v in enumerate([3.0, 1.0, 2.0])]
    trials += [make_trial(3, {"lr": 0.1}, 2.5, "pruned"), make_trial(4, {"lr": 0.1}, None, "failed")]
    ax = draw("history", make_sweep(lr=Float(0, 1)), trials, [])
    assert points(ax, "completed (3)") == [[0, 3], [1, 1], [2, 2]]
    assert points(ax, "pruned (1)") == [[3, 2.5]]
    assert points(ax, "failed (1)") == [[4, 0]]
    (line,) = ax.lines
    assert np.asarray(line.get_xydata()).tolist() == [[0, 3], [1, 1], [2, 1], [4, 1]]
    assert line.get_drawstyle() == "steps-post"


def test_a_metric_that_is_no_target_has_no_best() -> None:
    trials = [make_trial(i, {}, {"loss": 1.0, "ms": float(i)}) for i in range(3)]
    ax = draw("history", make_sweep(), trials, [], metric="ms")
    assert list(ax.lines) == []
    assert ax.get_ylabel() == "ms"


def test_an_outlier_does_not_flatten_the_rest_and_is_told() -> None:
    values = [i / 10 for i in range(-15, 15)] + [1e9]
    ax = draw("history", make_sweep(), [make_trial(i, {}, v) for i, v in enumerate(values)], [])
    assert ax.get_ylim()[1] < 10
    assert "1 off the axis" in ax.get_ylabel()


def test_a_loss_over_many_decades_is_drawn_on_a_log_axis() -> None:
    trials = [make_trial(i, {}, 10.0**-i) for i in range(6)]
    assert draw("history", make_sweep(), trials, []).get_yscale() == "log"
    assert draw("history", make_sweep(targets="max loss"), trials, []).get_yscale() == "linear"


def test_curves_hold_each_trials_reports_and_the_best_on_top() -> None:
    sweep = mixed_sweep()
    trials, reports = mixed_trials(sweep, 10)
    ax = draw("curves", sweep, trials, reports)
    (lines,) = [c for c in ax.collections if isinstance(c, LineCollection)]
    assert len(lines.get_segments()) == 10
    best = min((t for t in trials if t.state is TrialState.COMPLETED), key=lambda t: t.metrics["loss"])
    (top,) = ax.lines
    assert np.asarray(top.get_ydata()).tolist() == [best.metrics["loss"] * part for part in STEPS]
    assert f"best: trial {best.number}" in texts(ax)


def test_log_parameters_are_drawn_on_log_axes_over_their_whole_range() -> None:
    ax = drawn("slice", param="lr")
    assert ax.get_xscale() == "log"
    low, high = ax.get_xlim()
    assert low <= 1e-5
    assert high >= 1e-1
    ax = drawn("contour", x="depth", y="lr")
    assert (ax.get_xscale(), ax.get_yscale()) == ("linear", "log")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("depth", "lr")


def test_slice_without_a_parameter_has_a_panel_for_each() -> None:
    ax = drawn("slice")
    titles = [panel.get_title().split(" (")[0] for panel in ax.figure.axes]
    assert titles == ["lr", "depth", "opt", "momentum", "size"]
    assert ax is ax.figure.axes[0]


def test_items_of_a_choice_are_written_at_their_places() -> None:
    ax = drawn("slice", param="size")
    labels = [t.get_text() for t in ax.get_xticklabels()]
    assert list(ax.get_xticks()) == [0, 1]
    assert labels[0].startswith("width=64")


def test_parallel_shows_every_trial_that_ended_and_crosses_inactive_parameters_below() -> None:
    sweep = mixed_sweep()
    trials, _ = mixed_trials(sweep, 20)
    ax = draw("parallel", sweep, trials, [])
    segments = [s for c in ax.collections if isinstance(c, LineCollection) for s in c.get_segments()]
    assert len(segments) == 20
    assert [t.get_text() for t in ax.get_xticklabels()] == ["lr", "depth", "opt", "momentum", "size", "loss"]
    below = [s for s in segments if s[3][1] < 0]
    assert len(below) == sum("momentum" not in t.params for t in trials)
    assert all(0 <= height <= 1 for s in segments for x, height in s if x != 3)


def test_importance_draws_the_shares() -> None:
    ax = drawn("importance", 60)
    assert ax.get_yticklabels()[0].get_text() == "lr"
    assert sum(bar.get_width() for bar in ax.patches) == pytest.approx(1)


def test_pareto_marks_the_trials_no_other_dominates() -> None:
    rows = [(0.9, 9.0), (0.8, 3.0), (0.7, 5.0), (0.5, 1.0)]
    trials = [make_trial(i, {}, {"acc": a, "ms": m}) for i, (a, m) in enumerate(rows)]
    ax = draw("pareto", make_sweep(targets="max acc, min ms"), trials, [])
    assert points(ax, "Pareto set (3)") == [[0.5, 1], [0.8, 3], [0.9, 9]]
    assert points(ax, "dominated (1)") == [[0.7, 5]]


def test_pareto_axes_can_be_chosen_and_only_among_targets() -> None:
    ax = drawn("pareto", targets="max acc, min ms, min mb", x="mb")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("mb (min)", "acc (max)")
    with pytest.raises(SweepError, match="'lr' is none"):
        drawn("pareto", x="lr")


def test_pareto_of_one_target_says_what_is_missing() -> None:
    assert "needs two targets" in texts(drawn("pareto", targets="min loss"))


def test_timeline_has_a_row_a_worker_in_natural_order_and_bars_as_long_as_trials() -> None:
    trials = [
        make_trial(i, {}, 1.0, worker=f"local/{w}", started_at=10.0 * i, finished_at=10.0 * i + 8)
        for i, w in ((0, 10), (1, 9))
    ]
    trials.append(make_trial(2, {}, None, "running", worker="local/9", started_at=20.0))
    ax = draw("timeline", make_sweep(), trials, [], now=25.0)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["local/9", "local/10"]
    spans = sorted((p.get_extents().x0, p.get_extents().x1) for c in ax.collections for p in c.get_paths())
    assert spans == [(0, 8), (10, 18), (20, 25)]


def test_timeline_shows_earlier_attempts_where_and_when_they_ran() -> None:
    trials = [make_trial(0, {}, 1.0, worker="local/1", started_at=10.0, finished_at=18.0, attempt=2)]
    lost = Attempt(0, 1, "lost", "the worker process died", "local/0", 2.0, 9.0)
    never = Attempt(1, 1, "lost", "the worker process died", "", None, 9.0)  # it had not begun
    ax = draw("timeline", make_sweep(), trials, [], attempts=[lost, never])
    assert [t.get_text() for t in ax.get_yticklabels()] == ["local/0", "local/1"]
    spans = sorted((p.get_extents().x0, p.get_extents().x1) for c in ax.collections for p in c.get_paths())
    assert spans == [(0, 7), (8, 16)]
    assert "attempts before (1)" in texts(ax)


# -- scales ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("log", [False, True])
def test_unit_and_at_are_inverse(log: bool) -> None:
    scale = number_scale("x", {}, (1e-3, 10.0), log=log)
    assert [scale.at(scale.unit(v)) for v in (1e-3, 0.5, 10.0)] == pytest.approx([1e-3, 0.5, 10.0])
    assert (scale.unit(1e-3), scale.unit(10.0)) == (0, 1)


@pytest.mark.parametrize("ends", [(0, 0), (5, 5), (-3, -3), (1e-9, 1e9), (0.1, 0.3), (-1e12, 7), (0, 1)])
def test_ticks_are_few_and_between_the_ends(ends: tuple[float, float]) -> None:
    scale = number_scale("x", {}, ends)
    places = [at for at, _ in scale.ticks()]
    assert 2 <= len(places) <= 7
    assert all(-1e-6 <= scale.unit(at) <= 1 + 1e-6 for at in places)


def test_values_of_an_earlier_wider_range_stay_on_the_axis() -> None:
    scale = parameter_scale(make_sweep(lr=Float(0.2, 0.4)), [make_trial(0, {"lr": 0.9})], "lr")
    assert (scale.low, scale.high) == (0.2, 0.9)


def test_items_that_read_alike_are_told_apart() -> None:
    choices = [1, "1", Opaque("f", "aa"), Opaque("f", "bb"), True]
    scale = parameter_scale(make_sweep(x=Choice(*choices)), [], "x")
    assert list(scale.labels) == ["1", "'1'", "f aa", "f bb", "True"]


def test_panels_fill_rows_of_at_most_four() -> None:
    for n in range(1, 13):
        axes = new_axes(panels=n)
        assert len(axes) == n
        assert axes[0].get_subplotspec().get_gridspec().ncols <= 4  # type: ignore[union-attr]
