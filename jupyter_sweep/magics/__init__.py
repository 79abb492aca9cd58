"""`%%sweep` and `%sweep`: what they add to an IPython shell, and how it is taken away again.

The line reaches us as written (`no_var_expand`): IPython would evaluate the braces of ``size={"width": 64}`` and the
dollar of a note. An option's value that is ``{expression}`` alone is evaluated all the same, as on other magics' lines.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand

from .. import live
from ..notation import table
from . import awaited, cell, completion, frontend, verbs
from .errors import told
from .view import View

F = TypeVar("F", bound=Callable[..., Any])


def _documented(text: str) -> Callable[[F], F]:
    """Give a function the documentation that its `?` shows."""

    def put(function: F) -> F:
        function.__doc__ = text
        return function

    return put


@magics_class
class SweepMagics(Magics):
    """The two magics of one shell.

    Parameters
    ----------
    shell
        The shell that they serve.
    view
        Shows sweeps.
    """

    def __init__(self, shell: InteractiveShell, view: View) -> None:
        super().__init__(shell)
        self._shell = shell
        self._view = view
        self._started_in = Path(os.getcwd())
        self.put_await = awaited.rewriter(shell)
        self.matcher = completion.matcher(lambda: self.folder)

    @property
    def folder(self) -> Path:
        """Where `sweeps/` lies: beside the notebook if the front end tells it, else where the extension was loaded."""
        notebook = frontend.notebook(self._shell)
        return notebook.parent if notebook else self._started_in

    @no_var_expand
    @cell_magic("sweep")  # type: ignore[arg-type]
    @_documented(table.help_text())
    def sweep_cell(self, given: str, body: str) -> Coroutine[Any, Any, None] | None:
        run = cell.run_awaited if awaited.is_awaited(self._shell) else cell.run
        return run(self._shell, self._view, self.folder, given, body)

    @no_var_expand
    @line_magic("sweep")  # type: ignore[arg-type]
    @_documented(verbs.help_text())
    def sweep_line(self, given: str) -> None:
        from . import line  # all that the verbs need takes a fifth of the time of loading

        with told():
            line.run(line.Tools(self._shell, self._view, self.folder), given)


_LOADED = "_jupyter_sweep_magics"


def load(shell: InteractiveShell, view: View) -> None:
    """Give a shell the magics; one that has them already gets them anew."""
    unload(shell)
    magics = SweepMagics(shell, view)
    shell.register_magics(magics)
    shell.input_transformers_post.append(magics.put_await)
    shell.Completer.custom_matchers.append(magics.matcher)
    live.look_beside(lambda: magics.folder)
    setattr(shell, _LOADED, magics)


def unload(shell: InteractiveShell) -> None:
    """Take the magics away; sweeps that run go on."""
    magics: SweepMagics | None = getattr(shell, _LOADED, None)
    if magics is None:
        return
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("sweep", None)
    shell.input_transformers_post.remove(magics.put_await)
    shell.Completer.custom_matchers.remove(magics.matcher)
    live.look_beside(None)
    delattr(shell, _LOADED)
