"""The words of a `%%sweep` line: the shell's rules, and brackets keep a Python value together.

`shlex` alone would tear ``lr=loguniform(1e-4, 1e-1)`` apart and strip the quotes of ``opt=choice("a","b")``, turning
two strings into two names of the notebook. So a bracket that begins a word, or follows a name, ``=`` or a bracket, is
read as Python up to its partner, as written. A line without such brackets gives exactly what `shlex.split` gives (a
test holds them against each other), and a bracket that is never closed is an ordinary character.
"""

from __future__ import annotations

from ..errors import SweepError

_PARTNER = {"(": ")", "[": "]", "{": "}"}


def split(line: str) -> list[str]:
    """Give the words of a line.

    >>> split("digits --note 'two words' lr=uniform(0, 1)")
    ['digits', '--note', 'two words', 'lr=uniform(0, 1)']

    Raises
    ------
    SweepError
        When a quote is never closed or a backslash ends the line.
    """
    return [word for word, _, _ in located(line)]


def located(line: str) -> list[tuple[str, int, int]]:
    """Give the words of a line, each with where its text begins and ends there; raises as `split` does.

    >>> located("-n 20 'a b'")
    [('-n', 0, 2), ('20', 3, 5), ('a b', 6, 11)]
    """
    words: list[tuple[str, int, int]] = []
    word: str | None = None
    at = start = 0
    while at < len(line):
        char = line[at]
        end = _closing(line, at) if char in _PARTNER and _may_open(word) else None
        if char.isspace():
            if word is not None:
                words.append((word, start, at))
            word, at = None, at + 1
            continue
        start = at if word is None else start
        if end is not None:
            piece, at = line[at : end + 1], end + 1
        elif char in "'\"":
            piece, at = _quoted(line, at)
        elif char == "\\":
            piece, at = _escaped(line, at), at + 2
        else:
            piece, at = char, at + 1
        word = (word or "") + piece
    return words if word is None else [*words, (word, start, at)]


def _may_open(word: str | None) -> bool:
    """Tell whether a bracket here starts a Python value: ``asha(``, ``lr=[``, ``-n {``; not ``:(`` in a note."""
    return not word or word[-1] == "=" or word[-1].isalnum() or word[-1] in "_)]}"


def _closing(line: str, start: int) -> int | None:
    """Give the place of the partner of the bracket at `start`; brackets inside Python strings do not count."""
    wanted: list[str] = []
    quote = ""
    at = start
    while at < len(line):
        char = line[at]
        if quote:
            at += char == "\\"
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in _PARTNER:
            wanted.append(_PARTNER[char])
        elif char in _PARTNER.values():
            if char != wanted.pop():
                return None
            if not wanted:
                return at
        at += 1
    return None


def _quoted(line: str, start: int) -> tuple[str, int]:
    """Give what stands between the quote at `start` and its partner, and the place after it."""
    quote = line[start]
    piece = ""
    at = start + 1
    while at < len(line):
        char = line[at]
        if char == quote:
            return piece, at + 1
        if char == "\\" and quote == '"' and line[at + 1 : at + 2] in ('"', "\\"):
            at += 1
        piece += line[at]
        at += 1
    raise SweepError(f"a quote is never closed: {line[start:]}")


def _escaped(line: str, at: int) -> str:
    if at + 1 == len(line):
        raise SweepError("a backslash ends the line, but a %% line can't be continued: write all options on one line")
    return line[at + 1]
