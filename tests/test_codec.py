"""Values as JSON and back: nothing of a value's type is lost, equal values have equal keys."""

from __future__ import annotations

import enum
import json
import math
import random
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pytest

from jupyter_sweep.space import codec
from jupyter_sweep.space.codec import Opaque, decode, encode, key, same


def made(rng: random.Random, depth: int = 3) -> Any:
    """Give a random plain value."""
    kind = rng.randrange(11 if depth else 7)
    atoms = [None, True, rng.randrange(-5, 5), rng.uniform(-9, 9), math.inf, rng.choice(["", "a", "__tuple__", "é"])]
    if kind < 6:
        return atoms[kind]
    if kind == 6:
        return Opaque(rng.choice("ab"), rng.choice(["00", "11"]))
    parts = [made(rng, depth - 1) for _ in range(rng.randrange(3))]
    names = [rng.choice(["a", "b", "__dict__", "__object__", 1, (1, 2), None]) for _ in parts]
    return [parts, tuple(parts), dict(zip(names, parts, strict=True)), {"a": parts}][kind - 7]


def test_decode_gives_back_what_encode_took() -> None:
    for seed in range(500):
        value = made(random.Random(seed))
        back = decode(json.loads(json.dumps(encode(value))))
        assert repr(back) == repr(value)
        assert same(back, value)


def test_nan_comes_back_as_nan() -> None:
    assert math.isnan(decode(json.loads(json.dumps(encode(math.nan)))))
    assert same(math.nan, float("nan"))


@pytest.mark.parametrize("pair", [(1, 1.0), (1, True), (1, "1"), (1.0, True), ([1], (1,)), (None, "None"), ({}, [])])
def test_values_of_different_types_are_different(pair: tuple[Any, Any]) -> None:
    a, b = pair
    assert not same(a, b)
    assert key({"x": a}) != key({"x": b})


def test_a_key_does_not_depend_on_the_order_of_names() -> None:
    assert key({"a": 1, "b": {"c": 1, "d": 2}}) == key({"b": {"d": 2, "c": 1}, "a": 1})


@pytest.mark.parametrize(
    ("scalar", "expected"),
    [(np.float64(0.5), 0.5), (np.int32(3), 3), (np.bool_(True), True), (np.str_("a"), "a"), (np.array(2.5), 2.5)],
)
def test_numpy_scalars_are_python_scalars(scalar: Any, expected: Any) -> None:
    assert type(decode(encode(scalar))) is type(expected)
    assert key({"x": [scalar]}) == key({"x": [expected]})
    assert codec.plain((scalar, {"a": scalar})) == (expected, {"a": expected})


def test_what_json_holds_is_plain_and_everything_else_is_not() -> None:
    assert codec.is_plain([1, (2.0, None), {"a": True, 3: "b"}])
    for value in (len, object(), np.zeros(2), {1, 2}, 1j, b"", [len], {"a": len}, Opaque("a", "0")):
        assert not codec.is_plain(value)


def test_objects_become_label_and_digest_wherever_they_stand() -> None:
    class Net:
        pass

    def digest(value: Any) -> str:
        return "0123456789abcdef"

    held = codec.opaque({"act": len, "nets": (Net, Net()), "n": 1}, digest)
    assert held == {"act": Opaque("len", "01234567"), "nets": (held["nets"][0], held["nets"][1]), "n": 1}
    assert str(held["act"]) == "len"
    assert held["nets"][1].label.endswith("Net#0123")


def test_members_of_an_enum_and_paths_are_shown_as_what_they_are() -> None:
    class Act(enum.Enum):
        RELU = "relu"

    assert codec.label(Act.RELU, "0123") == "Act.RELU"
    assert codec.label(PurePosixPath("data/small.csv"), "0123") == "PurePosixPath('data/small.csv')"


def test_two_objects_are_the_same_choice_only_if_they_are_one_object() -> None:
    a, b = object(), object()
    assert same(a, a)
    assert not same(a, b)
