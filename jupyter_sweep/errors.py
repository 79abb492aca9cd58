"""One family of errors. A message says what was given, what is allowed, where, and what to do next.

Every error that a user can cause is a `SweepError`. Pre-flight collects `Mistake`s and raises them together as one
`Mistakes`, because ten corrections one after another cost ten runs of the cell.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class SweepError(Exception):
    """What the user can mend. `str(error)` is the whole message; it needs no traceback."""


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
