"""Values put into the text of a TOML file whose comments and spacing stay.

Python reads TOML and writes none. Only one kind of change is needed, a value of a table that stands on one line, so it
is made in the text, and then the text is read again: it must say what it said, but for that value.
"""

from __future__ import annotations

import copy
import json
import re
from typing import Any

from ..errors import SweepError
from . import profiles


def literal(value: str | int | float) -> str:
    """Give a value as TOML writes it."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def with_value(text: str, table: str, key: str, value: str | int | float | None) -> str:
    """Give the text with one value of one table changed, put in, or taken out (None).

    Raises
    ------
    SweepError
        When the text is no TOML, or writes the value in a way that is not followed here.
    """
    try:
        wanted = copy.deepcopy(profiles.parsed(text))
    except ValueError as error:
        raise SweepError(f"the text is no TOML: {error}") from None
    mine: dict[str, Any] = wanted.setdefault(table, {})
    if value is None:
        mine.pop(key, None)
    else:
        mine[key] = value
    new = _edited(text, table, key, None if value is None else literal(value))
    found = profiles.parsed(new)
    if found != wanted and {**found, table: found.get(table, {})} != wanted:
        raise SweepError(f"{key} of [{table}] is not written on a line of its own here: change it in the text")
    return new


def with_table(text: str, name: str, lines: list[str]) -> str:
    """Give the text with a new table at its end."""
    gap = "" if not text or text.endswith("\n\n") else "\n" if text.endswith("\n") else "\n\n"
    return f"{text}{gap}[{name}]\n" + "".join(f"{line}\n" for line in lines)


def _edited(text: str, table: str, key: str, value: str | None) -> str:
    head = re.search(rf"^[ \t]*\[[ \t]*{re.escape(table)}[ \t]*\][^\n]*(\n|$)", text, re.MULTILINE)
    if head is None:
        return text if value is None else f"[{table}]\n{key} = {value}\n" + ("\n" + text if text else "")
    after = re.search(r"^[ \t]*\[", text[head.end() :], re.MULTILINE)
    end = head.end() + (after.start() if after else len(text) - head.end())
    body = text[head.end() : end]
    line = re.search(rf"^[ \t]*{re.escape(key)}[ \t]*=[ \t]*([^\n]*?)([ \t]*#[^\n\"']*)?(\n|$)", body, re.MULTILINE)
    if line is None:
        start = "" if text[: head.end()].endswith("\n") else "\n"
        body = body if value is None else f"{start}{key} = {value}\n{body}"
    elif value is None:
        body = body[: line.start()] + body[line.end() :]
    else:
        body = body[: line.start(1)] + value + body[line.end(1) :]
    return text[: head.end()] + body + text[end:]
