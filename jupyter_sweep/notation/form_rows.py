"""The parameters of a cell's body as rows, and rows written back into it.

The rows are found by the very walk that finds the space of a cell (`jobs.sites`), so that form and cell never disagree
about what is a range. Writing back touches only what was changed: it cuts and puts pieces of the text, whose comments,
spacing and other code stay as they are; a syntax tree that is unparsed would lose them. (libcst keeps them too, but
it is a parser of its own, 4 MB large, that can't read IPython's lines; places from `ast` are enough for this.)
"""

from __future__ import annotations

import ast
import keyword
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from .. import vocabulary
from ..errors import Mistake, Mistakes
from ..jobs.body import Body, read_body
from ..jobs.lookup import Lookup
from ..jobs.sites import Sites, find_sites
from . import form_calls, form_tests
from .form_calls import Call, Places, Row, replaced

Edit = tuple[int, int, str]


class _Site(NamedTuple):
    """Where a range stands: the call, its statement, the statements that hold that one, outermost first."""

    call: ast.Call
    statement: ast.stmt
    above: tuple[ast.If, ...]
    row: Row


@dataclass(frozen=True)
class Rows:
    """The body of a cell with its parameters.

    Parameters
    ----------
    source
        The body.
    rows
        Its parameters, in the order of the text; their keys number them.
    lines
        The line of the cell that each stands in; 1 is the `%%sweep` line.
    """

    source: str
    rows: tuple[Row, ...]
    lines: tuple[int, ...]
    _body: Body
    _sites: tuple[_Site, ...]
    _found: Sites

    def written(self, rows: Sequence[Row], namespace: Mapping[str, Any] | None = None) -> str:
        """Give the body with its parameters as `rows` say; those whose key is missing are taken out.

        A name that changed is changed where the body reads it. A parameter that goes leaves its plain value behind,
        where the body reads it. New ones stand below the last one that is there.

        Parameters
        ----------
        namespace
            The notebook's; a word that it lacks is imported in the cell.

        Raises
        ------
        Mistakes
            When a field holds no Python: nothing could be written that can be read again.
        """
        if wrong := mistakes(rows):
            raise Mistakes(wrong)
        return _Writing(self, rows).text(namespace)


def read(source: str, namespace: Mapping[str, Any], transform: Callable[[str], str] | None = None) -> Rows:
    """Give the parameters of a body.

    Parameters
    ----------
    source
        What stands below the `%%sweep` line.
    namespace
        The notebook's: a range is one of our words by identity.
    transform
        Turns IPython's syntax into Python.

    Raises
    ------
    Mistakes
        One, when it is no Python.
    """
    body = read_body(source, transform)
    found = find_sites(body, namespace, {}, None)
    lookup = _lookup(body.tree, namespace)
    wanted = {id(node): name for node, name in found.sites if isinstance(node, ast.Call)}
    at = Places(body.python)
    sites = []
    for key, (call, statement, above, tests) in enumerate(_calls(body.tree.body, wanted, (), ())):
        make = lookup.range(call)
        assert make is not None
        text = body.python[at(call.lineno, call.col_offset) : at(call.end_lineno, call.end_col_offset)]
        row = replace(
            Call(text, make.__name__).row(),
            name=wanted[id(call)],
            when=form_tests.joined(body.python, tests),
            key=key,
            inline=not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is not call,
        )
        sites.append(_Site(call, statement, above, row))
    rows = tuple(site.row for site in sites)
    return Rows(source, rows, tuple(site.call.lineno + 1 for site in sites), body, tuple(sites), found)


def _lookup(tree: ast.Module, namespace: Mapping[str, Any]) -> Lookup:
    """Give the names of the notebook with those that the body imports."""
    lookup = Lookup(namespace)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                if alias.name == "*" and isinstance(node, ast.ImportFrom):
                    lookup.star(node)
                else:
                    lookup.bind(alias.asname or alias.name.partition(".")[0], node)
    return lookup


_Tests = tuple[tuple[ast.expr, bool], ...]


def _calls(
    statements: Sequence[ast.stmt], wanted: Mapping[int, str], above: tuple[ast.If, ...], tests: _Tests
) -> Iterator[tuple[ast.Call, ast.stmt, tuple[ast.If, ...], _Tests]]:
    """Give the ranges with their statements and the tests that they stand under, in the order of the text."""
    for statement in statements:
        if isinstance(statement, ast.If):
            yield from _calls(statement.body, wanted, (*above, statement), (*tests, (statement.test, True)))
            yield from _calls(statement.orelse, wanted, (*above, statement), (*tests, (statement.test, False)))
        elif isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            for call, inner in _of_value(statement.value, wanted, tests):
                yield call, statement, above, inner


def _of_value(value: ast.expr, wanted: Mapping[int, str], tests: _Tests) -> Iterator[tuple[ast.Call, _Tests]]:
    if isinstance(value, ast.IfExp):
        yield from _of_value(value.body, wanted, (*tests, (value.test, True)))
        yield from _of_value(value.orelse, wanted, (*tests, (value.test, False)))
    elif isinstance(value, ast.Call) and id(value) in wanted:
        yield value, tests


def mistakes(rows: Sequence[Row]) -> list[Mistake]:
    """Say what of some rows can't stand in a cell at all: texts that are no Python."""
    return [Mistake(text) for row in rows for text in _unwritable(row)]


def _unwritable(row: Row) -> Iterator[str]:
    """Say what of a row can't stand in a cell at all."""
    name = row.name or "a parameter"
    if not row.name.isidentifier() or keyword.iskeyword(row.name):
        yield f"{row.name!r} can't name a parameter: wanted is a name of a Python variable"
    if row.kind not in form_calls.KINDS:
        yield f"{name}: {row.kind!r} is no kind. Allowed: {', '.join(form_calls.KINDS)}."
    for field in ("low", "high", "step", "default", "when"):
        text = getattr(row, field)
        if text and not _parses(f"({text})"):
            yield f"{name}: {field} is no Python expression: {text}"
    try:
        form_calls.elements(row.choices)
    except SyntaxError:
        yield f"{name}: the choices are no list of Python values with commas: {row.choices}"
    if row.more and not _parses(f"f({row.more})"):
        yield f"{name}: these are no arguments of a range, such as prior=0.1: {row.more}"


def _parses(text: str) -> bool:
    try:
        ast.parse(text, mode="eval")
    except (SyntaxError, ValueError):
        return False
    return True


def _outermost(edits: Sequence[Edit]) -> list[Edit]:
    """Give the edits without those inside a piece that another one replaces: a test that is written anew is done."""
    return [
        edit
        for edit in edits
        if not any(o[0] <= edit[0] and edit[1] <= o[1] and o[:2] != edit[:2] and o[0] < edit[1] for o in edits)
    ]


class _Writing:
    """One change of a body."""

    def __init__(self, base: Rows, rows: Sequence[Row]) -> None:
        self._base, self._rows = base, rows
        self._source = base.source
        self._at = Places(base.source)
        self._edits: list[Edit] = []
        self._moved: dict[int, list[Row]] = {}  # place -> rows to be put in there

    def text(self, namespace: Mapping[str, Any] | None) -> str:
        wanted = {row.key: row for row in self._rows if 0 <= row.key < len(self._base.rows)}
        for site in self._base._sites:
            row = wanted.get(site.row.key)
            if row is None:
                self._remove(site)
            elif row != site.row:
                self._change(site, row)
        if new := [row for row in self._rows if row.key not in wanted]:
            self._moved.setdefault(self._place_for_new(), []).extend(new)
        for place, rows in self._moved.items():
            self._edits.append((place, place, form_tests.block(rows)))
        return self._with_imports(replaced(self._source, _outermost(self._edits)), namespace)

    # -- one row

    def _change(self, site: _Site, row: Row) -> None:
        call = self._span(site.call)
        text = Call(self._source[slice(*call)], site.row.word).written(row)
        stays = row.when == site.row.when or site.row.inline
        if not stays and site.above and not self._is_alone(site):
            self._cut(site.statement, "pass")
            self._moved.setdefault(self._below(site.above[0]), []).append(row)
            self._rename(site, row.name, cut=True)
            return
        self._rename(site, row.name)
        if text != self._source[slice(*call)]:
            self._edits.append((*call, text))
        if not stays and site.above:
            self._retest(site, row.when)
        elif not stays:
            self._wrap(site.statement, row.when)

    def _remove(self, site: _Site) -> None:
        name = site.row.name
        start, end = self._span(site.call)
        others = sum(other.row.name == name for other in self._base._sites)
        if site.row.inline or others > 1 or self._is_read(name):
            self._edits.append((start, end, self._plain_value(site)))
        else:
            self._cut(site.statement, "pass" if site.above else "")

    def _plain_value(self, site: _Site) -> str:
        """Give what the range gives in a plain cell, as text."""
        row = site.row
        if row.default:
            return row.default
        mine = [s for s in self._base._sites if s.row.name == row.name].index(site)
        same = [p for p in self._base._found.parameters if p.name == row.name]
        return repr(same[mine].start) if mine < len(same) else "None"

    def _is_read(self, name: str) -> bool:
        nodes = ast.walk(self._base._body.tree)
        return any(isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Load) for n in nodes)

    def _rename(self, site: _Site, new: str, *, cut: bool = False) -> None:
        """Change a name where it is assigned and, if it has one meaning in the body, where it is read."""
        tree, old = self._base._body.tree, site.row.name
        if new == old:
            return
        names = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id in (old, new)]
        stored = sum(n.id == old and isinstance(n.ctx, ast.Store) for n in names)
        argument = any(isinstance(n, ast.arg) and n.arg in (old, new) for n in ast.walk(tree))
        everywhere = stored == 1 and not argument and all(n.id == old for n in names)
        mine = {id(n) for n in ast.walk(site.statement)}
        for node in names:
            here = id(node) in mine and isinstance(node.ctx, ast.Store)
            if node.id == old and (everywhere or here) and not (cut and id(node) in mine):
                self._edits.append((*self._span(node), new))

    # -- statements and lines

    def _span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        return self._at(node.lineno, node.col_offset), self._at(node.end_lineno, node.end_col_offset)

    def _line(self, place: int) -> tuple[int, int]:
        """Give where the line of a place begins and ends, with its line break."""
        end = self._source.find("\n", place)
        return self._source.rfind("\n", 0, place) + 1, len(self._source) if end < 0 else end + 1

    def _is_on_its_own(self, node: ast.stmt) -> bool:
        """Tell whether nothing but a comment stands in the lines of a statement."""
        start, end = self._span(node)
        before, after = self._source[self._line(start)[0] : start], self._source[end : self._line(end)[1]]
        return not before.strip() and (not after.strip() or after.lstrip().startswith("#"))

    def _cut(self, node: ast.stmt, instead: str) -> None:
        start, end = self._span(node)
        if self._is_on_its_own(node) and not instead:
            start, end = self._line(start)[0], self._line(end)[1]
        self._edits.append((start, end, instead if instead or self._is_on_its_own(node) else "pass"))

    def _wrap(self, node: ast.stmt, when: str) -> None:
        """Put a statement of the top level under an if."""
        start, end = self._span(node)
        if not self._is_on_its_own(node):
            self._edits.append((start, start, f"\nif {when}:\n    "))
            self._edits.append((end, end, "\n"))
            return
        self._edits.append((start, start, f"if {when}:\n    "))

    def _is_alone(self, site: _Site) -> bool:
        """Tell whether a statement is all that a plain if of the top level holds, on lines of its own."""
        (first, *more) = site.above
        own = first.body == [site.statement] and not first.orelse and not more
        return own and self._is_on_its_own(site.statement) and self._is_on_its_own(first)

    def _retest(self, site: _Site, when: str) -> None:
        """Change the test of an if that a parameter has for itself; without one, take the if away."""
        node = site.above[0]
        start, _ = self._span(node)
        colon = self._source.rindex(":", self._span(node.test)[1], self._line(self._span(node.test)[1])[1])
        if when:
            self._edits.append((start, colon, f"if {when}"))
            return
        first = self._span(site.statement)[0]
        below = self._line(colon)[1]
        comment = self._source[colon + 1 : below].strip()
        self._edits.append((start, below, f"{comment}\n" if comment else ""))
        margin = first - self._line(first)[0]
        for at in [below, *(i + 1 for i in range(below, first) if self._source[i] == "\n")]:
            blanks = len(self._source[at:]) - len(self._source[at:].lstrip(" \t"))
            self._edits.append((at, at + min(margin, blanks), ""))

    def _below(self, node: ast.stmt) -> int:
        """Give the place of the line below a statement of the top level."""
        return self._line(self._span(node)[1])[1]

    def _place_for_new(self) -> int:
        """Give the place below the last range; in a body without one, below the comments and imports it begins with."""
        body = self._base._body.tree.body
        tops = [site.above[0] if site.above else site.statement for site in self._base._sites]
        head = []
        for statement in body:
            if not isinstance(statement, ast.Import | ast.ImportFrom):
                break
            head.append(statement)
        last = max(tops or head, key=lambda node: node.lineno, default=None)
        if last is not None:
            return self._below(last)
        return self._line(self._span(body[0])[0])[0] if body else len(self._source)

    def _with_imports(self, text: str, namespace: Mapping[str, Any] | None) -> str:
        """Give the text with an import of those words that neither the notebook nor the cell has."""
        if namespace is None:
            return text
        lookup = _lookup(self._base._body.tree, namespace)
        missing = []
        for row in self._rows:
            known = lookup.find(ast.Name(row.word, ast.Load()))
            called = self._base.rows[row.key] if 0 <= row.key < len(self._base.rows) else None
            if called is None or called.word != row.word:
                missing += [row.word] if known is not vocabulary.RANGES[row.word] else []
        if not missing:
            return text
        return f"from jupyter_sweep import {', '.join(sorted(set(missing)))}\n{text}"
