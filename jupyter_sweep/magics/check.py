"""`%sweep check`: the mistakes of every `%%sweep` cell of a saved notebook, one a line, as linters print them.

Linters skip the body of a cell magic. Here each cell is read as it would be if it ran in this kernel now, up to the
moment before anything is written or started: options, ranges, names, what can't be pickled. So run it after the cells
that define what the bodies use, for example as the last cell of a notebook that a CI executes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import Mistake, Mistakes, SweepError, count
from ..notation import cells
from . import frontend
from .prepare import prepare

if TYPE_CHECKING:
    from .line import Tools


def check(tools: Tools, given: list[str], flags: set[str]) -> None:
    """Print that all is well.

    Raises
    ------
    SweepError
        With all mistakes, each as ``FILE:cell 3:2: sentence``, counted from 1 = the `%%sweep` line.
    """
    path = Path(given[0]).expanduser() if given else frontend.notebook(tools.shell)
    if path is None:
        raise SweepError("The front end does not tell which notebook this is: %sweep check NOTEBOOK.ipynb")
    found = swept(path)
    lines = [f"{path}:{cell.place}:{m.line or 1}: {_sentence(m)}" for cell in found for m in mistakes(tools, cell)]
    if lines:
        raise SweepError("\n".join([f"{count(len(lines), 'mistake')} in {path}", *lines]))
    print(f"{path}: {count(len(found), 'sweep')}, no mistakes.")


def swept(path: Path) -> list[cells.Cell]:
    """Give the `%%sweep` cells of a notebook, or of a text in the percent format.

    Raises
    ------
    SweepError
        For a file that can't be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SweepError(f"{path} can't be read: {getattr(error, 'strerror', None) or error}.") from None
    found = cells.of_notebook(path) if path.suffix == ".ipynb" else cells.of_text(text)
    return [cell for cell in found if cell.line is not None]


def mistakes(tools: Tools, cell: cells.Cell) -> list[Mistake]:
    """Give the mistakes of one cell; nothing is started or written."""
    try:
        prepare(tools.shell, cell.line or "", cell.body, folder=tools.folder)
    except Mistakes as error:
        return list(error.mistakes)
    except SweepError as error:
        return [Mistake(str(error))]
    return []


def _sentence(mistake: Mistake) -> str:
    fix = f" -> {mistake.fix}" if mistake.fix else ""
    return " ".join(f"{mistake.message}{fix}".split())
