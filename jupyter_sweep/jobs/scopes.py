"""Which names a body reads, binds, and needs from the notebook, by Python's scoping rules.

A walk in order of execution keeps the set of names that are assigned at module level: a read of any other name may
reach the notebook's variable, so it is captured (`K += 1` reads before it binds). What a function reads counts at the
moment its name is first used, not where it is defined. Loops are taken to run at least once, `try` blocks to succeed
and chains of `elif` to be complete: a variable that an earlier run of the plain cell left in the kernel would otherwise
be captured and change the identity of every trial. `symtable` was rejected: it knows scopes but no order.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

_Function = (ast.FunctionDef, ast.AsyncFunctionDef)
_Comprehension = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass
class Names:
    """What became of the names of a body, each with a line of the body.

    Parameters
    ----------
    bound
        Assigned, imported or defined at module level, anywhere: first line.
    reads
        Read as a module-level name, anywhere: all lines.
    needed
        Read where it is not assigned yet: first such line.
    early
        Read for certain before the first assignment: line of the read.
    inside
        Read in a function, which may be called from anywhere.
    loads
        The nodes behind `reads`.
    star
        There is a star import: any name may be bound.
    """

    bound: dict[str, int] = field(default_factory=dict)
    reads: dict[str, list[int]] = field(default_factory=dict)
    needed: dict[str, int] = field(default_factory=dict)
    early: dict[str, int] = field(default_factory=dict)
    inside: set[str] = field(default_factory=set)
    loads: list[ast.Name] = field(default_factory=list)
    star: bool = False


def names_of(
    tree: ast.Module, *, skip: Collection[ast.AST] = (), given: Iterable[str] = (), lasting: Iterable[str] = ()
) -> Names:
    """Find the names of a body.

    Parameters
    ----------
    skip
        Nodes that are not looked into: ranges, and constraints decided before the start.
    given
        Names that have a value before the body begins.
    lasting
        Names that count as assigned once they are assigned in any branch: parameters.
    """
    walk = _Walk(frozenset(map(id, skip)), set(given), frozenset(lasting))
    walk.block(tree.body)
    walk.finish()
    return walk.names


def bound_in(statements: Sequence[ast.stmt]) -> dict[str, ast.AST]:
    """Give the names that statements bind in their own scope, with a node each; what lies deeper is left out."""
    found: dict[str, ast.AST] = {}
    for node in own_nodes(statements):
        for name in _binds(node):
            found.setdefault(name, node)
    return found


def own_nodes(statements: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Give the nodes of one scope. Of a comprehension only what `:=` binds outside belongs to it."""
    for node in statements:
        yield node
        if isinstance(node, _Comprehension):
            yield from (n for n in ast.walk(node) if isinstance(n, ast.NamedExpr))
        elif not isinstance(node, (*_Function, ast.ClassDef, ast.Lambda)):
            yield from own_nodes(ast.iter_child_nodes(node))


def _binds(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return [node.id]
    if isinstance(node, ast.NamedExpr):
        return [node.target.id]
    if isinstance(node, (*_Function, ast.ClassDef)):
        return [node.name]
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [a.asname or a.name.partition(".")[0] for a in node.names if a.name != "*"]
    if isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)):
        return [node.name] if node.name else []
    if isinstance(node, ast.MatchMapping):
        return [node.rest] if node.rest else []
    return []


@dataclass
class _Scope:
    """A scope around the node at hand. That of a class grows as it is executed; functions inside don't see it."""

    local: set[str]
    kind: str = "function"  # "class", or "types" for the parameters of `def f[T]`
    outer: frozenset[str] = frozenset()  # declared global


class _Walk(ast.NodeVisitor):
    def __init__(self, skip: frozenset[int], assigned: set[str], lasting: frozenset[str]) -> None:
        self.names = Names()
        self._skip, self._assigned, self._lasting = skip, assigned, lasting
        self._seen = set(assigned)  # assigned on any path so far
        self._scopes: list[_Scope] = []
        self._later: list[list[ast.Name]] = []  # reads of the function being walked
        self._pending: dict[str, list[ast.Name]] = {}  # function or class -> reads of its functions
        self._classes: list[str] = []  # around the node
        self._certain = True  # the node is evaluated whenever the body runs
        self._annotations = True

    def finish(self) -> None:
        for name in list(self._pending):
            self._use(name)

    def block(self, statements: Iterable[ast.AST]) -> None:
        for statement in statements:
            self.visit(statement)

    def visit(self, node: ast.AST) -> None:
        if id(node) not in self._skip:
            super().visit(node)

    # names

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Store):
            self._bind(node.id, node)
            return
        self._read(node)
        if isinstance(node.ctx, ast.Del) and not self._scopes:
            self._assigned.discard(node.id)

    def _read(self, node: ast.Name) -> None:
        inside_function = False
        for scope in reversed(self._scopes):
            if node.id in scope.outer:
                break
            if node.id in scope.local and not (scope.kind == "class" and inside_function):
                return
            inside_function = inside_function or scope.kind == "function"
        self.names.loads.append(node)
        self.names.reads.setdefault(node.id, []).append(node.lineno)
        if self._later:
            self._later[-1].append(node)
            self.names.inside.add(node.id)
        else:
            self._reach(node)

    def _reach(self, node: ast.Name) -> None:
        """Note a read at the moment of its execution."""
        self._use(node.id)
        if node.id not in self._assigned:
            self.names.needed.setdefault(node.id, node.lineno)
        if self._certain and not self._scopes and node.id not in self._seen:
            self.names.early.setdefault(node.id, node.lineno)

    def _use(self, name: str) -> None:
        certain, self._certain = self._certain, False
        for node in self._pending.pop(name, ()):
            self._reach(node)
        self._certain = certain

    def _bind(self, name: str, node: ast.AST) -> None:
        scope = self._scopes[-1] if self._scopes else None
        if scope is not None and name not in scope.outer:
            scope.local.add(name)
            return
        self.names.bound.setdefault(name, getattr(node, "lineno", 0))
        self._seen.add(name)  # by a function that declares it global: whether that has run is not known
        if scope is None:
            self._assigned.add(name)

    # statements

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        for target in node.targets:
            self.visit(target)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self._read(ast.copy_location(ast.Name(node.target.id, ast.Load()), node.target))
        self.visit(node.value)
        self.visit(node.target)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)
        if self._annotations and not (self._scopes and self._scopes[-1].kind == "function"):
            self.visit(node.annotation)
        if node.value is not None or not isinstance(node.target, ast.Name):
            self.visit(node.target)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self._bind(node.target.id, node)

    def visit_Import(self, node: ast.Import) -> None:
        for name in _binds(node):
            self._bind(name, node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self.names.star = self.names.star or any(a.name == "*" for a in node.names)
        if node.module == "__future__" and any(a.name == "annotations" for a in node.names):
            self._annotations = False
        for name in _binds(node):
            self._bind(name, node)

    def visit_If(self, node: ast.If) -> None:
        branches, tests = [node.body], [node.test]
        while len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If):
            node = node.orelse[0]
            branches.append(node.body)
            tests.append(node.test)
        if node.orelse or len(branches) == 1:
            branches.append(node.orelse)
        self.visit(tests[0])
        with self._uncertain():
            for test in tests[1:]:
                self.visit(test)
        self._branches(branches)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        with self._uncertain():
            self.visit(node.target)
            self.block(node.body)
            self.block(node.orelse)

    visit_AsyncFor = visit_For

    def visit_While(self, node: ast.While) -> None:
        self.visit(node.test)
        with self._uncertain():
            self.block(node.body)
            self.block(node.orelse)

    def visit_Try(self, node: Any) -> None:
        with self._uncertain():
            before = set(self._assigned)
            self.block(node.body)
            self.block(node.orelse)
            done, self._assigned = self._assigned, before
            for handler in node.handlers:
                self._assigned = set(before)
                self.visit(handler)
        self._assigned = done
        self.block(node.finalbody)

    visit_TryStar = visit_Try

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.type is not None:
            self.visit(node.type)
        if node.name:
            self._bind(node.name, node)
        self.block(node.body)
        if node.name and not self._scopes:
            self._assigned.discard(node.name)

    def visit_Match(self, node: ast.Match) -> None:
        self.visit(node.subject)
        self._branches([[case] for case in node.cases])

    def _pattern(self, node: ast.AST) -> None:
        for name in _binds(node):
            self._bind(name, node)
        self.generic_visit(node)

    visit_MatchAs = visit_MatchStar = visit_MatchMapping = _pattern

    def _branches(self, branches: Sequence[Sequence[ast.AST]]) -> None:
        before, ends = self._assigned, []
        for branch in branches:
            self._assigned = set(before)
            with self._uncertain():
                self.block(branch)
            ends.append(self._assigned)
        lasting = set.union(*ends) & self._lasting
        self._assigned = set.intersection(*ends) | lasting

    @contextmanager
    def _uncertain(self) -> Iterator[None]:
        certain, self._certain = self._certain, False
        yield
        self._certain = certain

    # expressions that may not be evaluated

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        self.visit(node.values[0])
        with self._uncertain():
            for value in node.values[1:]:
                self.visit(value)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.visit(node.test)
        with self._uncertain():
            self.visit(node.body)
            self.visit(node.orelse)

    # scopes

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        self.visit(node.generators[0].iter)
        for walrus in (n for n in ast.walk(node) if isinstance(n, ast.NamedExpr)):
            self._bind(walrus.target.id, walrus)
        targets = bound_in([ast.Expr(g.target) for g in node.generators])
        with self._scope(_Scope(set(targets))), self._uncertain():
            for place, generator in enumerate(node.generators):
                for part in [*([generator.iter] if place else []), *generator.ifs]:
                    self.visit(part)
            for part in [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]:
                self.visit(part)

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._defaults(node.args)
        with self._scope(_Scope(_arguments(node.args))), self._uncertain():
            self.visit(node.body)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for decorator in node.decorator_list:
            self.visit(decorator)
        with self._scope(_Scope(_type_names(node), "types")):
            self._defaults(node.args)
            if self._annotations:
                for annotation in _annotations(node):
                    self.visit(annotation)
            self._function_body(node)
        self._bind(node.name, node)
        if not self._scopes and node.decorator_list:
            self._use(node.name)

    visit_FunctionDef = visit_AsyncFunctionDef = _function

    def _function_body(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        inner = list(own_nodes(node.body))
        declared = frozenset(n for d in inner if isinstance(d, ast.Global) for n in d.names)
        passed = {n for d in inner if isinstance(d, ast.Nonlocal) for n in d.names}
        local = (_arguments(node.args) | set(bound_in(node.body))) - declared - passed
        self._later.append([])
        with self._scope(_Scope(local, outer=declared)), self._uncertain():
            self.block(node.body)
        reads = self._later.pop()
        if self._later:
            self._later[-1] += reads
        else:
            self._pending.setdefault((*self._classes, node.name)[0], []).extend(reads)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for decorator in node.decorator_list:
            self.visit(decorator)
        self._classes.append(node.name)
        with self._scope(_Scope(_type_names(node), "types")):
            for part in [*node.bases, *(k.value for k in node.keywords)]:
                self.visit(part)
            with self._scope(_Scope(set(), "class")):
                self.block(node.body)
        self._classes.pop()
        self._bind(node.name, node)
        if not self._scopes and node.decorator_list:
            self._use(node.name)

    def _defaults(self, arguments: ast.arguments) -> None:
        for default in [*arguments.defaults, *arguments.kw_defaults]:
            if default is not None:
                self.visit(default)

    @contextmanager
    def _scope(self, scope: _Scope) -> Iterator[None]:
        self._scopes.append(scope)
        yield
        self._scopes.pop()


def _arguments(arguments: ast.arguments) -> set[str]:
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return {a.arg for a in every if a is not None}


def _annotations(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.expr]:
    a = node.args
    found = [arg.annotation for arg in [*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg] if arg is not None]
    return [annotation for annotation in [*found, node.returns] if annotation is not None]


def _type_names(node: ast.AST) -> set[str]:
    """Give the type parameters of `def f[T]` and `class C[T]` (Python 3.12)."""
    return {p.name for p in getattr(node, "type_params", ())}
