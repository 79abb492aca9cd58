"""`%sweep clusters`: where sweeps can run, how it is there, and which place has what is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import StoreError
from ..notation import needs, specs
from ..runner import places

if TYPE_CHECKING:
    from .line import Tools


def show(tools: Tools, given: list[str], flags: set[str]) -> None:
    """Print the places; with a requirement, which profile it picks and why not the others."""
    if given:
        print(matching(given[0]))
        return
    try:
        store = tools.store()
    except StoreError:
        store = None  # no sweep has run in this folder yet
    print(places.in_words(places.places(store)))


def matching(requirement: str) -> str:
    """Say of each alternative which profile it gets, and why the others have not got it."""
    told = specs.matching(requirement)
    taken = told["profile"]
    end = f"--needs takes {taken}." if taken else "--needs finds no place for it."
    return f"{needs.explain(told)}\n{end}"
