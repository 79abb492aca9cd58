"""`jupyter sweep` and ``python -m jupyter_sweep``: joins the command line with the faces that it borrows from.

The magics run a file's cells, the texts are the view's: a face imports no other, so they are put together here.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from IPython.core.interactiveshell import InteractiveShell


class _Borrowed:
    """What the command line wants of the magics and of the view; loaded when it is first needed."""

    def load_magics(self, shell: InteractiveShell, view: Any) -> None:
        from .magics import load

        load(shell, view)

    def line(self, snapshot: Mapping[str, Any], width: int | None = None) -> str:
        from .widgets import text

        return text.line(snapshot, width)

    def block(self, snapshot: Mapping[str, Any]) -> str:
        from .widgets import text

        return text.static_text(snapshot)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; give its exit status: 0, 1, 2 or 130."""
    from .cli import run

    return run(sys.argv[1:] if argv is None else argv, _Borrowed())


if __name__ == "__main__":
    sys.exit(main())
