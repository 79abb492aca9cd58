"""Plots over the parameters: parallel coordinates, slices, a contour. `plots` gives them to the user."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..definition import Sweep
from ..trial import Report, Trial, TrialState
from . import analysis, canvas
from .canvas import GREY, INK, RED
from .scales import Scale, is_drawable, number_scale, parameter_scale, plain, shorten, target, worded, worst_first

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

MAX_PANELS = 12
MAX_UPRIGHT = 10
#: With fewer trials a surface would be invention.
MIN_FOR_SURFACE = 8
#: Where a parallel coordinate that a trial does not have is crossed; the axis itself reaches from 0 to 1.
_INACTIVE = -0.12


def parallel(
    sweep: Sweep,
    trials: Sequence[Trial],
    reports: Sequence[Report] = (),
    *,
    params: Sequence[str] | None = None,
    metric: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw each trial as a line through its parameters to its value: darker is better, the best on top.

    The line of a trial that did not complete is grey and ends before the last axis. An inactive parameter is crossed
    below its axis. Without `params` the 10 most important ones are shown.
    """
    objective, name = target(sweep, trials, metric), metric or sweep.objective.metric
    title = f"{sweep.name}: parallel coordinates"
    shown = list(params if params is not None else _important(sweep, trials, name, MAX_UPRIGHT))
    ax = ax or canvas.new_axes(max(6.4, 1.1 * len(shown) + 2), 4.2)[0]
    drawn = [t for t in trials if t.is_final and t.params]
    if not drawn or not shown:
        return canvas.sentence(ax, title, "No trial has ended yet.")
    scales = [parameter_scale(sweep, trials, p) for p in shown]
    values = {t.number: v for t, v in analysis.completed(drawn, name) if is_drawable(v)}
    log = canvas.is_spread(objective, list(values.values()))
    ends = canvas.bounds(list(values.values())) if values and not log else ()
    last = number_scale(name, {} if ends else values, ends, log=log)
    paths = {t.number: [(float(i), _height(s, t.number)) for i, s in enumerate(scales)] for t in drawn}
    inactive = any(height == _INACTIVE for path in paths.values() for _, height in path)
    rest = [path for number, path in paths.items() if number not in values]
    canvas.lines(ax, rest, [GREY] * len(rest), dashed=True, text=f"not completed ({len(rest)})")
    if values:
        mappable = canvas.colours(objective, values.values())
        order = worst_first(objective, values)
        full = [[*paths[n], (float(len(scales)), min(1.0, max(0.0, last.unit(values[n]))))] for n in order]
        canvas.lines(ax, full, canvas.shades(mappable, (values[n] for n in order)))
        if objective is not None:
            best = f"best: trial {order[-1]}"
            ax.plot(*canvas.unzip(full[-1]), color=INK, linewidth=2.2, zorder=4, label=best)
        canvas.colourbar(ax, mappable, worded(name, objective))
    _upright(ax, [*scales, last] if values else scales, inactive)
    return canvas.finish(ax, title, "parameters", "")


def slice(
    sweep: Sweep,
    trials: Sequence[Trial],
    reports: Sequence[Report] = (),
    *,
    param: str | None = None,
    metric: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the value by one parameter; trials without a value stand on the bottom edge.

    Without `param` there is a panel for each of the 12 most important parameters (the first one's Axes is given, the
    others are in its `figure.axes`), or the most important one alone when `ax` is given.
    """
    name = metric or sweep.objective.metric
    target(sweep, trials, metric)
    ranked = _important(sweep, trials, name, 1 if ax is not None else MAX_PANELS)
    shown = [param] if param is not None else ranked
    if not shown or not any(t.is_final for t in trials):
        return canvas.sentence(ax or canvas.new_axes()[0], f"{sweep.name}: slice", "No trial has ended yet.")
    scales = [parameter_scale(sweep, trials, p) for p in shown]
    if len(scales) == 1:
        ax = ax or canvas.new_axes()[0]
        up = _panel(ax, sweep, trials, scales[0], metric, counted=True)
        title = f"{sweep.name}: {name} by {shorten(scales[0].name, 24)}"
        return canvas.finish(ax, title, scales[0].name, up)
    return _panels(sweep, trials, scales, metric)


def _panels(sweep: Sweep, trials: Sequence[Trial], scales: Sequence[Scale], metric: str | None) -> Axes:
    """Draw one panel a parameter on one common y axis, each with the parameter's share of the effect as its title."""
    name = metric or sweep.objective.metric
    shares = analysis.importance(sweep, trials, name)
    told = any(analysis.effect_sizes(sweep, trials, name).values())
    panels = canvas.new_axes(3.1, 2.8, len(scales))
    for panel, scale in zip(panels, scales, strict=True):
        if panel is not panels[0]:
            panel.sharey(panels[0])
        up = _panel(panel, sweep, trials, scale, metric, counted=False)
        title = shorten(scale.name, 22) + (f" ({100 * shares[scale.name]:.0f} %)" if told else "")
        inner = panel.get_subplotspec()
        left = inner is None or inner.is_first_col()
        panel.tick_params(labelleft=left)
        canvas.finish(panel, title, "", up if left else "", legend=False)
    told_text = " (share of the effect)" if told else ""
    canvas.head_of_panels(panels, f"{sweep.name}: {name} by parameter{told_text}")
    return panels[0]


def _panel(ax: Axes, sweep: Sweep, trials: Sequence[Trial], scale: Scale, metric: str | None, *, counted: bool) -> str:
    """Draw one panel and give the label of its y axis."""
    objective, name = target(sweep, trials, metric), metric or sweep.objective.metric
    drawn = [t for t in trials if t.is_final and t.state is not TrialState.CANCELLED]
    values = {t.number: t.metrics[name] for t in drawn if is_drawable(t.metrics.get(name, math.nan))}
    canvas.states(ax, drawn, {n: _spot(scale, n) for n in scale.positions}, values, counted=counted)
    tail = canvas.fit(ax, objective, list(values.values()))
    canvas.grid(ax)
    canvas.along(ax, "x", scale)
    return worded(name, objective) + tail


def contour(
    sweep: Sweep,
    trials: Sequence[Trial],
    reports: Sequence[Report] = (),
    *,
    x: str | None = None,
    y: str | None = None,
    metric: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the value over two parameters: trials as points, between them a smoothed surface, nothing far from any."""
    objective, name = target(sweep, trials, metric), metric or sweep.objective.metric
    ax = ax or canvas.new_axes(6.4, 4.8)[0]
    free = [p for p in _by_importance(sweep, trials, name) if p not in (x, y)]
    chosen = [p for p in (x or (free.pop(0) if free else None), y or (free.pop(0) if free else None)) if p]
    if len(chosen) < 2:
        return canvas.sentence(ax, f"{sweep.name}: contour", "A contour needs two parameters that vary.")
    across, up = (parameter_scale(sweep, trials, p) for p in chosen)
    title = f"{sweep.name}: {name} over {shorten(across.name, 16)} and {shorten(up.name, 16)}"
    spots = {n: (_spot(across, n), _spot(up, n)) for n in across.positions if n in up.positions}
    values = {t.number: v for t, v in analysis.completed(trials, name) if is_drawable(v) and t.number in spots}
    if not values:
        return canvas.sentence(ax, title, "No completed trial has both parameters yet.")
    mappable = canvas.colours(objective, values.values())
    if len(values) >= MIN_FOR_SURFACE:
        _surface(ax, across, up, values, mappable)
    for state in (TrialState.PRUNED, TrialState.FAILED):
        lost = [spots[t.number] for t in trials if t.state is state and t.number in spots]
        canvas.marks(ax, state, lost, f"{state} ({len(lost)})", among=len(spots), alpha=0.9, zorder=3.5)
    few = len(values) < 500
    edge: dict[str, Any] = {"edgecolors": "white" if few else "none", "linewidths": 0.6 if few else 0}
    shades = canvas.shades(mappable, values.values())
    ax.scatter(*canvas.unzip([spots[n] for n in values]), s=canvas.dots(len(values))[0], c=shades, zorder=3, **edge)
    if objective is not None:
        best = worst_first(objective, values)[-1]
        star: dict[str, Any] = {"marker": "*", "c": RED, "edgecolors": "white", "label": f"best: trial {best}"}
        ax.scatter(*canvas.unzip([spots[best]]), s=190, zorder=5, **star)
    canvas.along(ax, "x", across)
    canvas.along(ax, "y", up)
    canvas.colourbar(ax, mappable, worded(name, objective))
    return canvas.finish(ax, title, across.name, up.name)


def _surface(ax: Axes, across: Scale, up: Scale, values: Mapping[int, float], mappable: ScalarMappable) -> None:
    """Fill the plane with means of the trials around (a Gaussian in the unit square), blank where none is near.

    Items of a choice have no neighbours: each is a band of its own.
    """
    import numpy as np

    width = min(0.12, max(0.035, 0.3 * len(values) ** (-1 / 3)))

    def weights(scale: Scale) -> tuple[Any, Any]:
        cells = len(scale.labels) or 120
        points = np.array([scale.unit(scale.positions[n]) for n in values])
        gap = np.abs((np.arange(cells)[:, None] + 0.5) / cells - points[None, :])
        near = (gap < 0.5 / cells).astype(float) if scale.labels else np.exp(-0.5 * (gap / width) ** 2)
        return near, np.array([scale.at(u) for u in np.arange(cells + 1) / cells])

    (over_x, edges_x), (over_y, edges_y) = weights(across), weights(up)
    total = over_y @ over_x.T
    mean = (over_y * np.array(list(values.values()))) @ over_x.T / np.maximum(total, 1e-300)
    surface = np.ma.masked_where(total < 0.25, mean)
    norm: Any = mappable.norm
    ax.pcolormesh(edges_x, edges_y, surface, cmap=mappable.cmap, norm=norm, alpha=0.55, linewidth=0, zorder=0)


def _by_importance(sweep: Sweep, trials: Sequence[Trial], metric: str) -> list[str]:
    return list(analysis.importance(sweep, trials, metric))


def _important(sweep: Sweep, trials: Sequence[Trial], metric: str, n: int) -> list[str]:
    """Give the `n` most important of the varying parameters, in the order of their declaration."""
    kept = _by_importance(sweep, trials, metric)[:n]
    return [name for name in analysis.declared(sweep) if name in kept]


def _aside(scale: Scale, number: int) -> float:
    """Give the part (-0.2..0.2) of the distance of two items by which a point is moved so that all are seen.

    The golden ratio spreads trials evenly, and the same way in every drawing.
    """
    return 0.4 * ((number * 0.6180339887498949) % 1 - 0.5) if scale.labels or scale.crowded else 0.0


def _spot(scale: Scale, number: int) -> float:
    """Give the trial's position on an axis."""
    return scale.positions[number] + _aside(scale, number)


def _height(scale: Scale, number: int) -> float:
    """Give the trial's height on one axis of the parallel coordinates; below it where the parameter is inactive."""
    if number not in scale.positions:
        return _INACTIVE
    return min(1.0, max(0.0, scale.unit(scale.positions[number]) + _aside(scale, number) / (scale.high - scale.low)))


def _upright(ax: Axes, scales: Sequence[Scale], inactive: bool) -> None:
    """Draw the axes of the parallel coordinates, each with its own ticks written beside it."""
    box = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.8}
    beside: dict[str, Any] = {"xytext": (3, 0), "textcoords": "offset points", "va": "center", "fontsize": 8}
    for i, scale in enumerate(scales):
        ax.plot([i, i], [0, 1], color=INK, linewidth=0.9, zorder=5)
        for at, text in scale.ticks():
            height = scale.unit(at)
            ax.plot([i - 0.05, i], [height, height], color=INK, linewidth=0.9, zorder=5)
            ax.annotate(plain(text, 11), (i, height), bbox=box, color=INK, zorder=6, **beside)
    ax.set_xticks(range(len(scales)), [plain(s.name, 16) for s in scales])
    ax.set_yticks([_INACTIVE] if inactive else [], ["inactive"] if inactive else [])
    ax.tick_params(length=0)
    ax.set_xlim(-0.15, len(scales) - 0.55)
    ax.set_ylim(_INACTIVE - 0.05 if inactive else -0.04, 1.04)
    ax.spines[:].set_visible(False)
