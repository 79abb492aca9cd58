"""Shapes of plain values, containers and general objects.

Types count (1, 1.0, True and "1" are four values), the order of sets and dicts does not. Lists, tuples and dict values
that hold atoms only are packed at once: a list of a million floats takes 0.05 s, one by one it would take 3 s.

A general object is what its class and its `__reduce_ex__` say it is: the same words that pickle uses, so that what
has no digest can't travel either. Types of the standard library whose words differ between versions of Python are
described here by hand.
"""

from __future__ import annotations

import array
import collections
import copyreg
import enum
import fractions
import pathlib
import pickle
import reprlib
import struct
import sys
import types
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .buffers import LARGE, digest_memory
from .digest_graph import Shape, Unhashable, mix

#: Attributes that only remember what the data says; scipy sets them when somebody asks.
_DERIVED = {"scipy": frozenset({"_has_sorted_indices", "_has_canonical_format"})}


class State(dict[str, Any]):
    """Attributes of an object; a dict of its own kind so that paths read `.lock` and not `['lock']`."""


def _bytes(value: bytes) -> bytes:
    return b"bytes:" + value if len(value) < LARGE else b"bytes#" + digest_memory(memoryview(value))


def _str(value: str) -> bytes:
    return b"str" + _bytes(value.encode("utf-8", "surrogatepass"))


#: Values without parts, and what tells them apart.
ATOMS: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda value: b"None",
    type(Ellipsis): lambda value: b"Ellipsis",
    type(NotImplemented): lambda value: b"NotImplemented",
    bool: lambda value: b"bool:%d" % value,
    int: lambda value: b"int:" + format(value, "x").encode(),
    float: lambda value: b"float:" + struct.pack("<d", value),
    complex: lambda value: b"complex:" + struct.pack("<2d", value.real, value.imag),
    str: _str,
    bytes: _bytes,
    range: lambda value: f"range:{value.start}:{value.stop}:{value.step}".encode(),
}


def packed(values: Sequence[Any]) -> bytes | None:
    """Give the digest of a sequence of atoms; None when it holds anything else."""
    kinds = set(map(type, values))
    if not kinds <= ATOMS.keys():
        return None
    if kinds == {float}:
        return mix("floats", len(values), _little(array.array("d", values)))
    if kinds == {str}:
        lengths = _little(array.array("q", map(len, values)))
        return mix("strings", lengths, "".join(values))
    if kinds == {int} and min(values) >= -(2**63) and max(values) < 2**63:
        return mix("ints", len(values), _little(array.array("q", values)))
    return mix("atoms", *(ATOMS[type(value)](value) for value in values))


def _little(values: array.array[Any]) -> bytes:
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()


def describe_plain(value: Any) -> Shape | None:
    """Give the shape of a container or a value of the standard library; None for any other value."""
    describe = _PLAIN.get(type(value))
    if describe is not None:
        return describe(value)
    if isinstance(value, (set, frozenset)):
        return _object("set", type(value), [set(value)], getattr(value, "__dict__", {}))
    if isinstance(value, enum.Enum):
        return Shape(mix("member"), [type(value), value.value], edge=lambda i: ".value")
    if isinstance(value, pathlib.PurePath):
        kind = "windows" if isinstance(value, pathlib.PureWindowsPath) else "posix"
        return Shape(mix("path", kind, isinstance(value, pathlib.Path), str(value)))
    if isinstance(value, fractions.Fraction) and type(value) is fractions.Fraction:
        return Shape(mix("fraction", value.numerator, value.denominator))
    return None


def _sequence(value: Any) -> Shape:
    name = type(value).__name__
    atoms = packed(value)
    return Shape(mix(name), list(value)) if atoms is None else Shape(mix(name, "packed", atoms))


def _set(value: Any) -> Shape:
    name = type(value).__name__
    if set(map(type, value)) == {str}:
        return Shape(mix(name, "packed", packed(sorted(value)) or b""))
    return Shape(mix(name), list(value), group=1, edge=lambda i: "{...}")


def _mapping(value: Mapping[Any, Any], name: str = "dict") -> Shape:
    if not set(map(type, value)) <= {str}:
        pairs = [part for pair in value.items() for part in pair]
        return Shape(mix(name, "pairs"), pairs, group=2, edge=lambda i: f"[{reprlib.repr(pairs[i - i % 2])}]")
    names = sorted(value)
    values = [value[each] for each in names]
    label = mix(name, "names", packed(names) or b"")
    atoms = packed(values)
    if atoms is not None:
        return Shape(mix(label, "packed", atoms))
    if name == "state":
        return Shape(label, values, edge=lambda i: f".{names[i]}")
    return Shape(label, values, edge=lambda i: f"[{names[i]!r}]")


def _buffer(value: Any) -> Shape:
    view = memoryview(value)
    data = digest_memory(view) if view.c_contiguous else digest_memory(memoryview(view.tobytes()))
    return Shape(mix(type(value).__name__, view.format, *(view.shape or ()), data))


def _object(label: str, kind: object, parts: Iterable[object], state: Mapping[str, Any]) -> Shape:
    return Shape(mix(label), [kind, *parts, State(state)], edge=lambda i: "")


def _items(value: Any) -> Shape:
    """Describe the dicts of `collections`: of an OrderedDict the order counts."""
    items = list(value.items()) if isinstance(value, collections.OrderedDict) else dict(value)
    factory = getattr(value, "default_factory", None)
    return _object(type(value).__name__, factory, [items], getattr(value, "__dict__", {}))


_PLAIN: dict[type, Callable[[Any], Shape]] = {
    list: _sequence,
    tuple: _sequence,
    set: _set,
    frozenset: _set,
    dict: _mapping,
    State: lambda value: _mapping(value, "state"),
    collections.OrderedDict: _items,
    collections.defaultdict: _items,
    collections.Counter: _items,
    types.MappingProxyType: lambda value: _mapping(value, "mappingproxy"),
    types.SimpleNamespace: lambda value: _object("namespace", None, (), vars(value)),
    weakref.WeakSet: lambda value: Shape(mix("weakset"), list(value), group=1),
    bytearray: _buffer,
    memoryview: _buffer,
    pickle.PickleBuffer: _buffer,
    array.array: _buffer,
    slice: lambda value: Shape(mix("slice"), [value.start, value.stop, value.step]),
    type({}.keys()): lambda value: Shape(mix("keys"), list(value)),
    type({}.values()): lambda value: Shape(mix("values"), list(value)),
    type({}.items()): lambda value: Shape(mix("items"), list(value)),
}


def describe_object(value: Any) -> Shape:
    """Give the shape of any other object, from what it gives to pickle.

    Raises
    ------
    Unhashable
        When it can't be pickled.
    """
    try:
        reducer = copyreg.dispatch_table.get(type(value))
        reduced = reducer(value) if reducer is not None else value.__reduce_ex__(5)
    except Exception as error:  # an object's own code, which may raise whatever it likes
        raise Unhashable(value, str(error)) from error
    if isinstance(reduced, str):
        module = str(getattr(value, "__module__", None) or type(value).__module__)
        return Shape(mix("global", reduced), [sys.modules.get(module, module)])
    function, args, state, items, pairs = (*reduced, None, None, None)[:5]
    parts = [function, *args]
    if state is not None:
        parts += _states(value, state)
    parts += [list(items)] if items is not None else []
    parts += [list(pairs)] if pairs is not None else []
    given = (state is not None, items is not None, pairs is not None)
    return Shape(mix("object", len(args), *given), parts, edge=lambda i: "")


def _states(value: object, state: Any) -> list[Any]:
    """Give the parts of an object's state: its attributes, and those in slots, if they are plain dicts of names."""
    parts = state if type(state) is tuple and len(state) == 2 else (state,)
    if not all(part is None or (type(part) is dict and set(map(type, part)) <= {str}) for part in parts):
        return [state]
    derived = _DERIVED.get(str(type(value).__module__).partition(".")[0], frozenset())
    return [part if part is None else State({k: v for k, v in part.items() if k not in derived}) for part in parts]
