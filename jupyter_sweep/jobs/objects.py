"""Choices that JSON can't hold: functions, classes, instances.

The objects travel in the job's pickle; the space, which the driver and the store read, holds a label and a digest in
their place. The worker compares what a trial's params say with what the pickle names: both come from one capture.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from ..errors import Mistake
from ..space import codec
from ..space.parameter import Parameter
from ..space.space import Space
from .capture import Capture


def objects_in(parameters: Iterable[Parameter]) -> dict[str, list[Any]]:
    """Give, by parameter, the choices that must travel in the pickle."""
    found: dict[str, list[Any]] = {}
    for parameter in parameters:
        for value in parameter.choices:
            if not codec.is_plain(value):
                found.setdefault(parameter.name, []).append(value)
    return found


def mistaken(space: Space) -> list[Mistake]:
    """Name the laws of a space that would meet a label where they expect text or a number, and so never hold."""
    posing = {p.name: c for p in space.parameters.values() for c in p.choices if codec.poses(c)}
    laws = [(f"the condition {c} of {p.name!r}", c.names) for p in space.parameters.values() for c in p.when]
    laws += [(f"the constraint {c}", c.names) for c in space.constraints]
    return [
        Mistake(
            f"{law} can't be decided before the start: the values of {name!r} are objects, such as {posing[name]!r}",
            fix="let the space have plain values (text, numbers), and make the objects of them in the job",
        )
        for law, names in dict.fromkeys(laws)
        for name in sorted(names & posing.keys())
    ]


def storable(space: Space, captured: Capture) -> Space:
    """Give the space with every object in a choice replaced by label and digest."""
    parameters = [_storable(p, captured.choices.get(p.name, ())) for p in space.parameters.values()]
    return Space.of(parameters, space.constraints, space.constants)


def _storable(parameter: Parameter, encoded: Iterable[Sequence[Any]]) -> Parameter:
    known = [(value, codec.decode(data)) for data, value in encoded]
    if not known:
        return parameter

    def name(value: Any) -> Any:
        return next((stored for object_, stored in known if codec.same(object_, value)), value)

    return replace(
        parameter,
        choices=tuple(name(choice) for choice in parameter.choices),
        default=name(parameter.default),
        prior=name(parameter.prior),
    )
