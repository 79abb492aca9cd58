"""`get_ipython()` and `display()` in a trial: IPython's own shell where it is installed, else the little there can be.

`!command`, `%timeit` and their like reach the worker as calls of `get_ipython()`. The shell is made at the first such
call, because it costs some 0.3 s that most trials need not pay; its history is off, and what draws into a notebook
(`%matplotlib inline`) does nothing.
"""

from __future__ import annotations

import builtins
import functools
import importlib
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any


class Main(ModuleType):
    """`sys.modules["__main__"]` in a child: the namespace of the running trial, seen as a module.

    pickle, typing and dataclasses look up what a notebook class names by way of its module.
    """

    def __init__(self, namespace: dict[str, Any]) -> None:
        super().__init__("__main__")
        object.__setattr__(self, "_sweep_namespace", namespace)

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        namespace: dict[str, Any] = object.__getattribute__(self, "_sweep_namespace")
        return namespace

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__[name]
        except KeyError:
            raise AttributeError(f"module '__main__' has no attribute {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__[name] = value

    def __delattr__(self, name: str) -> None:
        self.__dict__.pop(name, None)


def offer(whole: bool) -> None:
    """Put `display`, and `get_ipython` if `whole`, among the builtins, where notebook code expects them.

    Libraries that find `get_ipython` take the process for a notebook, so it is there only where the job needs it.
    """
    names = vars(builtins)
    names["display"] = _display
    if whole:
        names["get_ipython"] = get_ipython
    else:
        names.pop("get_ipython", None)


def get_ipython() -> Any:
    """Give the shell, pointed at the trial that runs now."""
    shell, main = _make(), sys.modules["__main__"]
    if shell.user_ns is not main.__dict__:
        shell.user_module, shell.user_ns = main, main.__dict__
    return shell


@functools.cache
def _make() -> Any:
    try:
        base = importlib.import_module("IPython.core.interactiveshell").InteractiveShell
        config = importlib.import_module("traitlets.config").Config()
    except ImportError:
        return Shim()

    class TrialShell(base):  # type: ignore[misc, valid-type]
        """A shell without a screen."""

        def enable_gui(self, gui: Any = None) -> None:
            pass

        def enable_matplotlib(self, gui: Any = None) -> tuple[None, str]:
            return None, "agg"

    config.HistoryManager.enabled = False
    main = sys.modules["__main__"]
    return TrialShell.instance(config=config, user_module=main, user_ns=main.__dict__)


def _display(*values: Any, **_options: Any) -> None:
    """Print values: a trial's output is its log."""
    for value in values:
        print(value)


class Shim:
    """`get_ipython()` where there is no IPython: shell commands work, magics say why they don't."""

    user_ns: dict[str, Any] = {}  # noqa: RUF012  set per trial
    user_module: Any = None

    def system(self, command: str) -> None:
        """Run a shell command with its output in the log."""
        subprocess.run(command, shell=True, check=False)

    def getoutput(self, command: str, *_: Any, **__: Any) -> list[str]:
        """Give the lines that a shell command prints."""
        done = subprocess.run(
            command, shell=True, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        return done.stdout.splitlines()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        raise AttributeError(f"get_ipython().{name} needs IPython, which is not installed where this trial runs")
