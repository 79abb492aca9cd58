"""What of a class counts: its attributes as the user wrote them, without what Python and decorators put beside them.

Dataclasses, named tuples and enums carry generated methods, which have no source and differ between versions of
Python; they follow from the fields, which do count.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
import inspect
import re
import types
from collections.abc import Mapping
from typing import Any

from .origins import origin_kind

#: Attributes that Python keeps for itself, or that follow from the rest.
_BOOKKEEPING = set(
    """__module__ __qualname__ __doc__ __dict__ __weakref__ __firstlineno__ __static_attributes__ __annotations__
    __annotate__ __annotate_func__ __annotations_cache__ __abstractmethods__ _abc_impl __parameters__ __orig_bases__
    __type_params__ __protocol_attrs__ __non_callable_proto_members__ __callable_proto_members_only__
    __signature__""".split()  # noqa: SIM905
)
_DATACLASS_PARAMS = ("init", "repr", "eq", "order", "unsafe_hash", "frozen")
_CALLABLES = (types.FunctionType, staticmethod, classmethod, property)
_FIELD_GETTER = type(collections.namedtuple("_Pair", "first")("").__class__.first)  # type: ignore[attr-defined]


def own_attributes(cls: type) -> dict[str, Any]:
    """Give the attributes of a class itself, without its bases', that count for its identity."""
    if isinstance(cls, enum.EnumMeta):
        return _enum_attributes(cls)
    generated = "__dataclass_fields__" in vars(cls) or (issubclass(cls, tuple) and "_fields" in vars(cls))
    kept = {}
    for name, value in vars(cls).items():
        if name in _BOOKKEEPING or isinstance(value, (types.MemberDescriptorType, types.GetSetDescriptorType)):
            continue
        if name.startswith("__pydantic_") and name != "__pydantic_fields__":  # built from the fields
            continue
        if not (generated and _is_generated(value)):
            kept[name] = value
    if dataclasses.is_dataclass(cls) and "__dataclass_fields__" in kept:
        kept["__dataclass_fields__"] = {n: _field(f) for n, f in kept["__dataclass_fields__"].items()}
        parameters = kept.get("__dataclass_params__")
        kept["__dataclass_params__"] = [getattr(parameters, name, None) for name in _DATACLASS_PARAMS]
    return kept


def annotation_texts(cls: type) -> list[str]:
    """Give the annotations of a class itself as text."""
    return [f"{name}: {_annotation(value)}" for name, value in inspect.get_annotations(cls).items()]


def _enum_attributes(cls: enum.EnumMeta) -> dict[str, Any]:
    members: Mapping[str, Any] = cls.__members__
    values = [(name, member.value) for name, member in members.items()]
    methods = {n: v for n, v in vars(cls).items() if isinstance(v, _CALLABLES) and not _is_generated(v)}
    return {**methods, "members": values}


def _is_generated(value: object) -> bool:
    """Tell whether a method was made by the standard library: from text of its own, or from a function there."""
    if isinstance(value, _FIELD_GETTER):
        return True
    function = getattr(value, "__func__", value)
    if isinstance(function, property):
        function = function.fget
    if not isinstance(function, types.FunctionType):
        return False
    name = function.__code__.co_filename
    return name == "<string>" or (not name.startswith("<") and origin_kind(name) == "stdlib")


def _field(field: Any) -> list[Any]:
    """Give what of a dataclass field counts; `_field_type` tells class variables and init-only ones apart."""
    missing = dataclasses.MISSING
    flags = [field.init, field.repr, field.hash, field.compare, getattr(field, "kw_only", None), str(field._field_type)]
    defaults = [[] if each is missing else [each] for each in (field.default, field.default_factory)]
    return [_annotation(field.type), flags, *defaults, dict(field.metadata)]


def _annotation(value: object) -> str:
    text = value if isinstance(value, str) else value.__qualname__ if isinstance(value, type) else repr(value)
    return re.sub(r" at 0x[0-9a-fA-F]+", "", text)
