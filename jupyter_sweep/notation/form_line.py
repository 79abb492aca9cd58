"""The `%%sweep` line as the fields of a form, and fields as a line again.

Only the words of a field that was changed are written anew; all others stay as they are, with their quotes and spaces.
What no field shows (`--bg`, `lr=0.1`) is text in `more`. Nothing is judged here: the line that comes out is read by the
one reader of all lines (`options.read_line`).
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ..errors import SweepError
from . import overrides, table, words

#: Options with a field of their own, by long name, in the order in which they are written. `grid` is a word of `algo`.
FIELDS = (
    "trials", "time", "repeat", "algo", "stop", "seed", "on", "jobs", "cpus", "gpus", "mem", "timeout", "retry", "note",
)  # fmt: skip


@dataclass(frozen=True)
class Fields:
    """The fields.

    Parameters
    ----------
    name
        Of the sweep.
    targets
        ("min" or "max", metric), in order.
    options
        Text by long name, of FIELDS; one that is not given has no key.
    tags
        As they are given.
    more
        All other words, as written.
    """

    name: str = ""
    targets: tuple[tuple[str, str], ...] = ()
    options: dict[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    more: str = ""


class _Part(NamedTuple):
    """A piece of the line: the field that it belongs to ("" for `more`), its value, its place."""

    field: str
    value: str
    start: int
    end: int


def read(line: str) -> Fields:
    """Give the fields of what follows `%%sweep`.

    Raises
    ------
    SweepError
        When a quote is never closed.
    """
    parts = _parts(line)
    one = {p.field: p.value for p in parts}
    return Fields(
        name=one.get("name", ""),
        targets=tuple((p.field, p.value) for p in parts if p.field in ("min", "max")),
        options={name: one[name] for name in FIELDS if name in one},
        tags=tuple(p.value for p in parts if p.field == "tag"),
        more=" ".join(line[p.start : p.end] for p in parts if not p.field),
    )


def write(line: str, fields: Fields) -> str:
    """Give the line with the words of those fields written anew that differ from what it says.

    Raises
    ------
    SweepError
        When the line can't be taken apart.
    """
    was = read(line)
    line = _put(line, {"name"}, [] if not fields.name else [_word(fields.name)], was.name != fields.name, first=True)
    targets = [f"--{way} {_word(metric)}" for way, metric in fields.targets if metric.strip()]
    line = _put(line, {"min", "max"}, targets, was.targets != fields.targets)
    for name in FIELDS:
        text = fields.options.get(name, "")
        line = _put(line, {name}, [_spelled(name, text)] if text else [], was.options.get(name, "") != text)
    line = _put(line, {"tag"}, [f"--tag {_word(tag)}" for tag in fields.tags], was.tags != fields.tags)
    return _put(line, {""}, [fields.more.strip()] if fields.more.strip() else [], was.more != fields.more.strip())


def _put(line: str, names: set[str], new: Sequence[str], changed: bool, *, first: bool = False) -> str:
    """Give the line with the parts of some fields replaced: the new words stand where the first of the old ones did."""
    if not changed:
        return line
    parts = _parts(line)
    old = [p for p in parts if p.field in names]
    if not old:
        before = [] if first else [line.strip()]
        return " ".join(filter(None, [*before, *new, *([line.strip()] if first else [])]))
    text = " ".join(new)
    for part in reversed(old):
        piece = text if part is old[0] else ""
        begin = part.start if piece else len(line[: part.start].rstrip())
        rest = line[part.end :]
        line = line[:begin] + piece + (rest if begin or piece else rest.lstrip())
    return line


def _parts(line: str) -> list[_Part]:
    located = words.located(line)
    rest = list(located)
    parts = []
    for piece in overrides.pieces([word for word, _, _ in located]):
        mine, rest = rest[: len(piece.words)], rest[len(piece.words) :]
        parts.append(_Part(*_field(piece), mine[0][1], mine[-1][2]))
    return _each_once(parts)


def _field(piece: overrides.Piece) -> tuple[str, str]:
    if piece.kind == "bare":
        return "name", piece.words[0]
    if piece.kind == "option" and piece.name == "grid" and piece.value is None:
        return "algo", "grid"
    known = piece.kind == "option" and piece.value is not None and piece.name in (*FIELDS, "min", "max", "tag")
    return (piece.name, piece.value or "") if known else ("", "")


def _each_once(parts: Sequence[_Part]) -> list[_Part]:
    """Leave the second of two names, and of an option that is given twice, to `more`: the reader has a word for it."""
    seen: set[str] = set()
    found = []
    for part in parts:
        twice = part.field in seen and part.field not in ("min", "max", "tag")
        found.append(part._replace(field="", value="") if twice else part)
        seen.add(part.field)
    return found


def _spelled(name: str, text: str) -> str:
    if name == "algo" and text == "grid":
        return "--grid"
    option = table.BY_FIELD[name]
    return f"{option.spellings[0]} {_word(text)}" if not overrides.is_option(text) else f"--{name}={_word(text)}"


def _word(text: str) -> str:
    """Give a text so that the line has it as one word, without quotes where it needs none."""
    try:
        bare = words.split(text) == [text]
    except SweepError:
        bare = False
    return text if bare else shlex.quote(text)
