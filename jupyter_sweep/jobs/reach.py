"""What code of the notebook could do when a body calls it: read a parameter as a global, report a metric.

Only for pre-flight, where a doubt counts for the user. Modules of the user's own are not looked into: they may report.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .. import vocabulary
from .origins import origin_kind
from .sources import global_names

_PACKAGE = __name__.partition(".")[0]
_MAX_ITEMS = 1000  # of a container that is looked through


def globals_read(names: Iterable[str], namespace: Mapping[str, Any]) -> set[str]:
    """Give the module-level names that notebook code can read when a body that reads `names` runs."""
    functions = [v for v in _reached(names, namespace) if _is_notebook_function(v, namespace)]
    return {name for function in functions for name in global_names(function.__code__)}


def may_report(names: Iterable[str], namespace: Mapping[str, Any]) -> bool:
    """Tell whether code behind the names could call `report`."""
    return any(_leads_to_report(value) for value in _reached(names, namespace))


def _reached(names: Iterable[str], namespace: Mapping[str, Any]) -> Iterator[Any]:
    """Give the notebook's values behind `names` with all that their code can reach, each once."""
    pending = [namespace[name] for name in names if name in namespace]
    seen: dict[int, Any] = {}
    while pending:
        value = pending.pop()
        if id(value) not in seen:
            seen[id(value)] = value
            yield value
            pending += _parts(value)
            if _is_notebook_function(value, namespace):
                pending += [namespace[n] for n in global_names(value.__code__) if n in namespace]


def _is_notebook_function(value: Any, namespace: Mapping[str, Any]) -> bool:
    return isinstance(value, types.FunctionType) and value.__globals__ is namespace


def _parts(value: Any) -> list[Any]:
    """Give where the code of a value may lie."""
    if isinstance(value, types.FunctionType):
        return [*_contents(value), *(value.__defaults__ or ()), *vars(value).values()]
    if isinstance(value, (list, tuple, set, frozenset)):
        return list(value) if len(value) <= _MAX_ITEMS else []
    if isinstance(value, dict):
        return list(value.values()) if len(value) <= _MAX_ITEMS else []
    if isinstance(value, types.MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, (staticmethod, classmethod)):
        return [value.__func__]
    if isinstance(value, property):
        return [value.fget, value.fset]
    if isinstance(value, functools.partial):
        return [value.func, value.args, value.keywords]
    if isinstance(value, functools._lru_cache_wrapper):
        return [value.__wrapped__]
    if isinstance(value, type):
        return [*vars(value).values(), *value.__bases__] if value.__module__ == "__main__" else []
    return [type(value), *getattr(value, "__dict__", {}).values()] if type(value).__module__ == "__main__" else []


def _contents(function: types.FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not filled yet
            continue


def _leads_to_report(value: Any) -> bool:
    if value is vocabulary.report:
        return True
    if isinstance(value, types.ModuleType):
        return value.__name__.partition(".")[0] == _PACKAGE or _is_local(value)
    home = getattr(value, "__module__", None) or type(value).__module__
    return isinstance(home, str) and home != "__main__" and _is_local(sys.modules.get(home))


def _is_local(module: types.ModuleType | None) -> bool:
    """Tell whether a module is a file of the user's own."""
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and origin_kind(file) == "local"
