"""Digests: `digest_tree` of code, `digest_value` of any value. Equal digests mean the same trial gives the same result.

    digest_tree    syntax trees, blind to comments, spacing and docstrings
    digest_graph   values that refer to each other, cycles too
    digest_values  containers, plain values, general objects
    digest_arrays  numpy, pandas, torch
    digest_code    functions, classes (digest_class), modules (modules, sources)
    buffers        memory

Digests do not depend on the process, the hash seed, or the version of Python from 3.10 to 3.13, except that functions
without source text are told apart by their byte code. Rejected: cloudpickle's bytes and dask's `tokenize` (functions
and classes differ between processes and when code moves a line), `joblib.hash` (refuses notebook functions; arrays
differ by memory layout), byte code for everything (differs between versions of Python).

What is not seen: names looked up by text (`globals()["x"]`, `eval`), files that code reads, state inside modules.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ..errors import SweepError
from .buffers import Buffers
from .digest_arrays import describe_array
from .digest_code import Code
from .digest_graph import Graph, Shape, Unhashable
from .digest_tree import digest_tree
from .digest_values import ATOMS, describe_object, describe_plain
from .modules import Modules
from .refusals import explain, is_shell
from .sources import Sources

__all__ = ["Digester", "digest_tree", "digest_value"]


def digest_value(value: Any, *, folder: str = "", name: str = "the value") -> str:
    """Give the identity of a value by its content, 32 hex digits.

    Parameters
    ----------
    value
        Anything that can be sent to a trial. It is read, not changed; large arrays are not copied.
    folder
        The notebook's folder, where local modules are looked for besides `sys.path`.
    name
        What messages call the value.

    Raises
    ------
    SweepError
        When part of the value has no content to identify it by (a lock, an open file); the message names the part.
    """
    try:
        return Digester(folder).digest(value, name).hex()
    except Unhashable as error:
        message, fix = explain(error, name)
        raise SweepError(f"{message}\n    -> {fix}") from None


class Digester:
    """Digests of the values of one capture, which share what they refer to.

    Nothing is remembered from one capture to the next, as arrays may be written to in between. While the object lives,
    so does everything it has seen.

    Parameters
    ----------
    folder
        The notebook's folder.
    namespace, hidden, ignored
        The notebook's names; those that functions do not see as they are now (see `bindings`); those that do not count.
    """

    def __init__(
        self,
        folder: str = "",
        namespace: dict[str, Any] | None = None,
        hidden: Collection[str] = (),
        ignored: Collection[str] = (),
    ) -> None:
        self.modules = Modules(folder)
        self.buffers = Buffers()
        self.code = Code(self.modules, Sources(), namespace, hidden, ignored)
        self._graph = Graph(self._describe, ATOMS)

    def digest(self, value: Any, name: str) -> bytes:
        """Give the digest of a value, 16 bytes; `name` begins the path in the error.

        Raises
        ------
        Unhashable
            With the path to the part that has no digest.
        """
        return self._graph.digest(value, name)

    def _describe(self, value: Any) -> Shape:
        if is_shell(value):
            raise Unhashable(value)
        try:
            shape = describe_plain(value) or describe_array(value, self.buffers) or self.code.describe(value)
        except SweepError as error:  # a local module that can't be read
            raise Unhashable(value, str(error)) from None
        return shape or describe_object(value)
