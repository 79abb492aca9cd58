"""What to say of a value that can't be captured: what it is, where it hides, and the way out."""

from __future__ import annotations

import io
import types
from collections.abc import Callable
from typing import Any

from .digest_graph import Unhashable


def is_shell(value: object) -> bool:
    """Tell whether a value is IPython's shell, from which everything in the kernel can be reached."""
    kind = type(value)
    return kind.__name__.endswith("InteractiveShell") and str(kind.__module__).startswith(("IPython.", "ipykernel."))


def is_open_file(value: object) -> bool:
    """Tell whether a value is a file of the system; text and bytes in memory are none."""
    return isinstance(value, io.IOBase) and not isinstance(value, (io.StringIO, io.BytesIO))


def _comes_from(*modules: str) -> Callable[[Any], bool]:
    return lambda value: str(type(value).__module__).partition(".")[0] in modules


def _is_a(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kinds)


#: Which values, what to call them (empty: by their type), and the way out; the first that fits counts.
_WAYS: tuple[tuple[Callable[[Any], bool], str, str], ...] = (
    (is_shell, "the notebook's shell", "call get_ipython() inside the cell"),
    (is_open_file, "an open file", "capture its path and open it inside the cell"),
    (_is_a(types.GeneratorType), "a generator", "make it a list, or call the generator function inside the cell"),
    (_is_a(types.CoroutineType), "a coroutine", "await it before the sweep"),
    (_comes_from("sqlite3", "psycopg", "psycopg2", "sqlalchemy"), "", "connect inside the cell"),
    (_comes_from("socket", "_socket", "ssl"), "", "connect inside the cell"),
    (_is_a(types.ModuleType), "a module", "put its code into a .py file beside the notebook"),
    (lambda value: True, "", "create it inside the cell, or in a function that the cell calls"),
)


def explain(error: Unhashable, name: str) -> tuple[str, str]:
    """Give message and fix for a value that has no digest."""
    path = error.path or name
    what, fix = next((noun, way) for fits, noun, way in _WAYS if fits(error.value))
    message = f"{path} is {what or _type_name(error.value)}"
    message = f"{name} can't be captured: {message}" if path != name else f"{message}, which can't be captured"
    if path.rpartition(".")[2].isidentifier() and path != name:
        fix += "; or give the class a __getstate__ that leaves it out"
    return message + (f"; {error.why}" if error.why and not _says_only_type(error.why) else ""), fix


def _type_name(value: object) -> str:
    kind = type(value)
    home = "" if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}."
    name = home + kind.__qualname__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _says_only_type(why: str) -> bool:
    """Tell whether a reason is only Python's way to say that the type can't be pickled."""
    return why.lower().startswith(("cannot pickle", "can't pickle"))
