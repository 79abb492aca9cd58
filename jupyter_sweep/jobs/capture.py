"""What a job needs of the notebook: found, identified, checked, and written where every trial can map it.

`capture` looks at the values (digests, and a pickle that is only counted), so that all that can't travel is said at
once, before anything is written. `Capture.write` pickles them for good: large buffers go straight from the kernel's
memory into files named by their content, the rest into one small pickle. Pickling twice costs time only for data that
is not in arrays, and keeps the kernel from holding a second copy of anything.

The names of the buffers come from the digests that were made for the identity, so each is hashed once.
"""

from __future__ import annotations

import ast
import os
import sys
import types
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import Mistake, Mistakes, SweepError
from ..space.codec import encode, opaque
from .base import Captured
from .bindings import hidden_names
from .buffers import address
from .digest import Digester
from .digest_code import is_class, is_offered
from .digest_graph import Unhashable, mix
from .modules import LocalModule, submodules
from .pickling import Counter, anchor, dump
from .refusals import explain, is_open_file
from .storing import HashingFile, aside, keep, private_folder, write_buffer

#: In-band bytes of one name above which a trial notices that it must read them.
_MUCH = 100 * 2**20

_KINDS = {"ndarray": "array", "memmap": "array", "DataFrame": "frame", "Series": "series"}


@dataclass
class Capture:
    """What a job takes along, in the kernel, before it is written.

    Parameters
    ----------
    names
        What was captured, in the order of `wanted`.
    digest
        Identity of the captured values, 32 hex digits; ignored names are not in it.
    modules
        Local modules whose source travels.
    warnings
        Sentences for the header.
    """

    names: list[Captured]
    digest: str
    modules: dict[str, LocalModule]
    warnings: list[str]
    _payload: dict[str, Any] = field(repr=False)
    _digester: Digester = field(repr=False)
    _folder: str

    @property
    def choices(self) -> Mapping[str, Sequence[Sequence[Any]]]:
        """For each parameter with choices that JSON can't hold: pairs of what stands for an object, and the object."""
        choices: Mapping[str, Sequence[Sequence[Any]]] = self._payload["choices"]
        return choices

    def write(self, folder: str) -> dict[str, Any]:
        """Write pickle and buffers into `folder` (made private if it is not there) and give the keys of the job file.

        Buffers that are there are not written again. The values must not have changed since the capture.

        Raises
        ------
        StoreError
            When the disk is full or the folder can't be written to; what was there before is untouched.
        """
        private_folder(folder)
        buffers: list[list[Any]] = []

        def take(view: memoryview) -> None:
            name = f"{self._digester.buffers.name(view)}.bin"
            write_buffer(folder, name, view)
            buffers.append([name, view.nbytes])

        with aside(folder) as (file, path):
            hashing = HashingFile(file)
            dump(self._payload, hashing, take, self._digester.code, set())
            name = f"job-{hashing.name}.pkl"
            keep(file, path, os.path.join(folder, name))
        sources = {m.name: {"path": m.path, "package": m.package, "source": m.source} for m in self.modules.values()}
        return {
            "namespace": name,
            "buffers": buffers,
            "modules": sources,
            "modules_digest": mix(*(f"{name}:{m['path']}:{m['source']}" for name, m in sources.items())).hex(),
            "path": [self._folder] if self._folder else [],
        }


def capture(
    namespace: dict[str, Any],
    wanted: Mapping[str, int],
    *,
    tree: ast.Module,
    folder: str,
    choices: Mapping[str, Sequence[Any]] | None = None,
    job: Any = None,
    ignore: Collection[str] = (),
    parameters: Collection[str] = (),
) -> Capture:
    """Capture values of the notebook with everything they refer to.

    Parameters
    ----------
    namespace
        The notebook's globals themselves, not a copy: functions are known as the notebook's by this dict.
    wanted
        Names to capture, each with the line of the cell that reads it first. All of them are in `namespace`.
    tree
        The body: for its imports, and for the names that it binds before any captured code reads them.
    folder
        The notebook's folder.
    choices
        Values of choice parameters that JSON can't hold; trials know them by label and digest.
    job
        The function that is the job, where there is no body.
    ignore
        Names that are captured but do not count in the identity, not even where functions read them.
    parameters
        Names of parameters; they count as bound in the body wherever they are.

    Raises
    ------
    Mistakes
        One for each name that has no identity or can't be sent to a trial.
    """
    hidden = hidden_names(tree, namespace, wanted, parameters)
    survey = _Survey(namespace, Digester(folder, namespace, hidden, ignore), folder)
    for name, line in wanted.items():
        if not is_offered(name, namespace[name]):
            survey.look(name, namespace[name], line, counts=name not in ignore)
    for parameter, values in (choices or {}).items():
        for value in values:
            survey.look(f"a choice of {parameter}", value, None, counts=False, hashed=True)
    if job is not None:
        survey.look("the job", job, None, counts=True)
    inner = survey.imports(tree, wanted)
    if survey.mistakes:
        raise Mistakes(survey.mistakes)
    return survey.capture(wanted, choices or {}, job, inner)


class _Survey:
    """Looks at one value after another and collects what is wrong."""

    def __init__(self, namespace: dict[str, Any], digester: Digester, folder: str) -> None:
        self._namespace = namespace
        self._digester = digester
        self._folder = folder
        self._buffers: set[tuple[int | None, int]] = set()
        self._counted: dict[str, bytes] = {}
        self.mistakes: list[Mistake] = []
        self.warnings: list[str] = []
        self.names: list[Captured] = []

    def look(self, name: str, value: Any, line: int | None, *, counts: bool, hashed: bool = False) -> None:
        """Find a value's digest and size; note a mistake when it has none or can't be pickled."""
        digest, refusal = self._digest(name, value)
        if refusal is not None and (counts or hashed):
            self._refuse(name, line, *refusal)
            return
        if counts:
            self._counted[name] = digest
        elif is_open_file(value):
            self.warnings.append(f"{name} is an open file: trials get a copy of its content")
        kind = "class" if is_class(value) else _KINDS.get(type(value).__name__, type(value).__name__)
        try:
            nbytes = self._size(name, value)
        except Exception as error:  # whatever an object's own code raises
            message = f"{name} is a {kind} that can't be pickled: {error}"
            self._refuse(name, line, *(refusal or (message, "create it inside the cell")))
            return
        if line is not None:
            self.names.append(Captured(name, kind, nbytes, digest.hex()))

    def imports(self, tree: ast.Module, wanted: Collection[str]) -> list[str]:
        """Count what the body imports; give the loaded submodules that it reaches through captured packages."""
        attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        packages = [v.__name__ for v in map(self._namespace.get, wanted) if isinstance(v, types.ModuleType)]
        modules = self._digester.modules
        within = {full for package in packages for full in modules.within(package, attributes)}
        for name in sorted({*modules.imports(tree), *within}):
            try:
                self._counted[f"import {name}"] = modules.identity(name)
            except SweepError as error:
                self.mistakes.append(Mistake(str(error), fix="mend the file, or do not import it"))
        return [full for package in packages for full in submodules(package, attributes)]

    def capture(
        self, wanted: Collection[str], choices: Mapping[str, Sequence[Any]], job: Any, inner: Sequence[str]
    ) -> Capture:
        """Put everything together."""

        def by_content(value: Any) -> str:
            return self._digester.digest(value, "choice").hex()

        payload = {
            "names": {c.name: self._namespace[c.name] for c in self.names},
            "anchor": anchor(self._namespace),
            "choices": {p: [[encode(opaque(v, by_content)), v] for v in values] for p, values in choices.items()},
            "job": job,
            "submodules": [sys.modules[name] for name in inner],
        }
        return Capture(
            self.names,
            mix(*(part for name in sorted(self._counted) for part in (name, self._counted[name]))).hex(),
            self._digester.modules.local(),
            [*self.warnings, *self._module_warnings()],
            payload,
            self._digester,
            self._folder,
        )

    def _digest(self, name: str, value: Any) -> tuple[bytes, tuple[str, str] | None]:
        try:
            return self._digester.digest(value, name), None
        except Unhashable as error:
            return b"", explain(error, name)

    def _size(self, name: str, value: Any) -> int:
        """Give the bytes that travel with a value and did not with an earlier one."""
        counter, modules, fresh = Counter(), set[str](), 0

        def take(view: memoryview) -> None:
            nonlocal fresh
            place = address(view), view.nbytes
            fresh += 0 if place in self._buffers else view.nbytes
            self._buffers.add(place)

        dump(value, counter, take, self._digester.code, modules, measure=True)
        for module in modules:
            self._digester.modules.identity(module)
        if counter.nbytes > _MUCH:
            self.warnings.append(
                f"{name} holds {counter.nbytes / 2**20:,.0f} MB outside of arrays, which every trial reads anew: "
                "make it an array or a frame, or save it and load it inside the cell"
            )
        return counter.nbytes + fresh

    def _refuse(self, name: str, line: int | None, message: str, fix: str) -> None:
        self.mistakes.append(Mistake(message, line=line, fix=fix))

    def _module_warnings(self) -> list[str]:
        modules = self._digester.modules
        differing = [
            f"module {name} is loaded from other code than its file holds now; trials use the file"
            for name in modules.differing()
        ]
        return differing + [
            f"module {name} is compiled, so it must be installed where trials run" for name in modules.compiled()
        ]
