"""What all pictures share: the only file that imports matplotlib, late and never pyplot.

pyplot keeps figures in global state, which ipykernel's inline hook may show, drop or mix up while a live view runs.
The price is that IPython does not show a figure that pyplot does not know; so new figures get an Axes subclass with
`_repr_png_`: the last expression of a cell shows the picture and still is an ordinary matplotlib Axes.

Colours are Okabe and Ito's, told apart with any colour vision, and each state also has a marker of its own.
"""

from __future__ import annotations

import functools
import io
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..trial import Objective, Trial, TrialState
from .scales import Scale, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

BLUE, ORANGE, RED, SKY = "#0072B2", "#E69F00", "#D55E00", "#56B4E9"
GREY, LIGHT, INK = "#8C8C8C", "#DDDDDD", "#333333"

#: Colour and marker of each state that is drawn.
LOOKS: Mapping[TrialState, tuple[str, str]] = {
    TrialState.COMPLETED: (BLUE, "o"),
    TrialState.PRUNED: (ORANGE, "v"),
    TrialState.FAILED: (RED, "x"),
    TrialState.CANCELLED: (GREY, "s"),
    TrialState.RUNNING: (SKY, ">"),
}
DPI = 100

Line = Sequence[tuple[float, float]]


@functools.cache
def _axes_class() -> type[Axes]:
    from matplotlib.axes import Axes

    class SweepAxes(Axes):
        """Axes that a notebook shows: twice the pixels at the nominal size, so that text is sharp on any screen."""

        def _repr_png_(self) -> tuple[bytes, dict[str, Any]]:
            width, height = figure_of(self).get_size_inches()
            size = {"width": round(width * DPI), "height": round(height * DPI), "alt": self.get_title()}
            return to_png(self, dpi=2 * DPI), size

    return SweepAxes


def new_axes(width: float = 6.4, height: float = 4.0, panels: int = 1) -> list[Axes]:
    """Give the Axes of a new figure of its own; several `panels` stand in rows of up to four, each of this size."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(panels, 4 if panels > 6 or panels == 4 else 3)
    rows = math.ceil(panels / columns)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained", dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    found = [figure.add_subplot(rows, columns, i + 1, axes_class=_axes_class()) for i in range(panels)]
    for ax in found:
        _dark_on_white(ax)
    return found


def _dark_on_white(ax: Axes) -> None:
    """Make Axes readable whatever style the user has set: half a style (white ticks on white) shows nothing."""
    ax.set_facecolor("white")
    ax.grid(False)
    ax.tick_params(which="both", colors=INK)
    ax.spines[:].set_color(INK)
    for text in (ax.title, ax.xaxis.label, ax.yaxis.label):
        text.set_color(INK)


def figure_of(ax: Axes) -> Figure:
    """Give the whole figure that holds the Axes."""
    parent = ax.figure
    assert parent is not None, "these Axes have been removed from their figure"
    return parent.figure  # a subfigure knows the whole one, a figure itself


def to_png(ax: Axes, *, dpi: int = DPI) -> bytes:
    """Give the whole figure of `ax` as a PNG."""
    return _bytes(ax, "png", {"Software": None}, dpi)


def to_svg(ax: Axes) -> bytes:
    """Give the whole figure of `ax` as an SVG; the same picture always gives the same bytes."""
    return _bytes(ax, "svg", {"Date": None, "Creator": None}, DPI)


def _bytes(ax: Axes, kind: str, metadata: dict[str, Any], dpi: int) -> bytes:
    from matplotlib import rc_context

    out = io.BytesIO()
    with warnings.catch_warnings(), rc_context({"svg.hashsalt": "jupyter_sweep"}):
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a name in a script the font lacks
        figure_of(ax).savefig(out, format=kind, metadata=metadata, dpi=dpi)
    return out.getvalue()


def finish(ax: Axes, title: str, x: str, y: str, *, legend: bool = True) -> Axes:
    """Write title and labels, and a legend between title and data, where it covers nothing."""
    handles, labels = ax.get_legend_handles_labels()
    rows = 0
    if legend and handles:
        # An entry takes about 6 pixels a letter and 45 for its mark; the axes take three quarters of the figure.
        fitting = 0.75 * DPI * figure_of(ax).get_size_inches()[0] / (6 * max(map(len, labels)) + 45)
        rows = math.ceil(len(handles) / max(1, int(fitting)))
        place: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "borderaxespad": 0.2}
        columns = math.ceil(len(handles) / rows)
        look: dict[str, Any] = {"frameon": False, "fontsize": 8.5, "labelcolor": ax.title.get_color()}
        _readable(ax.legend(handles, labels, ncols=columns, **look, **place))
    ax.set_title(plain(title), fontsize=11.5, pad=6 + 14 * rows)
    ax.set_xlabel(plain(x, 40))
    ax.set_ylabel(plain(y, 40))
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_axisbelow(True)
    return ax


def _readable(legend: Legend) -> None:
    """Make the legend's points full and large, however small and faint those of the data are."""
    from matplotlib.collections import PathCollection

    for handle in filter(None, legend.legend_handles):
        handle.set_alpha(1)
        if isinstance(handle, PathCollection):
            handle.set_sizes([max(36.0, *handle.get_sizes())])


def head_of_panels(panels: Sequence[Axes], title: str) -> None:
    """Write a title over all panels, and one legend below them with each entry once."""
    figure = figure_of(panels[0])
    figure.suptitle(plain(title), fontsize=12, color=INK)
    found = {text: handle for ax in panels for handle, text in zip(*ax.get_legend_handles_labels(), strict=True)}
    look: dict[str, Any] = {"loc": "outside lower center", "ncols": len(found), "frameon": False, "labelcolor": INK}
    if found:
        _readable(figure.legend(list(found.values()), list(found), fontsize=9, **look))


def sentence(ax: Axes, title: str, text: str) -> Axes:
    """Give Axes without data: a sentence that says why."""
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=GREY, wrap=True)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_color(LIGHT)
    ax.set_title(plain(title), fontsize=11.5)
    return ax


def grid(ax: Axes, axis: str = "both") -> None:
    """Draw light lines behind the data."""
    ax.grid(True, axis=axis, color=LIGHT, linewidth=0.6)  # type: ignore[arg-type]


def whole_numbers(ax: Axes) -> None:
    """Write only whole numbers along x."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def dots(n: int) -> tuple[float, float]:
    """Give marker size and opacity that keep `n` points readable: 44 and 0.9 for few, 7 and 0.35 for thousands."""
    return min(44.0, max(7.0, 4000 / max(n, 1))), min(0.9, max(0.35, 12 / math.sqrt(max(n, 1))))


def marks(ax: Axes, state: TrialState, points: Line, text: str = "", *, among: int, **more: Any) -> None:
    """Draw the points of one state in its colour and marker, sized for `among` points in all; nothing for no points."""
    if not points:
        return
    colour, marker = LOOKS[state]
    size, alpha = dots(among)
    width = 0.0 if marker != "x" else 1.2 if among < 500 else 0.8
    look = {"s": max(size, 12) if marker == "x" else size, "alpha": alpha, "color": colour, "linewidths": width}
    ax.scatter(*unzip(points), marker=marker, label=text or None, **{**look, **more})


def states(
    ax: Axes, trials: Sequence[Trial], xs: Mapping[int, float], ys: Mapping[int, float], *, counted: bool = True
) -> None:
    """Draw each trial at its x and y; a trial without y stands on the bottom edge; the legend may tell how many."""
    edge = ax.get_xaxis_transform()
    for state in LOOKS:
        here = [t.number for t in trials if t.state is state and t.number in xs]
        text = f"{state} ({len(here)})" if counted else str(state)
        inside, below = [(xs[n], ys[n]) for n in here if n in ys], [(xs[n], 0.0) for n in here if n not in ys]
        marks(ax, state, inside, text, among=len(trials), zorder=2.5)
        outside = {"transform": edge, "clip_on": False, "zorder": 2}
        marks(ax, state, below, "" if inside else text, among=len(trials), **outside)


def unzip(points: Line) -> tuple[list[float], list[float]]:
    """Give the x and the y of points."""
    return [x for x, _ in points], [y for _, y in points]


def lines(ax: Axes, paths: Sequence[Line], colours: Any, *, dashed: bool = False, text: str = "") -> None:
    """Draw many lines at once, in order, thinner and fainter the more they are."""
    from matplotlib.collections import LineCollection

    if not paths:
        return
    n = len(paths)
    alpha, width = min(0.9, max(0.12, 9 / math.sqrt(n))), 1.4 if n < 100 else 0.8
    style: dict[str, Any] = {
        "linestyles": "dashed" if dashed else "solid",
        "linewidths": width,
        "alpha": alpha,
        "zorder": 1.5,
    }
    ax.add_collection(LineCollection([list(path) for path in paths], colors=colours, label=text or None, **style))
    ax.autoscale_view()


def is_spread(objective: Objective | None, values: Iterable[float]) -> bool:
    """Tell whether a metric to be made small is better read on a log axis: positive, over three decades."""
    found = list(values)
    return objective is not None and objective.sign == 1 and len(found) > 2 and 1e-100 < min(found) < max(found) / 1000


def colours(objective: Objective | None, values: Iterable[float]) -> ScalarMappable:
    """Give the colours of values, darker is better; the worst tenth shares one, lest outliers hide the rest."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm, Normalize

    sign = objective.sign if objective else 1
    ordered = sorted(values, key=lambda v: sign * v) or [0.0]
    kept = ordered[: max(2, math.ceil(0.9 * len(ordered)))] if len(ordered) >= 10 else ordered
    low, high = min(kept), max(kept)
    norm = LogNorm(low, high) if is_spread(objective, kept) else Normalize(low, high if high > low else low + 1)
    return ScalarMappable(norm, "viridis" if sign == 1 else "viridis_r")


def shades(mappable: ScalarMappable, values: Iterable[float]) -> Any:
    """Give the colour of each value, as rows of red, green, blue and opacity."""
    import numpy as np

    return mappable.to_rgba(np.fromiter(values, dtype=float))


def colourbar(ax: Axes, mappable: ScalarMappable, text: str) -> None:
    """Draw the colour scale to the right of `ax`."""
    bar = figure_of(ax).colorbar(mappable, ax=ax, pad=0.02, aspect=30)
    bar.set_label(plain(text, 40), color=ax.title.get_color())
    bar.ax.tick_params(which="both", colors=ax.title.get_color())
    bar.outline.set_visible(False)


def bounds(values: Sequence[float]) -> tuple[float, float]:
    """Give the ends of the axis for values: all of them, or less than a tenth cut that would flatten all others."""
    ordered = sorted(values)
    if len(ordered) < 10:
        return ordered[0], ordered[-1]
    low, high = ordered[len(ordered) // 20], ordered[-1 - len(ordered) // 20]
    room = 3 * (high - low) or math.inf
    inside = [v for v in ordered if low - room <= v <= high + room]
    return inside[0], inside[-1]


def fit(ax: Axes, objective: Objective | None, values: Sequence[float]) -> str:
    """Choose the y axis, log where values are spread, else without outliers; give its label's tail that tells them."""
    if is_spread(objective, values):
        ax.set_yscale("log")
        return ""
    low, high = bounds(values) if values else (0.0, 1.0)
    cut = sum(not low <= v <= high for v in values)
    if not cut:
        return ""
    margin = 0.05 * (high - low)
    ax.set_ylim(low - margin, high + margin)
    return f", {cut} off the axis"


def along(ax: Axes, axis: str, scale: Scale) -> None:
    """Set up one axis for a parameter: log, items of a choice, or numbers, from end to end with a small margin."""
    room = 0.5 if scale.crowded else 0.0
    ends = (scale.low - room, scale.high + room) if scale.labels or room else (scale.at(-0.03), scale.at(1.03))
    if scale.log:
        (ax.set_xscale if axis == "x" else ax.set_yscale)("log")
    (ax.set_xlim if axis == "x" else ax.set_ylim)(*ends)
    if scale.labels:
        ticks = [(at, plain(text, 18)) for at, text in scale.ticks()]
        spec = ax.get_subplotspec()
        room_for = 10 * figure_of(ax).get_size_inches()[0] / (spec.get_gridspec().ncols if spec else 1)  # characters
        long = axis == "x" and len(ticks) * max(len(text) for _, text in ticks) > room_for
        turned: dict[str, Any] = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if long else {}
        (ax.set_xticks if axis == "x" else ax.set_yticks)(
            [at for at, _ in ticks], [text for _, text in ticks], **turned
        )
    elif scale.whole and axis == "x" and not scale.log:
        whole_numbers(ax)
