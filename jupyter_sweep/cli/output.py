"""What is printed: JSON for programs, and text for people that fits the terminal, or 80 columns where there is none."""

from __future__ import annotations

import json
import math
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import one_line

#: The least width that a column is cut to.
_NARROW = 6


def put(data: Any) -> None:
    """Write data as JSON, which has no NaN."""
    print(json.dumps(data, allow_nan=False))


def plain(value: Any) -> Any:
    """Give a value of a frame or of a trial as JSON data; what is missing as None, what has no JSON form as text."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if hasattr(value, "item"):
        return plain(value.item())  # a numpy scalar
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else (None if math.isnan(value) else str(value))
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return None if type(value).__name__ == "NAType" else str(value)


def width() -> int:
    """Give how many columns there are: those of the terminal or of COLUMNS, else 80."""
    return max(40, shutil.get_terminal_size((80, 24)).columns)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Give rows of texts as columns; the widest are cut as far as the terminal asks for."""
    cells = [[one_line(text) for text in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    while sum(widths) + 2 * (len(widths) - 1) > width() and max(widths) > _NARROW:
        widths[widths.index(max(widths))] -= 1
    return "\n".join(
        "  ".join(_cut(text, w).ljust(w) for text, w in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def wrapped(text: str, indent: str = "    ") -> str:
    """Give a text whose long lines go on in the next one, indented."""
    return "\n".join(
        textwrap.fill(line, width(), subsequent_indent=indent, break_on_hyphens=False) if len(line) > width() else line
        for line in text.splitlines()
    )
