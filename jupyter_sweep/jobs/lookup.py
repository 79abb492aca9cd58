"""What object a name of the body stands for, as far as the notebook and the body's own imports tell.

Ranges are recognised by identity, so that `random.choice` is never mistaken for ours and any way of importing ours
serves. Only modules are asked for attributes: reading one of another object could run the user's code.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from .. import vocabulary
from ..space.parameter import Parameter

_PACKAGE = __name__.partition(".")[0]

#: No object is known.
MISSING: Any = type("Missing", (), {"__slots__": ()})()

Range = Callable[..., Parameter]


class Lookup:
    """Names of the notebook, with those that the body binds so far.

    Parameters
    ----------
    namespace
        The notebook's variables; never changed.
    """

    def __init__(self, namespace: Mapping[str, Any]) -> None:
        self.namespace = namespace
        self.bound: dict[str, tuple[Any, str]] = {}  # name -> object, or MISSING, and the statement that bound it

    def bind(self, name: str, node: ast.AST) -> None:
        """Note that the body binds a name; imports that are loaded already are followed."""
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            self.bound[name] = _imported(node, name), ast.unparse(node)
        else:
            self.bound[name] = MISSING, f"line {getattr(node, 'lineno', 0) + 1} of the cell"

    def star(self, node: ast.ImportFrom) -> None:
        """Note `from jupyter_sweep import *`."""
        if node.module == _PACKAGE:
            for name in vocabulary.RANGES:
                self.bound[name] = vocabulary.RANGES[name], ast.unparse(node)

    def __contains__(self, name: str) -> bool:
        return name in self.bound or name in self.namespace or hasattr(builtins, name)

    def find(self, node: ast.expr) -> Any:
        """Give the object behind a name or an attribute of a module; MISSING when it can't be told."""
        if isinstance(node, ast.Name):
            if node.id in self.bound:
                return self.bound[node.id][0]
            return self.namespace.get(node.id, getattr(builtins, node.id, MISSING))
        if isinstance(node, ast.Attribute):
            owner = self.find(node.value)
            return getattr(owner, node.attr, MISSING) if isinstance(owner, ModuleType) else MISSING
        return MISSING

    def range(self, node: ast.AST) -> Range | None:
        """Give what makes the parameter when `node` is a call of one of our ranges."""
        return vocabulary.parameter_of(self.find(node.func)) if isinstance(node, ast.Call) else None

    def calls(self, node: ast.AST, word: object) -> bool:
        """Tell whether `node` is a call of this very object."""
        return isinstance(node, ast.Call) and self.find(node.func) is word

    def shadow(self, node: ast.AST) -> str | None:
        """Say what stands under the name of one of our ranges in a call of it; None where it is ours or not bound."""
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            return None
        name = node.func.id
        if name not in vocabulary.RANGES or name not in self or self.range(node) is not None:
            return None
        value, where = self.bound.get(name, (MISSING, ""))
        if where:
            return (
                f"it is bound by `{where}`"
                if value is not MISSING or "import" in where
                else f"it is assigned in {where}"
            )
        return f"it is {describe(self.find(node.func))}"

    def fetch(self, name: str) -> Any:
        """Give the object that the body imports as `name`, importing its module where it is not loaded yet."""
        value, statement = self.bound[name]
        if value is MISSING and "import" in statement:
            scope: dict[str, Any] = {}
            exec(statement, scope)
            value = scope[name]
        return value


def describe(value: Any) -> str:
    """Say in a few words what an object is."""
    name = getattr(value, "__name__", None)
    if not isinstance(name, str):
        return f"{type(value).__name__} {value!r:.40}"
    owner = getattr(value, "__self__", None)
    module = getattr(value, "__module__", None) or getattr(type(owner), "__module__", None)
    return f"{module}.{name}" if isinstance(module, str) and not isinstance(value, ModuleType) else name


def _imported(node: ast.Import | ast.ImportFrom, name: str) -> Any:
    """Give what an import statement binds `name` to, when that can be told without importing anything new."""
    if isinstance(node, ast.Import):
        alias = next(a for a in node.names if name in (a.asname, a.name.partition(".")[0]))
        return _module(alias.name if alias.asname else name)
    alias = next(a for a in node.names if name == (a.asname or a.name))
    owner = MISSING if node.level or not node.module else _module(node.module)
    if owner is MISSING:
        return MISSING
    found = getattr(owner, alias.name, MISSING)
    return _module(f"{node.module}.{alias.name}") if found is MISSING else found


def _module(name: str) -> Any:
    """Give a loaded module, or one of ours."""
    if name.partition(".")[0] == _PACKAGE:
        return importlib.import_module(name)
    return sys.modules.get(name, MISSING)
