"""Options that a command line lays over those of a file: ``jupyter sweep run digits.ipynb --trials 100``.

They take the place of the same options in the file, and of those that they exclude: with ``--max acc`` a ``--min loss``
of the file is gone, with ``--grid`` its ``--algo``. Everything else of the file stays. What the words mean is read
later by the one reader of all lines (`reader`); here they are only told apart.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import SweepError
from . import table, words

#: Options that one answer is enough for.
_ONE_OF: tuple[frozenset[str], ...] = (
    frozenset({"min", "max"}),
    frozenset({"grid", "algo"}),
    frozenset({"keep-going", "fail-fast", "max-failures"}),
    frozenset({"fresh", "code"}),
)


class Piece(NamedTuple):
    """Words that belong together.

    Parameters
    ----------
    kind
        "option", "pin" (``name=value``) or "bare".
    name
        The option's long name (as written for an unknown one), the parameter's name, or the word.
    value
        Text of the option's value, None for a flag; of the pin.
    words
        As they were given.
    """

    kind: str
    name: str
    value: str | None
    words: tuple[str, ...]


def pieces(given: Sequence[str]) -> list[Piece]:
    """Tell options with their values, pins and bare words apart, as the reader of a line does.

    >>> [p.name for p in pieces(["--max", "acc", "-n", "20", "lr=0.1", "digits.py"])]
    ['max', 'trials', 'lr', 'digits.py']
    """
    rest, found = list(given), []
    while rest:
        word = rest.pop(0)
        pin = re.match(r"([^\W\d]\w*)=", word)
        if is_option(word):
            found.append(_option(word, rest))
        elif pin:
            found.append(Piece("pin", pin[1], word[pin.end() :], (word,)))
        else:
            found.append(Piece("bare", word, word, (word,)))
    return found


def _option(word: str, rest: list[str]) -> Piece:
    if word.startswith("--"):
        spelled, equals, value = word.partition("=")
    else:
        spelled, equals, value = word[:2], word[2:3], word[2:].removeprefix("=")
    option = table.BY_SPELLING.get(spelled)
    name = option.name if option else spelled
    if equals:
        return Piece("option", name, value, (word,))
    takes_value = not option.is_flag if option else bool(rest) and "=" not in rest[0] and not _is_file(rest[0])
    if takes_value and rest and not is_option(rest[0]):
        value = rest.pop(0)
        return Piece("option", name, value, (word, value))
    return Piece("option", name, None, (word,))


def is_option(word: str) -> bool:
    """Tell an option from a value: ``-1``, ``-`` and ``-.5`` are values."""
    return re.match(r"--|-[A-Za-z]", word) is not None


def _is_file(word: str) -> bool:
    return re.search(r"\.(py|ipynb|txt)$", word) is not None


def join(given: Sequence[str]) -> str:
    """Give a line that `words.split` takes apart into these words."""
    return " ".join(map(shlex.quote, given))


def over_line(line: str, extra: Sequence[Piece], *, name: str = "") -> str:
    """Give a `%%sweep` line with `extra` laid over it; `name` is the name to use where the line has none.

    A line that can't be taken apart is given back as it is: the cell will say what is wrong with it.
    """
    try:
        own = pieces(words.split(line))
    except SweepError:
        return line
    hidden = _hidden(extra)
    kept = [p for p in own if (p.kind, p.name) not in hidden]
    if not any(p.kind == "bare" for p in own) and name:
        kept.insert(0, Piece("bare", name, name, (name,)))
    return join([word for piece in [*kept, *extra] for word in piece.words])


def named(line: str) -> bool:
    """Tell whether a `%%sweep` line names its sweep."""
    try:
        return any(p.kind == "bare" for p in pieces(words.split(line)))
    except SweepError:
        return False


def renamed(line: str, name: str) -> str:
    """Give a `%%sweep` line with another name."""
    own = pieces(words.split(line))
    return join([name, *(word for piece in own if piece.kind != "bare" for word in piece.words)])


def over_keywords(given: Mapping[str, Any], extra: Sequence[Piece]) -> dict[str, Any]:
    """Give the keywords of a call `run(job, space, ...)` with `extra` laid over them.

    Raises
    ------
    SweepError
        For what only a cell has: ``name=value``.
    """
    pins = [piece.words[0] for piece in extra if piece.kind == "pin"]
    if pins:
        raise SweepError(f"{', '.join(pins)} sets a parameter of a %%sweep cell; for run(...) change its space.")
    hidden = {name.replace("-", "_") for _, name in _hidden(extra)}
    result = {key: value for key, value in given.items() if ("trials" if key == "n" else key) not in hidden}
    for piece in extra:
        field = piece.name.removeprefix("--").replace("-", "_")
        option = table.BY_FIELD.get(field)
        value: Any = True if piece.value is None else piece.value
        result[field] = (*result.get(field, ()), value) if option and option.several else value
    return result


def rivals(name: str) -> frozenset[str]:
    """Give the options that an option takes the place of, by long name, itself among them."""
    return frozenset({name}).union(*(group for group in _ONE_OF if name in group))


def _hidden(extra: Sequence[Piece]) -> set[tuple[str, str]]:
    hidden = {(piece.kind, piece.name) for piece in extra}
    for group in _ONE_OF:
        if any(kind == "option" and name in group for kind, name in hidden):
            hidden |= {("option", name) for name in group}
    return hidden
