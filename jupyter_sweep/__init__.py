"""Hyperparameter sweeps over an ordinary notebook cell.

    %load_ext jupyter_sweep
    from jupyter_sweep import loguniform, uniform, randint, choice, require, report, seed, save, sweep

Names are looked up when they are first used, so that importing the package loads nothing heavy. The extensions of
IPython and of the Jupyter server join faces here, magics or server with the view, because a face imports no other.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from IPython.core.interactiveshell import InteractiveShell

    from .errors import SweepError
    from .handle import Handle
    from .live import run, sweep
    from .magics.view import Seen
    from .parallel import register_joblib
    from .proposers.base import proposer
    from .space.parameter import Choice, Fixed, Float, Int, LogNormal, Normal, Ordinal
    from .space.space import Space
    from .vocabulary import (
        checkpoint,
        choice,
        folds,
        lognormal,
        lograndint,
        loguniform,
        normal,
        ordinal,
        randint,
        report,
        require,
        save,
        seed,
        stage,
        uniform,
    )

__version__ = "0.1.0"

_MODULES = {
    ".vocabulary": (
        "uniform loguniform randint lograndint choice ordinal normal lognormal"
        " require report seed folds stage save checkpoint"
    ),
    ".live": "run sweep",
    ".parallel": "register_joblib",
    ".proposers.base": "proposer",
    ".space.parameter": "Float Int Choice Ordinal Normal LogNormal Fixed",
    ".space.space": "Space",
    ".errors": "SweepError",
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = [
    "Choice",
    "Fixed",
    "Float",
    "Int",
    "LogNormal",
    "Normal",
    "Ordinal",
    "Space",
    "SweepError",
    "SweepForm",
    "__version__",
    "checkpoint",
    "choice",
    "folds",
    "load_ipython_extension",
    "lognormal",
    "lograndint",
    "loguniform",
    "normal",
    "ordinal",
    "proposer",
    "randint",
    "register_joblib",
    "report",
    "require",
    "run",
    "save",
    "seed",
    "stage",
    "sweep",
    "uniform",
    "unload_ipython_extension",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its module; later uses find it here."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULE_OF[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _View:
    """The view of `widgets`, loaded when a sweep is first shown: ipywidgets takes longer than the whole extension."""

    def show(self, handle: Handle) -> None:
        from .widgets.view import show

        show(handle)

    def watch(self, handle: Handle, *, on_interrupt: Callable[[int], bool], each: Callable[[], str]) -> Awaitable[Seen]:
        from .widgets.view import watch

        return watch(handle, on_interrupt=on_interrupt, each=each)

    def form(self, source: str, notebook: Any, *, look: str | None) -> None:
        from IPython.display import display

        from .widgets.form_page import SweepForm as Form

        display(Form(source, notebook, look=look))  # type: ignore[no-untyped-call]

    def config(self, path: Path) -> None:
        from IPython.display import display

        from .widgets.config_page import ConfigForm

        display(ConfigForm(path))  # type: ignore[no-untyped-call]


def SweepForm(source: str | Space = "") -> Any:
    """Give the form of a sweep, a widget: `SweepForm()` in a cell shows it. `%sweep form` finds the cell by itself.

    Parameters
    ----------
    source
        The text of a `%%sweep` cell, or a `Space`; without it a new sweep. The widget's `source` is the cell as it is.
    """
    from .magics.forms import here, text_of
    from .widgets.form_page import SweepForm as Form

    return Form(text_of(source), here())


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Give a shell `%%sweep`, `%sweep` and their completion; called by ``%load_ext jupyter_sweep``."""
    from .magics import load

    load(shell, _View())


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take away what `load_ipython_extension` gave; sweeps that run go on."""
    from .magics import unload

    unload(shell)


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """Tell the Jupyter server what to load; it is enabled by etc/jupyter_server_config.d/jupyter_sweep.json."""
    from .server.extension import extension

    return [{"module": __name__, "app": extension(_wire_of_view, __version__)}]


def _wire_of_view() -> Any:
    """Give what writes a sweep's rows for pages: the same for the notebook's view and for the server."""
    from .widgets import mirror

    return mirror
