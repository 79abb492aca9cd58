"""The text of a cell as Python: transformed, parsed, with one source line for each line that the user wrote.

IPython drops leading blank lines and joins a magic that runs over several lines. Lines are put back, because every
message, every traceback of a trial and the places of ranges count the lines of the user's own cell.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..errors import Mistake, Mistakes

#: The `%%sweep` line stands above the body: line k of the body is line k + 1 of the cell.
LINE_OFFSET = 1

_DEEP = 10_000  # frames of the interpreter; 3.10 needs 5 MB of stack for them


@dataclass(frozen=True)
class Body:
    """A parsed body: the user's text, the Python it stands for, and its tree."""

    source: str
    python: str
    tree: ast.Module

    def mistake(self, message: str, node: ast.AST | int | None, fix: str = "") -> Mistake:
        """Give a mistake at a node, or at a line of the body; None for the `%%sweep` line."""
        line = node if isinstance(node, int) else getattr(node, "lineno", 0)
        return _mistake(self.source, message, line, fix)


def read_body(source: str, transform: Callable[[str], str] | None = None) -> Body:
    """Parse the body of a cell.

    Parameters
    ----------
    source
        What the user wrote below the `%%sweep` line.
    transform
        Turns IPython's syntax into Python.

    Raises
    ------
    Mistakes
        One, with the line, when it is not Python.
    """
    try:
        python = _aligned(source, transform(source)) if transform else source
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # the trial shows them
            tree = ast.parse(python)
            compile(python, "<cell>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except SyntaxError as error:
        raise Mistakes([_mistake(source, f"syntax error: {error.msg}", error.lineno or 0)]) from None
    except ValueError as error:  # a null character
        raise Mistakes([_mistake(source, f"syntax error: {error}", 0)]) from None
    return Body(source, python, tree)


@contextlib.contextmanager
def deep() -> Iterator[None]:
    """Allow code to be as deep as Python compiles it: a sum of a thousand terms is a tree a thousand deep.

    Raises
    ------
    Mistakes
        When it is deeper still.
    """
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, _DEEP))
    try:
        yield
    except RecursionError:
        why = "the cell has an expression or a chain of branches that is nested too deeply to be read"
        raise Mistakes([Mistake(why, LINE_OFFSET, fix="put that part into a function in another cell")]) from None
    finally:
        sys.setrecursionlimit(before)


def _mistake(source: str, message: str, line: int, fix: str = "") -> Mistake:
    lines = source.split("\n")
    text = lines[line - 1] if 0 < line <= len(lines) else ""
    return Mistake(message, line + LINE_OFFSET, text, fix)


def _aligned(source: str, python: str) -> str:
    """Give `python` with blank lines put in where the transformation left lines out."""
    if source.count("\n") == python.count("\n"):
        return python
    given, made = source.split("\n"), python.split("\n")
    lines: list[str] = []
    for _, a, b, c, d in difflib.SequenceMatcher(None, given, made, autojunk=False).get_opcodes():
        lines += made[c:d] + [""] * ((b - a) - (d - c))
    return "\n".join(lines)
