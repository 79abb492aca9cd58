"""How tests wait: for what they expect, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from jupyter_sweep.errors import SweepError

T = TypeVar("T")


def wait_for(what: Callable[[], T], limit_s: float = 60) -> T:
    """Give the first true answer of `what`; a store or sweep that is not there yet is none."""
    end = time.monotonic() + limit_s
    while True:
        try:
            if answer := what():
                return answer
        except SweepError:
            pass
        assert time.monotonic() < end, f"it never came, in {limit_s:g} s"
        time.sleep(0.02)
