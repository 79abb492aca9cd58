"""A function as a job, for `run(job, space)`: it is called with the parameters as keywords.

Its identity is that of the function with everything it refers to, by the same rules as for a cell.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ..errors import Mistake, Mistakes, SweepError, suggest
from ..space.space import Space
from . import objects
from .base import Captured, JobRef
from .capture import Capture, capture
from .jobfile import identity, write_job
from .preflight import BASE_COLUMNS


@dataclass(frozen=True)
class FunctionJob:
    """A function that can be run; the fields are those of `CellJob`."""

    source: str
    space: Space
    fingerprint: str
    targets: tuple[str, ...]
    captures: tuple[Captured, ...]
    warnings: tuple[str, ...]
    kind: str = "function"
    _captured: Capture = field(repr=False, kw_only=True)

    def write(self, folder: str) -> JobRef:
        """Write the job's files under `folder`; what is there already is left as it is.

        Raises
        ------
        StoreError
            When the folder can't be written to.
        """
        own = {
            "kind": self.kind,
            "source": "",
            "sites": [],
            "line_offset": 0,
            "targets": list(self.targets),
            "parameters": self.space.names,
        }
        file = write_job(folder, self._captured, own)
        captures = tuple(asdict(c) for c in self.captures)
        return JobRef(self.kind, self.fingerprint, file, self.source, captures, self.warnings)


def function_job(
    job: Callable[..., Any],
    space: Space,
    *,
    folder: str,
    targets: Sequence[str] = (),
    ignore: Sequence[str] = (),
    version_tag: str = "",
) -> FunctionJob:
    """Make a job of a function.

    Parameters
    ----------
    job
        Called with the parameters as keywords; gives a number or a dict of metrics, or reports them.
    space
        What varies. `folder`, `targets`, `ignore` and `version_tag` are those of `parse_cell`.

    Raises
    ------
    Mistakes
        All that were found: a signature that does not take the parameters, a value that can't be sent to a trial.
    """
    mistakes = list(_mistakes(job, space, ignore))
    if mistakes:
        raise Mistakes(mistakes)
    space = Space.of(
        [replace(p, meta=p.meta or p.name in ignore) for p in space.parameters.values()],
        space.constraints,
        space.constants,
    )
    namespace = getattr(inspect.unwrap(job), "__globals__", {})
    empty = ast.Module([], [])
    choices = objects.objects_in(space.parameters.values())
    captured = capture(namespace, {}, tree=empty, folder=folder, choices=choices, job=job)
    return FunctionJob(
        source=_source(job),
        space=objects.storable(space, captured),
        fingerprint=identity("function", captured.digest, version_tag),
        targets=tuple(targets),
        captures=tuple(captured.names),
        warnings=tuple(captured.warnings),
        _captured=captured,
    )


def _mistakes(job: object, space: object, ignore: Sequence[str]) -> Iterator[Mistake]:
    if not callable(job):
        yield Mistake(f"the job is {job!r:.60}, which can't be called", fix="give a function: run(train, space, ...)")
    if not isinstance(space, Space):
        fix = "give a Space such as Space(lr=Float(1e-4, 1e-1, log=True))"
        yield Mistake(f"the space is {space!r:.60}, of type {type(space).__name__}", fix=fix)
        return
    if callable(job):
        yield from _signature_mistakes(job, space)
    for name in sorted(BASE_COLUMNS.intersection(space.names)):
        yield Mistake(f"a parameter can't be called {name!r}: every table of results has a column of that name")
    for name in ignore:
        if name not in space.names:
            yield Mistake(f"ignore names {name!r}, which is no parameter.{suggest(name, space.names)}")
    if not space.names:
        yield Mistake("the space has no parameter, so there is nothing to vary", fix="Space(lr=Float(1e-4, 1e-1))")
    yield from objects.mistaken(space)
    try:
        space.allows(space.defaults())
    except SweepError as error:
        yield Mistake(str(error))


def _signature_mistakes(job: Callable[..., Any], space: Space) -> Iterator[Mistake]:
    try:
        signature = inspect.signature(job)
    except (TypeError, ValueError):  # a builtin that does not tell
        return
    what = f"{getattr(job, '__name__', 'the job')}{signature}"
    parameters = signature.parameters.values()
    taken = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        for name in space.names:
            if name not in taken:
                yield Mistake(f"{what} takes no keyword {name!r}, a parameter of the space.{suggest(name, taken)}")
    conditional = {p.name for p in space.parameters.values() if p.when}
    for p in parameters:
        if p.default is not p.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            continue
        if p.name not in space.names or p.name not in taken:
            yield Mistake(f"{what} needs {p.name!r}, which the space does not give.{suggest(p.name, space.names)}")
        elif p.name in conditional:
            why = f"{what} needs {p.name!r}, which does not exist in every configuration"
            yield Mistake(why, fix=f"give it a default: {p.name}=None")


def _source(job: Callable[..., Any]) -> str:
    try:
        return inspect.getsource(inspect.unwrap(job))
    except (OSError, TypeError):
        return ""
