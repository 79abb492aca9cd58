"""The cells of a file: of a notebook, or of a text in the percent format.

A text has cells where it has lines ``# %%``; a `%%sweep` line begins one too. As jupytext writes them, magics may stand
behind a comment sign (``# %%sweep digits --max acc``), so that the file is valid Python for every other tool.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import SweepError

_SWEEP = re.compile(r"(?:#\s?)?(%%sweep(?!\S).*)")
_MARK = re.compile(r"#\s?%%(?:\s+(?P<title>.*))?$")
_MAGIC = re.compile(r"#\s?(%{1,2}[A-Za-z].*)")
_LOAD = re.compile(r"^[ \t]*%(?:load_ext|reload_ext)[ \t]+jupyter_sweep[ \t]*$", re.MULTILINE)


@dataclass(frozen=True)
class Cell:
    """One code cell; `place` names it in messages."""

    source: str
    place: str

    @property
    def line(self) -> str | None:
        """What follows `%%sweep`, also under `%%time` and the like; None for any other cell."""
        found = _of_sweep(self.source)
        return None if found is None else found[1]

    @property
    def body(self) -> str:
        """What stands below the `%%sweep` line; all of a cell without one."""
        found = _of_sweep(self.source)
        return self.source if found is None else "\n".join(self.source.split("\n")[found[0] + 1 :])

    def with_line(self, line: str) -> Cell:
        """Give the cell with another line; a cell without one as it is."""
        found = _of_sweep(self.source)
        if found is None:
            return self
        lines = self.source.split("\n")
        lines[found[0]] = f"%%sweep {line}"
        return Cell("\n".join(lines), self.place)

    @property
    def runnable(self) -> str:
        """The source for a shell that has our magics already."""
        return _LOAD.sub("pass", self.source)


def _of_sweep(source: str) -> tuple[int, str] | None:
    """Give the place of the `%%sweep` line among the lines, and what follows it."""
    for at, line in enumerate(source.split("\n")):
        if re.match(r"\s*%%sweep(?!\S)", line):
            return at, line.strip()[len("%%sweep") :].strip()
        if line.strip() and not line.startswith("%%"):
            return None
    return None


def of_notebook(path: Path) -> list[Cell]:
    """Give the code cells of an .ipynb file.

    Raises
    ------
    SweepError
        For a file that is no notebook, or of the format before 2015.
    """
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        cells = notebook["cells"]
    except (ValueError, KeyError, TypeError):
        raise SweepError(
            f"{path} is no notebook of format 4. Open it in Jupyter and save it, or use jupyter nbconvert."
        ) from None
    found = []
    for number, cell in enumerate(cells, start=1):
        if cell.get("cell_type") == "code":
            source = cell.get("source", "")
            found.append(Cell("".join(source) if isinstance(source, list) else str(source), f"cell {number}"))
    return found


def has_sweeps(text: str) -> bool:
    """Tell whether a text has `%%sweep` lines, and so is not a plain script."""
    return any(_SWEEP.fullmatch(line.rstrip()) for line in text.splitlines())


def of_text(text: str) -> list[Cell]:
    """Give the code cells of a text; those marked as markdown or raw are left out."""
    commented = any(_MARK.match(line) for line in text.splitlines())
    cells: list[Cell] = []
    lines: list[str] = []
    first, is_code = 1, True

    def close() -> None:
        if is_code and any(line.strip() for line in lines):
            cells.append(Cell("\n".join(lines).strip("\n"), f"line {first}"))
        lines.clear()

    for number, line in enumerate(text.splitlines(), start=1):
        mark, sweep = _MARK.match(line), _SWEEP.fullmatch(line.rstrip())
        if mark:
            close()
            title = mark["title"] or ""
            first, is_code = number + 1, "[markdown]" not in title and "[md]" not in title and "[raw]" not in title
        elif sweep and is_code:
            if not all(kept.startswith("%%") or not kept.strip() for kept in lines):
                close()
                first = number
            lines.append(sweep[1])
        else:
            magic = _MAGIC.fullmatch(line.rstrip()) if commented and is_code else None
            lines.append(magic[1] if magic else line)
    close()
    return cells
