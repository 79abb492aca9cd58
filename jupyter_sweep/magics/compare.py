"""`%sweep compare`: two sweeps, or two versions of one, side by side, as text and as a table."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .. import live
from ..errors import SweepError
from ..handle import Handle
from ..results import comparing
from . import frontend

if TYPE_CHECKING:
    from .line import Tools

#: A table: its heading, and rows of a name and a text for each sweep.
Section = tuple[str, list[tuple[str, list[str]]]]

_CELL = "padding:1px 14px 1px 0;text-align:left;vertical-align:top;"
_MISSING = "-"


def show(tools: Tools, given: list[str], flags: set[str]) -> None:
    """Show what was asked for."""
    handles = found(tools, given)
    frontend.put(page(handles), listing(handles))


def found(tools: Tools, given: list[str]) -> list[Handle]:
    """Give the two sweeps that are named as NAME or NAME@VERSION; of one name alone its last two versions.

    Raises
    ------
    SweepError
        For a name or version that is not there, and a single name with a single version.
    """
    handles = [_named(tools, name) for name in given]
    if len(handles) > 1:
        return handles
    versions = handles[0].versions
    if len(versions) < 2 or "@" in given[0]:
        raise SweepError(f"With what is {given[0]!r} to be compared? %sweep compare {given[0]} NAME, or NAME@VERSION.")
    return versions[-2:]


def _named(tools: Tools, given: str) -> Handle:
    name, at, version = given.partition("@")
    if at and not version.isdecimal():
        raise SweepError(f"A version is a whole number, as in {name}@1; got {given!r}.")
    return live.find(name, live.home(tools.folder), version=int(version) if at else None)


def listing(handles: Sequence[Handle]) -> str:
    """Give the text."""
    names = _names(handles)
    sections = _sections(handles)
    rows = [("", names), *(row for _, rows in sections for row in rows)]
    widths = [max(len(line) for line in column) for column in zip(*([n, *v] for n, v in rows), strict=True)]

    def line(name: str, values: list[str]) -> str:
        return "  ".join(text.ljust(width) for text, width in zip([name, *values], widths, strict=True)).rstrip()

    parts = [line("", names)]
    for heading, section in sections:
        parts += ["", heading, *(line(name, values) for name, values in section)] if heading else []
        parts += [] if heading else [line(name, values) for name, values in section]
    code = _code(handles)
    return "\n".join([*parts, *(["", "code", *map(_plain, code.splitlines())] if code else [])])


def page(handles: Sequence[Handle]) -> str:
    """Give the same as HTML that needs no style sheet and no script; what comes from outside is escaped."""
    head = "".join(f'<th style="{_CELL}">{html.escape(name)}</th>' for name in ["", *_names(handles)])
    body = ""
    for heading, rows in _sections(handles):
        if heading:
            body += f'<tr><th colspan="{len(handles) + 1}" style="{_CELL}padding-top:8px">{heading}</th></tr>'
        for name, values in rows:
            cells = "".join(f'<td style="{_CELL}">{html.escape(text)}</td>' for text in [name, *values])
            body += f"<tr>{cells}</tr>"
    code = _code(handles)
    lines = "\n".join(html.escape(_plain(line)) for line in code.splitlines())
    more = f"<details><summary>code</summary><pre>{lines}</pre></details>" if code else ""
    table = f'<table style="border-collapse:collapse"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f"<div>{table}{more}</div>"


def _names(handles: Sequence[Handle]) -> list[str]:
    return [f"{handle.name}@{handle.version}" for handle in handles]


def _sections(handles: Sequence[Handle]) -> list[Section]:
    definitions, bests = [h.definition for h in handles], [h.best for h in handles]
    results = [_results(handle) for handle in handles]
    apart = {
        "settings that differ": comparing.differences([comparing.settings(d) for d in definitions], str),
        "ranges that differ": comparing.differences([dict(d.space.describe()) for d in definitions], str),
        "best parameters that differ": comparing.differences([b.params if b else {} for b in bests], _value),
    }
    rows = [(name, [one[name] for one in results]) for name in results[0]]
    rows = [(name, values) for name, values in rows if set(values) != {_MISSING}]
    return [
        ("", rows),
        *(
            (title, [(_plain(name), [_MISSING if v is None else _plain(v) for v in values]) for name, values in found])
            for title, found in apart.items()
            if found
        ),
    ]


def _results(handle: Handle) -> dict[str, str]:
    """Give the rows that every sweep has: how far it is, what came out, how long it took."""
    data = handle.snapshot()
    sweep, best = handle.definition, handle.best
    final = comparing.final_values(sweep, handle.trials(), None if best is None else best.trial)
    low, high = (math.nan, math.nan) if final is None else final.interval
    spread = (
        "" if final is None or math.isnan(low) else f"{_number(final.mean)} (95 % CI {_number(low)}..{_number(high)})"
    )
    baseline, metric = data["baseline"], _plain(sweep.objective.metric)
    return {
        "state": sweep.state,
        "trials": ", ".join(f"{n} {state}" for state, n in handle.counts.items()) or "none",
        "best": _MISSING if best is None else f"{metric} {_number(best.value)} (trial {best.trial})",
        "its repetitions": spread or _MISSING,
        "defaults": _MISSING if baseline is None else _number(baseline["value"]),
        "time": f"{data['progress']['elapsed_s']:.1f} s",
    }


def _number(value: float | None) -> str:
    return _MISSING if value is None else "nan" if math.isnan(value) else f"{value:.6g}"


def _value(value: object) -> str:
    return _number(value) if isinstance(value, float) else repr(value)


def _code(handles: Sequence[Handle]) -> str:
    first, second = (handle.definition.job.source for handle in handles)
    names = _names(handles)
    return comparing.code(first, second, (names[0], names[1]))


def _plain(text: str) -> str:
    """Give a text from outside on one line, with control and direction characters written out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:200])
