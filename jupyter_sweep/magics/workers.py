"""`%sweep workers` and `%sweep scale`: what the slots of a cluster do, and how many of them a sweep may use."""

from __future__ import annotations

import html
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import SweepError, count
from ..runner import elastic
from ..runner.elastic import Cluster
from . import frontend

if TYPE_CHECKING:
    from .line import Tools

_COLUMNS = (
    "worker",
    "state",
    "trial",
    "for",
    "memory",
    "peak",
    "device",
    "host",
    "pid",
    "job",
    "job_state",
    "reason",
)
_RIGHT = {"for", "memory", "peak", "pid"}
#: Middle tones, which read on white and on black; a notebook that nobody trusts keeps inline styles alone.
_COLOURS = {"busy": "#2f7fd1", "draining": "#c98a1b", "lost": "#d9534f"}
_CELL = "padding:1px 14px 1px 0;white-space:nowrap;text-align:{};"


def show(tools: Tools, given: list[str], flags: set[str]) -> None:
    """Show a block for each cluster of the folder, or for the one of the sweep that is named."""
    found = clusters(tools, given)
    frontend.put(page(found), listing(found))


def clusters(tools: Tools, given: list[str]) -> list[Cluster]:
    """Give the clusters of the folder, or the one that runs the named sweep or waits to.

    Raises
    ------
    SweepError
        Where there is none.
    """
    if not given:
        found = elastic.clusters(tools.store())
        if not found:
            raise SweepError("No cluster runs for the sweeps of this folder. A %%sweep cell starts one.")
        return found
    handle, store = tools.handle(given[0]), tools.store()
    if handle.definition.is_passive:
        raise SweepError(f"{handle.name} is passive: no cluster runs its trials, their results are entered.")
    driver = elastic.driver_of(store, handle.definition)
    found = [c for c in elastic.clusters(store) if driver is not None and c.driver.driver_id == driver.driver_id]
    if not found:
        raise SweepError(f"No cluster runs for {handle.name}, which is {handle.state}. %sweep resume {handle.name}")
    return found


def listing(found: Sequence[Cluster]) -> str:
    """Give the text: a line about each cluster, then a row a slot."""
    return "\n\n".join("\n".join([_head(cluster), *_table(cluster.shown.workers)]) for cluster in found)


def page(found: Sequence[Cluster]) -> str:
    """Give the same as HTML that needs no style sheet and no script; what comes from outside is escaped."""
    return "".join(
        f'<div style="margin:0 0 10px"><div>{_link(cluster)}</div>{_html_table(cluster.shown.workers)}</div>'
        for cluster in found
    )


def _link(cluster: Cluster) -> str:
    address, text = cluster.driver.dashboard, html.escape(_head(cluster))
    if not address.startswith(("http://", "https://")):
        return text
    return f'{text} · <a href="{html.escape(address)}" target="_blank" rel="noopener noreferrer">dashboard</a>'


def _html_table(rows: Sequence[Mapping[str, Any]]) -> str:
    names, cells = _cells(rows)
    if not cells:
        return ""
    sides = {name: _CELL.format("right" if name in _RIGHT else "left") for name in names}
    head = "".join(f'<th style="{sides[name]}">{name.replace("_", " ")}</th>' for name in names)
    body = "".join(f"<tr>{''.join(_html_cell(name, cell[name], sides[name]) for name in names)}</tr>" for cell in cells)
    return f'<table style="border-collapse:collapse"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _html_cell(name: str, text: str, style: str) -> str:
    colour = f"color:{_COLOURS[text]};" if name == "state" and text in _COLOURS else ""
    return f'<td style="{style}{colour}">{html.escape(text)}</td>'


def _head(cluster: Cluster) -> str:
    driver, shown = cluster.driver, cluster.shown
    where = f"{_plain(driver.where_text)}: {count(driver.slots, 'slot')}, driver {driver.pid}"
    if cluster.idle_s is None:
        return f"{where}, runs {', '.join(cluster.sweeps) or 'nothing yet'}"
    left = max(0.0, (shown.idle_limit_s or 0.0) - cluster.idle_s)
    return f"{where}, idle for {_span(cluster.idle_s)}, ends in {_span(left)} without work (JUPYTER_SWEEP_IDLE_S)"


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    names, cells = _cells(rows)
    table = [[name.replace("_", " ") for name in names], *([cell[name] for name in names] for cell in cells)]
    widths = [max(len(row[i]) for row in table) for i in range(len(names))]
    sides = [str.rjust if name in _RIGHT else str.ljust for name in names]
    return ["  ".join(s(t, w) for t, w, s in zip(row, widths, sides, strict=True)).rstrip() for row in table]


def _cells(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[dict[str, str]]]:
    """Give the columns that hold something, and each row's texts by column."""
    cells = [{name: _text(row, name) for name in _COLUMNS} for row in rows]
    return [name for name in _COLUMNS if any(cell[name] for cell in cells)], cells


def _text(row: Mapping[str, Any], name: str) -> str:
    if name == "trial":
        return "" if row["number"] is None else f"{row['sweep']} {row['number']}"
    if name == "for":
        return "" if row["since"] is None else _span(max(0.0, time.time() - row["since"]))
    if name in ("memory", "peak"):
        held = row["memory_gb" if name == "memory" else "peak_gb"]
        return "" if held is None else f"{held * 1024:.0f} MB" if held < 1 else f"{held:.1f} GB"
    value = row.get(name)
    return "" if value is None else _plain(str(value))


def _plain(text: str) -> str:
    """Give a text from outside on one line, with control and direction characters written out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:80])


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} m" if hours else f"{minutes} m {rest} s" if minutes else f"{rest} s"


def scale(tools: Tools, given: list[str], flags: set[str]) -> None:
    """Have a sweep run so many trials at once from now on."""
    handle, text = tools.handle(given[0]), given[1]
    if not text.isdecimal():
        raise SweepError(f"The number of trials at once is a whole number, got {text!r}: %sweep scale {handle.name} 8")
    handle.scale(int(text))
    if handle.driver is None:
        print(f"{handle.name} is {handle.state}; it runs {text} at once when it goes on: %sweep resume {handle.name}")
        return
    print(f"{handle.name} runs {text} at once from now on; what runs goes on to its end: %sweep workers {handle.name}")
