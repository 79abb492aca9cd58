"""The words after `--on`: what each means and what it would start.

A word names a kind of place and may say more behind a colon; a profile gives the same by name, with options. Both end
as a `Where`, which is plain data: it travels to the driver as JSON and is all that a backend is started from.
"""

from __future__ import annotations

import importlib
import platform
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, NamedTuple

from ..errors import SweepError, count, suggest
from . import gpus, machine
from .backends.base import load_distributed
from .machine import usable_cores as usable_cores

#: Kind of place -> the module of `backends` that knows it; "" where no cluster is involved.
KINDS = {
    "local": "local",
    "threads": "local",
    "gpu": "local",  # is local with --gpus 1
    "inline": "",
    "tcp": "existing",
    "tls": "existing",
    "class": "foreign",
    "slurm": "jobqueue",
    "pbs": "jobqueue",
    "sge": "jobqueue",
    "lsf": "jobqueue",
    "ssh": "ssh",
}
#: Places that are looked at at once.
_AT_ONCE = 16

#: How the words look in full, for messages.
FORMS = (
    "local", "threads", "inline", "gpu", "ssh:HOST,HOST", "slurm[:option=value,...]", "pbs", "sge", "lsf",
    "tcp://HOST:PORT", "tls://HOST:PORT", "class:module.Class",
)  # fmt: skip


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
    share
        What each slot has of cores and devices (see `gpus`).
    """

    kind: str
    word: str
    options: dict[str, Any] = field(default_factory=dict)
    share: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.word


def parse(word: str, options: Mapping[str, Any] | None = None) -> Where:
    """Read the word after `--on`.

    Parameters
    ----------
    word
        A kind of place, or a profile's name when `options` has "on".
    options
        A profile: `on`, the word that it stands for, and options of that kind; and `share`, from --cpus and --gpus.

    Raises
    ------
    SweepError
        With what is allowed, for any other word, and for options that the kind has not.
    """
    given = dict(options or {})
    share = dict(given.pop("share", {}))
    base = str(given.pop("on", word))
    kind = base.partition(":")[0]
    if base == "gpu":
        base = kind = "local"
        share.setdefault("gpus", 1)
    if kind not in KINDS:
        raise SweepError(f"--on {base}: no such place.{suggest(kind, list(KINDS))}")
    return Where(kind, word, _backend(kind).read(base, given) if KINDS[kind] else _plain(base, given), share)


def word_for(text: str) -> str:
    """Give the word that a text stands for: a bare HOST:PORT is the address of a scheduler without TLS."""
    bare = re.fullmatch(r"[\w.-]+:\d+|\[[0-9A-Fa-f:.]+\]:\d+", text)
    return f"tcp://{text}" if bare and text.partition(":")[0] not in KINDS else text


def settled(word: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Give options that say the same in another folder and at another time: what a file named by the word holds."""
    base = str(options.get("on", word))
    kind, given = base.partition(":")[0], {name: value for name, value in options.items() if name != "on"}
    settle = getattr(_backend(kind), "settled", None) if KINDS.get(kind) else None
    same = {} if word == base else {"on": base}
    return {**same, **(given if settle is None else settle(base, given))}


def check(where: Where) -> None:
    """Raise SweepError for what a look at the place tells before a start: nobody answers, no such class.

    Takes seconds at most, starts nothing. Not for words that are only being read.
    """
    look = getattr(_backend(where.kind), "check", None) if KINDS.get(where.kind) else None
    if look is not None:
        look(where)


class Seen(NamedTuple):
    """What a look at a place tells, for a list of places.

    Parameters
    ----------
    slots
        None where they are known only once it runs.
    versions
        Of its Python and of Dask, or of the package that starts it.
    health
        How it is, in words.
    ok
        Whether a sweep could start there now.
    """

    slots: int | None = None
    versions: str = ""
    health: str = "ok"
    ok: bool = True


def look(places: Sequence[Where]) -> list[Seen]:
    """Look at places with a cluster, at once and for seconds. What is wrong with one is its health, not an error."""
    if any(KINDS[where.kind] != "local" for where in places):
        load_distributed()  # two threads must not be the first to import it
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        # dask-jobqueue sets a signal's handler when it is imported, which only the main thread may.
        asked = [None if KINDS[where.kind] == "jobqueue" else threads.submit(_look, where) for where in places]
        return [
            _look(place) if answer is None else answer.result() for place, answer in zip(places, asked, strict=True)
        ]


def _look(where: Where) -> Seen:
    backend = _backend(where.kind)
    try:
        if hasattr(backend, "seen"):
            found: Seen = backend.seen(where)
            return found
        check(where)
    except SweepError as error:
        return Seen(health=re.sub(r"^--on \S+: ", "", str(error)), ok=False)
    return Seen(slots_here(where) if KINDS[where.kind] == "local" else None, own_versions())


def own_versions() -> str:
    """Give the releases of this process's Python and of its Dask, without loading the latter."""
    return f"Python {platform.python_version()}, distributed {version('distributed')}"


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


def is_here(word: str, options: Mapping[str, Any] | None = None) -> bool:
    """Tell whether trials run in processes of this machine, so that its cores, memory and devices count."""
    return KINDS.get(str((options or {}).get("on", word)).partition(":")[0]) == "local"


def is_queued(word: str) -> bool:
    """Tell whether trials run in jobs of a batch system, whose size follows from what one trial needs."""
    return KINDS.get(word.partition(":")[0]) == "jobqueue"


def slots_here(where: Where, found: gpus.Here | None = None) -> int:
    """Give the slots of this machine where nobody says how many: one for each share of its devices, or of its cores.

    Parameters
    ----------
    found
        The devices, where they have been looked at.
    """
    cpus = where.share.get("cpus", 1)
    cores = max(1, int(usable_cores() / cpus + 1e-9))
    if not where.share.get("gpus"):
        return cores
    shares = len((found or gpus.here(where.share, skip_busy=False)).sets)
    return min(shares, cores) if cpus > 1 else shares


def warnings(where: Where, slots: int | None, memory_each_gb: float | None) -> list[str]:
    """Say what is allowed but asks for more than this machine, where trials run, has."""
    if memory_each_gb is None:
        return []
    n, whole = slots or slots_here(where), machine.memory_gb()
    if n * memory_each_gb <= whole:
        return []
    fitting = int(whole / memory_each_gb)
    fix = f"--jobs {fitting} would fit" if fitting else "no trial can use that much"
    each = f"{count(n, 'trial')} at once may use {memory_each_gb:g} GB each"
    return [f"{each}, and this machine has {whole:.0f} GB: {fix}"]
