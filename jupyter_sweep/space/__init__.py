"""What may vary: parameters, conditions, constraints, and the identity of a configuration."""

from __future__ import annotations

from .codec import Opaque
from .condition import Condition, Constraint
from .fingerprint import fingerprint, seed_for
from .parameter import Choice, Fixed, Float, Int, LogNormal, Normal, Ordinal, Parameter
from .space import Space

__all__ = [
    "Choice", "Condition", "Constraint", "Fixed", "Float", "Int", "LogNormal", "Normal", "Opaque", "Ordinal",
    "Parameter", "Space", "fingerprint", "seed_for",
]  # fmt: skip
