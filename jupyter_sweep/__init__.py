"""Hyperparameter sweeps over an ordinary notebook cell.

    %load_ext jupyter_sweep
    from jupyter_sweep import loguniform, uniform, randint, choice, require, report, seed, folds, stage, save, checkpoint, sweep

Names are looked up when they are first used, so that importing the package loads nothing heavy. The extension joins the
two faces of a notebook, magics and view, here, because a face imports no other.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .errors import SweepError as SweepError
    from .live import run as run
    from .live import sweep as sweep
    from .proposers.base import proposer as proposer
    from .space.parameter import Choice as Choice
    from .space.parameter import Fixed as Fixed
    from .space.parameter import Float as Float
    from .space.parameter import Int as Int
    from .space.parameter import LogNormal as LogNormal
    from .space.parameter import Normal as Normal
    from .space.parameter import Ordinal as Ordinal
    from .space.space import Space as Space
    from .vocabulary import checkpoint as checkpoint
    from .vocabulary import choice as choice
    from .vocabulary import folds as folds
    from .vocabulary import lognormal as lognormal
    from .vocabulary import lograndint as lograndint
    from .vocabulary import loguniform as loguniform
    from .vocabulary import normal as normal
    from .vocabulary import ordinal as ordinal
    from .vocabulary import randint as randint
    from .vocabulary import report as report
    from .vocabulary import require as require
    from .vocabulary import save as save
    from .vocabulary import seed as seed
    from .vocabulary import stage as stage
    from .vocabulary import uniform as uniform

__version__ = "0.1.0"

_MODULES = {
    ".vocabulary": (
        "uniform loguniform randint lograndint choice ordinal normal lognormal"
        " require report seed folds stage save checkpoint"
    ),
    ".live": "run sweep",
    ".proposers.base": "proposer",
    ".space.parameter": "Float Int Choice Ordinal Normal LogNormal Fixed",
    ".space.space": "Space",
    ".errors": "SweepError",
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = [  # noqa: PLE0604 -- the names are in the table above
    "__version__",
    "load_ipython_extension",
    "unload_ipython_extension",
    *_MODULE_OF,
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


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Give a shell `%%sweep`, `%sweep` and their completion; called by ``%load_ext jupyter_sweep``."""
    from .magics import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take away what `load_ipython_extension` gave; running sweeps go on."""
    from .magics import unload

    unload(shell)
