"""Pictures of a sweep: eight plots of one language, each a function that gives matplotlib Axes.

Every function takes the sweep, its trials and their reports, and draws into `ax=` or into a figure of its own, which a
notebook shows (see `canvas`). Where colour is a metric, darker is better, whatever the direction. A legend stands
above the axes, where no data are. Without data the axes hold a sentence instead of raising, for a live view draws from
the first second on. All are made to be read at 3 trials and at 3,000, and take about 0.5 s with 3,000.
"""

from __future__ import annotations

import math
import re
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..definition import Sweep
from ..errors import SweepError, count, suggest
from ..trial import Attempt, Objective, Report, Trial, TrialState
from . import analysis, canvas
from .canvas import BLUE, INK, LOOKS, RED
from .over_params import contour, parallel, slice
from .scales import is_drawable, plain, target, worded, worst_first

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Plots", "contour", "curves", "history", "importance", "parallel", "pareto", "slice", "timeline"]


class Plots:
    """The plots of one sweep: ``sweep("digits").plot.history()``. Each call reads the store anew.

    Every plot draws into `ax`, or into a figure of its own, which is shown when the call is a cell's last expression.

    Parameters
    ----------
    trials
        Gives the sweep and its trials.
    reports
        Gives the reports of those trials; asked only by `curves`, for there may be very many.
    attempts
        Gives the attempts that were followed by another, for `timeline`.
    """

    def __init__(
        self,
        trials: Callable[[], tuple[Sweep, Sequence[Trial]]],
        reports: Callable[[], Sequence[Report]],
        attempts: Callable[[], Sequence[Attempt]] = list,
    ) -> None:
        self._trials = trials
        self._reports = reports
        self._attempts = attempts

    def history(self, *, metric: str | None = None, ax: Axes | None = None) -> Axes:
        """Draw each trial's value by number, and the best so far."""
        return history(*self._trials(), metric=metric, ax=ax)

    def curves(self, *, metric: str | None = None, ax: Axes | None = None) -> Axes:
        """Draw what each trial reported by step; the darker the better, the best on top."""
        return curves(*self._trials(), self._reports(), metric=metric, ax=ax)

    def parallel(
        self, *, params: Sequence[str] | None = None, metric: str | None = None, ax: Axes | None = None
    ) -> Axes:
        """Draw each trial as a line through its parameters to its value (default: the 10 most important ones)."""
        return parallel(*self._trials(), params=params, metric=metric, ax=ax)

    def importance(self, *, metric: str | None = None, ax: Axes | None = None) -> Axes:
        """Draw each parameter's share of the effect on the metric."""
        return importance(*self._trials(), metric=metric, ax=ax)

    def slice(self, param: str | None = None, *, metric: str | None = None, ax: Axes | None = None) -> Axes:
        """Draw the value by one parameter; without `param` a panel for each, and the first panel's Axes is given."""
        return slice(*self._trials(), param=param, metric=metric, ax=ax)

    def contour(
        self, x: str | None = None, y: str | None = None, *, metric: str | None = None, ax: Axes | None = None
    ) -> Axes:
        """Draw the value over two parameters (default: the two most important ones)."""
        return contour(*self._trials(), x=x, y=y, metric=metric, ax=ax)

    def pareto(self, *, x: str | None = None, y: str | None = None, ax: Axes | None = None) -> Axes:
        """Draw two targets against each other, with the trials that no other one dominates."""
        return pareto(*self._trials(), x=x, y=y, ax=ax)

    def timeline(self, *, ax: Axes | None = None) -> Axes:
        """Draw when each trial ran on which worker, its earlier attempts too."""
        return timeline(*self._trials(), attempts=self._attempts(), ax=ax)

    def __repr__(self) -> str:
        names = (name for name in vars(type(self)) if not name.startswith("_"))
        return "plots: " + " ".join(f".{name}()" for name in names)


def history(
    sweep: Sweep,
    trials: Sequence[Trial],
    reports: Sequence[Report] = (),
    *,
    metric: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw each trial's value by number, the best so far as a line, trials without a value on the bottom edge."""
    objective, name = target(sweep, trials, metric), metric or sweep.objective.metric
    title = f"{sweep.name}: history of {name}"
    ax = ax or canvas.new_axes()[0]
    drawn = [t for t in trials if t.state in LOOKS]
    if not drawn:
        return canvas.sentence(ax, title, "No trial has started yet.")
    values = {t.number: t.metrics[name] for t in drawn if is_drawable(t.metrics.get(name, math.nan))}
    steps = [] if objective is None else analysis.best_so_far(trials, objective)
    steps = [(number, value) for number, value in steps if is_drawable(value)]
    if steps:
        steps.append((max(t.number for t in drawn), steps[-1][1]))
        ax.step(*canvas.unzip(steps), where="post", color=INK, linewidth=1.5, label="best so far", zorder=3)
    canvas.states(ax, drawn, {t.number: float(t.number) for t in drawn}, values)
    tail = canvas.fit(ax, objective, list(values.values()))
    canvas.whole_numbers(ax)
    canvas.grid(ax)
    return canvas.finish(ax, title, "trial", worded(name, objective) + tail)


def curves(
    sweep: Sweep,
    trials: Sequence[Trial],
    reports: Sequence[Report],
    *,
    metric: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw what each trial reported by step: darker is better, the best on top, where each unfinished one ended."""
    objective = target(sweep, trials, metric, [name for r in reports for name in r.metrics])
    name = metric or sweep.objective.metric
    ax = ax or canvas.new_axes()[0]
    points: defaultdict[int, list[tuple[float, float]]] = defaultdict(list)
    for trial, report in analysis.current_reports(trials, reports):
        if is_drawable(report.metrics.get(name, math.nan)):
            points[trial.number].append((report.step, report.metrics[name]))
    title = f"{sweep.name}: curves of {count(len(points), 'trial')}"
    if not points:
        return canvas.sentence(ax, title, f"No trial has reported {plain(name)} yet.")
    ends = {number: line[-1][1] for number, line in points.items()}
    mappable = canvas.colours(objective, ends.values())
    order = worst_first(objective, ends)
    canvas.lines(ax, [points[n] for n in order], canvas.shades(mappable, (ends[n] for n in order)))
    single = [n for n in order if len(points[n]) == 1]
    dots = canvas.unzip([points[n][0] for n in single])
    ax.scatter(*dots, s=14, c=canvas.shades(mappable, (ends[n] for n in single)), linewidths=0)
    for state in (TrialState.PRUNED, TrialState.FAILED, TrialState.CANCELLED, TrialState.RUNNING):
        stopped = [points[t.number][-1] for t in trials if t.state is state and t.number in points]
        canvas.marks(ax, state, stopped, f"{state} ({len(stopped)})", among=len(points), zorder=3.5)
    done = {t.number: v for t, v in analysis.completed(trials, name) if t.number in points}
    if objective is not None and done:
        best = worst_first(objective, done)[-1]
        ax.plot(*canvas.unzip(points[best]), color=INK, linewidth=2.2, zorder=4, label=f"best: trial {best}")
    tail = canvas.fit(ax, objective, [y for line in points.values() for _, y in line])
    canvas.whole_numbers(ax)
    canvas.grid(ax)
    canvas.colourbar(ax, mappable, worded(name, objective))
    return canvas.finish(ax, title, "step", worded(name, objective) + tail)


def importance(
    sweep: Sweep,
    trials: Sequence[Trial],
    reports: Sequence[Report] = (),
    *,
    metric: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw each parameter's share of the effect on the metric (see `analysis.importance`), the 20 largest."""
    target(sweep, trials, metric)
    name = metric or sweep.objective.metric
    title = f"{sweep.name}: importance for {name}"
    shares = list(analysis.importance(sweep, trials, name).items())[:20]
    ax = ax or canvas.new_axes(6.4, max(2.4, 0.34 * len(shares) + 1.3))[0]
    n = len(analysis.completed(trials, name))
    if not any(analysis.effect_sizes(sweep, trials, name).values()):
        return canvas.sentence(ax, title, f"Nothing can be told from {count(n, 'completed trial')} yet.")
    names, widths = [plain(p, 24) for p, _ in shares], [share for _, share in shares]
    bars = ax.barh(range(len(shares)), widths, color=BLUE, height=0.62)
    ax.bar_label(bars, [f"{100 * share:.0f} %" for share in widths], padding=4, fontsize=9, color=ax.title.get_color())
    ax.set_yticks(range(len(shares)), names)
    ax.set_ylim(len(shares) - 0.4, -0.6)
    ax.set_xlim(0, 1.15 * max(widths))
    ax.xaxis.set_major_formatter(lambda x, _: f"{100 * x:.0f} %" if x <= 1 else "")
    return canvas.finish(ax, title, f"share of the effect ({count(n, 'trial')})", "parameter")


def pareto(
    sweep: Sweep,
    trials: Sequence[Trial],
    reports: Sequence[Report] = (),
    *,
    x: str | None = None,
    y: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw two targets against each other; the trials that no other one dominates (in these two) are joined."""
    ax = ax or canvas.new_axes(6.4, 4.4)[0]
    chosen = _two_targets(sweep, x, y)
    if chosen is None:
        return canvas.sentence(
            ax, f"{sweep.name}: Pareto set", "A Pareto set needs two targets, as in --max acc --min ms."
        )
    across, up = chosen
    title = f"{sweep.name}: {up.metric} against {across.metric}"
    known = [{t.number for t, v in analysis.completed(trials, o.metric) if is_drawable(v)} for o in chosen]
    done = [t for t in trials if t.number in known[0] & known[1]]
    if not done:
        return canvas.sentence(ax, title, "No completed trial has both targets yet.")
    front = {t.number for t in analysis.pareto(done, chosen)}
    points = {t.number: (t.metrics[across.metric], t.metrics[up.metric]) for t in done}
    rest = [point for number, point in points.items() if number not in front]
    canvas.marks(ax, TrialState.COMPLETED, rest, f"dominated ({len(rest)})", among=len(done))
    edge = canvas.unzip(sorted(points[number] for number in front))
    ax.step(*edge, where="post" if across.sign == 1 else "pre", color=RED, linewidth=1.4, zorder=3)
    diamond: dict[str, Any] = {"marker": "D", "color": RED, "edgecolors": "white", "zorder": 4}
    ax.scatter(*edge, s=46, label=f"Pareto set ({len(front)})", **diamond)
    canvas.grid(ax)
    return canvas.finish(ax, title, worded(across.metric, across), worded(up.metric, up))


def _two_targets(sweep: Sweep, x: str | None, y: str | None) -> tuple[Objective, Objective] | None:
    """Give the objectives named, else the first ones not named; None where the sweep has one alone."""
    known = {o.metric: o for o in sweep.objectives}
    for name in (x, y):
        if name is not None and name not in known:
            raise SweepError(f"{sweep.name}: a Pareto set is drawn of targets; {name!r} is none.{suggest(name, known)}")
    free = [name for name in known if name not in (x, y)]
    across = x if x is not None else free.pop(0) if free else None
    up = y if y is not None else free.pop(0) if free else None
    return None if across is None or up is None else (known[across], known[up])


def timeline(
    sweep: Sweep,
    trials: Sequence[Trial],
    reports: Sequence[Report] = (),
    *,
    attempts: Sequence[Attempt] = (),
    now: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw when each trial ran on which worker; running ones reach to `now` (UTC s), earlier attempts are hatched."""
    started = [t for t in trials if t.started_at is not None and t.state in LOOKS]
    earlier = [(a.worker, a.started_at, max(a.started_at, a.ended_at)) for a in attempts if a.started_at is not None]
    workers = sorted({*(t.worker for t in started), *(worker for worker, _, _ in earlier)}, key=_natural)
    title = f"{sweep.name}: timeline"
    ax = ax or canvas.new_axes(7.2, min(7.0, max(2.4, 0.3 * len(workers) + 1.5)))[0]
    if not started and not earlier:
        return canvas.sentence(ax, title, "No trial has started yet.")
    spans = {t.number: _span(t, time.time() if now is None else now) for t in started}
    times = [*spans.values(), *((begin, end) for _, begin, end in earlier)]
    origin, end = min(a for a, _ in times), max(b for _, b in times)
    units = (("d", 86400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0))
    unit, seconds = next((u for u in units if end - origin >= 3 * u[1]), units[-1])
    for state, (colour, _) in LOOKS.items():
        bars: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        for trial in (t for t in started if t.state is state):
            start, stop = spans[trial.number]
            bars[trial.worker].append(((start - origin) / seconds, max(stop - start, 1e-6) / seconds))
        for worker, boxes in bars.items():
            height = (workers.index(worker) - 0.38, 0.76)
            ax.broken_barh(boxes, height, facecolor=colour, edgecolor="white", linewidth=0.3)
        if bars:
            ax.bar([0], [0], color=colour, label=f"{state} ({sum(map(len, bars.values()))})")
    for worker in {worker for worker, _, _ in earlier}:
        height = (workers.index(worker) - 0.38, 0.76)
        mine = [(begin, stop) for who, begin, stop in earlier if who == worker]
        boxes = [((begin - origin) / seconds, max(stop - begin, 1e-6) / seconds) for begin, stop in mine]
        ax.broken_barh(boxes, height, **_RETRIED)
    if earlier:
        ax.bar([0], [0], label=f"attempts before ({len(earlier)})", **_RETRIED)
    few = len(workers) <= 30
    ax.set_yticks(range(len(workers)) if few else [], [plain(w, 24) or "?" for w in workers] if few else [])
    ax.set_ylim(len(workers) - 0.4, -0.6)
    ax.set_xlim(0, max(end - origin, 1e-6) / seconds * 1.01)
    label = "worker" if few else f"{len(workers)} workers"
    return canvas.finish(ax, title, f"time since the first start [{unit}]", label)


#: The looks of an attempt that was followed by another.
_RETRIED: dict[str, Any] = {"facecolor": "none", "edgecolor": RED, "hatch": "////", "linewidth": 0.8}


def _span(trial: Trial, now: float) -> tuple[float, float]:
    """Give start and end of a trial that has started; a clock that was set back makes no negative time."""
    start = trial.started_at or 0.0
    end = trial.finished_at if trial.is_final else now
    return start, max(start, start + (trial.duration_s or 0.0) if end is None else end)


def _natural(text: str) -> list[tuple[int, str]]:
    """Sort ``local/10`` after ``local/9``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text)]
