"""Calls in a statement and where they stand, in words: for ranges where no range can stand."""

from __future__ import annotations

import ast
from collections.abc import Iterator

_BLOCKS: tuple[tuple[tuple[type[ast.AST], ...], str], ...] = (
    ((ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda), "in a function"),
    ((ast.ClassDef,), "in a class"),
    ((ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp), "in a comprehension"),
    ((ast.For, ast.AsyncFor, ast.While), "in a loop"),
    ((ast.With, ast.AsyncWith), "in a with block"),
    ((ast.Try,), "in a try block"),
    ((ast.Match,), "in a match block"),
)
_INSIDE: tuple[tuple[tuple[type[ast.AST], ...], str], ...] = (
    ((ast.Call,), "in the arguments of a call"),
    ((ast.NamedExpr,), "in a := expression"),
    ((ast.AugAssign,), "in an augmented assignment"),
    ((ast.Delete, ast.Assert, ast.Raise, ast.Return), "in a statement that is no assignment"),
)


def calls(node: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    """Give every call inside a node with the place where it stands."""
    yield from _walk(node, ())


def _walk(node: ast.AST, above: tuple[ast.AST, ...]) -> Iterator[tuple[ast.Call, str]]:
    if isinstance(node, ast.Call):
        yield node, _where(node, above)
    for child in ast.iter_child_nodes(node):
        yield from _walk(child, (*above, node))


def _where(call: ast.Call, above: tuple[ast.AST, ...]) -> str:
    for table in (_BLOCKS, _INSIDE):
        for node in above:
            for kinds, words in table:
                if isinstance(node, kinds):
                    return words
    top = above[0] if above else call
    if isinstance(top, ast.Expr) and top.value is call:
        return "on a line without a name"
    if isinstance(top, (ast.Assign, ast.AnnAssign)) and top.value is call:
        return "in an assignment that is not to one plain name"
    if isinstance(top, ast.Assign) and isinstance(top.value, (ast.Tuple, ast.List)) and call in top.value.elts:
        return "in an assignment to several names"
    return "in a larger expression"
