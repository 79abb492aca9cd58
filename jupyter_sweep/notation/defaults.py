"""Options that hold wherever the line says nothing else: the table `[defaults]` of `sweeps.toml`.

    [defaults]
    on = "lab"
    stop = "asha"
    timeout = "20m"

Keys are long names of options. What the line says counts more, and a default that does not go with it gives way without
a word: with `--on inline` there is no `--timeout` to refuse.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import Mistake, Mistakes, SweepError, suggest
from . import profiles, table

#: Options that make sense for every sweep of a folder; a target or a name do not.
ALLOWED = (
    "trials", "time", "repeat", "algo", "stop", "seed", "on", "jobs", "cpus", "gpus", "mem", "timeout", "grace",
    "isolation", "retry", "max-failures", "tag",
)  # fmt: skip


def load() -> dict[str, str]:
    """Give the texts of the defaults by the option's long name; the file beside the notebook counts most.

    Raises
    ------
    Mistakes
        All of the tables `[defaults]` of all files.
    """
    found: dict[str, str] = {}
    mistakes: list[Mistake] = []
    for path in profiles.files():
        texts, wrong = read(path, profiles.tables(path).get("defaults", {}))
        found = {**texts, **found}
        mistakes += wrong
    if mistakes:
        raise Mistakes(mistakes)
    return found


def read(path: Path, given: Any) -> tuple[dict[str, str], list[Mistake]]:
    """Give the texts of a table `[defaults]` and what is wrong in it; a place is looked up when it is used."""
    if not isinstance(given, Mapping):
        return {}, [Mistake(f"{path}: defaults are a table of their own", fix='write [defaults], then stop = "asha"')]
    found: dict[str, str] = {}
    wrong: list[str] = []
    for name, value in given.items():
        if name not in ALLOWED:
            wrong.append(f"{name!r} is no option that can have a default.{suggest(name, ALLOWED)}")
        elif isinstance(value, bool) or not isinstance(value, str | int | float):
            wrong.append(f"{name} wants a text or a number, got {value!r}")
        else:
            found[name] = str(value)
            wrong += _refused(name, str(value))
    return found, [Mistake(f"{path}, [defaults]: {said}") for said in wrong]


def _refused(name: str, text: str) -> list[str]:
    if name == "on":
        return []  # it may name a profile of the same file, whose mistakes are told for themselves
    try:
        table.BY_FIELD[name.replace("-", "_")].parser(text)
    except SweepError as error:
        return [f"{name} {error}"]
    return []
