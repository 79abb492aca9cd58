"""Digest of a syntax tree: the same in Python 3.10 to 3.13, blind to everything that does not change what code does.

`ast.dump` differs between versions (3.12 added `type_params`, 3.13 leaves empty fields out) and holds docstrings, so
the tree is written out here: node name, then each field that is not empty. Positions, `ctx`, `kind`, type comments and
statements that are only a string (docstrings, strings used as comments) are left out. Literal parts of f-strings are
joined, because versions cut them differently. No recursion: a sum of a thousand terms is a tree a thousand deep.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import itertools
from typing import Any

_BLIND = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
#: Lists in which None stands for nothing: a keyword without a default, the key of `**`.
_GAPPED = frozenset({"kw_defaults", "keys"})


def digest_tree(node: ast.AST) -> str:
    """Give the identity of a piece of code, 32 hex digits.

    Parameters
    ----------
    node
        Any node: a module, a cell's body, a function, an expression. It is not changed.
    """
    return tree_bytes(node).hex()


def tree_bytes(node: ast.AST) -> bytes:
    """Give `digest_tree` as 16 bytes."""
    digest = hashlib.blake2b(digest_size=16)
    pending: list[Any] = [node]
    while pending:
        item = pending.pop()
        if isinstance(item, _Token):
            digest.update(item)
        elif isinstance(item, ast.Constant):
            digest.update(_constant(item.value))
        elif isinstance(item, ast.AST):
            pending.extend(reversed(_fields(item)))
        elif isinstance(item, list):
            pending.extend([_Token(b"]"), *reversed(item), _Token(b"[")])
        else:
            digest.update(_constant(item))
    return digest.digest()


@functools.lru_cache(maxsize=256)
def text_bytes(source: str) -> bytes:
    """Give `tree_bytes` of a module's text; each text is read once, since every run of a cell asks for its modules.

    Raises
    ------
    SyntaxError
        When it is not Python.
    """
    return tree_bytes(ast.parse(source))


class _Token(bytes):
    """Text that goes into the digest as it is."""


def _fields(node: ast.AST) -> list[Any]:
    """Give what stands for a node: its name, then name and value of each field that says something."""
    parts: list[Any] = [_Token(b"(" + type(node).__name__.encode())]
    for name, value in ast.iter_fields(node):
        if isinstance(value, list):
            value = [item for item in value if not _is_bare_string(item)]
            value = _joined(value) if isinstance(node, ast.JoinedStr) else value
            value = _with_none_written(value) if name in _GAPPED else value
        if name not in _BLIND and value is not None and value != []:
            parts += [_Token(b" " + name.encode() + b"="), value]
    return [*parts, _Token(b")")]


def _is_bare_string(item: object) -> bool:
    return isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant) and isinstance(item.value.value, str)


def _with_none_written(values: list[Any]) -> list[Any]:
    """Give the items with each None that is written out told apart from a gap, which reads as None otherwise."""
    return [_Token(b"written None;") if isinstance(v, ast.Constant) and v.value is None else v for v in values]


def _joined(values: list[Any]) -> list[Any]:
    """Give the parts of an f-string with neighbouring literals made one and empty ones left out."""
    parts: list[Any] = []
    for is_text, group in itertools.groupby(values, lambda part: isinstance(part, ast.Constant)):
        run = list(group)
        text = "".join(str(part.value) for part in run) if is_text else ""
        parts += ([ast.Constant(text)] if text else []) if is_text else run
    return parts


def _constant(value: Any) -> bytes:
    """Give a literal with its type and length, so that no two sequences of literals read the same."""
    if isinstance(value, str):
        text = value.encode("utf-8", "surrogatepass")
    elif isinstance(value, bytes):
        text = value
    elif type(value) is int:
        text = format(value, "x").encode()  # decimal text of a huge literal is refused by newer versions
    else:
        text = repr(value).encode()
    return b"%s:%d:%s;" % (type(value).__name__.encode(), len(text), text)
