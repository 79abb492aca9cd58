"""One range call as the fields of a row, and fields as a call again: texts, never values, so that nothing is lost.

Where the call stays the same word, only the arguments that were changed are written anew; comments, line breaks and the
order of keywords inside it stay.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

#: (kind, log) -> the word that declares it.
WORDS = {
    ("float", False): "uniform",
    ("float", True): "loguniform",
    ("int", False): "randint",
    ("int", True): "lograndint",
    ("normal", False): "normal",
    ("normal", True): "lognormal",
    ("choice", False): "choice",
    ("ordinal", False): "ordinal",
}
KINDS = tuple(dict.fromkeys(kind for kind, _ in WORDS))
_OF_WORD = {word: key for key, word in WORDS.items()}
_BOUNDS = {"normal": ("mean", "std"), "lognormal": ("mu", "sigma")}
_LISTS = ("choice", "ordinal")
_FIELDS = ("low", "high", "choices", "step", "default", "more")


@dataclass(frozen=True)
class Row:
    """A parameter as a person writes it: texts of Python, "" for what is not given.

    Parameters
    ----------
    kind
        One of KINDS.
    low, high
        Bounds; of a normal its mean and standard deviation.
    choices
        Values with commas between them.
    when
        The condition under which it exists.
    more
        Other arguments: ``prior=0.1, meta=True``.
    key
        Number of its call in the source that it was read from; -1 for a new one.
    inline
        It stands in a conditional expression; its condition can be changed in the source only.
    """

    name: str = ""
    kind: str = "float"
    low: str = ""
    high: str = ""
    log: bool = False
    step: str = ""
    choices: str = ""
    default: str = ""
    when: str = ""
    more: str = ""
    key: int = -1
    inline: bool = False

    @property
    def word(self) -> str:
        """The function that declares it."""
        return WORDS.get((self.kind, self.log)) or WORDS[self.kind, False]


class _Argument(NamedTuple):
    field: str  # of Row; "more" for what has no field
    keyword: str  # as written, "" for a positional one
    start: int
    end: int
    value_start: int
    text: str


class Call:
    """A range call in a text.

    Parameters
    ----------
    text
        Its source, ``uniform(0, 1)``.
    word
        The word that its function stands for, whatever the notebook calls it.
    """

    def __init__(self, text: str, word: str) -> None:
        node = ast.parse(f"({text}\n)", mode="eval").body
        assert isinstance(node, ast.Call)
        self._text, self._word = text, word
        self._at = Places(f"({text}\n)", -1)
        self._function = text[: self._at(node.func.end_lineno, node.func.end_col_offset)]
        self._arguments = list(self._read(node))

    def row(self) -> Row:
        """Give the fields of the arguments."""
        kind, log = _OF_WORD[self._word]
        found: dict[str, list[str]] = {}
        for argument in self._arguments:
            found.setdefault(argument.field, []).append(argument.text)
        texts: dict[str, Any] = {name: ", ".join(each) for name, each in found.items()}
        return Row(kind=kind, log=log, **texts)

    def written(self, row: Row) -> str:
        """Give the call with the fields of a row."""
        if row.word != self._word:
            prefix = self._function.rpartition(".")[0]
            return text_of(row, f"{prefix}.{row.word}" if prefix else row.word)
        was = self.row()
        changed = [name for name in _FIELDS if getattr(was, name) != getattr(row, name)]
        if any(not (getattr(row, name) and getattr(was, name)) for name in ("low", "high") if name in changed):
            return text_of(row, self._function)
        if "choices" in changed and not row.choices:
            return text_of(row, self._function)
        edits: list[tuple[int, int, str]] = []
        for name in changed:
            mine = [n for n, argument in enumerate(self._arguments) if argument.field == name]
            text = _argument(name, row) if getattr(row, name) else ""
            if name == "choices":
                edits += self._listed(mine, elements(row.choices))
            elif mine and text:
                edits.append((self._arguments[mine[0]].start, self._arguments[mine[0]].end, self._kept(mine[0], text)))
                edits += [self._cut(n) for n in mine[1:]]
            elif mine:
                edits += [self._cut(n) for n in mine]
            else:
                edits.append(self._appended(text))
        return replaced(self._text, edits)

    def _kept(self, number: int, text: str) -> str:
        """Give the new text of an argument under the keyword that it had: a bound may have been given by name."""
        argument = self._arguments[number]
        named = argument.keyword and argument.field in ("low", "high")
        return f"{argument.keyword}={text}" if named else text

    def _appended(self, text: str) -> tuple[int, int, str]:
        """Give the edit that puts an argument behind the last one."""
        end = self._arguments[-1].end if self._arguments else len(self._text) - 1
        return end, end, f", {text}" if self._arguments else text

    def _cut(self, number: int) -> tuple[int, int, str]:
        """Give the edit that takes an argument out; a comment that leads to it stays."""
        argument = self._arguments[number]
        before = self._arguments[number - 1].end if number else argument.start
        start = argument.start if "#" in self._text[before : argument.start] else before
        return start, argument.end, ""

    def _listed(self, mine: list[int], new: list[str]) -> list[tuple[int, int, str]]:
        """Give the edits that make a list of values another: values at its ends that stay, stay as they are written."""
        old = [self._arguments[n].text for n in mine]
        if not old:
            ends = self._arguments[0].start if self._arguments else len(self._text) - 1
            return [(ends, ends, ", ".join(new) + (", " if self._arguments else ""))]
        head = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
        rest = min(len(old), len(new)) - head
        pairs = enumerate(zip(old[::-1], new[::-1], strict=False))
        tail = next((i for i, (a, b) in pairs if a != b or i == rest), rest)
        first, last = head, len(old) - tail  # of the old ones that go
        put = ", ".join(new[head : len(new) - tail])
        if first == last:
            at = self._arguments[mine[first - 1]].end if first else self._arguments[mine[0]].start
            return [(at, at, f", {put}" if first else f"{put}, ")]
        if put:
            return [(self._arguments[mine[first]].start, self._arguments[mine[last - 1]].end, put)]
        if first:
            return [(self._arguments[mine[first - 1]].end, self._arguments[mine[last - 1]].end, "")]
        return [(self._arguments[mine[0]].start, self._arguments[mine[last]].start, "")]

    def _read(self, node: ast.Call) -> Iterator[_Argument]:
        bounds = _BOUNDS.get(self._word, ("low", "high"))
        names = dict(zip(bounds, ("low", "high"), strict=True)) if self._word not in _LISTS else {}
        known = {**names, "default": "default", **({} if self._word in _LISTS else {"step": "step"})}
        if self._word in _BOUNDS:
            known.pop("step")
        plain = not any(isinstance(a, ast.Starred) for a in node.args) or self._word in _LISTS
        parts: list[tuple[int, str, str, int, ast.expr]] = []
        for number, argument in enumerate(node.args):
            field = "choices" if self._word in _LISTS else ("low", "high", "more", "more")[min(number, 3)]
            start = self._at(argument.lineno, argument.col_offset)
            parts.append((start, field if plain else "more", "", start, argument))
        for named in node.keywords:
            start = self._at(named.lineno, named.col_offset)
            begin = self._at(named.value.lineno, named.value.col_offset)
            parts.append((start, known.get(named.arg or "", "more"), named.arg or "", begin, named.value))
        for start, field, keyword, value, part in sorted(parts, key=lambda p: p[0]):
            start, value, end = self._widened(start, value, self._at(part.end_lineno, part.end_col_offset))
            source = self._text[start if field == "more" else value : end]
            yield _Argument(field, keyword, start, end, value, source if "\n" not in source else _joined(source))

    def _widened(self, start: int, value: int, end: int) -> tuple[int, int, int]:
        """Take the brackets around a value into it: the tree has no place for them."""
        while True:
            left, right = self._text[:value].rstrip(), self._text[end:].lstrip()
            inner = left.endswith("(") and len(left) > len(self._function) + 1 and right.startswith(")")
            if not inner:
                return start, value, end
            value_new = len(left) - 1
            start = value_new if start == value else start
            value, end = value_new, len(self._text) - len(right) + 1


def text_of(row: Row, function: str = "") -> str:
    """Give the call that declares a row's parameter."""
    fields = {"normal": ["low", "high"], "choice": ["choices"], "ordinal": ["choices"]}
    given = fields.get(row.kind, ["low", "high", "step"])
    texts = [_argument(name, row) for name in given if getattr(row, name)]
    if row.kind not in _LISTS and not row.low and row.high and not row.more.startswith("*"):
        bounds = _BOUNDS.get(row.word, ("low", "high"))
        texts = [f"{bounds[1]}={row.high}", *texts[1:]]  # alone it would be taken for the lower one
    texts += [_argument("default", row)] if row.default else []
    if row.more:
        positional = row.more.startswith("*") and not row.more.startswith("**")
        texts = [row.more, *texts] if positional else [*texts, row.more]
    return f"{function or row.word}({', '.join(texts)})"


def _argument(name: str, row: Row) -> str:
    text: str = getattr(row, name)
    return f"{name}={text}" if name in ("step", "default") else text


def elements(text: str) -> list[str]:
    """Give the values of a list with commas.

    >>> elements("1, (2, 3), 'a, b'")
    ['1', '(2, 3)', "'a, b'"]

    Raises
    ------
    SyntaxError
        When it is no list of Python expressions.
    """
    call = ast.parse(f"f({text}\n)", mode="eval").body
    if not isinstance(call, ast.Call) or call.keywords:
        raise SyntaxError("values are wanted, without names")
    if not call.args:
        return []
    return [argument.text for argument in Call(f"f({text}\n)", "choice")._arguments]


def replaced(text: str, edits: Iterable[tuple[int, int, str]]) -> str:
    """Give a text with pieces replaced, each given by where it begins and ends."""
    for start, end, new in sorted(edits, key=lambda edit: edit[:2], reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _joined(source: str) -> str:
    """Give an argument that is written over several lines in one."""
    call = ast.parse(f"f({source}\n)", mode="eval").body
    return ast.unparse(call)[2:-1]


class Places:
    """Turns places of a syntax tree, which count lines and bytes, into places of the text."""

    def __init__(self, text: str, shift: int = 0) -> None:
        self._lines = text.split("\n")
        self._shift = shift

    def __call__(self, line: int | None, column: int | None) -> int:
        assert line is not None
        assert column is not None
        before = sum(len(each) + 1 for each in self._lines[: line - 1])
        return before + len(self._lines[line - 1].encode()[:column].decode()) + self._shift
