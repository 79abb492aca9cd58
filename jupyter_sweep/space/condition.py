"""`Condition` (when a parameter exists) and `Constraint` (which configurations are allowed).

Both are Python expressions kept as text, because a space is stored as JSON and read by the driver, which has no access
to the notebook. They read earlier parameters and the constants of the space, and know a fixed set of pure builtins.
The expressions are the user's own code, run with the user's rights; the short list of builtins keeps them the same in
every process, it is no sandbox.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType
from typing import Any

from ..errors import SweepError

#: Names that every condition and constraint may use.
BUILTINS: dict[str, Any] = {
    f.__name__: f
    for f in (
        abs, all, any, bool, dict, divmod, enumerate, float, frozenset, int, isinstance, len, list, max, min, pow,
        range, reversed, round, set, sorted, str, sum, tuple, zip,
    )
} | {"math": math}  # fmt: skip
_BASE: dict[str, Any] = {"__builtins__": {}, **BUILTINS}


@dataclass(frozen=True)
class Condition:
    """A parameter is active when `expression` is true (or false, where `expected` is False)."""

    expression: str
    expected: bool = True

    def __post_init__(self) -> None:
        _compile(self.expression)

    @property
    def names(self) -> frozenset[str]:
        """Names that the expression reads."""
        return _compile(self.expression)[1]

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Tell whether the condition holds; one that reads an inactive parameter does not."""
        if not self.names <= values.keys() | BUILTINS.keys() and _reads_missing(self.expression, values):
            return False
        return _evaluate(self.expression, values, "condition") is self.expected

    def __str__(self) -> str:
        return self.expression if self.expected else f"not ({self.expression})"


@dataclass(frozen=True)
class Constraint:
    """`require(expression)` that is decided before a trial starts; `line` is its line in the cell."""

    expression: str
    line: int | None = None

    def __post_init__(self) -> None:
        _compile(self.expression)

    @property
    def names(self) -> frozenset[str]:
        """Names that the expression reads."""
        return _compile(self.expression)[1]

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Tell whether the configuration is allowed; a constraint on an inactive parameter holds."""
        if not self.names <= values.keys() | BUILTINS.keys() and _reads_missing(self.expression, values):
            return True
        return _evaluate(self.expression, values, "constraint")

    def __str__(self) -> str:
        return self.expression


def free_names(node: ast.AST) -> frozenset[str]:
    """Give the names that an expression reads and does not bind itself in a comprehension."""
    return frozenset(_free(node, frozenset()))


def _free(node: ast.AST, bound: frozenset[str]) -> Iterator[str]:
    if isinstance(node, ast.Name):
        if isinstance(node.ctx, ast.Load) and node.id not in bound:
            yield node.id
        return
    if isinstance(node, (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)):
        for generator in node.generators:
            yield from _free(generator.iter, bound)
            bound = bound | {n.id for n in ast.walk(generator.target) if isinstance(n, ast.Name)}
            for test in generator.ifs:
                yield from _free(test, bound)
        parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        for part in parts:
            yield from _free(part, bound)
        return
    if isinstance(node, ast.Lambda):
        bound = bound | {a.arg for a in ast.walk(node.args) if isinstance(a, ast.arg)}
    for child in ast.iter_child_nodes(node):
        yield from _free(child, bound)


@lru_cache(maxsize=4096)
def _compile(expression: str) -> tuple[CodeType, frozenset[str]]:
    try:
        tree = ast.parse(expression.strip(), mode="eval")
    except (SyntaxError, ValueError) as error:
        message = f"{expression!r} is not a Python expression: {error}. Give text such as 'depth > 2'."
        raise SweepError(message) from None
    return compile(tree, "<condition>", "eval"), free_names(tree)


def _reads_missing(expression: str, values: Mapping[str, Any]) -> bool:
    """Tell whether evaluation runs into a missing name; `a if test else 0` may read `a` only where it exists."""
    try:
        eval(_compile(expression)[0], {**_BASE, **values})
    except NameError:
        return True
    except Exception:  # any other error is told by _evaluate, with the values
        return False
    return False


def _evaluate(expression: str, values: Mapping[str, Any], what: str) -> bool:
    code, names = _compile(expression)
    try:
        if any(isinstance(part, CodeType) for part in code.co_consts):
            return bool(eval(code, {**_BASE, **values}))  # a comprehension inside sees globals only
        return bool(eval(code, _BASE, values))
    except Exception as error:
        given = ", ".join(f"{n}={values[n]!r}" for n in sorted(names) if n in values)
        why = f"{type(error).__name__}: {error}"
        raise SweepError(f"the {what} {expression!r} can't be evaluated for {given}: {why}") from None
