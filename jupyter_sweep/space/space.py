"""`Space`: all parameters of a sweep with their conditions, and the constraints between them.

A configuration ("params") is a dict of the *active* parameters in declared order. `complete` is the one walk through a
space: it evaluates the conditions on what was drawn before and asks for the rest, so that random draws, grids, models
and the defaults all respect the same conditions. A name may stand for several parameters whose conditions exclude each
other (`lr` with one range for sgd and another for adam); `parameters` then holds them under the keys `lr`, `lr#1`.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from ..errors import SweepError, suggest
from . import codec
from .condition import BUILTINS, Constraint
from .parameter import Parameter

Params = dict[str, Any]

MAX_DRAWS = 1000  # tries until a draw meets the constraints
_MAX_COUNT = 1_000_000  # configurations that `size` counts


class Space:
    """What may vary.

    Parameters
    ----------
    constraints
        Expressions that every configuration must meet, as text or `Constraint`.
    constants
        Plain values that conditions and constraints read besides the parameters.
    **parameters
        `Float`, `Int`, `Choice`, ... by name, in the order in which a grid walks them (the first is the slowest).

    Examples
    --------
    >>> from jupyter_sweep.space import Choice, Float, Space
    >>> space = Space(opt=Choice("sgd", "adam"), momentum=Float(0, 0.9, step=0.9, when="opt == 'sgd'"))
    >>> list(space.grid())
    [{'opt': 'sgd', 'momentum': 0.0}, {'opt': 'sgd', 'momentum': 0.9}, {'opt': 'adam'}]
    """

    def __init__(
        self,
        *,
        constraints: Iterable[str | Constraint] = (),
        constants: Mapping[str, Any] | None = None,
        **parameters: Parameter,
    ) -> None:
        for name, value in parameters.items():
            if not isinstance(value, Parameter):
                raise SweepError(
                    f"{name}={value!r} is a value, not a range. A space is made of objects: "
                    f"{name}=Float(low, high), Int(low, high), Choice(...), or Fixed({value!r})."
                )
        self._set([replace(p, name=name) for name, p in parameters.items()], constraints, constants or {})

    @classmethod
    def of(
        cls,
        parameters: Iterable[Parameter],
        constraints: Iterable[str | Constraint] = (),
        constants: Mapping[str, Any] | None = None,
    ) -> Space:
        """Make a space of named parameters; several may share a name where their conditions exclude each other."""
        space = cls.__new__(cls)
        space._set(parameters, constraints, constants or {})
        return space

    def _set(
        self, parameters: Iterable[Parameter], constraints: Iterable[str | Constraint], constants: Mapping[str, Any]
    ) -> None:
        self.parameters: dict[str, Parameter] = {}
        self.constants = dict(constants)
        self.constraints = tuple(c if isinstance(c, Constraint) else Constraint(c) for c in constraints)
        seen: dict[str, int] = {}
        for parameter in parameters:
            parameter = replace(parameter, alternative=seen.get(parameter.name, 0))
            self._check(parameter, seen)
            seen[parameter.name] = parameter.alternative + 1
            self.parameters[parameter.slot] = parameter
        for constraint in self.constraints:
            self._check_names(constraint.names, seen, f"the constraint {constraint}", "a parameter")

    def _check(self, parameter: Parameter, seen: Mapping[str, int]) -> None:
        if not parameter.name or "#" in parameter.name:
            raise SweepError(f"{parameter.name!r} is no name for a parameter: it must be text without '#'.")
        if parameter.alternative and not parameter.when:
            raise SweepError(f"the parameter {parameter.name!r} is declared twice. Give one of them another name.")
        for condition in parameter.when:
            what = f"the condition {condition} of {parameter.name!r}"
            self._check_names(condition.names, seen, what, "a parameter declared before it")

    def _check_names(self, names: Iterable[str], known: Iterable[str], what: str, allowed: str) -> None:
        known = {*known, *self.constants}
        for name in sorted(set(names) - known - BUILTINS.keys()):
            raise SweepError(f"{what} reads {name!r}, which is not {allowed}.{suggest(name, known)}")

    # what a configuration looks like

    @property
    def names(self) -> list[str]:
        """Names of the parameters in declared order, each once."""
        return list(dict.fromkeys(p.name for p in self.parameters.values()))

    @property
    def varying(self) -> list[Parameter]:
        """The parameters that are not fixed."""
        return [p for p in self.parameters.values() if p.kind != "fixed"]

    @cached_property
    def reachable(self) -> list[Parameter]:
        """The parameters that exist in some configuration: fixed ones and constants may rule a condition out."""
        found, fixed = [], dict(self.constants)
        for parameter in self.parameters.values():
            certain = [c for c in parameter.when if c.names <= fixed.keys() | BUILTINS.keys()]
            if all(condition.holds(fixed) for condition in certain):
                found.append(parameter)
                if parameter.kind == "fixed" and len(certain) == len(parameter.when):
                    fixed[parameter.name] = parameter.value
        return found

    def complete(self, draw: Callable[[Parameter], Any]) -> Params:
        """Walk the parameters in order and give the params that `draw` chose for the active ones."""
        params: Params = {}
        for parameter in self.parameters.values():
            if self._is_active(parameter, params):
                params[parameter.name] = draw(parameter)
        return params

    def active_parameters(self, params: Mapping[str, Any]) -> list[Parameter]:
        """Give the parameters that exist in this configuration."""
        found: list[Parameter] = []
        known: Params = {}
        for parameter in self.parameters.values():
            if self._is_active(parameter, known):
                found.append(parameter)
                if parameter.name in params:
                    known[parameter.name] = params[parameter.name]
        return found

    def active(self, params: Mapping[str, Any]) -> list[str]:
        """Give the names that exist in this configuration."""
        return [p.name for p in self.active_parameters(params)]

    def allows(self, params: Mapping[str, Any]) -> bool:
        """Tell whether all constraints hold; one that reads an inactive parameter does."""
        return all(c.holds({**self.constants, **params}) for c in self.constraints)

    def coerce(self, params: Mapping[str, Any]) -> Params:
        """Give params in the types of the space and in declared order.

        Raises
        ------
        SweepError
            For an unknown, inactive or missing name and for a value outside; constraints are not looked at.
        """
        for name in params:
            if name not in self.names:
                raise SweepError(f"the space has no parameter {name!r}.{suggest(name, self.names)}")

        def take(parameter: Parameter) -> Any:
            if parameter.name not in params:
                raise SweepError(f"{parameter.name!r} = {parameter.describe()} is missing in {dict(params)!r}.")
            return parameter.coerce(params[parameter.name])

        done = self.complete(take)
        for name in params:
            if name not in done:
                raise SweepError(f"{name!r} does not exist in this configuration: {self._why_inactive(name)}.")
        return done

    def validate(self, params: Mapping[str, Any]) -> None:
        """Raise SweepError unless `params` is a configuration of this space that the constraints allow."""
        done = self.coerce(params)
        for constraint in self.constraints:
            if not constraint.holds({**self.constants, **done}):
                where = f" (line {constraint.line})" if constraint.line is not None else ""
                raise SweepError(f"require({constraint}){where} does not hold for {done!r}.")

    # ways through the space

    def defaults(self) -> Params:
        """Give the configuration of a plain cell: the start of every active parameter."""
        return self.complete(lambda parameter: parameter.start)

    def sample(self, rng: random.Random) -> Params:
        """Draw a configuration that the constraints allow.

        Raises
        ------
        SweepError
            When none of 1000 draws is allowed.
        """
        for _ in range(MAX_DRAWS):
            params = self.complete(lambda parameter: parameter.sample(rng))
            if self.allows(params):
                return params
        laws = " and ".join(f"require({c})" for c in self.constraints)
        raise SweepError(
            f"none of {MAX_DRAWS} random configurations meets {laws}. "
            f"Relax the constraint or narrow the ranges to where it holds."
        )

    def grid(self) -> Iterator[Params]:
        """Give every allowed configuration once; the first declared parameter varies slowest.

        Raises
        ------
        SweepError
            At the call when a parameter is continuous.
        """
        values = {parameter.slot: parameter.grid() for parameter in self.reachable}
        return self._walk(list(self.parameters.values()), values, 0, {})

    @cached_property
    def size(self) -> int | None:
        """Number of allowed configurations; None when there is no end or there are more than a million."""
        product, plain = 1, not self.constraints
        for parameter in self.reachable:
            if parameter.size is None:
                return None
            product *= parameter.size
            plain = plain and not parameter.when
        if product > _MAX_COUNT:
            return None
        return product if plain else sum(1 for _ in self.grid())

    def count(self, limit: int) -> int:
        """Give the number of allowed configurations, counted up to `limit`."""
        if any(parameter.size is None for parameter in self.reachable):
            return limit
        return sum(1 for _ in itertools.islice(self.grid(), limit))

    def describe(self) -> list[tuple[str, str]]:
        """Give (name, range) of each parameter, with its condition."""
        return [
            (p.name, p.describe() + (f" if {' and '.join(map(str, p.when))}" if p.when else ""))
            for p in self.parameters.values()
        ]

    # plain data

    def to_json(self) -> dict[str, Any]:
        """Give plain data."""
        return {
            "parameters": [p.to_json() for p in self.parameters.values()],
            "constraints": [[c.expression, c.line] for c in self.constraints],
            "constants": {name: _constant_to_json(value) for name, value in self.constants.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Space:
        """Rebuild a space from `to_json`."""
        return cls.of(
            [Parameter.from_json(p) for p in data["parameters"]],
            [Constraint(*c) for c in data.get("constraints", ())],
            {name: _constant_from_json(value) for name, value in data.get("constants", {}).items()},
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Space) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return f"Space({', '.join(f'{name}={text}' for name, text in self.describe())})"

    @cached_property
    def _text(self) -> str:
        return json.dumps(self.to_json(), sort_keys=True)

    def _is_active(self, parameter: Parameter, params: Mapping[str, Any]) -> bool:
        if parameter.name in params:
            return False
        if not parameter.when:
            return True
        values = {**self.constants, **params}
        return all(condition.holds(values) for condition in parameter.when)

    def _why_inactive(self, name: str) -> str:
        conditions = [" and ".join(map(str, p.when)) for p in self.parameters.values() if p.name == name]
        return f"it needs {' or '.join(conditions)}"

    def _walk(
        self, order: Sequence[Parameter], values: Mapping[str, list[Any]], depth: int, params: Params
    ) -> Iterator[Params]:
        """Give the allowed completions of `params` from parameter number `depth` on; constraints cut early."""
        for constraint in self._decided[depth]:
            if not constraint.holds({**self.constants, **params}):
                return
        if depth == len(order):
            yield dict(params)
            return
        parameter = order[depth]
        if not self._is_active(parameter, params):
            yield from self._walk(order, values, depth + 1, params)
            return
        for value in values[parameter.slot]:
            yield from self._walk(order, values, depth + 1, {**params, parameter.name: value})

    @cached_property
    def _decided(self) -> list[list[Constraint]]:
        """Constraints by the depth of the walk at which all their names are settled."""
        last = {p.name: depth for depth, p in enumerate(self.parameters.values(), start=1)}
        decided: list[list[Constraint]] = [[] for _ in range(len(self.parameters) + 1)]
        for constraint in self.constraints:
            decided[max((last.get(name, 0) for name in constraint.names), default=0)].append(constraint)
        return decided


def _constant_to_json(value: Any) -> Any:
    """Give a constant as JSON; sets are no values of parameters but `opt in {...}` may read one."""
    if isinstance(value, (set, frozenset)):
        return {"__set__": sorted((codec.encode(v) for v in value), key=json.dumps)}
    return codec.encode(value)


def _constant_from_json(data: Any) -> Any:
    if isinstance(data, dict) and "__set__" in data:
        return {codec.decode(v) for v in data["__set__"]}
    return codec.decode(data)
