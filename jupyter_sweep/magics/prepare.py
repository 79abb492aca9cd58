"""From the text of a cell to a definition that can be started: all mistakes of line and body, nothing written."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from ..definition import Sweep
from ..errors import Mistake, Mistakes, SweepError
from ..jobs.base import JobRef
from ..jobs.cell import CellJob, check_cell, parse_cell
from ..notation import options as notation
from ..notation.options import Options
from ..space.space import Space
from ..worker.context import STEP_NAMES
from . import frontend


@dataclass(frozen=True)
class Prepared:
    """A cell that can be started: what the line asks for, the definition, and the job with what it captured."""

    options: Options
    sweep: Sweep
    job: CellJob


def prepare(shell: InteractiveShell, line: str, body: str, *, folder: Path) -> Prepared:
    """Read a `%%sweep` cell.

    Parameters
    ----------
    line, body
        What follows `%%sweep`, and the rest of the cell as IPython hands it over, untransformed.
    folder
        The notebook's folder: modules found there are the user's own and travel as source.

    Raises
    ------
    Mistakes
        All of the cell, by line.
    """
    metrics = metrics_of(shell, body)
    options, mistakes = notation.read_line(line, namespace=shell.user_ns, metrics=metrics)
    job = _job(shell, body, options, mistakes, folder)
    if job is not None:
        mistakes += notation.refusals(options, job.space)
    if mistakes or job is None:
        raise Mistakes(mistakes)
    notebook = frontend.notebook(shell)
    sweep = notation.build(
        options,
        name=options.name or frontend.default_name(notebook, options.targets[0]),
        space=job.space,
        job=JobRef(job.kind, job.fingerprint, "", source=job.source),
        notebook=str(notebook or ""),
        line=line.strip(),
    )
    return Prepared(options, sweep, job)


@dataclass(frozen=True)
class Checked:
    """What can be said of a cell that is not run: its mistakes; where they leave one, its space; its options."""

    mistakes: tuple[Mistake, ...]
    space: Space | None
    options: Options


def check(shell: InteractiveShell, line: str, body: str) -> Checked:
    """Give the mistakes of a cell that is being written, as `prepare` finds them, without capturing anything.

    Only what can't be pickled is left to the start.
    """
    options, mistakes = notation.read_line(line, namespace=shell.user_ns, metrics=metrics_of(shell, body))
    space = None
    try:
        space = check_cell(body, shell.user_ns, **_asked(shell, options))
    except Mistakes as error:
        mistakes += error.mistakes
    except SweepError as error:
        mistakes.append(Mistake(str(error), line=1))
    if space is not None:
        mistakes += notation.refusals(options, space)
    return Checked(tuple(sorted(mistakes, key=lambda m: m.line or 0)), space, options)


def metrics_of(shell: InteractiveShell, body: str) -> list[str]:
    """Give the names that the body seems to compute, the likeliest target first; none when it can't be read."""
    try:
        statements = ast.parse(shell.transform_cell(body)).body  # type: ignore[no-untyped-call]
    except SyntaxError:
        return []
    reported = [
        keyword.arg
        for node in ast.walk(ast.Module(statements, []))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "report"
        for keyword in node.keywords
        if keyword.arg not in (None, "step", *STEP_NAMES)
    ]
    last = statements[-1].value if statements and isinstance(statements[-1], ast.Expr) else None
    assigned = [
        target.id
        for node in reversed(statements)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    shown = [last.id] if isinstance(last, ast.Name) else []
    return list(dict.fromkeys(filter(None, [*reported, *shown, *assigned])))


def _job(shell: InteractiveShell, body: str, options: Options, mistakes: list[Mistake], folder: Path) -> CellJob | None:
    """Read the body; add its mistakes to those of the line."""
    try:
        asked = _asked(shell, options)
        return parse_cell(body, shell.user_ns, folder=str(folder), version_tag=options.version, **asked)
    except Mistakes as error:
        mistakes += error.mistakes
    except SweepError as error:
        mistakes.append(Mistake(str(error), line=1))
    return None


def _asked(shell: InteractiveShell, options: Options) -> dict[str, Any]:
    """Give what the line asks of the reader of the body; where that never runs it need not read or compute anything."""
    is_run = options.proposer.name != "passive"
    return {
        "pins": options.pins,
        "space": _space(options.space, shell.user_ns),
        "ignore": options.ignore,
        "allow_unused": options.allow_unused or not is_run,
        "targets": options.targets if is_run else (),
        "transform": shell.transform_cell,
    }


def _space(expression: str, namespace: Mapping[str, Any]) -> Space | None:
    if not expression:
        return None
    try:
        value = eval(expression, dict(namespace))  # as globals: a comprehension inside sees no others
    except Exception as error:
        raise SweepError(f"--space can't evaluate {expression!r}: {type(error).__name__}: {error}") from None
    if not isinstance(value, Space):
        wanted = "a Space such as Space(lr=Float(1e-4, 1e-1, log=True))"
        raise SweepError(f"--space wants {wanted}, and {expression!r} is of type {type(value).__name__}")
    return value
