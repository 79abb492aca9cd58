"""Values of parameters as JSON and back, with their types kept.

`1`, `1.0`, `True` and `"1"` are four choices, a tuple is not a list, and a class or function may be a choice: so params
are not written with bare `json`. What JSON can't hold is `Opaque`: a label to read and a digest to tell it by; the real
object travels in the pickle of the job, and only the worker puts it back. Nothing here depends on the process that
wrote the text, so that a trial has the same identity in every kernel.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

_ATOMS = (bool, int, float, str)


@dataclass(frozen=True)
class Opaque:
    """An object that JSON can't hold, by label and digest. Two are equal when both are."""

    label: str
    digest: str

    def __repr__(self) -> str:
        return self.label


def scalar(value: Any) -> Any:
    """Give a numpy scalar as the Python scalar it stands for; any other value as it is."""
    if type(value).__module__ != "numpy" or getattr(value, "ndim", None) != 0:
        return value
    item = value.item()
    return value if type(item).__module__ == "numpy" else item


def plain(value: Any) -> Any:
    """Give `value` with numpy scalars, also inside lists, tuples and dicts, as Python scalars."""
    value = scalar(value)
    if type(value) in (list, tuple):
        return type(value)(plain(item) for item in value)
    if type(value) is dict:
        return {plain(name): plain(item) for name, item in value.items()}
    return value


def is_plain(value: Any) -> bool:
    """Tell whether `encode` keeps the whole value, so that nothing of it has to travel in a pickle."""
    value = scalar(value)
    if type(value) in (list, tuple):
        return all(is_plain(item) for item in value)
    if type(value) is dict:
        return all(is_plain(name) and is_plain(item) for name, item in value.items())
    return value is None or type(value) in _ATOMS


def poses(value: Any) -> bool:
    """Tell whether a value passes for plain data that `encode` does not keep, as a member of a `str` enum does.

    A condition would read it as if it were the text or number, and is told a label in its place.
    """
    value = scalar(value)
    if type(value) in (list, tuple):
        return any(map(poses, value))
    if type(value) is dict:
        return any(map(poses, [*value, *value.values()]))
    return isinstance(value, (*_ATOMS, list, tuple, dict)) and type(value) not in _ATOMS


def label(value: Any, digest: str = "") -> str:
    """Give the name under which an object is shown: of a class or function its own; else its type's, with `digest`.

    A member of an enum and a path say what they are; other objects may change their text with their library.
    """
    if isinstance(value, enum.Enum) and value.name:
        return f"{type(value).__qualname__.rpartition('.<locals>.')[2]}.{value.name}"
    if isinstance(value, PurePath):
        return repr(value)
    name = getattr(value, "__qualname__", None)
    if isinstance(name, str) and "<" not in name:
        return name
    kind = name.rpartition(".")[2] if isinstance(name, str) else type(value).__qualname__
    return f"{kind}#{digest[:4]}" if digest else kind


def opaque(value: Any, digest: Callable[[Any], str]) -> Any:
    """Give `value` with every part that is not plain data as `Opaque`; `digest` gives their digests."""
    value = scalar(value)
    if type(value) in (list, tuple):
        return type(value)(opaque(item, digest) for item in value)
    if type(value) is dict and all(is_plain(name) for name in value):
        return {name: opaque(item, digest) for name, item in value.items()}
    if is_plain(value) or isinstance(value, Opaque):
        return value
    found = digest(value)
    return Opaque(label(value, found), found[:8])


def encode(value: Any) -> Any:
    """Give JSON data that `decode` turns back into an equal value of the same type.

    An object that is not plain data gets the digest of its address, good in this process only: jobs replace such
    choices by `Opaque` with a digest of the content before anything is stored (see `opaque`).
    """
    value = scalar(value)
    if value is None or type(value) in _ATOMS:
        return value
    if isinstance(value, Opaque):
        return {"__object__": value.label, "digest": value.digest}
    if type(value) is list:
        return [encode(item) for item in value]
    if type(value) is tuple:
        return {"__tuple__": [encode(item) for item in value]}
    if type(value) is dict:
        return _encode_dict(value)
    return {"__object__": label(value), "digest": f"{id(value):x}"}


def decode(data: Any) -> Any:
    """Give the value that `encode` wrote; an object comes back as `Opaque`."""
    if isinstance(data, list):
        return [decode(item) for item in data]
    if not isinstance(data, dict):
        return data
    if "__tuple__" in data:
        return tuple(decode(item) for item in data["__tuple__"])
    if "__dict__" in data:
        return {decode(name): decode(item) for name, item in data["__dict__"]}
    if "__object__" in data:
        return Opaque(data["__object__"], data["digest"])
    return {name: decode(item) for name, item in data.items()}


def key(params: Mapping[str, Any]) -> str:
    """Give the canonical text of params: equal for equal values of equal types, whatever the order."""
    data = {name: encode(value) for name, value in params.items()}
    return json.dumps(data, sort_keys=True, separators=(",", ":"))


def flat(params: Mapping[str, Any]) -> dict[str, Any]:
    """Give params as one flat object for JSON: a coupled choice has an entry a key, as in ``size.width``."""
    found: dict[str, Any] = {}
    for name, value in params.items():
        if isinstance(value, dict) and value and all(type(part) is str for part in value):
            found.update(flat({f"{name}.{part}": item for part, item in value.items()}))
        else:
            found[name] = encode(value)
    return found


def token(value: Any) -> str:
    """Give the text that one value has in `key`: equal for values that are one choice, and for no others."""
    return json.dumps(encode(value), sort_keys=True)


def same(a: Any, b: Any) -> bool:
    """Tell whether two values are one choice: the same object, or equal in value and type."""
    if type(a) in _ATOMS and type(b) in _ATOMS:
        return type(a) is type(b) and repr(a) == repr(b)
    return a is b or token(a) == token(b)


def _encode_dict(value: dict[Any, Any]) -> dict[str, Any]:
    if all(type(name) is str and not name.startswith("__") for name in value):
        return {name: encode(item) for name, item in value.items()}
    return {"__dict__": [[encode(name), encode(item)] for name, item in value.items()]}
