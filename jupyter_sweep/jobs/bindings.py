"""Which notebook names a trial does not see as they are now, because the body binds them before anything reads them.

A body is often run as a plain cell first; then the kernel holds a `model` and an `lr` from that run. A helper that
reads the global `model` finds the one that the body has just made, so the old one must neither count in the identity
nor travel. A name is hidden only if no notebook code that reads it can run before the body binds it. As for the body's
own reads (`scopes`), loops are taken to run at least once and `try` blocks to succeed.
"""

from __future__ import annotations

import ast
import functools
import types
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from .sources import global_names


def hidden_names(
    tree: ast.Module, namespace: Mapping[str, Any], wanted: Collection[str], parameters: Collection[str] = ()
) -> frozenset[str]:
    """Give the names of the namespace that captured functions find bound by the body.

    Parameters
    ----------
    tree
        The body.
    namespace
        The notebook's names.
    wanted
        The names that the body itself reads before it binds them.
    parameters
        Names that count as bound once they are bound in any branch.
    """
    order = _Order(namespace, wanted, frozenset(parameters))
    order.run(tree.body)
    return frozenset(order.hidden)


class _Order:
    """Goes through a body in the order in which it runs."""

    def __init__(self, namespace: Mapping[str, Any], wanted: Collection[str], parameters: frozenset[str]) -> None:
        self._namespace = namespace
        self._wanted = wanted
        self._parameters = parameters
        self._read = set(wanted)  # may have been read by now
        self._later: dict[str, set[str]] = {}  # function of the body -> names in it, read when it is first used
        self.hidden: set[str] = set()

    def run(self, statements: Iterable[ast.stmt]) -> None:
        for node in statements:
            self._statement(node)

    def _statement(self, node: ast.stmt) -> None:
        if isinstance(node, ast.If):
            self._branches(node)
        elif isinstance(node, (ast.For, ast.AsyncFor)):
            self._use(node.iter)
            self._bind(_targets(node.target))
            self.run([*node.body, *node.orelse])
        elif isinstance(node, ast.While):
            self._use(node.test)
            self.run([*node.body, *node.orelse])
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            for item in node.items:
                self._use(item.context_expr)
                self._bind(_targets(item.optional_vars))
            self.run(node.body)
        elif isinstance(node, ast.Try):
            self.run([*node.body, *node.orelse])
            for handler in node.handlers:
                self._use(handler)
            self.run(node.finalbody)
        else:
            self._use(node)
            self._bind(_bound(node))

    def _branches(self, node: ast.If) -> None:
        """Go through a chain of `if` and `elif`; bound is what every branch binds, and parameters."""
        branches = [node.body]
        self._use(node.test)
        while len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If):
            node = node.orelse[0]
            self._use(node.test)
            branches.append(node.body)
        if node.orelse or len(branches) == 1:
            branches.append(node.orelse)
        before, ends = self.hidden, []
        for branch in branches:
            self.hidden = set(before)
            self.run(branch)
            ends.append(self.hidden)
        self.hidden = set.intersection(*ends) | (set.union(*ends) & self._parameters)

    def _bind(self, names: Collection[str]) -> None:
        self.hidden |= {name for name in names if name in self._namespace} - self._read

    def _use(self, node: ast.AST) -> None:
        """Note what the names in a piece of the body may read; functions that it only defines wait for their use."""
        pending: list[ast.AST] = [node]
        names: list[str] = []
        while pending:
            part = pending.pop()
            if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef)):
                inside = (n for statement in part.body for n in ast.walk(statement))
                self._later.setdefault(part.name, set()).update(n.id for n in inside if isinstance(n, ast.Name))
                pending += [*part.decorator_list, part.args]
                names += [part.name] if part.decorator_list or part is not node else []
            else:
                names += [part.id] if isinstance(part, ast.Name) else []
                pending += ast.iter_child_nodes(part)
        while names:
            name = names.pop()
            names += self._later.pop(name, ())
            if name in self._wanted:
                self._read |= _reads(self._namespace.get(name), self._namespace)


def _bound(node: ast.stmt) -> set[str]:
    """Give the names that a simple statement or a definition binds."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {node.name}
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    if isinstance(node, ast.Assign):
        return set().union(*map(_targets, node.targets))
    if isinstance(node, ast.AnnAssign) and node.value is not None:
        return _targets(node.target)
    return set()


def _targets(node: ast.expr | None) -> set[str]:
    found = ast.walk(node) if node is not None else ()
    return {n.id for n in found if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def _reads(value: Any, namespace: Mapping[str, Any]) -> set[str]:
    """Give the notebook names that the code behind a captured value can read, directly or through other code."""
    names: set[str] = set()
    seen: set[int] = set()
    pending = [value]
    while pending:
        item = pending.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, types.FunctionType):
            if item.__globals__ is namespace:
                fresh = set(global_names(item.__code__)) - names
                names |= fresh
                pending += [namespace[name] for name in fresh if name in namespace]
            pending += [cell.cell_contents for cell in item.__closure__ or () if _is_full(cell)]
            pending += [*item.__dict__.values(), *(item.__defaults__ or ())]
        else:
            pending += _parts(item)
    return names


def _parts(item: Any) -> list[Any]:
    """Give where the code of a value that is no function may lie."""
    if issubclass(type(item), type):
        return [*vars(item).values(), *item.__bases__] if item.__module__ == "__main__" else []
    if isinstance(item, (list, tuple, set, frozenset, dict)) and len(item) < 1000:
        return list(item.values() if isinstance(item, dict) else item)
    if isinstance(item, types.MethodType):
        return [item.__func__, item.__self__]
    if isinstance(item, (staticmethod, classmethod)):
        return [item.__func__]
    if isinstance(item, property):
        return [item.fget, item.fset, item.fdel]
    if isinstance(item, functools.partial):
        return [item.func, item.args, item.keywords]
    if isinstance(item, functools._lru_cache_wrapper):
        return [item.__wrapped__]
    return [type(item), *getattr(item, "__dict__", {}).values()] if type(item).__module__ == "__main__" else []


def _is_full(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True
