"""`Parameter`: what one name may be, and the objects that make one (`Float`, `Int`, `Choice`, ...).

Bounds are inclusive on both ends and are values, never exponents; steps are anchored at `low`. One frozen class for all
kinds, because everything that handles a space (proposers, grid, store, form) asks the same few questions of each.
Values on a step are computed with fractions of the decimal text, so that `uniform(0, 1, step=0.1)` holds 0.3 and not
0.30000000000000004: a value is part of a trial's identity.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import Field, dataclass, fields, replace
from functools import cached_property
from typing import Any

from ..errors import SweepError
from . import codec, ranges
from .condition import Condition

#: "not given" where None is a value of its own.
UNSET: Any = type("Unset", (), {"__repr__": lambda self: "UNSET", "__slots__": ()})()

KINDS = ("float", "int", "choice", "fixed")


@dataclass(frozen=True, eq=False)
class Parameter:
    """One name of a space.

    Parameters
    ----------
    name
        Its name in the body; several parameters may share one where their conditions exclude each other.
    kind
        "float", "int", "choice", or "fixed" (one value, the only one of `choices`).
    low, high
        Bounds, both inclusive; None for a normal or lognormal.
    step
        Distance of the values, anchored at `low`; None for every float, every int.
    log
        Uniform in the logarithm; with `mean` and `sigma` a lognormal.
    choices
        The values of a choice, typed: 1, 1.0, True and "1" are four.
    default
        The value in a plain cell and of the canary; None for the middle. Choices always hold one.
    prior
        A value that is believed good; None for no belief.
    mean, sigma
        Of a normal; of the logarithm for a lognormal.
    ordered
        The choices have an order.
    meta
        It varies, but is no part of a trial's identity.
    ignore_default
        It is left out of the identity at its default.
    when
        Conditions that must all hold; otherwise the parameter does not exist in that configuration.
    alternative
        0, or the index among parameters of one name; set by the space.
    """

    name: str = ""
    kind: str = "float"
    low: float | None = None
    high: float | None = None
    step: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()
    default: Any = UNSET
    prior: Any = None
    mean: float | None = None
    sigma: float | None = None
    ordered: bool = False
    meta: bool = False
    ignore_default: bool = False
    when: tuple[Condition, ...] = ()
    alternative: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise SweepError(f"a parameter of kind {self.kind!r} does not exist. Allowed: {', '.join(KINDS)}.")
        for name, value in ranges.normal_form(self).items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "default", self._own(self.default, "default", absent=self._no_default()))
        object.__setattr__(self, "prior", self._own(self.prior, "prior", absent=None))

    def _no_default(self) -> Any:
        return self.middle() if self.kind in ("choice", "fixed") else None

    def _own(self, value: Any, what: str, *, absent: Any) -> Any:
        if value is UNSET or (value is None and not any(c is None for c in self.choices)):
            return absent
        if value is None and what == "prior":
            return absent
        try:
            return self.coerce(value)
        except SweepError as error:
            raise SweepError(f"{what}: {error}") from None

    @property
    def slot(self) -> str:
        """Its key in `Space.parameters`: the name, for a later alternative of one name `name#1`."""
        return f"{self.name}#{self.alternative}" if self.alternative else self.name

    @property
    def value(self) -> Any:
        """The value of a fixed parameter."""
        assert self.kind == "fixed"
        return self.choices[0]

    @property
    def bounded(self) -> bool:
        """Tell whether it has bounds or choices, that is: it is no normal or lognormal."""
        return self.sigma is None

    @property
    def start(self) -> Any:
        """The value in a plain cell: the default, else the middle."""
        if self.kind in ("choice", "fixed") or self.default is not None:
            return self.default
        return self.middle()

    def middle(self) -> Any:
        """Give the middle: geometric for log, rounded down onto a step, first item of a choice, mean of a normal."""
        return ranges.middle(self)

    @cached_property
    def size(self) -> int | None:
        """Number of values; None when there is no end of them."""
        if self.kind in ("choice", "fixed"):
            return len(self.choices)
        return ranges.count(self)

    def grid(self) -> list[Any]:
        """Give all values in order.

        Raises
        ------
        SweepError
            For a continuous range.
        """
        if self.size is None:
            raise SweepError(
                f"{self.name or 'a parameter'} = {self.describe()} is continuous and has no grid. "
                f"Give it a step, or list values: choice(...)."
            )
        return [self.at(index) for index in range(self.size)]

    def at(self, index: int) -> Any:
        """Give value number `index` of a parameter with a `size`."""
        return self.choices[index] if self.choices else ranges.at(self, index)

    def from_unit(self, u: float) -> Any:
        """Map `u` in [0, 1) onto the values, evenly in probability; monotone in the order of the values."""
        if self.kind in ("choice", "fixed"):
            return self.choices[min(int(u * len(self.choices)), len(self.choices) - 1)]
        return ranges.from_unit(self, u)

    def sample(self, rng: random.Random) -> Any:
        """Draw a value."""
        return self.from_unit(rng.random())

    def index(self, value: Any) -> int | None:
        """Give the place of `value` among the choices, by value and type; None when it is none of them."""
        return self._places.get(codec.token(value))

    @cached_property
    def _places(self) -> dict[str, int]:
        return {codec.token(choice): place for place, choice in enumerate(self.choices)}

    def contains(self, value: Any) -> bool:
        """Tell whether `coerce` takes the value."""
        try:
            self.coerce(value)
        except SweepError:
            return False
        return True

    def coerce(self, value: Any) -> Any:
        """Give `value` in the parameter's own type: 1e2 for an int is 100, 1 for a float is 1.0.

        Raises
        ------
        SweepError
            When it lies outside; the message names what is allowed.
        """
        value = codec.scalar(value)
        if self.kind in ("choice", "fixed"):
            index = self.index(value)
            found = self.choices[index] if index is not None else UNSET
        else:
            found = ranges.coerce(self, value, UNSET)
        if found is UNSET:
            raise SweepError(f"{self.name + '=' if self.name else ''}{value!r} lies outside {self.describe()}.")
        return found

    def pinned(self, value: Any) -> Parameter:
        """Give this parameter fixed at `value`, which may lie outside the range but must fit its type."""
        return self._with(Parameter(kind="fixed", choices=(self._fit(codec.plain(value)),)))

    def narrow(self, other: Parameter) -> Parameter:
        """Give this parameter with the values of `other`, whose types must fit.

        Name, conditions and marks stay; so do default and prior where `other` gives none and has room for them.
        """
        if other.choices:
            fitting = [self._fit(choice) for choice in other.choices]
            start = fitting[other.index(other.default) or 0]
            return self._with(replace(other, choices=tuple(fitting), default=start, prior=None))
        kinds = {self.kind} if not self.choices else {_KIND_OF.get(type(choice), "") for choice in self.choices}
        if kinds == {"float"} and other.kind == "int":
            return self._with(replace(other, kind="float", step=other.step or 1))
        if kinds == {other.kind}:
            return self._with(other)
        raise SweepError(f"{other.describe()} does not fit the type of {self.name} = {self.describe()}.")

    def _with(self, other: Parameter) -> Parameter:
        """Give `other` under the name, conditions and marks of this parameter."""
        default, prior = other._given_default(), other.prior
        if default is UNSET and other.contains(self.default):
            default = self._given_default()
        if prior is None and other.contains(self.prior):
            prior = self.prior
        made = replace(
            other,
            name=self.name,
            when=self.when,
            meta=self.meta,
            alternative=self.alternative,
            default=default,
            prior=prior,
        )
        return replace(made, ignore_default=self.ignore_default and codec.same(made.start, self.start))

    def _given_default(self) -> Any:
        """Give the default if it is another than the middle, else UNSET."""
        return UNSET if self.default is None or codec.same(self.default, self.middle()) else self.default

    def describe(self) -> str:
        """Give the range as the call that declares it, such as "loguniform(1e-05, 0.1)"."""
        return ranges.describe(self)

    def to_json(self) -> dict[str, Any]:
        """Give plain data; what has its usual value is left out."""
        data: dict[str, Any] = {"name": self.name, "kind": self.kind}
        data.update({f.name: getattr(self, f.name) for f in _plain_fields() if getattr(self, f.name) != f.default})
        if self.choices:
            data["choices"] = [codec.encode(c) for c in self.choices]
        if self.choices or self.default is not None:
            data["default"] = codec.encode(self.default)
        if self.prior is not None:
            data["prior"] = codec.encode(self.prior)
        if self.when:
            data["when"] = [[c.expression, c.expected] for c in self.when]
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Parameter:
        """Rebuild a parameter from `to_json`; keys of a newer release are ignored."""
        given = {k: v for k, v in data.items() if k in {f.name for f in fields(cls)}}
        given["choices"] = tuple(codec.decode(c) for c in data.get("choices", ()))
        given["when"] = tuple(Condition(*c) for c in data.get("when", ()))
        for name in ("default", "prior"):
            if name in data:
                given[name] = codec.decode(data[name])
        return cls(**given)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Parameter) and codec.same(self.to_json(), other.to_json())

    def __hash__(self) -> int:
        return hash((self.name, self.kind, self.low, self.high))

    def _fit(self, value: Any) -> Any:
        """Give `value` in the type of this parameter, inside or outside of the range."""
        types = {int} if self.kind == "int" else {float} if self.kind == "float" else {type(c) for c in self.choices}
        if type(value) in types or self.index(value) is not None:
            return value
        number = type(value) in (int, float)
        if number and float in types:
            return float(value)
        if number and int in types and float(value).is_integer():
            return int(value)
        raise SweepError(f"{value!r} does not fit the type of {self.name} = {self.describe()}.")


_KIND_OF = {int: "int", float: "float"}


def _plain_fields() -> list[Field[Any]]:
    """Give the fields that JSON holds as they are."""
    return [f for f in fields(Parameter) if f.name not in ("name", "kind", "choices", "default", "prior", "when")]


def Float(
    low: float,
    high: float,
    *,
    log: bool = False,
    step: float | None = None,
    default: float | None = None,
    prior: float | None = None,
    meta: bool = False,
    ignore_default: bool = False,
    when: str | Sequence[str] = (),
) -> Parameter:
    """Give a range of floats from `low` to `high`, both inclusive. See `Parameter` for the options."""
    return Parameter(
        "", "float", low, high, step, log, default=default, prior=prior,
        meta=meta, ignore_default=ignore_default, when=_conditions(when),
    )  # fmt: skip


def Int(
    low: int,
    high: int,
    *,
    log: bool = False,
    step: int | None = None,
    default: int | None = None,
    prior: int | None = None,
    meta: bool = False,
    ignore_default: bool = False,
    when: str | Sequence[str] = (),
) -> Parameter:
    """Give a range of ints from `low` to `high`, both inclusive. See `Parameter` for the options."""
    return Parameter(
        "", "int", low, high, step, log, default=default, prior=prior,
        meta=meta, ignore_default=ignore_default, when=_conditions(when),
    )  # fmt: skip


def Choice(
    *values: Any,
    default: Any = UNSET,
    prior: Any = None,
    meta: bool = False,
    ignore_default: bool = False,
    when: str | Sequence[str] = (),
) -> Parameter:
    """Give a choice of values of any type, without an order; a value listed twice counts once."""
    return Parameter(
        "", "choice", choices=values, default=default, prior=prior,
        meta=meta, ignore_default=ignore_default, when=_conditions(when),
    )  # fmt: skip


def Ordinal(
    *values: Any,
    default: Any = UNSET,
    prior: Any = None,
    meta: bool = False,
    ignore_default: bool = False,
    when: str | Sequence[str] = (),
) -> Parameter:
    """Give a choice of values in the order given; without a default it starts at the middle one."""
    return Parameter(
        "", "choice", choices=values, ordered=True, default=default, prior=prior,
        meta=meta, ignore_default=ignore_default, when=_conditions(when),
    )  # fmt: skip


def Normal(
    mean: float,
    std: float,
    *,
    default: float | None = None,
    prior: float | None = None,
    meta: bool = False,
    ignore_default: bool = False,
    when: str | Sequence[str] = (),
) -> Parameter:
    """Give a normal distribution, unbounded."""
    return Parameter(
        "", "float", mean=mean, sigma=std, default=default, prior=prior,
        meta=meta, ignore_default=ignore_default, when=_conditions(when),
    )  # fmt: skip


def LogNormal(
    mu: float,
    sigma: float,
    *,
    default: float | None = None,
    prior: float | None = None,
    meta: bool = False,
    ignore_default: bool = False,
    when: str | Sequence[str] = (),
) -> Parameter:
    """Give a distribution whose logarithm is normal with mean `mu` and standard deviation `sigma`."""
    return Parameter(
        "", "float", log=True, mean=mu, sigma=sigma, default=default, prior=prior,
        meta=meta, ignore_default=ignore_default, when=_conditions(when),
    )  # fmt: skip


def Fixed(value: Any, *, meta: bool = False, when: str | Sequence[str] = ()) -> Parameter:
    """Give one value that does not vary but counts in a trial's identity."""
    return Parameter("", "fixed", choices=(value,), meta=meta, when=_conditions(when))


def _conditions(when: str | Sequence[str]) -> tuple[Condition, ...]:
    return tuple(Condition(text) for text in ([when] if isinstance(when, str) else when))
