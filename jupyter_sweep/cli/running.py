"""`jupyter sweep run FILE`: the file's sweeps, with the options of the command line laid over them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from ..errors import Mistake, Mistakes, SweepError
from ..notation import cells, overrides, table
from ..notation import options as notation
from ..notation.cells import Cell
from ..notation.overrides import Piece
from . import folders, script, shell
from .borrowed import Borrowed
from .progress import Progress, ProgressView

#: Files of the older systems.
_LATER = (".yaml", ".yml", ".json", ".toml", ".cfg", ".ini")


def run(words: Sequence[str], borrowed: Borrowed) -> int:
    """Run a file; give the exit status.

    Raises
    ------
    SweepError
        For mistakes in the words, before anything runs.
    """
    path, name, extra = _read(words)
    progress = Progress(borrowed)
    if path.suffix == ".ipynb":
        error = _run_cells(cells.of_notebook(path), path, name, extra, progress, borrowed)
        return _status(error, progress, "")
    text = path.read_text(encoding="utf-8", errors="replace")
    if cells.has_sweeps(text):
        error = _run_cells(cells.of_text(text), path, name, extra, progress, borrowed)
        return _status(error, progress, "")
    if path.suffix != ".py":
        raise SweepError(f"{path} has no %%sweep line. What can be run: .ipynb, .py, and texts with %%sweep cells.")
    manner = script.Manner(extra, name, _name_of(path), progress)
    error = script.run(path, manner)
    nothing = "" if manner.begun else f"{path} started no sweep: it has no %%sweep cell and called no run(job, space)."
    return _status(error, progress, nothing)


def _read(words: Sequence[str]) -> tuple[Path, str, list[Piece]]:
    """Give the file, the name, and the options for the sweeps; raise for all mistakes in them at once."""
    own, rest = _own_options(words)
    found = overrides.pieces(rest)
    files = [piece.name for piece in found if piece.kind == "bare"]
    if len(files) != 1:
        said = f"got {' and '.join(map(repr, files))}" if files else "got none"
        raise SweepError(f"run takes one file, {said}: jupyter sweep run FILE [options]")
    path = Path(files[0])
    if path.suffix in _LATER:
        raise SweepError(
            f"{path}: files of other systems come with a later release. Now: .ipynb, .py, texts with %%sweep cells."
        )
    if not path.is_file():
        raise SweepError(f"There is no file {path} in {Path.cwd()}.")
    if "--folder" in own:
        folders.use(own["--folder"])
    folders.keep()
    name = own.get("--name", "")
    if name:
        table.name(name)
    extra = [piece for piece in found if piece.kind != "bare"]
    _check(extra)
    return path.absolute(), name, extra


def _own_options(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Take --name and --folder out of the words."""
    own: dict[str, str] = {}
    rest: list[str] = []
    left = list(words)
    while left:
        word = left.pop(0)
        option, equals, value = word.partition("=")
        if option not in ("--name", "--folder"):
            rest.append(word)
        elif equals or left:
            own[option] = value if equals else left.pop(0)
        else:
            raise SweepError(f"{option} needs a value.")
    return own, rest


def _check(extra: Sequence[Piece]) -> None:
    """Read the options once without a file, to say what is wrong with them before anything runs."""
    line = overrides.join([word for piece in extra if piece.kind == "option" for word in piece.words])
    has_target = any(piece.name in ("min", "max") for piece in extra)
    _, mistakes = notation.read_line(line if has_target else f"{line} --min loss")
    if mistakes:
        raise Mistakes([Mistake(m.message, fix=m.fix) for m in mistakes])


def _name_of(path: Path) -> str:
    """Give the file's stem as the name of a sweep."""
    stem = re.sub(r"[^\w.-]+", "_", path.stem, flags=re.ASCII).lstrip("_.-0123456789")[:60]
    return stem if table.NAME.fullmatch(stem) else "sweep"


def _run_cells(
    found: list[Cell], path: Path, name: str, extra: Sequence[Piece], progress: Progress, borrowed: Borrowed
) -> BaseException | None:
    swept = [cell for cell in found if cell.line is not None]
    if name and len(swept) != 1:
        raise SweepError(f"--name {name} names one sweep, and {path.name} has {len(swept)} %%sweep cells.")
    if not swept:
        raise SweepError(f"{path} has no %%sweep cell.")
    os.chdir(path.parent)  # as a kernel would: files and modules beside it are found, and `sweeps/` lies there
    view = ProgressView(progress, borrowed)
    return shell.run(_prepared(found, name, _name_of(path), extra), borrowed, view)


def _prepared(found: Sequence[Cell], name: str, stem: str, extra: Sequence[Piece]) -> list[Cell]:
    """Lay name and options over the `%%sweep` lines."""
    unnamed = 0
    result = []
    for cell in found:
        if cell.line is None:
            result.append(cell)
            continue
        line = overrides.renamed(cell.line, name) if name else cell.line
        unnamed += not overrides.named(line)
        default = stem if unnamed <= 1 else f"{stem}-{unnamed}"
        result.append(cell.with_line(overrides.over_line(line, extra, name=default)))
    return result


def _status(error: BaseException | None, progress: Progress, nothing: str) -> int:
    """Give the exit status: what ended the file, then how its sweeps ended.

    Raises
    ------
    SweepError
        With `nothing` when the file ran well and started no sweep.
    """
    states = [handle.state for handle in progress.handles]
    if progress.interrupts or shell.is_interrupt(error) or {"interrupted", "stopped"} & set(states):
        return 130
    if error is not None:
        return 1 if states else 2
    if nothing and not states:
        raise SweepError(nothing)
    return 1 if "failed" in states else 0
