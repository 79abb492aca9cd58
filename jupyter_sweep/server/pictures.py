"""The data of plots, and several sweeps side by side. What rows alone can give, the page makes itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..errors import SweepError
from ..results import comparing, plotdata
from ..space.codec import encode
from .desk import Desk, Reader, Views
from .refused import Refused

MOST_COMPARED = 8


def plots(desk: Desk, *, store: str, name: str, version: int | None = None, metric: str = "") -> dict[str, Any]:
    """Answer `wire.Plots`, of a metric or of the first target."""
    reader = desk.reader(store, name, version)
    with reader.reading():
        sweep, trials, reports = reader.handle.definition, reader.handle.trials(), reader.handle.reports()
    try:
        return plotdata.plots(sweep, trials, reports, metric)
    except SweepError as error:
        raise Refused(404, str(error)) from None


# -- side by side -----------------------------------------------------------------------------------------------------


def compare(desk: Desk, *, sweep: Sequence[str]) -> dict[str, Any]:
    """Answer `wire.Comparison` for sweeps named as ``STORE/NAME`` or ``STORE/NAME@VERSION``."""
    if not 1 <= len(sweep) <= MOST_COMPARED:
        raise Refused(400, f"compare takes 1 to {MOST_COMPARED} sweeps, got {len(sweep)}.")
    readers = [desk.reader(*_named(one)) for one in sweep]
    definitions = [reader.handle.definition for reader in readers]
    best = []
    for reader in readers:
        with reader.reading() as mirror:
            best.append({} if mirror.state["best"] is None else mirror.state["best"]["params"])
    return {
        "sweeps": [_compared(desk.views, reader) for reader in readers],
        "best": _differing(best, lambda value: _text(desk.views, value)),
        "space": _differing([dict(d.space.describe()) for d in definitions], str),
        "settings": _differing([comparing.settings(d) for d in definitions], str),
    }


def _named(given: str) -> tuple[str, str, int | None]:
    path, _, version = given.partition("@")
    store, _, name = path.rpartition("/")
    if not name or (version and not version.isdecimal()) or len(version) > 9:
        raise Refused(400, f"A sweep is named STORE/NAME or STORE/NAME@VERSION, got {given!r}.")
    return store, name, int(version) if version else None


def _compared(views: Views, reader: Reader) -> dict[str, Any]:
    with reader.reading() as mirror:
        head, state = views.wire_head(mirror), mirror.state
        sweep, trials = reader.handle.definition, reader.handle.trials()
    found = comparing.final_values(sweep, trials, state["best"] and state["best"]["number"])
    low, high = (None, None) if found is None or found.n < 2 else map(views.wire_metric, found.interval)
    return {
        "store": reader.store_path,
        **{key: head["sweep"][key] for key in ("name", "version", "state", "objectives")},
        "counts": head["counts"],
        "best": None if head["best"] is None else {key: head["best"][key] for key in ("number", "value")},
        "baseline": head["baseline"],
        "mean": None if found is None else views.wire_metric(found.mean),
        "ci_low": low,
        "ci_high": high,
        "n": 0 if found is None else found.n,
        "elapsed_s": state["progress"]["elapsed_s"],
        "history": plotdata.history(trials, sweep.objective)[: plotdata.POINTS],
    }


def _differing(found: Sequence[dict[str, Any]], text: Callable[[Any], str]) -> list[dict[str, Any]]:
    return [{"name": name, "values": values} for name, values in comparing.differences(found, text)]


def _text(views: Views, value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    shown = views.wire_value(encode(value))
    return str(shown["t"] if isinstance(shown, dict) else shown)
