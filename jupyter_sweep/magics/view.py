"""What the magics want of a view. The package joins them with the one of `widgets`, because a face imports no other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

from ..handle import Handle


class Seen(Protocol):
    """What a view knows once a sweep has ended."""

    @property
    def interrupts(self) -> int:
        """How often the user interrupted."""
        ...

    @property
    def wants_cell(self) -> bool:
        """Whether the user asked for the best-config cell and the page could not insert it."""
        ...


class View(Protocol):
    """Shows a sweep in the output of the running cell. It only looks; what an interrupt does, the caller decides."""

    def show(self, handle: Handle) -> None:
        """Show the sweep and return; a live view goes on while the kernel is free."""
        ...

    def watch(self, handle: Handle, *, on_interrupt: Callable[[int], bool], each: Callable[[], str]) -> Awaitable[Seen]:
        """Show the sweep until it has ended, and leave the static form.

        Parameters
        ----------
        on_interrupt
            Called with 1, 2, ... at each interrupt; True to go on watching.
        each
            Called before each look; a sentence that it gives is shown.
        """
        ...

    def form(self, source: str, notebook: Any, *, look: str | None) -> None:
        """Show the form of a cell; `notebook` is a `forms.Notebook`, `look` as `SweepForm` has it."""
        ...

    def config(self, path: Path) -> None:
        """Show the editor of a `sweeps.toml`."""
        ...
