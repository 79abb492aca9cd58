"""A sweep as the views know it: what was read of the handle, and how a row is written for the page.

Reading and showing are apart, so that one reading serves a widget, a file and a terminal, and a page that is opened
later gets every row without another question to the store. Rows go out as lists, with values cut to what a cell can
show: about 110 bytes a row instead of 400, and a value of 10 kB costs 10 kB once, when somebody opens its row.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from ..live import from_notebook
from . import text
from .static import failures_to_show, static_html

#: Characters of a value in a row.
ROW_TEXT = 120
#: Names a sweep, for pages whose server can read its store: JupyterLab with our extension draws it from there.
RUN = "application/vnd.jupyter-sweep.run+json"


class Handle(Protocol):
    """What the view needs of a sweep's handle."""

    @property
    def ended(self) -> bool: ...

    def snapshot(self, since: int = 0) -> dict[str, Any]: ...

    def failure(self, number: int) -> dict[str, str]: ...

    def about(self, number: int) -> dict[str, Any]: ...

    def pictures(self, metric: str = "") -> dict[str, Any]: ...

    def retry(self, number: int) -> bool: ...

    def enter(self, number: int, /, *, failed: str = "", **metrics: Any) -> Any: ...

    def stop(self) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def scale(self, n: int) -> None: ...

    def cluster(self) -> dict[str, Any]: ...


class Mirror:
    """The sweep as it was last read: every row by number, and the state. One reader, any number of faces.

    `columns` only grows, so that a row that was sent once stays right.
    """

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self.rows: dict[int, dict[str, Any]] = {}
        self.columns: dict[str, list[str]] = {"params": [], "metrics": [], "log": []}
        self.state: dict[str, Any] = {}
        self.change = 0
        self.poll()

    def poll(self) -> list[int]:
        """Read what changed; give the numbers of the rows that did."""
        state = self.handle.snapshot(self.change)
        changed = state.pop("rows")
        self.change, self.state = state["change"], state
        self._widen("params", state["columns"]["params"])
        self._widen("metrics", state["columns"]["metrics"])
        self._widen("log", state["columns"]["log"])
        for row in changed:
            self.rows[row["number"]] = row
            self._widen("metrics", row["metrics"])
        return [row["number"] for row in changed]

    def _widen(self, kind: str, names: Any) -> None:
        known = self.columns[kind]
        known.extend(name for name in names if name not in known)

    @property
    def ended(self) -> bool:
        """True when there is nothing to wait for; a paused sweep still waits for its Resume."""
        return self.state["sweep"]["state"] != "paused" and self.handle.ended

    def snapshot(self) -> dict[str, Any]:
        """Give the whole, as `Handle.snapshot(0)` does, without reading again."""
        return {**self.state, "columns": self.columns, "rows": [self.rows[n] for n in sorted(self.rows)]}

    def static(self, view: str = "") -> dict[str, Any]:
        """Give the bundle that needs no kernel: where the sweep is, HTML and plain text.

        `view` is the id of the widget that shows it too, for a page that draws it from the server in its place.
        """
        whole = self.snapshot()
        failures = {number: self.handle.failure(number) for number in failures_to_show(whole)}
        sweep = whole["sweep"]
        store = from_notebook(Path(sweep["folder"]).parent)
        return {
            RUN: {"store": store, "name": sweep["name"], "version": sweep["version"], "view": view},
            "text/html": static_html(whole, failures),
            "text/plain": text.static_text(whole),
        }


def wire_value(encoded: Any, limit: int = ROW_TEXT) -> Any:
    """Give a parameter's value as JSON for the page; {"t": text} where JSON has no word for it, None never."""
    if isinstance(encoded, bool) or (isinstance(encoded, (int, float)) and math.isfinite(encoded)):
        return encoded if abs(encoded) < 2**53 else {"t": text.value(encoded)}
    if isinstance(encoded, str):
        return text.shorten(encoded, limit)
    return {"t": text.shorten(text.value(encoded), limit)}


def wire_metric(value: float | None) -> float | str | None:
    """Give a metric as JSON, which knows no NaN."""
    return value if value is None or math.isfinite(value) else text.number(value)


def wire_row(row: Mapping[str, Any], columns: Mapping[str, list[str]]) -> list[Any]:
    """Give a row as a list, in the order in which view_store.js takes it apart; a missing parameter is None."""
    params, metrics = row["params"], row["metrics"]
    return [
        row["number"],
        row["state"],
        row["reason"],
        [wire_value(params[p]) if p in params else None for p in columns["params"]],
        [wire_metric(metrics.get(m)) for m in columns["metrics"]],
        row["duration_s"],
        row["attempt"],
        row["repetition"],
        row["worker"],
        text.shorten(row["error"] or "", 300),
        row["started_at"],
        *([row["device"], row["peak_gpu_memory_gb"]] if row.get("device") else []),
    ]


def wire_head(mirror: Mirror) -> dict[str, Any]:
    """Give all that is not a row."""
    state, best = mirror.state, mirror.state["best"]
    if best is not None:
        params = [[name, wire_value(v)] for name, v in best["params"].items()]
        best = {**{k: best[k] for k in ("number", "cell")}, "value": wire_metric(best["value"]), "params": params}
    keys = ("sweep", "counts", "progress", "baseline")
    columns = {kind: list(names) for kind, names in mirror.columns.items()}
    return {**{k: state[k] for k in keys}, "columns": columns, "best": best, "now": time.time()}
