"""A sweep as HTML that needs nothing: no kernel, no widgets, no scripts, no network, no trust.

This is what the saved notebook holds. JupyterLab cleans the HTML of notebooks that the reader has not run: style and
script elements and inline svg are dropped. What stays is used and nothing else: tables, inline styles, `details`, and
the plot as SVG inside an `img`. An `img` can't see the page's theme, so its colours, and all others here, are middle
tones that read on white and on black. The size is capped (`TOP` rows, `GROUPS` kinds of failures, `POINTS` points),
because a notebook that holds every row of every sweep gets too big to open; the rest is counted, and named.
"""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

from . import text

TOP = 50
GROUPS = 10
POINTS = 600
_COLOURS = {
    "completed": "#2e9e5b",
    "pruned": "#c98a1b",
    "failed": "#d9534f",
    "cancelled": "#8a8f98",
    "running": "#3d8bd4",
    "waiting": "#8a8f98",
}
_DIM = "opacity:.75"
_CELL = "padding:2px 10px;white-space:nowrap"
_PRE = (
    "margin:4px 0;padding:6px 8px;max-height:320px;overflow:auto;white-space:pre-wrap;overflow-wrap:anywhere;"
    "border:1px solid rgba(128,128,128,.35);border-radius:4px;font-size:12px;text-align:left"
)
_WIDTH, _HEIGHT = 640, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 20, 20, 30

Failures = Mapping[int, Mapping[str, str]]


def static_html(snapshot: Mapping[str, Any], failures: Failures | None = None) -> str:
    """Give a block of HTML with the state, the best, the history, the best rows and the failures.

    Parameters
    ----------
    snapshot
        As `Handle.snapshot(0)` gives it, with all rows.
    failures
        Number -> what `Handle.failure(number)` gives, for the trials that `failures_to_show` names.
    """
    parts = [
        _header(snapshot),
        _progress_bar(snapshot),
        _sentences(snapshot),
        _best_and_plot(snapshot),
        _table(snapshot),
        _failure_blocks(snapshot, failures or {}),
        _cell_block(snapshot),
        _footer(snapshot),
    ]
    return f'<div style="font-size:13px;line-height:1.5;max-width:1200px">{"".join(parts)}</div>'


def failures_to_show(snapshot: Mapping[str, Any]) -> list[int]:
    """Give the numbers of the trials whose traceback the page shows: the first of each kind of failure."""
    return [rows[0]["number"] for rows in text.failures(snapshot)[:GROUPS]]


def _escape(value: str, limit: int = 160) -> str:
    """Escape a text from outside; `bdi` keeps right-to-left text from turning what follows it around."""
    return f"<bdi>{html.escape(text.shorten(value, limit))}</bdi>"


def _header(snapshot: Mapping[str, Any]) -> str:
    sweep = snapshot["sweep"]
    colour = {"finished": "#2e9e5b", "failed": "#d9534f"}.get(sweep["state"], "#3d8bd4")
    return (
        f'<div><b style="font-size:16px">{_escape(sweep["name"], 80)}</b> '
        f'<span style="{_DIM}">v{sweep["version"]}</span> &nbsp;'
        f'<b style="color:{colour}">{_escape(sweep["state"])}</b> &nbsp;'
        f'<span style="{_DIM}">{_escape(text.plan(snapshot))}</span></div>'
    )


def _progress_bar(snapshot: Mapping[str, Any]) -> str:
    counts = snapshot["counts"]
    whole = max(snapshot["progress"]["wanted"] or 0, sum(counts.values())) or 1
    pieces = [
        f'<div style="height:6px;width:{100 * counts[state] / whole:.2f}%;background:{_COLOURS[state]}"></div>'
        for state in text.STATES
        if counts.get(state) and state != "waiting"
    ]
    style = "display:flex;height:6px;margin:6px 0;background:rgba(128,128,128,.25);border-radius:3px;overflow:hidden"
    return f'<div style="{style}">{"".join(pieces)}</div>'


def _sentences(snapshot: Mapping[str, Any]) -> str:
    sweep, counts = snapshot["sweep"], snapshot["counts"]
    named = [
        f'<span style="color:{_COLOURS[state]}">&#9632;</span> {counts[state]} {state}'
        for state in text.STATES
        if counts.get(state)
    ]
    lines = [f"{_escape(text.done(snapshot))} &nbsp; {' &nbsp; '.join(named)}"]
    lines += [f"<b>{_escape(sweep['message'], 1000)}</b>"] if sweep.get("message") else []
    lines += [f'<span style="color:#c98a1b">&#9888;</span> {_escape(w, 600)}' for w in sweep["warnings"]]
    return "".join(f"<div>{line}</div>" for line in lines)


def _best_and_plot(snapshot: Mapping[str, Any]) -> str:
    best = snapshot["best"]
    svg = history_svg(snapshot)
    if best is None and not svg:
        return ""
    words = "" if best is None else _best_block(snapshot)
    plot = _image(svg, f"History of {text.objective(snapshot)['metric']} over the trials") if svg else ""
    style = "display:flex;flex-wrap:wrap;gap:8px 28px;margin:10px 0;align-items:flex-start"
    return f'<div style="{style}">{words}{plot}</div>'


def _image(svg: str, alt: str) -> str:
    """Give the plot beside the best where there is room for it, else below."""
    source = f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
    image = f'<img alt="{html.escape(alt)}" src="{source}" width="{_WIDTH}" style="max-width:100%">'
    return f'<div style="flex:1 1 380px;max-width:{_WIDTH}px">{image}</div>'


def _best_block(snapshot: Mapping[str, Any]) -> str:
    best = snapshot["best"]
    baseline = text.against_baseline(snapshot)
    rows = [(name, text.value(v)) for name, v in best["params"].items()][:20]
    table = "".join(
        f'<tr style="background:none"><td style="text-align:left;padding:0 14px 0 0">{_escape(name, 40)}</td>'
        f'<td style="text-align:left;padding:0"><b>{_escape(value, 60)}</b></td></tr>'
        for name, value in rows
    )
    return (
        f'<div><div style="{_DIM}">{_escape(text.goal(snapshot))}</div>'
        f'<div><b style="font-size:22px">{text.trim(text.number(best["value"], 6))}</b> '
        f'<span style="{_DIM}">{_escape(text.whose(best, snapshot))}</span></div>'
        f'<div style="{_DIM}">{_escape(baseline)}</div>'
        f'<table style="border:none;margin:6px 0">{table}</table></div>'
    )


# -- the table ----------------------------------------------------------------------------------------------------


def _table(snapshot: Mapping[str, Any]) -> str:
    rows = text.ranked(snapshot)
    if not rows:
        return ""
    metrics = [o["metric"] for o in snapshot["sweep"]["objectives"]]
    params = snapshot["columns"]["params"]
    heads = ["trial", "state", *metrics, *params, "time"]
    left = {1, *(i for i, p in enumerate(params, 2 + len(metrics)) if _has_words(p, rows[:TOP]))}
    sides = ["left" if i in left else "right" for i in range(len(heads))]
    head = "".join(
        f'<th style="{_CELL};text-align:{side}">{_escape(h, 40)}</th>' for h, side in zip(heads, sides, strict=True)
    )
    best = snapshot["best"]["number"] if snapshot["best"] else None
    body = "".join(_row(row, metrics, params, sides, row["number"] == best) for row in rows[:TOP])
    return (
        f'<div style="overflow:auto;max-height:460px;margin:4px 0 8px">'
        f'<table style="border-collapse:collapse;margin:0">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{_rest(snapshot, len(rows))}"
    )


def _has_words(param: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    return any(not isinstance(row["params"].get(param, 0), (int, float)) for row in rows)


def _row(
    row: Mapping[str, Any], metrics: Sequence[str], params: Sequence[str], sides: Sequence[str], is_best: bool
) -> str:
    state = f'<span style="color:{_COLOURS[row["state"]]}">&#9632;</span> {_escape(_state(row))}'
    cells = [str(row["number"]), state, *(text.number(row["metrics"].get(m)) for m in metrics)]
    cells += [_escape(text.value(row["params"][p]), 40) if p in row["params"] else "" for p in params]
    cells.append(text.duration(row["duration_s"]))
    strong = ";font-weight:bold" if is_best else ""
    tds = "".join(
        f'<td style="{_CELL};text-align:{s}{strong}">{cell}</td>' for s, cell in zip(sides, cells, strict=True)
    )
    return f"<tr>{tds}</tr>"


def _state(row: Mapping[str, Any]) -> str:
    return f"{row['state']}: {row['reason']}" if row["reason"] else str(row["state"])


def _rest(snapshot: Mapping[str, Any], n: int) -> str:
    if n <= TOP:
        return ""
    whole = html.escape(f"sweep({snapshot['sweep']['name']!r}).df")
    return f'<div style="{_DIM}">the best {TOP} of {n:,} rows; all of them: <code>{whole}</code></div>'


# -- failures, the best cell, the rest -----------------------------------------------------------------------------


def _failure_blocks(snapshot: Mapping[str, Any], failures: Failures) -> str:
    groups = text.failures(snapshot)
    blocks = [_failure_block(rows, failures.get(rows[0]["number"], {})) for rows in groups[:GROUPS]]
    more = sum(len(rows) for rows in groups[GROUPS:])
    rest = (
        f'<div style="{_DIM}">and {more} more failed trials of {len(groups) - GROUPS} other kinds</div>' if more else ""
    )
    return "".join(blocks) + rest


def _failure_block(rows: Sequence[Mapping[str, Any]], failure: Mapping[str, str]) -> str:
    first = rows[0]
    said = f": {_escape(first['error'], 300)}" if first["error"] else ""
    params = ", ".join(f"{k}={text.shorten(text.value(v), 60)}" for k, v in first["params"].items())
    inside = [f"<div>trial {first['number']}: {_escape(params, 1000)}</div>"]
    inside += [_pre(failure["traceback"])] if failure.get("traceback") else []
    inside += [f"<div>the end of its log</div>{_pre(failure['log_tail'])}"] if failure.get("log_tail") else []
    return (
        f'<details><summary><span style="color:{_COLOURS["failed"]}">&#9632;</span> '
        f"<b>failed: {_escape(first['reason'] or 'error')}</b>, {text.who(rows)}{said}</summary>"
        f"{''.join(inside)}</details>"
    )


def _pre(content: str, limit: int = 6000) -> str:
    cut = content if len(content) <= limit else "...\n" + content[-limit:]
    return f'<pre style="{_PRE}">{html.escape(cut)}</pre>'


def _cell_block(snapshot: Mapping[str, Any]) -> str:
    best = snapshot["best"]
    if best is None or not best.get("cell"):
        return ""
    return f"<details><summary>the best configuration as a cell</summary>{_pre(best['cell'], 20_000)}</details>"


def _footer(snapshot: Mapping[str, Any]) -> str:
    sweep = snapshot["sweep"]
    captures = [c for c in sweep["captures"] if c["kind"] != "module"]
    said = [f"{_escape(c['name'], 40)} {text.size(c['nbytes'])}" for c in captures[:12]]
    lines = [f"captured: {', '.join(said)}"] if said else []
    lines += [f"note: {_escape(sweep['note'], 500)}"] if sweep.get("note") else []
    show = html.escape(f"%sweep show {sweep['name']}")
    lines.append(f"files in {_escape(sweep['folder'], 300)}; live again with <code>{show}</code>")
    return f'<div style="{_DIM};margin-top:6px">{"".join(f"<div>{line}</div>" for line in lines)}</div>'


# -- the history plot ---------------------------------------------------------------------------------------------


def history_svg(snapshot: Mapping[str, Any]) -> str:
    """Give the history of the first objective as an SVG document, the best so far as a line; "" without values."""
    metric = text.objective(snapshot)["metric"]
    shown = [
        r for r in snapshot["rows"] if r["state"] in ("completed", "pruned") and _drawable(r["metrics"].get(metric))
    ]
    finished = [(r["number"], r["metrics"][metric]) for r in shown if r["state"] == "completed"]
    values = [v for _, v in finished] or [r["metrics"][metric] for r in shown]
    if not values:
        return ""
    better = max if text.objective(snapshot)["direction"] == "maximize" else min
    scale = _Scale(values, better, [r["number"] for r in snapshot["rows"]])
    step = math.ceil(len(shown) / POINTS)
    marks = [
        scale.mark(r["number"], r["metrics"][metric], _COLOURS["running" if r["state"] == "completed" else "pruned"])
        for r in shown[::step]
    ]
    body = "".join([*scale.axes(), *marks, scale.staircase(finished, better)])
    title = (
        f'<text x="{_LEFT}" y="12">{html.escape(text.shorten(metric, 40))}{", log scale" if scale.log else ""}</text>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="system-ui,sans-serif" font-size="11" fill="#868b94">{title}{body}</svg>'
    )


def _drawable(value: float | None) -> bool:
    """Tell whether a value has a place on an axis; the last few decades of a float would overflow its arithmetic."""
    return value is not None and abs(value) < 1e300


class _Scale:
    """Maps (trial, value) to the picture; values far on the worse side are drawn at its edge, so that one diverged
    trial does not flatten the rest."""

    def __init__(self, values: Sequence[float], better: Any, numbers: Sequence[int]) -> None:
        self.first, self.last = min(numbers), max([*numbers, min(numbers) + 1])
        low, high = min(values), max(values)
        self.log = low > 0 and high / low > 100
        if not self.log and len(values) >= 10:
            ranked = sorted(values, reverse=better is max)
            reach = 2 * abs(ranked[int(0.9 * len(ranked))] - ranked[0])
            low, high = (max(low, high - reach), high) if better is max else (low, min(high, low + reach))
        pad = 0.06 * (high - low) or abs(high) * 0.1 or 1.0
        self.low, self.high = (math.log10(low), math.log10(high)) if self.log else (low - pad, high + pad)

    def x(self, number: int) -> float:
        return _LEFT + (number - self.first) / (self.last - self.first) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        at = (math.log10(value) if value > 0 else self.low) if self.log else value
        share = (at - self.low) / (self.high - self.low)
        return _HEIGHT - _BOTTOM - min(1.0, max(0.0, share)) * (_HEIGHT - _TOP - _BOTTOM)

    def mark(self, number: int, value: float, colour: str) -> str:
        return (
            f'<circle cx="{self.x(number):.1f}" cy="{self.y(value):.1f}" r="2.6" fill="{colour}" fill-opacity=".65"/>'
        )

    def axes(self) -> list[str]:
        right, floor = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
        parts = []
        for value in self.ticks():
            y = self.y(value)
            parts.append(f'<path d="M{_LEFT} {y:.1f}H{right}" stroke="#868b94" stroke-opacity=".3"/>')
            parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.4g}</text>')
        parts += [
            f'<text x="{self.x(number):.1f}" y="{floor + 14}" text-anchor="middle">{number}</text>'
            for number in sorted({self.first, (self.first + self.last) // 2, self.last})
        ]
        parts.append(f'<text x="{right}" y="{_HEIGHT - 3}" text-anchor="end">trial</text>')
        return parts

    def ticks(self) -> list[float]:
        if self.log:
            decades = range(math.ceil(self.low), math.floor(self.high) + 1)
            return [10.0**d for d in decades][:: max(1, len(decades) // 4)]
        raw = (self.high - self.low) / 4
        unit = 10.0 ** math.floor(math.log10(raw))
        step = next(unit * m for m in (1, 2, 5, 10) if unit * m >= raw)
        first = math.ceil(self.low / step)
        return [i * step for i in range(first, math.floor(self.high / step) + 1)]

    def staircase(self, finished: Sequence[tuple[int, float]], better: Any) -> str:
        best, path = None, ""
        for number, value in sorted(finished):
            if best is not None and better(best, value) == best:
                continue
            y = f"{self.y(value):.1f}"
            path += f"M{self.x(number):.1f} {y}" if best is None else f"H{self.x(number):.1f}V{y}"
            best = value
        end = f"H{_WIDTH - _RIGHT}" if path else ""
        return f'<path d="{path}{end}" fill="none" stroke="#2e9e5b" stroke-width="2"/>'
