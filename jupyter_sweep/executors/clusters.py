"""The words after `--on`: what each means and what it would start.

A word names a kind of place and may say more behind a colon; a profile gives the same by name, with options. Both end
as a `Where`, which is plain data: it travels to the driver as JSON and is all that a backend is started from.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import SweepError, suggest

#: Kind of place -> the module of `backends` that knows it; "" where no cluster is involved.
KINDS = {
    "local": "local",
    "threads": "local",
    "inline": "",
    "tcp": "existing",
}


@dataclass(frozen=True)
class Where:
    """Where trials run.

    Parameters
    ----------
    kind
        One of KINDS.
    word
        As the user wrote it: "local", "ssh:a,b", the name of a profile.
    options
        What the kind's `read` made of the word and of the profile's options; plain data.
    """

    kind: str
    word: str
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.word


def parse(word: str, options: Mapping[str, Any] | None = None) -> Where:
    """Read the word after `--on`.

    Parameters
    ----------
    word
        A kind of place, or a profile's name when `options` has "on".
    options
        A profile: `on`, the word that it stands for, and options of that kind.

    Raises
    ------
    SweepError
        With what is allowed, for any other word, and for options that the kind has not.
    """
    given = dict(options or {})
    base = str(given.pop("on", word))
    kind = base.partition(":")[0]
    if kind not in KINDS:
        raise SweepError(f"--on {base}: no such place.{suggest(kind, list(KINDS))}")
    return Where(kind, word, _backend(kind).read(base, given) if KINDS[kind] else _plain(base, given))


def _plain(word: str, options: Mapping[str, Any]) -> dict[str, Any]:
    if ":" in word or options:
        raise SweepError(f"--on {word} can't be read: inline has no options.")
    return {}


def _backend(kind: str) -> Any:
    return importlib.import_module(f"{__package__}.backends.{KINDS[kind]}")


def start(where: Where, slots: int | None) -> Any:
    """Start or reach the cluster; give its `backends.base.Backend`."""
    return _backend(where.kind).start(where, slots)


def describe(where: Where, slots: int | None = None) -> str:
    """Say what would be launched, for `--dry-run`."""
    if where.kind == "inline":
        return "trials run in this process, one at a time; no driver, no cluster, no time or memory limit"
    text: str = _backend(where.kind).plan(where, slots)
    return text


def usable_cores() -> int:
    """Give the cores that this process may use, which in a container or under taskset are fewer than the machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
