"""Durations and sizes as a person writes them: ``20m``, ``8G``.

One unit a word. A bare number is seconds where a duration is wanted and a mistake where a size is wanted, because
nobody agrees on what a bare size counts. ``G`` is 2**30 bytes, so that ``--mem 8G`` is what the kernel and Slurm mean.
"""

from __future__ import annotations

import math
import re

from .errors import SweepError

SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
GIGABYTES = {"M": 2.0**-10, "G": 1.0, "T": 2.0**10}

_QUANTITY = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([A-Za-z]*)")


def duration(text: str) -> float:
    """Give seconds.

    >>> duration("20m"), duration("1.5h"), duration("90")
    (1200.0, 5400.0, 90.0)
    """
    return _quantity(text, SECONDS, "a duration such as 30s, 20m, 2h, 1d or bare seconds")


def size(text: str) -> float:
    """Give gigabytes of 2**30 bytes.

    >>> size("8G"), size("512M"), size("1T")
    (8.0, 0.5, 1024.0)
    """
    return _quantity(text, GIGABYTES, "a size with its unit, such as 500M, 8G or 2T")


def _quantity(text: str, units: dict[str, float], wanted: str) -> float:
    match = _QUANTITY.fullmatch(text.strip())
    if match is None:
        raise SweepError(f"wants {wanted}, got {text!r}")
    number, unit = float(match[1]), match[2]
    if unit not in units:
        raise SweepError(f"wants {wanted}, got {text!r}{_near(unit, units)}")
    if not 0 < number * units[unit] < math.inf:
        raise SweepError(f"wants {wanted}, above zero, got {text!r}")
    return number * units[unit]


def _near(unit: str, units: dict[str, float]) -> str:
    """Name the unit that `unit` spells at length or in another case: ``8GB`` and ``20min`` are the usual slips."""
    near = next((known for known in units if known and unit[:1].lower() == known.lower()), None)
    return f"; the unit is {near!r}, not {unit!r}" if near else ""
