"""Seed `random`, numpy and torch for one trial, also where the body imports them only later.

A library that is loaded is seeded at once; one that is not is seeded right after its import, by a finder that stands
first on `sys.meta_path` for the length of the trial.
"""

from __future__ import annotations

import contextlib
import importlib.machinery
import importlib.util
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

_SEEDERS: dict[str, Callable[[ModuleType, int], Any]] = {
    "numpy.random": lambda module, seed: module.seed(seed % 2**32),
    "torch": lambda module, seed: module.manual_seed(seed),
}
_STATES: dict[str, tuple[str, str]] = {
    "numpy.random": ("get_state", "set_state"),
    "torch": ("get_rng_state", "set_rng_state"),
}


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed everything now, and what is imported until the end of the block when it is."""
    random.seed(seed)
    for name, seeder in _SEEDERS.items():
        module = sys.modules.get(name)
        if module is not None:
            seeder(module, seed)
    finder = _Finder(seed)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)


@contextlib.contextmanager
def restored() -> Iterator[None]:
    """Give the generators their state back at the end: for a trial in a process that is not its own."""
    state = random.getstate()
    loaded = {name: module for name in _STATES if (module := sys.modules.get(name)) is not None}
    states = {name: getattr(module, _STATES[name][0])() for name, module in loaded.items()}
    try:
        yield
    finally:
        random.setstate(state)
        for name, module in loaded.items():
            getattr(module, _STATES[name][1])(states[name])


class _Finder:
    """Find nothing new: let the others find, and seed once the module is executed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._busy: set[str] = set()

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in _SEEDERS or name in self._busy:
            return None
        self._busy.add(name)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._busy.discard(name)
        if spec is not None and spec.loader is not None:
            self._seed_after(name, spec.loader)
        return spec

    def _seed_after(self, name: str, loader: Any) -> None:
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            _SEEDERS[name](module, self._seed)

        loader.exec_module = exec_module
