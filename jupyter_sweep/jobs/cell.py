"""A cell as a job: its body with the places of the ranges, its space, what it takes from the notebook, its identity.

Identity is a digest of the syntax tree, with ranges and decided constraints blanked, and of everything captured.
Comments, spacing, ranges and pins are not in it; conditions are, because they are code of the body. The body itself is
not rewritten: the job names the places where the worker puts drawn values, so that tracebacks show the user's lines.
"""

from __future__ import annotations

import ast
import builtins
import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from .. import vocabulary
from ..errors import Mistake, Mistakes, SweepError
from ..space.space import Space
from . import objects, preflight, scopes
from .base import Captured, JobRef
from .body import LINE_OFFSET, Body, deep, read_body
from .capture import Capture, capture
from .digest import digest_tree
from .jobfile import identity, write_job
from .sites import find_sites
from .statements import assignment

#: Line, column, end line, end column, name: an expression of the source that a drawn value replaces.
Site = tuple[int, int, int, int, str]


@dataclass(frozen=True)
class CellJob:
    """A cell that can be run.

    Parameters
    ----------
    source
        The body as the user wrote it.
    python
        What a worker compiles: the same lines, IPython's syntax translated, decided constraints blanked.
    captures
        What was captured, without our own words.
    warnings
        Sentences for the header.
    """

    source: str
    python: str
    space: Space
    sites: tuple[Site, ...]
    fingerprint: str
    targets: tuple[str, ...]
    captures: tuple[Captured, ...]
    warnings: tuple[str, ...]
    kind: str = "cell"
    _captured: Capture = field(repr=False, kw_only=True)

    def write(self, folder: str) -> JobRef:
        """Write the job's files under `folder`; what is there already is left as it is.

        Raises
        ------
        StoreError
            When the folder can't be written to.
        """
        own = {
            "kind": self.kind,
            "source": self.python,
            "sites": [list(site) for site in self.sites],
            "line_offset": LINE_OFFSET,
            "targets": list(self.targets),
            "parameters": self.space.names,
        }
        file = write_job(folder, self._captured, own)
        captures = tuple(asdict(c) for c in self.captures)
        return JobRef(self.kind, self.fingerprint, file, self.source, captures, self.warnings)


def parse_cell(
    body: str,
    namespace: dict[str, Any],
    *,
    folder: str,
    pins: Mapping[str, str] | None = None,
    space: Space | None = None,
    ignore: Sequence[str] = (),
    allow_unused: bool = False,
    targets: Sequence[str] = (),
    transform: Callable[[str], str] | None = None,
    version_tag: str = "",
) -> CellJob:
    """Read a cell. Only the arguments of its ranges are run; nothing is written.

    Parameters
    ----------
    body
        The text below the `%%sweep` line.
    namespace
        The notebook's globals; not changed.
    folder
        The notebook's folder.
    pins
        `name=value` and `name=range` of the line, as text.
    space
        Parameters from `--space`; the body then need not declare any.
    ignore
        Names that do not count in the identity.
    allow_unused
        Let parameters stand that nothing reads.
    targets
        Metrics of the sweep.
    transform
        Turns IPython's syntax into Python.
    version_tag
        Counts in the identity.

    Raises
    ------
    Mistakes
        All that were found, with their lines; 1 is the `%%sweep` line.
    """
    with deep():
        reading = _Reading(read_body(body, transform), namespace, pins or {}, space, frozenset(ignore))
        mistakes = reading.mistakes(targets, allow_unused=allow_unused)
        tree = reading.tree()
        captured = reading.capture(tree, folder, mistakes)
        if mistakes or captured is None:
            raise Mistakes(mistakes)
        fingerprint = identity(digest_tree(tree), captured.digest, version_tag)
        return reading.job(captured, fingerprint, tuple(targets), unused=not allow_unused)


def check_cell(
    body: str,
    namespace: dict[str, Any],
    *,
    pins: Mapping[str, str] | None = None,
    space: Space | None = None,
    ignore: Sequence[str] = (),
    allow_unused: bool = False,
    targets: Sequence[str] = (),
    transform: Callable[[str], str] | None = None,
) -> Space:
    """Give the space of a cell, after the checks of `parse_cell` that need no capture: quick enough while one types.

    The parameters are those of `parse_cell`. What can't be pickled is found by `parse_cell` alone.

    Raises
    ------
    Mistakes
        All that were found.
    """
    with deep():
        reading = _Reading(read_body(body, transform), namespace, pins or {}, space, frozenset(ignore))
        if mistakes := reading.mistakes(targets, allow_unused=allow_unused):
            raise Mistakes(mistakes)
        return reading.space()


class _Reading:
    """One cell on its way to a job: the steps of `parse_cell`, in order."""

    def __init__(
        self,
        body: Body,
        namespace: dict[str, Any],
        pins: Mapping[str, str],
        space: Space | None,
        ignore: frozenset[str],
    ) -> None:
        self._body, self._namespace, self._ignore = body, namespace, ignore
        self._sites = find_sites(body, namespace, pins, space)
        blank = [*(node for node, _ in self._sites.sites), *self._sites.decided]
        given = space.names if space else ()
        self._names = scopes.names_of(body.tree, skip=blank, given=given, lasting=self._sites.lines)
        self._checks = preflight.Checks(body, self._sites, self._names, namespace)

    def mistakes(self, targets: Sequence[str], *, allow_unused: bool) -> list[Mistake]:
        """Give what is wrong with the code and its space."""
        read = [n for n in self._names.reads if n in self._namespace and not self._is_our_word(n)]
        known = {*read, *self._names.bound, *self._sites.lines}
        found = [*self._sites.mistakes, *self._checks.run(targets, allow_unused=allow_unused)]
        found += preflight.ignored(sorted(self._ignore), known, self._body)
        return found or self._unusable_space()

    def _unusable_space(self) -> list[Mistake]:
        try:
            space = self.space()
            space.allows(space.defaults())
        except SweepError as error:
            return [Mistake(str(error), 1)]
        return [replace(mistake, line=1) for mistake in objects.mistaken(space)]

    def tree(self) -> ast.Module:
        """Give the body's tree with everything blanked that is no part of the identity."""
        blank: dict[int, ast.AST] = {id(node): _marker(name) for node, name in self._sites.sites}
        blank |= {id(node): ast.Expr(ast.Constant("")) for node in self._sites.decided}
        for name, value in map(assignment, scopes.own_nodes(self._body.tree.body)):
            if value is not None and name in self._ignore - self._sites.lines.keys():
                blank[id(value)] = _marker(name)
        return copy.deepcopy(self._body.tree, blank)  # its memo: what stands in it is taken as copied

    def capture(self, tree: ast.Module, folder: str, mistakes: list[Mistake]) -> Capture | None:
        """Capture what the body needs; add to the mistakes what can't be."""
        try:
            return capture(
                self._namespace,
                self._wanted(),
                tree=tree,
                folder=folder,
                choices=objects.objects_in(self._sites.parameters),
                ignore=self._ignore,
                parameters=set(self._sites.lines),
            )
        except Mistakes as error:
            mistakes += [self._quoted(mistake) for mistake in error.mistakes]
        return None

    def job(self, captured: Capture, fingerprint: str, targets: tuple[str, ...], *, unused: bool) -> CellJob:
        """Put the job together."""
        idle = self._checks.unused_in_branches() if unused else []
        return CellJob(
            source=self._body.source,
            python=_without(self._body.python, self._sites.decided),
            space=objects.storable(self.space(), captured),
            sites=tuple(_position(node, name) for node, name in self._sites.sites),
            fingerprint=fingerprint,
            targets=targets,
            captures=tuple(c for c in captured.names if not self._is_our_word(c.name)),
            warnings=(*captured.warnings, *(f"the parameter {name} is never read" for name in idle)),
            _captured=captured,
        )

    def space(self) -> Space:
        """Give the space; only after `mistakes` found none."""
        parameters = [replace(p, meta=p.meta or p.name in self._ignore) for p in self._sites.parameters]
        return Space.of(parameters, self._sites.constraints, self._sites.constants)

    def _wanted(self) -> dict[str, int]:
        """Give the notebook's names that the body needs, with the line of the cell that reads them first."""
        return {
            name: line + LINE_OFFSET
            for name, line in sorted(self._names.needed.items(), key=lambda item: item[1])
            if name in self._namespace and not _is_stand_in(name, self._namespace[name])
        }

    def _is_our_word(self, name: str) -> bool:
        return name in vocabulary.WORDS and self._namespace[name] is getattr(vocabulary, name)

    def _quoted(self, mistake: Mistake) -> Mistake:
        if mistake.line is None:
            return mistake
        return replace(mistake, text=self._body.mistake("", mistake.line - LINE_OFFSET).text)


def _is_stand_in(name: str, value: Any) -> bool:
    """Tell whether IPython put its own version of a builtin (`open`, `exit`) into the namespace."""
    home = str(getattr(value, "__module__", None) or type(value).__module__)
    return hasattr(builtins, name) and home.partition(".")[0] in ("IPython", "ipykernel")


def _marker(name: str) -> ast.expr:
    return ast.Call(ast.Name("__parameter__", ast.Load()), [ast.Constant(name)], [])


def _position(node: ast.expr, name: str) -> Site:
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return node.lineno, node.col_offset, node.end_lineno, node.end_col_offset, name


def _without(python: str, statements: Collection[ast.Expr]) -> str:
    """Give the source with statements written over by an empty tuple, line breaks and columns kept."""
    lines = [line.encode() for line in python.split("\n")]
    for node in statements:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        first, last = node.lineno - 1, node.end_lineno - 1
        for number in range(first, last + 1):
            line = lines[number]
            begin = node.col_offset if number == first else 0
            end = node.end_col_offset if number == last else len(line)
            cover = bytearray(b" " * (end - begin))
            if number == first:
                cover[:1] = b"("
            if number == last:
                cover[-1:] = b")"
            lines[number] = line[:begin] + bytes(cover) + line[end:]
    return b"\n".join(lines).decode()
