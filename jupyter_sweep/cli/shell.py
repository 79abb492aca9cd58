"""Runs cells in an IPython shell of this process.

Not in a kernel by nbclient: Ctrl-C reaches the cell that waits, first and second time alike, prints come as they are
made, and there is no kernel that could be left behind. What it gives up: widgets, and outputs saved in the notebook,
which stays as it is (``jupyter execute`` is for that). The user's IPython settings and history are left alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any

from ..errors import SweepError
from ..notation.cells import Cell
from .borrowed import Borrowed


def run(cells: Iterable[Cell], borrowed: Borrowed, view: Any) -> BaseException | None:
    """Run cells in order, up to the first that fails; give its error."""
    os.environ.setdefault("MPLBACKEND", "agg")  # nobody is there to close a window
    shell = _shell()
    borrowed.load_magics(shell, view)
    for cell in cells:
        result = shell.run_cell(cell.runnable, store_history=True)
        error: BaseException | None = result.error_before_exec or result.error_in_exec
        if error is not None:
            return error
    return None


def _shell() -> Any:
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    class Shell(InteractiveShell):
        """Shows errors on stderr: of ours the message alone."""

        def _showtraceback(self, etype: Any, evalue: Any, stb: Any) -> None:
            text = str(evalue) if isinstance(evalue, SweepError) else self.InteractiveTB.stb2text(stb)
            prefix = "jupyter sweep: " if isinstance(evalue, SweepError) else ""
            print(f"{prefix}{text}", file=sys.stderr)

        def enable_gui(self, gui: str | None = None) -> None:
            """There is no window: plots are drawn into files only."""

    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    sys.path.insert(0, os.getcwd())  # as a kernel has it
    return Shell.instance(config=config)


def is_interrupt(error: BaseException | None) -> bool:
    """Tell whether an error is, or was caused by, Ctrl-C."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None
