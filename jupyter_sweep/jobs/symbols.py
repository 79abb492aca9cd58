"""What a condition may know: names of the body as expressions of parameters and plain notebook values.

A condition or constraint is evaluated by the driver, before a trial starts and far from the notebook. So names that the
body computes are replaced by what they stand for: after `layers, width = size["layers"], size["width"]` the law
`require(width * layers < 9)` reads `size` alone. Only pure expressions are followed (operators, subscripts, methods of
plain values, a few builtins, `math`); anything else is "not known", and whoever needs it is told why.
"""

from __future__ import annotations

import ast
import builtins
import copy
import math
from collections.abc import Collection, Iterable, Mapping
from types import ModuleType
from typing import Any

from ..space import codec
from ..space.condition import BUILTINS
from .lookup import MISSING, Lookup

_MAX_NODES = 300
_MAX_ITEMS = 10_000  # of a notebook value that is stored with the space
_PURE = (
    ast.Constant, ast.Name, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Compare, ast.IfExp, ast.Subscript, ast.Slice,
    ast.Tuple, ast.List, ast.Dict, ast.Set, ast.Call, ast.keyword, ast.Attribute, ast.JoinedStr, ast.FormattedValue,
    ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.comprehension, ast.Starred,
    ast.boolop, ast.operator, ast.unaryop, ast.cmpop, ast.expr_context,
)  # fmt: skip


class Unknown(Exception):
    """An expression is not pure. The text says which part and why, as in "`data` is an array"."""

    def __init__(self, why: str, name: str = "") -> None:
        self.name = name
        super().__init__(why)


class Symbols:
    """Meaning of names at one point of the body.

    Parameters
    ----------
    lookup
        Where names come from that the body has not assigned.
    parameters
        All names that are parameters somewhere in the body: a notebook value of such a name is written out.
    """

    def __init__(self, lookup: Lookup, parameters: Collection[str]) -> None:
        self._lookup, self._parameters = lookup, parameters
        self._known: dict[str, ast.expr | str] = {}  # name -> expression, or why there is none
        self.constants: dict[str, Any] = {}  # notebook values read by any expression asked for
        self.objects: set[str] = set()  # parameters whose values are not plain data

    def branch(self) -> Symbols:
        """Give a copy for one branch of an `if`."""
        other = copy.copy(self)
        other._known = dict(self._known)
        return other

    def join(self, test: ast.expr | None, yes: Symbols, no: Symbols) -> None:
        """Take over what two branches assigned; `test` is the pure condition between them, None when there is none."""
        before = self._known.items()
        for name in dict([*(yes._known.items() - before), *(no._known.items() - before)]):
            a, b = yes._meaning(name), no._meaning(name)
            if a is b and a is not None:
                self._known[name] = a
            elif a is None or b is None:  # not assigned in one branch: whoever reads it there fails
                self._known[name] = a or b or "has no value"
            elif isinstance(a, str) or isinstance(b, str):
                self._known[name] = a if isinstance(a, str) else b
            elif ast.dump(a) == ast.dump(b):
                self._known[name] = a
            elif test is None:
                self._known[name] = "depends on a condition that is not known before the start"
            else:
                self._known[name] = ast.IfExp(test, a, b)

    def declare(self, name: str) -> None:
        """Make `name` a parameter from here on."""
        self._known[name] = ast.Name(name, ast.Load())

    def assign(self, name: str, value: ast.expr) -> None:
        """Note `name = value`."""
        try:
            self._known[name] = self.inline(value)
        except Unknown:
            self._known[name] = f"is computed in line {value.lineno + 1}"

    def mean(self, name: str, meaning: ast.expr | str) -> None:
        """Note what `name` stands for: an expression inlined before, or why there is none."""
        self._known[name] = meaning

    def forget(self, names: Iterable[str], line: int) -> None:
        """Note that code which is not followed binds or changes `names`."""
        for name in names:
            self._known[name] = f"is computed in line {line + 1}"

    def release(self, name: str) -> None:
        """Note that the body imports `name`: what it is, the lookup knows."""
        self._known.pop(name, None)

    def assigned(self, name: str) -> ast.expr | str | None:
        """Give the expression for a name that the body assigned, or why there is none; None when it did not."""
        return self._known.get(name)

    def inline(self, node: ast.expr) -> ast.expr:
        """Give the expression with every name replaced by what it stands for.

        Raises
        ------
        Unknown
            When a part of it is not known before the start.
        """
        done: ast.expr = _Inliner(self).visit(copy.deepcopy(node))
        if sum(1 for _ in ast.walk(done)) > _MAX_NODES:
            raise Unknown("it is too long")
        return ast.fix_missing_locations(done)

    def parameters_in(self, node: ast.expr) -> list[str]:
        """Give the parameters that an inlined expression reads."""
        names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        return sorted(names & set(self._parameters))

    def _meaning(self, name: str) -> ast.expr | str | None:
        """Give what `name` stands for here, also when only the other branch assigned it."""
        if name in self._known or name in self._parameters:
            return self._known.get(name)
        try:
            return self.notebook(name)
        except Unknown as error:
            return None if error.name else str(error)

    def notebook(self, name: str) -> ast.expr:
        """Give a name that the body did not assign: a builtin, a part of `math`, or a plain value of the notebook."""
        value = self._lookup.find(ast.Name(name, ast.Load()))
        if value is MISSING:
            if name in self._lookup:
                raise Unknown(f"`{name}` is imported in the cell")
            raise Unknown(f"`{name}` is not defined", name)
        if BUILTINS.get(name, MISSING) is value:
            return ast.Name(name, ast.Load())
        if isinstance(value, ModuleType) and value is math:
            return ast.Name("math", ast.Load())
        if callable(value) and getattr(math, getattr(value, "__name__", ""), MISSING) is value:
            return ast.Attribute(ast.Name("math", ast.Load()), value.__name__, ast.Load())
        if not _is_constant(value):
            raise Unknown(f"`{name}` is of type {type(value).__name__}, no plain value")
        if name in self._parameters or name in BUILTINS:
            return ast.parse(repr(value), mode="eval").body
        self.constants[name] = _plain(value)
        return ast.Name(name, ast.Load())


class _Inliner(ast.NodeTransformer):
    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols
        self._own: list[set[str]] = []  # names of comprehensions around the node

    def visit(self, node: ast.AST) -> Any:
        if not isinstance(node, _PURE):
            raise Unknown(f"`{ast.unparse(node)}` can't be decided before the start")
        return super().visit(node)

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if any(node.id in own for own in self._own):
            return node
        known = self._symbols.assigned(node.id)
        if isinstance(known, str):
            raise Unknown(f"`{node.id}` {known}")
        if node.id in self._symbols.objects and isinstance(known, ast.Name):
            raise Unknown(f"the values of `{node.id}` are objects")
        return copy.deepcopy(known) if known is not None else self._symbols.notebook(node.id)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if not isinstance(node.func, ast.Attribute) and not (
            isinstance(node.func, ast.Name) and node.func.id in BUILTINS
        ):
            raise Unknown(f"`{ast.unparse(node)}` calls what is not known before the start")
        return node

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> ast.AST:
        targets = [g.target for g in node.generators]
        self._own.append({n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)})
        self.generic_visit(node)
        self._own.pop()
        return node

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension


def inlined(node: ast.expr, symbols: Symbols) -> ast.expr | Unknown:
    """Give `symbols.inline(node)`, or the reason why there is none."""
    try:
        return symbols.inline(node)
    except Unknown as why:
        return why


def evaluate(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """Evaluate an expression in the notebook's names, which are not changed."""
    code = compile(ast.fix_missing_locations(ast.Expression(node)), "<cell>", "eval", dont_inherit=True)
    return eval(code, {"__builtins__": builtins, **names})


def _is_constant(value: Any) -> bool:
    if isinstance(value, (list, tuple, dict, set, frozenset)) and len(value) > _MAX_ITEMS:
        return False
    if isinstance(value, (set, frozenset)):
        return all(codec.is_plain(item) for item in value)
    return codec.is_plain(value)


def _plain(value: Any) -> Any:
    return set(value) if isinstance(value, (set, frozenset)) else codec.plain(value)
