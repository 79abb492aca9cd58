"""From a function to its syntax tree, and what code reads: the ground that digests of functions stand on.

The text comes from `linecache`, where IPython keeps every executed cell under a name of its own, so that an older
function still finds its own text after its cell was edited. `inspect.getsource` was rejected: it gives the text from a
line on, so two lambdas in one line can't be told apart, and after an edit of a script it gives somebody else's text.

Here the nodes that begin on the code's first line under the code's name are the candidates. When the text comes from a
file that may have changed since, it is compiled again and must hold the function's own code. When there are several
candidates, it is compiled with each on a line of its own, which tells whose code is whose. (Not done for all functions
at once: the compiler keeps other instructions in a function when the line of one inside it changes.)
"""

from __future__ import annotations
import __future__

import ast
import dis
import inspect
import linecache
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from .digest_graph import mix

FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_FUTURES = sum(getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
_DOCSTRING_IS_FIRST = sys.version_info < (3, 14)
_OWN_SCOPE = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>", "<lambda>")


class Sources:
    """Syntax trees of functions; each text is read and parsed once."""

    def __init__(self) -> None:
        self._texts: dict[str, _Text | None] = {}

    def node(self, code: types.CodeType) -> FunctionNode | None:
        """Give the node that `code` was compiled from, or None when no text can be shown to be its own."""
        name = code.co_filename
        if name not in self._texts:
            self._texts[name] = _read(name)
        text = self._texts[name]
        return None if text is None else text.node(code)


@dataclass
class _Text:
    """One cell or file. `fixed`: nobody can have changed it since its code was compiled."""

    source: str
    fixed: bool
    functions: list[FunctionNode]
    prints: dict[int, set[bytes]] = field(default_factory=dict)  # by compiler flags

    def node(self, code: types.CodeType) -> FunctionNode | None:
        at = [i for i, node in enumerate(self.functions) if _begins(node) == (code.co_firstlineno, code.co_name)]
        if not at or not (self.fixed or self._holds(code)):
            return None
        return self.functions[at[0]] if len(at) == 1 else self._choose(code, at)

    def _holds(self, code: types.CodeType) -> bool:
        """Tell whether the text still compiles to `code`."""
        flags = code.co_flags & _FUTURES
        if flags not in self.prints:
            self.prints[flags] = {_placed_print(part) for part in nested(_compile(ast.parse(self.source), flags))}
        return _placed_print(code) in self.prints[flags]

    def _choose(self, code: types.CodeType, candidates: list[int]) -> FunctionNode | None:
        """Give the candidate that compiles to `code`; of several equal ones the first."""
        tree = ast.parse(self.source)
        functions, base = _functions(tree), self.source.count("\n") + 2
        for i in candidates:
            first = _first(functions[i])
            first.lineno = first.end_lineno = base + i
            first.col_offset = first.end_col_offset = 0
        parts = nested(_compile(tree, code.co_flags & _FUTURES))
        prints = {part.co_firstlineno: code_print(part) for part in parts if part.co_name == code.co_name}
        wanted = code_print(code)
        return next((self.functions[i] for i in candidates if prints.get(base + i) == wanted), None)


def _read(name: str) -> _Text | None:
    entry = linecache.cache.get(name)
    fixed = entry is not None and len(entry) == 4 and entry[1] is None
    if not fixed:
        linecache.checkcache(name)
    source = "".join(linecache.getlines(name))
    try:
        tree = ast.parse(source)
    except SyntaxError:  # not Python, or no longer
        return None
    return _Text(source, fixed, _functions(tree)) if source else None


def _functions(tree: ast.AST) -> list[FunctionNode]:
    return [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))]


def _first(node: FunctionNode) -> ast.expr | FunctionNode:
    """Give the node whose line becomes `co_firstlineno`."""
    decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
    return decorators[0] if decorators else node


def _begins(node: FunctionNode) -> tuple[int, str]:
    return _first(node).lineno, "<lambda>" if isinstance(node, ast.Lambda) else node.name


def _compile(tree: ast.Module, flags: int) -> types.CodeType:
    code: types.CodeType = compile(tree, "<text>", "exec", flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    return code


def _placed_print(code: types.CodeType) -> bytes:
    return mix(code.co_firstlineno, code.co_name, code_print(code))


def nested(code: types.CodeType) -> Iterator[types.CodeType]:
    """Give `code` and all code within it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from nested(constant)


def code_print(code: types.CodeType) -> bytes:
    """Give the identity of compiled code: blind to lines and docstrings, the same for this version of Python only."""
    return mix(
        "code",
        code.co_code,
        *(_constant_print(constant) for constant in _constants(code)),
        *("|".join(names) for names in (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)),
        f"{code.co_argcount} {code.co_posonlyargcount} {code.co_kwonlyargcount}",
    )


def _constants(code: types.CodeType) -> tuple[Any, ...]:
    """Give the constants without the docstring: the first one, in whose place a function without one has None."""
    is_function = code.co_flags & inspect.CO_NEWLOCALS and code.co_name not in _OWN_SCOPE
    if _DOCSTRING_IS_FIRST and is_function and code.co_consts and isinstance(code.co_consts[0], str):
        return (None, *code.co_consts[1:])
    return code.co_consts


def _constant_print(value: object) -> bytes:
    if isinstance(value, types.CodeType):
        return code_print(value)
    if isinstance(value, (tuple, frozenset)):
        parts = [_constant_print(item) for item in value]
        return mix(type(value).__name__, *(sorted(parts) if isinstance(value, frozenset) else parts))
    return mix(type(value).__name__, repr(value))


def global_names(code: types.CodeType) -> list[str]:
    """Give the names that code, or code within it, looks up in its globals or the builtins; sorted.

    Class bodies within a function look names up in another way than functions do, and cloudpickle does not see those.
    """
    found: set[str] = set()
    for part in nested(code):
        stored: set[str] = set()
        for step in dis.get_instructions(part):
            if step.opname == "STORE_NAME":
                stored.add(step.argval)
            elif step.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"):
                found.update({step.argval} - stored)
    return sorted(found)


def imported_names(code: types.CodeType) -> list[str]:
    """Give the modules that code, or code within it, imports by a full name."""
    steps = (step for part in nested(code) for step in dis.get_instructions(part))
    return sorted({step.argval for step in steps if step.opname == "IMPORT_NAME" and step.argval})
