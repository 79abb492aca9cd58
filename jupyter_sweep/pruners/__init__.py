"""Who says which running trial is not worth going on with: one file a family, on the law of `base`."""

from __future__ import annotations

from .base import Pruner

__all__ = ["Pruner"]
