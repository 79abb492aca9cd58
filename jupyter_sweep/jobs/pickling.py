"""The jobs' one door to cloudpickle: captured values as a pickle that any trial can load, with large buffers apart.

What cloudpickle does not do by itself, and notebooks need:

- names that the body binds first are left out of the functions' globals (see `bindings`), those that class bodies
  within functions read are put in;
- a class gets no tracking number, so that each trial has a class of its own and equal captures give equal bytes;
- large arrays travel out of band also when they are not contiguous or lie in a memory-mapped file;
- `lru_cache`, `cached_property` and `singledispatch` of notebook functions, which fail or fail to load;
- functions and methods that a module gives under a name (`random.uniform`) travel by that name.

What rebuilds a value there is itself pickled by value or from the standard library: workers need nothing of ours.
"""

from __future__ import annotations

import functools
import pickle
import sys
import types
from collections.abc import Callable
from typing import Any, Protocol

from .buffers import LARGE
from .digest_code import Code, LruCached, home, is_class


class Sink(Protocol):
    """What a pickle is written to."""

    def write(self, data: bytes, /) -> object: ...


class Counter:
    """A sink that keeps nothing: how much a value needs, and whether it can be pickled at all."""

    def __init__(self) -> None:
        self.nbytes = 0

    def write(self, data: bytes | memoryview, /) -> int:
        self.nbytes += len(data)
        return len(data)


#: What a large buffer is handed to. Its memory may be gone after the call.
Take = Callable[[memoryview], None]


def dump(value: object, sink: Sink, take: Take, code: Code, modules: set[str], *, measure: bool = False) -> None:
    """Pickle a value.

    Parameters
    ----------
    value
        What to pickle.
    sink
        Where the pickle goes, piece by piece.
    take
        Called with each buffer of 64 KiB or more, in the order in which loading wants them.
    code
        Tells which globals a function sees.
    modules
        Gets the names of the modules that loading will import.
    measure
        Only sizes are wanted: arrays with gaps are not put in order, `take` gets memory of the right size.

    Raises
    ------
    Exception
        Whatever an object that can't be pickled raises.
    """

    def keep_inside(buffer: pickle.PickleBuffer) -> bool:
        view = buffer.raw()
        if view.nbytes < LARGE:
            return True
        take(view)
        return False

    _pickler_class()(sink, keep_inside, code, modules, measure).dump(value)


def anchor(namespace: dict[str, Any]) -> types.FunctionType:
    """Give a function whose globals are the notebook's.

    All functions with the same globals share one dict when they are loaded again; the anchor is how to find it.
    """
    function = types.FunctionType((lambda: None).__code__, namespace, "anchor")
    function.__module__ = "__main__"
    function.__qualname__ = "anchor"
    return function


@functools.lru_cache(maxsize=1)
def _pickler_class() -> Any:
    import cloudpickle

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        def __init__(self, sink: Sink, inside: Any, code: Code, modules: set[str], measure: bool) -> None:
            super().__init__(sink, protocol=5, buffer_callback=inside)
            self._visible = code.visible_globals
            self._modules = modules
            self._measure = measure

        def reducer_override(self, value: Any) -> Any:
            reduced = _reduce(value, self._measure)
            if reduced is not None:
                return reduced
            reduced = super().reducer_override(value)
            if isinstance(value, types.ModuleType):
                self._modules.add(value.__name__)
            elif (is_class(value) or isinstance(value, types.FunctionType)) and reduced is NotImplemented:
                self._modules.add(str(value.__module__))
            elif isinstance(value, types.FunctionType):
                _own_globals(reduced, self._visible(value))
            elif is_class(value):
                return _untracked(reduced)
            return reduced

    return Pickler


def _own_globals(reduced: tuple[Any, ...], visible: dict[str, Any]) -> None:
    """Replace the globals that cloudpickle found for a function by those that it sees in a trial."""
    reduced[2][1]["__globals__"] = visible


def _untracked(reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    """Take the tracking number, the last but one argument, from how a class is made again."""
    make, arguments, *rest = reduced
    if make.__name__ not in ("_make_skeleton_class", "_make_skeleton_enum"):
        return reduced
    return (make, (*arguments[:-2], None, arguments[-1]), *rest)


def _reduce(value: Any, measure: bool) -> Any:
    """Give how to make a value again where cloudpickle does not know or does worse; None for all others."""
    if isinstance(value, (types.MethodType, types.BuiltinFunctionType)):
        owner = value.__self__
        return None if owner is None or is_class(owner) or isinstance(owner, types.ModuleType) else _by_name(value)
    if isinstance(value, LruCached):
        return _by_name(value) or _rebuild(_make_cached, value.__wrapped__, dict(value.cache_parameters()))
    if type(value) is functools.cached_property:
        return _rebuild(_make_property, value.func, value.attrname)
    if isinstance(value, types.FunctionType) and value.__globals__ is vars(functools) and hasattr(value, "registry"):
        return _by_name(value) or _rebuild(_make_dispatching, list(value.registry.items()))
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None and isinstance(value, numpy.ndarray):
        return _array(value, numpy, measure)
    if torch is not None and type(value) is getattr(torch, "Tensor", None):
        return _tensor(value, torch)
    return None


def _by_name(value: Any) -> Any:
    """Give how to find a value under its module; None when it has no such name."""
    place = home(value)
    if place is None:
        return None
    module, name = place
    owner, _, last = name.rpartition(".")
    found: Any = sys.modules[module]
    for part in owner.split(".") if owner else ():
        found = getattr(found, part)
    return getattr, (found, last)


def _array(value: Any, np: Any, measure: bool) -> Any:
    """Let a large array travel as a buffer although it has gaps, or is mapped from a file."""
    if type(value) not in (np.ndarray, np.memmap) or value.dtype.hasobject or value.nbytes < LARGE:
        return None
    plain = value.view(np.ndarray)
    has_gaps = not (plain.flags.c_contiguous or plain.flags.f_contiguous)
    if type(value) is np.ndarray and not has_gaps:
        return None
    if has_gaps:  # untouched memory costs nothing
        plain = np.empty(plain.shape, plain.dtype) if measure else np.ascontiguousarray(plain)
    return plain.__reduce_ex__(5)


def _tensor(value: Any, torch: Any) -> Any:
    """Let a large tensor in main memory travel as a buffer; torch itself would write a copy into the pickle."""
    is_plain = value.layout is torch.strided and value.device.type == "cpu" and not value.is_quantized
    nbytes = value.numel() * value.element_size()
    if not is_plain or value.requires_grad or value.is_conj() or value.is_neg() or nbytes < LARGE:
        return None
    flat = value.contiguous().reshape(-1).view(torch.uint8).numpy()
    return _rebuild(_make_tensor, flat, value.dtype, tuple(value.shape))


def _rebuild(make: Callable[..., Any], *arguments: Any) -> tuple[Any, tuple[Any, ...]]:
    """Give a reduction whose function travels by value, because it belongs to no module."""
    return _travelling(make), arguments


@functools.cache
def _travelling(make: Any) -> types.FunctionType:
    function = types.FunctionType(make.__code__, {"__name__": "__main__"}, make.__name__)
    function.__module__ = "__main__"
    return function


def _make_cached(function: Any, parameters: dict[str, Any]) -> Any:
    import functools

    return functools.lru_cache(**parameters)(function)


def _make_property(function: Any, name: str | None) -> Any:
    import functools

    made: Any = functools.cached_property(function)
    made.attrname = name
    return made


def _make_dispatching(implementations: list[tuple[Any, Any]]) -> Any:
    import functools

    made: Any = functools.singledispatch(dict(implementations)[object])
    for kind, function in implementations:
        made.register(kind, function)
    return made


def _make_tensor(flat: Any, dtype: Any, shape: tuple[int, ...]) -> Any:
    import importlib

    torch = importlib.import_module("torch")
    return torch.from_numpy(flat).view(dtype).reshape(shape)
