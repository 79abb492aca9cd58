"""A sweep as a file for other programs and people. Written aside and renamed, so that nobody reads half of one.

What a file is, its ending says; `KINDS` names each kind by a word too, for ``%sweep export NAME --to WORD``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from ..definition import Sweep
from ..errors import SweepError, suggest
from ..trial import Report, Trial
from . import page, rows, script, study


class Kind(NamedTuple):
    """A kind of file: its endings, the usual one first, what it holds, and what writes one."""

    endings: tuple[str, ...]
    help: str
    write: Callable[[Path, Sweep, Sequence[Trial], Sequence[Report]], None]


KINDS: dict[str, Kind] = {
    "csv": Kind((".csv",), "the table `.df`", rows.write_csv),
    "parquet": Kind((".parquet",), "the table `.df` with its types; wants pyarrow", rows.write_parquet),
    "jsonl": Kind((".jsonl",), "a line of JSON a trial, with parameters, metrics and reports", rows.write_jsonl),
    "html": Kind((".html", ".htm"), "one page with table, plots and failures, readable without a network", page.write),
    "yaml": Kind((".yaml", ".yml"), "the definition, the best configuration and all trials", script.write_yaml),
    "py": Kind((".py",), "the %%sweep cell or the call as a text that `jupyter sweep run` runs", script.write_py),
    "optuna": Kind((".db",), "an Optuna study, in an SQLite file", study.write),
}
ENDINGS = {ending: word for word, kind in KINDS.items() for ending in kind.endings}


def kind_of(path: Path) -> Kind:
    """Give the kind of file that a path's ending names.

    Raises
    ------
    SweepError
        For another ending.
    """
    if path.suffix.lower() not in ENDINGS:
        raise SweepError(f"{path.name}: the ending says what is written.{suggest(path.suffix, ENDINGS)}")
    return KINDS[ENDINGS[path.suffix.lower()]]


def target(name: str, path: str | None, word: str | None) -> Path:
    """Give the path to write to: as given, or NAME with the ending of the kind `word`.

    Raises
    ------
    SweepError
        For an unknown kind, one that the path's ending contradicts, where neither is given, and for Python that would
        take the place of a file that nobody named.
    """
    if word is not None and word not in KINDS:
        raise SweepError(f"--to {word}: there is no such kind of file.{suggest(word, KINDS)}")
    if path is None and word is None:
        raise SweepError(f"What is to be written? A path such as {name}.csv, or --to {'|'.join(KINDS)}.")
    if path is None:
        found = Path(f"{name}{KINDS[str(word)].endings[0]}")
        if word == "py" and found.exists():  # most likely the very file that the sweep was run from
            raise SweepError(f"{found} is there already. Give a path: {name}-again.py, or {found} to replace it.")
        return found
    found = Path(path).expanduser()
    if word is not None and not found.suffix:
        return found.with_name(f"{found.name}{KINDS[word].endings[0]}")
    if word is not None and kind_of(found) is not KINDS[word]:
        raise SweepError(f"{path} ends in {found.suffix}, and --to {word} writes {KINDS[word].endings[0]}.")
    return found


def write(path: Path, sweep: Sweep, trials: Sequence[Trial], reports: Sequence[Report]) -> None:
    """Write a sweep as the path's ending says; a file that is there is replaced.

    Raises
    ------
    SweepError
        For another ending, a file that can't be written, and a package that is lacking.
    """
    kind = kind_of(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        kind.write(aside, sweep, sorted(trials, key=lambda t: t.number), reports)
        os.replace(aside, path)
    except OSError as error:
        raise SweepError(f"{path} can't be written: {error.strerror or error}.") from error
    finally:
        aside.unlink(missing_ok=True)
