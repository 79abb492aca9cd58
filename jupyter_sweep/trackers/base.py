"""What a tracker is: one run for each trial, in somebody else's program.

The law. `open` gives the run of a trial, also when a process that was killed made it; what is passed on twice stands
there once. Whoever calls may therefore begin again anywhere, and need not know how far the one before him came. All
calls come from one thread of a process that has nothing else to do, in the environment and folder of whoever started
the sweep; an exception means "not now": the tracker is dropped, and a new one is asked again later.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from .. import plugins
from ..definition import Sweep
from ..errors import MissingExtra
from ..trial import Report, Trial


class Run(Protocol):
    """One trial over there.

    Parameters
    ----------
    name
        What it is found by again.
    is_new
        It holds no reports: all are to be given, whatever was given before.
    """

    name: str
    is_new: bool

    def add(self, reports: Sequence[Report]) -> None:
        """Pass reports on, in order of arrival."""
        ...

    def end(self, trial: Trial, files: Mapping[str, Path]) -> None:
        """Pass on how a final trial ended, and its files by their path in its folder; nothing comes after it."""
        ...


class Tracker(Protocol):
    """A program that keeps runs; made as ``Tracker(sweep, home)``, where `home` is the folder of the store.

    `package` and `extra` say what must be installed.
    """

    package: str
    extra: str

    def open(self, trial: Trial, name: str) -> Run:
        """Give the run of a trial; `name` is that of its run, "" where nobody knows of one."""
        ...

    def close(self) -> None:
        """Let go of everything; runs that have not ended may be opened again."""
        ...


def refuse_missing(name: str) -> None:
    """Raise MissingExtra where the package of a tracker is not installed; nothing of it is loaded."""
    tracker = plugins.load("tracker", name)
    if find_spec(tracker.package) is None:
        cause = ImportError(f"No module named {tracker.package!r}", name=tracker.package)
        raise MissingExtra(f"--log {name}", tracker.extra, cause)


def key(sweep: Sweep, trial: Trial) -> str:
    """Give a name that only this trial has, in every store of everybody, and that does not change."""
    text = f"{sweep.created_at!r} {sweep.name} {sweep.version} {trial.number}"
    return hashlib.blake2b(text.encode(), digest_size=10).hexdigest()


def flat(params: Mapping[str, Any]) -> dict[str, Any]:
    """Give the parameters with the parts of a coupled choice by a name each; what is no plain value as text.

    >>> flat({"lr": 0.1, "size": {"width": 64, "depth": 2}, "shape": (2, 3)})
    {'lr': 0.1, 'size.width': 64, 'size.depth': 2, 'shape': '(2, 3)'}
    """
    found: dict[str, Any] = {}
    for name, value in params.items():
        if isinstance(value, dict):
            found |= {f"{name}.{part}": item for part, item in flat({str(k): v for k, v in value.items()}).items()}
        else:
            found[name] = value if isinstance(value, (bool, int, float, str)) else repr(value)
    return found


def facts(sweep: Sweep, trial: Trial) -> dict[str, Any]:
    """Give what is known of a trial beside parameters and metrics; empty things are left out."""
    known = {
        "sweep": sweep.name,
        "version": sweep.version,
        "trial": trial.number,
        "tags": ", ".join(sweep.tags),
        "state": trial.state.value,
        "reason": trial.reason,
        "error": trial.error[:2000],
        "repetition": trial.repetition if sweep.budget.repetitions > 1 else None,
        "attempt": trial.attempt,
        "seed": trial.seed,
        "worker": trial.worker,
        "duration_s": trial.duration_s,
    }
    return {name: value for name, value in known.items() if value not in ("", None)}


def title(sweep: Sweep, trial: Trial) -> str:
    """Give the name to read.

    Names of runs sort as the numbers of their trials do.
    """
    return f"{sweep.name}-{trial.number:04d}"
