"""The units of the line; they stand below, because the words of a place to run have them, too."""

from ..units import GIGABYTES, SECONDS, duration, size

__all__ = ["GIGABYTES", "SECONDS", "duration", "size"]
