"""What ordinary statements do to the names of a body."""

from __future__ import annotations

import ast

from . import scopes
from .symbols import Symbols, Unknown, inlined


def assignment(node: ast.AST) -> tuple[str, ast.expr | None]:
    """Give name and value of `name = value` or `name: kind = value`; ("", None) for anything else."""
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id, node.value
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id, node.value
    return "", None


def follow(node: ast.stmt, symbols: Symbols) -> None:
    """Tell the symbols what any other statement does to names."""
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
        name = node.target.id
        symbols.assign(name, ast.copy_location(ast.BinOp(ast.Name(name, ast.Load()), node.op, node.value), node))
        return
    if isinstance(node, ast.AnnAssign) and node.value is None:
        return  # `x: int` binds nothing
    pairs = _pairs(node)
    if pairs:
        meanings = {name: inlined(value, symbols) for name, value in pairs}
        for name, meaning in meanings.items():
            symbols.mean(name, f"is computed in line {node.lineno + 1}" if isinstance(meaning, Unknown) else meaning)
        return
    symbols.forget([*scopes.bound_in([node]), *_changed(node)], node.lineno)


def _pairs(node: ast.stmt) -> list[tuple[str, ast.expr]]:
    """Give name and value of `a = b = value` and `a, b = x, y`."""
    if not isinstance(node, ast.Assign):
        return []
    pairs: list[tuple[str, ast.expr]] = []
    for target in node.targets:
        if isinstance(target, ast.Name):
            pairs.append((target.id, node.value))
        elif isinstance(target, (ast.Tuple, ast.List)) and isinstance(node.value, (ast.Tuple, ast.List)):
            names, values = target.elts, node.value.elts
            if len(names) != len(values) or any(isinstance(v, ast.Starred) for v in values):
                return []
            for name, value in zip(names, values, strict=True):
                if not isinstance(name, ast.Name):
                    return []
                pairs.append((name.id, value))
        else:
            return []
    return pairs


def _changed(node: ast.stmt) -> list[str]:
    """Give the names whose objects a statement changes in plain sight: `x[0] = 1`, `x.y = 1`, `x.append(1)`.

    Also those that a function which it defines assigns as `global x`.
    """
    found: list[ast.Name | None] = []
    outer = {name for inner in ast.walk(node) if isinstance(inner, ast.Global) for name in inner.names}
    for inner in ast.walk(node):
        if isinstance(inner, (ast.Attribute, ast.Subscript)) and isinstance(inner.ctx, (ast.Store, ast.Del)):
            found.append(root(inner))
        elif isinstance(inner, ast.Expr) and isinstance(inner.value, ast.Call):
            method = inner.value.func
            found.append(root(method) if isinstance(method, ast.Attribute) else None)
        elif isinstance(inner, ast.Name) and inner.id in outer and not isinstance(inner.ctx, ast.Load):
            found.append(inner)
    return [name.id for name in found if name is not None]


def root(node: ast.expr) -> ast.Name | None:
    """Give the name that a chain of attributes and subscripts begins with."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node if isinstance(node, ast.Name) else None


def is_literal(node: ast.expr) -> bool:
    """Tell whether a value is written out: a number, text, or containers of those."""
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True
