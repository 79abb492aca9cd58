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
    hidden: set[str] = set()
    read: set[str] = set(wanted)
    for statement in tree.body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and node.id in wanted:
                read |= _reads(namespace.get(node.id), namespace)
        hidden |= {name for name in _bound([statement], frozenset(parameters)) if name in namespace} - read
    return frozenset(hidden)


def _bound(statements: Iterable[ast.stmt], parameters: frozenset[str]) -> set[str]:
    """Give the names that are bound once the statements have run."""
    names: set[str] = set()
    for node in statements:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.If):
            then, other = _bound(node.body, parameters), _bound(node.orelse, parameters)
            names |= (then & other) | ((then | other) & parameters)
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            names |= _bound(node.body, parameters).union(*(_targets(item.optional_vars) for item in node.items))
        elif isinstance(node, ast.Assign):
            names.update(*map(_targets, node.targets))
        elif isinstance(node, (ast.For, ast.AsyncFor)):
            names |= _targets(node.target) | _bound(node.body, parameters)
        elif isinstance(node, ast.While):
            names |= _bound(node.body, parameters)
        elif isinstance(node, ast.Try):
            names |= _bound([*node.body, *node.orelse, *node.finalbody], parameters)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            names |= _targets(node.target)
    return names


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
