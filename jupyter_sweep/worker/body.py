"""The body of a cell as code: drawn values in the place of range calls, the value of the last expression kept.

The code runs as module-level code in the namespace of the captured functions, so that a name the body rebinds is seen
by the functions it calls, `global` means what it says, and top-level `await` works. Lines are those of the cell.
"""

from __future__ import annotations

import ast
import linecache
import threading
from collections.abc import Sequence
from types import CodeType
from typing import Any

VALUES, LAST = "__sweep_values__", "__sweep_last__"
_CO_COROUTINE = 0x80  # inspect.CO_COROUTINE, without the time that importing inspect takes

Site = Sequence[Any]  # lineno, col_offset, end_lineno, end_col_offset, name


class Body:
    """One compiled body. `run(namespace, values)` gives the value of its last expression, or None."""

    def __init__(self, source: str, sites: Sequence[Site], line_offset: int, title: str) -> None:
        self.filename = f"<sweep {title}>"
        self._lines = [*["\n"] * line_offset, *source.splitlines(keepends=True)]
        self._code = _compile(source, sites, line_offset, self.filename)

    def run(self, namespace: dict[str, Any], values: dict[str, Any]) -> Any:
        linecache.cache[self.filename] = (sum(map(len, self._lines)), None, self._lines, self.filename)
        namespace[VALUES] = Values(values)
        coroutine = eval(self._code, namespace)
        if self._code.co_flags & _CO_COROUTINE:
            _finish(coroutine)
        return namespace.pop(LAST, None)


class Values(dict[str, Any]):
    """Drawn values by name; one that was not drawn is said to be inactive."""

    def __missing__(self, name: str) -> Any:
        raise NameError(
            f"parameter {name!r} has no value in this trial: its conditions did not hold when the values were drawn, "
            "but the body reached its line"
        )


def _compile(source: str, sites: Sequence[Site], line_offset: int, filename: str) -> CodeType:
    tree = ast.parse(source, filename)
    places = {tuple(site[:4]): site[4] for site in sites}
    tree = _Replacer(places).visit(tree)
    if places:
        raise ValueError(f"the job names places of {sorted(places.values())} that its source doesn't have")
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        last = tree.body[-1]
        tree.body[-1] = ast.copy_location(ast.Assign([ast.Name(LAST, ast.Store())], last.value), last)
    ast.increment_lineno(ast.fix_missing_locations(tree), line_offset)
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code: CodeType = compile(tree, filename, "exec", flags=flags, dont_inherit=True)
    return code


class _Replacer(ast.NodeTransformer):
    """Put a look-up of the drawn value in each place, and strike the place off the list."""

    def __init__(self, places: dict[tuple[Any, ...], str]) -> None:
        self._places = places

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.expr):
            place = (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)
            name = self._places.pop(place, None)
            if name is not None:
                found = ast.Subscript(ast.Name(VALUES, ast.Load()), ast.Constant(name), ast.Load())
                return ast.fix_missing_locations(ast.copy_location(found, node))
        return self.generic_visit(node)


def _finish(coroutine: Any) -> None:
    """Run a coroutine to its end; in a thread of its own where this one's loop is running already (a kernel)."""
    import asyncio  # 20 ms that few bodies need

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(coroutine)
        return
    failures: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(coroutine)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, name="sweep body")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
