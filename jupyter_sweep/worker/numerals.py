"""Which objects are numbers, and the metrics of a trial once its body has ended.

For each target the first rule that applies: the last report that holds it; a variable of its name at the end of the
body; the value of the last expression, if that is a number (and there is one target) or a dict that holds the target.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Metrics = dict[str, float]

#: Libraries whose scalars are asked for their number when a namespace is looked through.
_SCALARS = ("numpy", "torch", "jax", "jaxlib", "tensorflow", "cupy")
_MAX_NAMES = 50


def as_number(value: Any) -> float | None:
    """Give a Python, numpy, torch or jax scalar (also an array of one element) as a float; None for anything else."""
    item = getattr(value, "item", None)
    try:
        if not isinstance(value, (int, float)) and callable(item):
            value = item()
        if isinstance(value, (str, bytes, bytearray)) or not hasattr(type(value), "__float__"):
            return None
        return float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return None


def numeric_names(metrics: Mapping[str, Any], variables: Mapping[str, Any]) -> list[str]:
    """Give the names under which numbers were seen: reported ones first, then variables."""
    seen = dict.fromkeys(name for name, value in metrics.items() if as_number(value) is not None)
    for name, value in variables.items():
        known = isinstance(value, (int, float)) or type(value).__module__.partition(".")[0] in _SCALARS
        if known and not name.startswith("_") and as_number(value) is not None:
            seen[name] = None
    return list(seen)[:_MAX_NAMES]


def gather(targets: Sequence[str], reported: Metrics, variables: Mapping[str, Any], last: Any) -> Metrics:
    """Give all metrics of a trial that ended by itself; a target for which no rule applies is missing."""
    metrics = dict(reported)
    for target in targets:
        value = metrics.get(target)
        if value is None:
            value = as_number(variables.get(target))
        if value is None:
            value = _from_last(target, targets, last, metrics)
        if value is not None:
            metrics[target] = value
    return metrics


def _from_last(target: str, targets: Sequence[str], last: Any, metrics: Metrics) -> float | None:
    if not isinstance(last, Mapping):
        return as_number(last) if len(targets) == 1 else None
    value = as_number(last.get(target))
    if value is not None:
        for name, other in last.items():
            number = as_number(other)
            if isinstance(name, str) and number is not None:
                metrics.setdefault(name, number)
    return value
