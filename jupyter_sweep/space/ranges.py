"""Arithmetic of the ranges of a `Parameter`: normal form, middle, values on a step, the map from the unit interval.

Apart from `parameter.py` so that each of the two reads on one screen or two. A log range with a step is mapped by
intervals that grow with the value, so that every value can be drawn and the order is kept.
"""

from __future__ import annotations

import math
from fractions import Fraction
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from ..errors import SweepError
from . import codec

if TYPE_CHECKING:
    from .parameter import Parameter

_NAMES = {
    ("float", False): "uniform",
    ("float", True): "loguniform",
    ("int", False): "randint",
    ("int", True): "lograndint",
}
_TAIL = 1e-12  # the outermost quantiles that a normal is drawn from
_LARGEST_LOG = 709.0  # exp of more is no float


def normal_form(p: Parameter) -> dict[str, Any]:
    """Give the fields of `p` in their own types; raise SweepError with the law that is broken."""
    if p.kind in ("choice", "fixed"):
        return {"choices": _choices(p)}
    if p.sigma is not None or p.mean is not None:
        return _distribution(p)
    low, high = (_number(p, name, getattr(p, name)) for name in ("low", "high"))
    if low > high:
        raise SweepError(f"low <= high must hold, got low={low!r}, high={high!r}.")
    if p.log and low <= 0:
        raise SweepError(f"low > 0 must hold for a log range, got low={low!r}, high={high!r}.")
    if p.step is None:
        return {"low": low, "high": high}
    step = _number(p, "step", p.step)
    if step <= 0:
        raise SweepError(f"step > 0 must hold, got step={step!r}.")
    return {"low": low, "high": high, "step": step}


def middle(p: Parameter) -> Any:
    """Give the middle of `p`; see `Parameter.middle`."""
    if p.choices:
        return p.choices[(len(p.choices) - 1) // 2 if p.ordered else 0]
    if p.sigma is not None:
        assert p.mean is not None
        return math.exp(p.mean) if p.log else p.mean
    low, high = _bounds(p)
    if p.kind == "int":
        centre: float = math.isqrt(int(low * high)) if p.log else low + (high - low) // 2
    elif p.log:
        product = low * high
        centre = math.sqrt(product) if 0 < product < math.inf else math.sqrt(low) * math.sqrt(high)
    else:
        centre = low / 2 + high / 2
    centre = min(max(centre, low), high)
    return centre if p.kind == "float" and p.step is None else at(p, _index_below(p, centre))


def count(p: Parameter) -> int | None:
    """Give the number of values of a numeric parameter; None without end."""
    if p.sigma is not None:
        return None
    low, high = _bounds(p)
    if p.kind == "float" and p.step is None:
        return 1 if low == high else None
    return _index_below(p, high) + 1


def at(p: Parameter, index: int) -> Any:
    """Give value number `index` on the step."""
    low, _ = _bounds(p)
    if p.kind == "int":
        return int(low + index * (p.step or 1))
    return float(_exact(low) + index * _exact(p.step)) if p.step is not None else low


def from_unit(p: Parameter, u: float) -> Any:
    """Map `u` in [0, 1) onto the values; see `Parameter.from_unit`."""
    if p.sigma is not None:
        assert p.mean is not None
        value = NormalDist(p.mean, p.sigma).inv_cdf(min(max(u, _TAIL), 1 - _TAIL))
        return math.exp(min(value, _LARGEST_LOG)) if p.log else value
    low, high = _bounds(p)
    n = p.size
    if n is not None and not p.log:
        return at(p, n * int(u * 2**53) >> 53)
    if n is not None:
        top = at(p, n - 1)
        value = _between_logs(low, top + (p.step or 1), u)
        return at(p, min(_index_below(p, max(value, low)), n - 1))
    value = _between_logs(low, high, u) if p.log else low * (1 - u) + high * u
    return min(max(value, low), high)


def coerce(p: Parameter, value: Any, missing: Any) -> Any:
    """Give `value` in the type of `p`, or `missing` when it lies outside."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not _finite(value):
        return missing
    if p.sigma is not None:
        return missing if p.log and value <= 0 else float(value)
    low, high = _bounds(p)
    if p.kind == "int":
        whole = int(value)
        inside = whole == value and low <= whole <= high and (whole - int(low)) % int(p.step or 1) == 0
        return whole if inside else missing
    if p.step is not None:
        nearest = at(p, round((value - low) / p.step))
        value = nearest if abs(nearest - value) <= 1e-9 * p.step else math.nan
    return float(value) if low <= value <= high else missing


def describe(p: Parameter) -> str:
    """Give the call that declares `p`."""
    if p.kind == "fixed":
        return repr(p.choices[0])
    if p.kind == "choice":
        return f"{'ordinal' if p.ordered else 'choice'}({', '.join(map(repr, p.choices))})"
    if p.sigma is not None:
        return f"{'lognormal' if p.log else 'normal'}({p.mean!r}, {p.sigma!r})"
    step = f", step={p.step!r}" if p.step is not None else ""
    return f"{_NAMES[p.kind, p.log]}({p.low!r}, {p.high!r}{step})"


def _choices(p: Parameter) -> tuple[Any, ...]:
    kept: dict[str, Any] = {}
    for value in map(codec.plain, p.choices):
        kept.setdefault(codec.token(value), value)
    if not kept or (p.kind == "fixed" and len(kept) > 1):
        wanted = "one value" if p.kind == "fixed" else "at least one value"
        raise SweepError(f"a {p.kind} parameter needs {wanted}, got {len(kept)}.")
    return tuple(kept.values())


def _distribution(p: Parameter) -> dict[str, Any]:
    if p.kind != "float" or p.low is not None or p.high is not None or p.step is not None:
        raise SweepError("a normal or lognormal has neither bounds nor step. Use uniform(...) for bounds.")
    mean, sigma = (_number(p, name, getattr(p, name)) for name in ("mean", "sigma"))
    if sigma <= 0:
        raise SweepError(f"the standard deviation must be > 0, got {sigma!r}.")
    if p.log and abs(mean) > 700:
        raise SweepError(f"-700 <= mu <= 700 must hold for a lognormal (values are exp(mu)), got mu={mean!r}.")
    return {"mean": mean, "sigma": sigma}


def _number(p: Parameter, name: str, value: Any) -> float:
    value = codec.scalar(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not _finite(value):
        raise SweepError(f"{name} must be a finite number, got {value!r}.")
    if p.kind == "float":
        return float(value)
    if value != int(value):
        raise SweepError(f"{name} must be a whole number for an int range, got {value!r}. Use uniform(...) for floats.")
    return int(value)


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an int beyond the largest float
        return False


def _bounds(p: Parameter) -> tuple[float, float]:
    assert p.low is not None
    assert p.high is not None
    return p.low, p.high


def _exact(value: float) -> Fraction:
    """Give the decimal number that the text of a float says: 0.1 is a tenth."""
    return Fraction(repr(value))


def _index_below(p: Parameter, value: float) -> int:
    """Give the number of the last value on the step that is not above `value`."""
    low, _ = _bounds(p)
    if p.kind == "int":
        return (math.floor(value) - int(low)) // int(p.step or 1)
    return 0 if p.step is None else int((_exact(value) - _exact(low)) // _exact(p.step))


def _between_logs(low: float, high: float, u: float) -> float:
    return math.exp(math.log(low) * (1 - u) + math.log(high) * u)
