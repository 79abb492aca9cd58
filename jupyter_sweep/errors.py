"""One family of errors. A message says what was given, what is allowed, where, and what to do next.

Every error that a user can cause is a `SweepError`. Pre-flight collects `Mistake`s and raises them together as one
`Mistakes`, because ten corrections one after another cost ten runs of the cell.
"""

from __future__ import annotations

import difflib
import linecache
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import FrameType

_PACKAGE = __name__.partition(".")[0]
#: Whose frames say nothing about a mistake: ours, those of the shell that ran the cell, and the standard library's.
_NOT_THE_USERS = frozenset({_PACKAGE, "IPython", "ipykernel", *sys.stdlib_module_names})


class SweepError(Exception):
    """What the user can mend. `str(error)` is the whole message; it needs no traceback."""

    def _render_traceback_(self) -> list[str]:
        """Give the lines that IPython shows of it: where the user's own code stood, and the message.

        The causes are left out: the message says already what is to be known of them.
        """
        return [*_own_lines(self), f"{_public_name(type(self))}: {self}"]


def _own_lines(error: BaseException) -> Iterator[str]:
    """Give place and source of each frame of the user's, the outermost first."""
    for frame, line in traceback.walk_tb(error.__traceback__):
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] not in _NOT_THE_USERS:
            file = frame.f_code.co_filename
            source = linecache.getline(file, line, frame.f_globals).strip()
            yield f"{_place(frame, file)}, line {line}" + (f"\n    {source}" if source else "")


def _place(frame: FrameType, file: str) -> str:
    """Give a cell's name as its shell gives it, such as "Cell In[3]", or the path of a file."""
    shell = frame.f_globals.get("get_ipython", lambda: None)()
    named = getattr(getattr(shell, "compile", None), "format_code_name", lambda file: None)(file)
    return " ".join(named) if named else f"File {file}"


def _public_name(kind: type[SweepError]) -> str:
    """Give the name under which a user can catch it: of our own classes the package gives `SweepError` alone."""
    known = (k for k in kind.__mro__ if k is SweepError or k.__module__.partition(".")[0] != _PACKAGE)
    return next(known).__name__


@dataclass(frozen=True)
class Mistake:
    """One thing to mend.

    Parameters
    ----------
    message
        What was given and what is allowed, as a sentence.
    line
        Line of the cell, counted from 1 = the `%%sweep` line; None when it is not tied to a line.
    text
        The source of that line, quoted in the message.
    fix
        What to do, as an imperative sentence; empty when `message` says it already.
    """

    message: str
    line: int | None = None
    text: str = ""
    fix: str = ""

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line is not None else ""
        quoted = f"\n    {self.text.strip()}" if self.text.strip() else ""
        fix = f"\n    -> {self.fix}" if self.fix else ""
        return f"{where}{self.message}{quoted}{fix}"


class Mistakes(SweepError):
    """All mistakes found in one piece of input, at once. `mistakes` holds them in order of line."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes: Sequence[Mistake] = sorted(mistakes, key=lambda m: m.line or 0)
        count = len(self.mistakes)
        head = "" if count == 1 else f"{count} mistakes; nothing was started.\n"
        super().__init__(head + "\n".join(str(m) for m in self.mistakes))


class MissingExtra(SweepError):
    """An optional package is not installed; the message names the extra that brings it."""

    def __init__(self, what: str, extra: str, cause: ImportError) -> None:
        super().__init__(
            f"{what} needs the package {cause.name!r}, which is not installed. "
            f"Install it with: pip install 'jupyter-sweep[{extra}]'"
        )
        self.__cause__ = cause


class StoreError(SweepError):
    """The store can't be read or written: full disk, newer schema, foreign file, second host."""


class ConstraintNotMet(SweepError):
    """`require(...)` did not hold in a plain cell."""


def suggest(given: str, allowed: Iterable[str]) -> str:
    """Give the tail of an "unknown name" message: the nearest allowed name and the whole list."""
    names = sorted(allowed)
    near = difflib.get_close_matches(given, names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"{hint} Allowed: {', '.join(names) or 'none'}."


def count(n: int, noun: str, plural: str = "") -> str:
    """Give "1 trial" or "2 trials"."""
    return f"{n} {noun if n == 1 else plural or noun + 's'}"


def one_line(text: str) -> str:
    """Escape what would end a line or hide in it: line ends of any kind, control and direction characters."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
