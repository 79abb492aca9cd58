"""What the command line wants of the other faces. `__main__` joins them, because a face imports no other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Borrowed(Protocol):
    """The magics, and the texts of the view."""

    def load_magics(self, shell: Any, view: Any) -> None:
        """Give an IPython shell `%%sweep` and `%sweep`, which show sweeps by `view`."""
        ...

    def line(self, snapshot: Mapping[str, Any], width: int | None = None) -> str:
        """Give one line of progress."""
        ...

    def block(self, snapshot: Mapping[str, Any]) -> str:
        """Give the sweep as lines of text."""
        ...
