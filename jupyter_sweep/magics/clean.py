"""`%sweep clean`: ends idle clusters and removes what nothing refers to; without --yes it only says what that is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import count
from ..runner import cleaning
from ..runner.cleaning import Litter

if TYPE_CHECKING:
    from .line import Tools

_SHOWN = 10


def clean(tools: Tools, given: list[str], flags: set[str]) -> None:
    """Print what goes, and have it go with --yes."""
    store = tools.store()
    litter = cleaning.find(store)
    if not litter:
        print("There is nothing to clean: no idle cluster, and every file belongs to a sweep.")
        return
    nbytes = litter.nbytes
    if "--yes" in flags:
        for sentence in cleaning.remove(store, litter):
            print(sentence)
        print(f"Gone: {_sum(litter, nbytes)}.")
        return
    print("\n".join([f"Would go: {_sum(litter, nbytes)}.", *_lines(litter), "Have it go with: %sweep clean --yes"]))


def _sum(litter: Litter, nbytes: int) -> str:
    parts = [count(len(litter.drivers), "idle cluster")] if litter.drivers else []
    parts += [count(len(litter.folders), "folder") + " of trials that no sweep has"] if litter.folders else []
    parts += [count(len(litter.files), "file") + " that no sweep needs"] if litter.files else []
    size = f" ({nbytes / 2**20:.1f} MB)" if litter.folders or litter.files else ""
    return ", ".join(parts) + size


def _lines(litter: Litter) -> list[str]:
    drivers = [f"  {d.where_text}, {count(d.slots, 'slot')}, driver {d.pid}" for d in litter.drivers]
    return drivers + _some(litter.folders) + _some(litter.files)


def _some(paths: list[Path]) -> list[str]:
    more = [f"  ... and {len(paths) - _SHOWN} more"] if len(paths) > _SHOWN else []
    return [f"  {path}" for path in paths[:_SHOWN]] + more
