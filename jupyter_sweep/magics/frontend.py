"""What the front end tells, and what it can do: the notebook's path, whether a person is there, a new cell below.

Nothing here fails for want of an answer: a terminal, nbclient and a bare shell tell less than JupyterLab or VS Code.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from ..notation import table

#: Jupyter interrupts a kernel before it ends or restarts it; the request to end follows that within milliseconds.
ENDING_S = 0.5


def in_kernel(shell: InteractiveShell) -> bool:
    """Tell whether the shell is that of a kernel, and not of a terminal or a script."""
    return getattr(shell, "kernel", None) is not None


def notebook(shell: InteractiveShell) -> Path | None:
    """Give the notebook's path where the front end tells it, in a variable or in the environment."""
    if not in_kernel(shell):
        return None  # a terminal or a script may have inherited the environment of a notebook
    variables = [shell.user_ns.get(name) for name in ("__vsc_ipynb_file__", "__session__")]
    told = (*variables, os.environ.get("JPY_SESSION_NAME"))
    for path in (Path(t) for t in told if isinstance(t, str) and t):
        if path.is_absolute() and path.suffix and path.parent.is_dir():
            return path
    return None


def default_name(notebook: Path | None, target: str) -> str:
    """Name a sweep that the line does not name: after the notebook and the first target, or "sweep-loss"."""
    return table.default_name(notebook.stem if notebook else "sweep", target)


def kernel_request(shell: InteractiveShell) -> dict[str, Any]:
    """Give the message that the kernel serves now; empty outside a kernel."""
    kernel = getattr(shell, "kernel", None)
    return {} if kernel is None else dict(kernel.get_parent("shell") or {})


def is_ending(shell: InteractiveShell) -> bool:
    """Tell whether an interrupt that just came is that of a kernel being ended or restarted; takes up to ENDING_S.

    The request to end is served by another thread than the one that waits here.
    """
    limit = time.monotonic() + ENDING_S
    while in_kernel(shell) and not shell.exit_now and time.monotonic() < limit:
        time.sleep(0.02)
    return bool(shell.exit_now)


def is_headless(shell: InteractiveShell) -> bool:
    """Tell whether nobody can answer or see a new cell: nbclient and what is built on it allow no questions."""
    if in_kernel(shell):
        return not kernel_request(shell).get("content", {}).get("allow_stdin", False)
    return not getattr(shell, "pt_app", None)


def insert_cell(shell: InteractiveShell, text: str) -> None:
    """Put a cell with `text` below the running one, or print the text where there is no front end for it."""
    if is_headless(shell):
        print(text)
    else:
        shell.set_next_input(text, replace=False)


def put(page: str, text: str) -> None:
    """Show HTML in the output of the running cell, and text where it can't be shown."""
    from IPython.display import display

    show: Callable[..., Any] = display  # IPython's has no types
    show({"text/html": page, "text/plain": text}, raw=True)
