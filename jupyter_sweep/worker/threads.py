"""Threads of numerical libraries in a process where they are loaded already.

A process of its own reads its limit from the environment when it imports them (see `process`). Where a trial runs in a
process that goes on after it, in a worker or a kernel, those that are loaded are told, and put back afterwards.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def limited(cpus: float) -> Iterator[None]:
    """Limit the threads of loaded libraries to a trial's cores for the block: torch, and all that threadpoolctl knows.

    Takes 0.4 ms with numpy. What is loaded within the block is left to the environment.
    """
    n = max(1, int(cpus))
    torch: Any = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 0
    with _pools_limited(n):
        if torch:
            torch.set_num_threads(n)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(before)


def _pools_limited(n: int) -> contextlib.AbstractContextManager[object]:
    """Limit OpenBLAS, MKL, BLIS and OpenMP, whoever loaded them, where threadpoolctl is installed."""
    if importlib.util.find_spec("threadpoolctl") is None:
        return contextlib.nullcontext()
    limits: contextlib.AbstractContextManager[object] = importlib.import_module("threadpoolctl").threadpool_limits(n)
    return limits
