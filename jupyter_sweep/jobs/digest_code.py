"""Shapes of functions, classes and modules: the code, and what it refers to.

What can be imported elsewhere (found again under its module and name) is identified by that and by its module. All
else is identified by what it is. A function: its syntax tree, the values of the globals it reads, its closure and
defaults, and the modules it imports. A class: its bases and attributes as they are now, so that patching a method
counts; its source text is not asked for, as notebooks have none for classes. What a decorator of the standard library
generated (dataclass, named tuple, enum) is left out where the fields it was made from are in, because it differs
between versions of Python.
"""

from __future__ import annotations

import enum
import functools
import sys
import types
from collections.abc import Collection
from typing import Any

from .digest_class import annotation_texts, own_attributes
from .digest_graph import Shape, Unhashable, mix
from .digest_tree import tree_bytes
from .digest_values import State
from .modules import Modules
from .sources import Sources, code_print, global_names, imported_names, nested

LruCached = functools._lru_cache_wrapper
_LIBRARY = ("installed", "stdlib", "own")
_EMPTY_CELL = object()
_IMPORT_SYSTEM = frozenset(
    {"__name__", "__file__", "__package__", "__path__", "__spec__", "__loader__", "__builtins__", "__doc__"}
)


class Code:
    """Describes code in one capture.

    Parameters
    ----------
    modules, sources
        Where modules come from, and the trees of functions.
    namespace
        The notebook's names.
    hidden
        Those of them that functions do not see in a trial, because the body binds them first.
    ignored
        Those of them whose values do not count.
    """

    def __init__(
        self,
        modules: Modules,
        sources: Sources,
        namespace: dict[str, Any] | None,
        hidden: Collection[str],
        ignored: Collection[str],
    ) -> None:
        self._modules = modules
        self._sources = sources
        self._namespace = namespace
        self._hidden = hidden
        self._ignored = ignored

    def describe(self, value: Any) -> Shape | None:
        """Give the shape of a function, class, module or part of one; None for any other value."""
        if isinstance(value, types.ModuleType):
            return self._module(value)
        if callable(value):
            place = home(value)
            if place is not None:
                return self._reference(value, *place)
        if is_class(value):
            return self._class(value)
        if isinstance(value, types.FunctionType):
            return _dispatching(value) or self._function(value)
        return _part(value)

    def visible_globals(self, function: types.FunctionType) -> dict[str, Any]:
        """Give the globals that a function reads and finds: no builtins and no hidden names."""
        scope = function.__globals__
        hidden = _IMPORT_SYSTEM.union(self._hidden if scope is self._namespace else ())
        found = {name: scope[name] for name in global_names(function.__code__) if name in scope and name not in hidden}
        return {name: value for name, value in found.items() if not is_offered(name, value)}

    def _reference(self, value: Any, module: str, name: str) -> Shape:
        kind = self._modules.kind(module)
        if kind == "missing":
            raise Unhashable(value, f"its module {module!r} was made in memory and has no file to send to a trial")
        return Shape(mix("own", name) if kind == "own" else mix("reference", self._modules.identity(module), name))

    def _module(self, module: types.ModuleType) -> Shape:
        name = module.__name__
        if sys.modules.get(name) is module:
            if self._modules.kind(name) == "missing":
                raise Unhashable(module, "it was made in memory and has no file to send to a trial")
            return Shape(mix("module", self._modules.identity(name)))
        loading = ("__builtins__", "__loader__", "__spec__")
        names = State({k: v for k, v in vars(module).items() if k not in loading})
        return Shape(mix("module in memory", name), [names], edge=lambda i: "")

    def _function(self, function: types.FunctionType) -> Shape:
        """Describe a function that travels by value."""
        code = function.__code__
        values = {"__defaults__": function.__defaults__, "__kwdefaults__": function.__kwdefaults__}
        values.update(zip(code.co_freevars, map(_contents, function.__closure__ or ()), strict=True))
        attributes = State({k: v for k, v in function.__dict__.items() if v is not function})
        place = str(function.__globals__.get("__name__"))
        kind = self._modules.kind(place)
        if kind in _LIBRARY:
            line = code.co_firstlineno if kind == "installed" else 0
            label = mix("code", self._modules.identity(place), code.co_name, line)
            reads: dict[str, Any] = {}
        else:
            ignored = self._ignored if function.__globals__ is self._namespace else ()
            reads = {name: v for name, v in self.visible_globals(function).items() if name not in ignored}
            label = self._text(function, reads)
        children = [*values.values(), attributes, *reads.values()]
        edges = [*(f" -> {name}" for name in values), "", *(f" -> {name}" for name in reads)]
        return Shape(mix("function", label, *values, "reads", *reads), children, edge=edges.__getitem__)

    def _text(self, function: types.FunctionType, reads: dict[str, Any]) -> bytes:
        """Give the identity of a function's own code and of the modules that it imports or goes through."""
        code = function.__code__
        node = self._sources.node(code)
        names = {name for part in nested(code) for name in part.co_names}
        through = [
            full
            for value in reads.values()
            if isinstance(value, types.ModuleType)
            for full in self._modules.within(value.__name__, names)
        ]
        if node is None:
            own = mix("byte code", sys.implementation.cache_tag or "", code_print(code))
            imported = imported_names(code)
        else:
            own = tree_bytes(node)
            imported = self._modules.imports(node, function.__globals__.get("__package__") or "")
        return mix(own, *(self._modules.identity(name) for name in sorted({*through, *imported})))

    def _class(self, cls: type) -> Shape:
        """Describe a class that travels by value."""
        place = str(cls.__module__)
        where = self._modules.identity(place) if self._modules.kind(place) in _LIBRARY else b""
        metaclass = None if type(cls) in (type, enum.EnumMeta) else type(cls)
        children = [metaclass, list(cls.__bases__), State(own_attributes(cls))]
        return Shape(mix("class", where, cls.__qualname__, *annotation_texts(cls)), children, edge=lambda i: "")


def is_class(value: Any) -> bool:
    """Tell whether a value is a class; `list[int]`, which says so of itself in Python 3.10, is none."""
    return issubclass(type(value), type)


def is_offered(name: str, value: Any) -> bool:
    """Tell whether a name is IPython's `get_ipython` or `display`: a trial offers its own, without the kernel."""
    library = str(getattr(value, "__module__", "")).partition(".")[0]
    return name in ("get_ipython", "display") and library in ("IPython", "ipykernel")


def home(value: Any) -> tuple[str, str] | None:
    """Give module and name under which a function, class or method can be found again; None if it has no such place.

    `random.uniform` is a method of a generator that the module hides. Found by name it draws from the generator that a
    trial has seeded; by value it would bring the kernel's generator along.
    """
    name, module = getattr(value, "__qualname__", None), getattr(value, "__module__", None)
    is_bound = isinstance(value, (types.MethodType, types.BuiltinFunctionType))
    owner = value.__self__ if is_bound else None
    if isinstance(owner, types.ModuleType):
        module = owner.__name__
    elif owner is not None and not is_class(owner):
        name, module = value.__name__, type(owner).__module__
    if not isinstance(name, str) or not isinstance(module, str) or module in ("__main__", "__mp_main__"):
        return None
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    same = found == value if owner is not None and type(found) is type(value) else found is value
    return (module, name) if same else None


def _dispatching(function: types.FunctionType) -> Shape | None:
    """Describe what `functools.singledispatch` made, by its implementations; its closure holds weak references."""
    if function.__globals__ is not vars(functools) or not hasattr(function, "registry"):
        return None
    return Shape(mix("singledispatch"), [dict(function.registry)], edge=lambda i: ".registry")


def _part(value: Any) -> Shape | None:
    """Describe the small parts that functions and classes are made of."""
    if isinstance(value, types.MethodType):
        return Shape(mix("method"), [value.__func__, value.__self__], edge=lambda i: (".__func__", ".__self__")[i])
    if isinstance(value, types.BuiltinFunctionType):
        return Shape(mix("built-in", value.__name__), [value.__self__], edge=lambda i: ".__self__")
    if isinstance(value, (staticmethod, classmethod)):
        return Shape(mix(type(value).__name__), [value.__func__], edge=lambda i: "")
    if type(value) is property:
        return Shape(mix("property"), [value.fget, value.fset, value.fdel], edge=lambda i: "")
    if type(value) is functools.cached_property:
        return Shape(mix("cached_property"), [value.func], edge=lambda i: "")
    if isinstance(value, LruCached):
        settings = sorted(value.cache_parameters().items())
        return Shape(mix("lru_cache", str(settings)), [value.__wrapped__], edge=lambda i: "")
    if isinstance(value, types.GenericAlias):
        return Shape(mix("generic alias"), [value.__origin__, value.__args__])
    if isinstance(value, types.CellType):
        return Shape(mix("cell"), [_contents(value)], edge=lambda i: "")
    if isinstance(value, types.CodeType):
        return Shape(mix("byte code", sys.implementation.cache_tag or "", code_print(value)))
    return None


def _contents(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # assigned later, or never
        return _EMPTY_CELL
