"""Does a loaded module still say what its file says? Only a warning hangs on it: a local module's file counts.

Times and sizes prove little (a comment changes both, and another process rewrites the cached byte code), so the code
is compared: each function that the module defines, and methods, against the compiled file; names that one side lacks;
constants written as literals. That finds an edit whenever it was made. A change of other top-level statements leaves
no trace in the loaded module: it is found from the second look on, by the tree that the first look saw, unless the
module was loaded anew in between (then its `__spec__` is another object).
"""

from __future__ import annotations

import ast
import collections
import functools
import inspect
import sys
import types
from collections.abc import Iterator, Mapping

from .digest_tree import text_bytes
from .sources import code_print

_Prints = Mapping[tuple[str, ...], set[bytes]]


class Loaded:
    """What this process saw of local modules, for its lifetime."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[object, bytes]] = {}

    def differs(self, name: str, source: str) -> bool:
        """Tell whether module `name` is loaded from other code than `source`, the text of its file now.

        `source` is valid Python. False for a module that is not loaded.
        """
        module = sys.modules.get(name)
        if module is None:
            return False
        tree = ast.parse(source)
        own = text_bytes(source)
        spec, first = self._seen.get(name, (None, own))
        if spec is module.__spec__ and first != own:
            return True
        if _contradicts(module, tree):
            return True
        self._seen[name] = (module.__spec__, own)
        return False


def _contradicts(module: types.ModuleType, tree: ast.Module) -> bool:
    names, once = vars(module), _bound_once(tree)
    if any(name not in names for name in _defined(tree) if name in once):
        return True
    if any(not _same(names.get(name), value) for name, value in _literals(tree).items() if name in once):
        return True
    prints = _prints(compile(tree, "<module>", "exec", dont_inherit=True))
    return any(code_print(code) not in prints.get(path, ()) for path, code in _functions(module))


def _same(a: object, b: object) -> bool:
    return type(a) is type(b) and repr(a) == repr(b)


def _bound_once(tree: ast.Module) -> set[str]:
    """Give the names that one statement of the module binds and none removes, as far as the text tells."""
    counts: collections.Counter[str] = collections.Counter()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            counts[node.id] += 2 if isinstance(node.ctx, ast.Del) else 1
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            counts[node.name] += 1
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            if any(alias.name == "*" for alias in node.names):
                return set()
            counts.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
    return {name for name, count in counts.items() if count == 1}


def _defined(tree: ast.Module) -> list[str]:
    return [n.name for n in tree.body if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))]


def _literals(tree: ast.Module) -> dict[str, object]:
    """Give the names that the top level assigns a number, string or the like."""
    return {
        node.targets[0].id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
    }


def _prints(code: types.CodeType, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], set[bytes]]:
    """Give the prints of all code within `code` by its path of names; a name defined twice has two."""
    found: dict[tuple[str, ...], set[bytes]] = {}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            is_scope_of_types = constant.co_name.startswith("<generic parameters")
            inner = path if is_scope_of_types else (*path, constant.co_name)
            found.setdefault(inner, set()).add(code_print(constant))
            for deeper, prints in _prints(constant, inner).items():
                found.setdefault(deeper, set()).update(prints)
    return found


def _functions(module: types.ModuleType) -> Iterator[tuple[tuple[str, ...], types.CodeType]]:
    """Give path and code of the functions and methods that the module's own file defined."""
    for value in list(vars(module).values()):
        inside = list(vars(value).values()) if isinstance(value, type) and value.__module__ == module.__name__ else []
        for item in [value, *inside]:
            function = _function(item)
            if function is not None and function.__code__.co_filename == module.__file__:
                path = tuple(function.__qualname__.replace("<locals>.", "").split("."))
                if path[-1] == function.__code__.co_name:  # else it was renamed, and its place is not known
                    yield path, function.__code__


def _function(value: object) -> types.FunctionType | None:
    if isinstance(value, (staticmethod, classmethod)):
        value = value.__func__
    if isinstance(value, property):
        value = value.fget
    if isinstance(value, (types.FunctionType, functools._lru_cache_wrapper)):
        value = inspect.unwrap(value)
    return value if isinstance(value, types.FunctionType) else None
