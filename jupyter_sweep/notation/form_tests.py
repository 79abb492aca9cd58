"""Conditions of rows: tests of a cell as one text, and rows as statements under the ifs that their texts name."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from .form_calls import Places, Row, text_of


def joined(source: str, tests: Sequence[tuple[ast.expr, bool]]) -> str:
    """Give the tests that must hold (True) or must not (False) as one condition.

    >>> inner = ast.parse("a or b", mode="eval").body
    >>> joined("a or b", [(inner, True), (inner, False)])
    '(a or b) and not (a or b)'
    """
    parts = [_part(source, test, expected, alone=len(tests) == 1) for test, expected in tests]
    return " and ".join(parts)


def conditions(texts: Sequence[str]) -> str:
    """Give conditions that must all hold as one."""
    nodes = [(text, ast.parse(f"({text}\n)", mode="eval").body) for text in texts]
    return " and ".join(f"({text})" if _is_loose(node) and len(nodes) > 1 else text for text, node in nodes)


def _part(source: str, test: ast.expr, expected: bool, *, alone: bool) -> str:
    at = Places(source)
    text = source[at(test.lineno, test.col_offset) : at(test.end_lineno, test.end_col_offset)]
    text = ast.unparse(test) if "\n" in text else text
    if not expected:
        return f"not ({text})"
    return f"({text})" if _is_loose(test) and not alone else text


def _is_loose(test: ast.expr) -> bool:
    """Tell whether a test needs brackets before it can be joined by `and`."""
    is_or = isinstance(test, ast.BoolOp) and isinstance(test.op, ast.Or)
    return is_or or isinstance(test, ast.Lambda | ast.IfExp | ast.NamedExpr)


def parts(when: str) -> list[str]:
    """Give the tests that a condition joins with `and`; none for an empty one.

    >>> parts("(a or b) and not (c and d)")
    ['a or b', 'not (c and d)']
    """
    if not when.strip():
        return []
    source = f"({when}\n)"
    node = ast.parse(source, mode="eval").body
    at = Places(source)
    values = node.values if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And) else [node]
    if len(values) == 1:
        return [when]
    return [source[at(v.lineno, v.col_offset) : at(v.end_lineno, v.end_col_offset)] for v in values]


def block(rows: Sequence[Row]) -> str:
    """Give the statements that declare rows, one a line; those that share tests stand under the same if.

    >>> print(block([Row("a", low="0", high="1"), Row("b", low="0", high="1", when="a > 1"),
    ...              Row("c", kind="choice", choices="1, 2", when="not (a > 1)")]), end="")
    a = uniform(0, 1)
    if a > 1:
        b = uniform(0, 1)
    else:
        c = choice(1, 2)
    """
    lines: list[str] = []
    opened: list[str] = []  # the tests that the next line stands under
    for row in rows:
        wanted = parts(row.when)
        same = 0
        while same < min(len(opened), len(wanted)) and _same(opened[same], wanted[same]):
            same += 1
        if same < min(len(opened), len(wanted)) and _same(f"not ({opened[same]})", wanted[same]):
            lines.append("    " * same + "else:")
            opened = [*opened[:same], wanted[same]]
            same += 1
        opened = opened[:same]
        for test in wanted[same:]:
            lines.append("    " * len(opened) + f"if {test}:")
            opened.append(test)
        lines.append("    " * len(opened) + f"{row.name} = {text_of(row)}")
    return "".join(f"{line}\n" for line in lines)


def _same(one: str, other: str) -> bool:
    return ast.dump(ast.parse(f"({one}\n)")) == ast.dump(ast.parse(f"({other}\n)"))
