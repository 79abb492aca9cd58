"""`slurm:partition=gpu,walltime=2h,cores=4`: what may be said of jobs, in a word or a profile; what a job is then.

The four batch systems share their options; what one has no directive for, it has not. All mistakes are told at once,
and nothing is asked of the batch system here.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ... import units
from ...errors import Mistake, Mistakes, SweepError, count, suggest

#: Where nothing is said.
WALLTIME_S, MAX_JOBS = 3600.0, 4
#: Jobs without work are given back after so long.
IDLE_S = 60.0
#: A job has so much memory beside what its trials may use, for the worker that looks after them.
WORKER_GB = 1.0

_PROFILE_ONLY = ("env", "prescript", "postscript")
#: Kind -> the name that it has for its queues, and what it has beside the common options.
_QUEUE = {"slurm": "partition", "pbs": "queue", "sge": "queue", "lsf": "queue"}
_OWN: dict[str, tuple[str, ...]] = {"slurm": ("qos",), "pbs": (), "sge": (), "lsf": ()}
#: Names that a person may know from the batch system or from Dask -> ours.
_OTHER_NAMES = {
    "queue": "partition",
    "partition": "queue",
    "time": "walltime",
    "cpus_per_task": "cores",
    "project": "account",
}


def _text(value: Any) -> str:
    text = str(value).strip()
    if not text or re.search(r"[\s'\"`$;&|<>\\]", text) or isinstance(value, bool | Mapping | list | tuple):
        raise SweepError(f"wants a name, got {value!r}")
    return text


def _path(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or "\n" in value:
        raise SweepError(f"wants a path, got {value!r}")
    return value.strip()


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"[1-9]\d*", str(value)):
        raise SweepError(f"wants a whole number from 1, got {value!r}")
    return int(value)


def _lines(value: Any) -> list[str]:
    lines = [value] if isinstance(value, str) else value
    if not isinstance(lines, list | tuple) or not all(isinstance(line, str) for line in lines):
        raise SweepError(f"wants a text or a list of texts, got {value!r}")
    return [part for line in lines for part in line.splitlines() if part.strip()]


def _env(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(re.fullmatch(r"[A-Za-z_]\w*", str(name)) for name in value):
        raise SweepError(f'wants a table of variables, as in env = {{OMP_PROC_BIND = "true"}}, got {value!r}')
    return {str(name): str(text) for name, text in value.items()}


def _duration(value: Any) -> float:
    return units.duration(str(value))


def _size(value: Any) -> float:
    return units.size(str(value))


_READ: dict[str, Callable[[Any], Any]] = {
    "partition": _text,
    "queue": _text,
    "walltime": _duration,
    "cores": _whole,
    "memory": _size,
    "account": _text,
    "qos": _text,
    "extra": _lines,
    "max_jobs": _whole,
    "idle": _duration,
    "interface": _text,
    "python": _path,
    "log_folder": _path,
    "env": _env,
    "prescript": _lines,
    "postscript": _lines,
}
_COMMON = tuple(name for name in _READ if name not in ("partition", "queue", "qos"))


def names(kind: str) -> list[str]:
    """Give the options of a batch system."""
    return [_QUEUE[kind], *_OWN[kind], *_COMMON]


def read(word: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Read a word and the options of a profile.

    Returns
    -------
    dict
        The options that were given, by name; seconds and gigabytes of 2**30 bytes where they are quantities. Always
        there: `walltime`, `idle`, `python`.

    Raises
    ------
    Mistakes
        With all that is wrong.
    """
    kind, colon, rest = word.partition(":")
    wrong: list[Mistake] = []
    said = _said(kind, rest, wrong) if rest.strip() or not colon else _nothing_said(word, wrong)
    twice = sorted(said.keys() & options.keys())
    wrong += [Mistake(f"--on {word}: {name} stands in the profile, too", fix="give it once") for name in twice]
    given: dict[str, Any] = {}
    for name, value in {**options, **said}.items():
        if name not in names(kind) or (name in said and name in _PROFILE_ONLY):
            wrong.append(Mistake(f"--on {word}: {_unknown(kind, name)}"))
            continue
        try:
            given[name] = _READ[name](value)
        except SweepError as error:
            wrong.append(Mistake(f"--on {word}: {name} {error}"))
    if kind == "sge":
        wrong += [Mistake(f"--on {word}: {text}") for text in _left_to_the_site(given)]
    if wrong:
        raise Mistakes(wrong)
    return {"walltime": WALLTIME_S, "idle": IDLE_S, "python": sys.executable, **given}


def _left_to_the_site(given: Mapping[str, Any]) -> list[str]:
    """Say what Grid Engine has no standard directive for, unless a directive of the site is given."""
    extra = " ".join(given.get("extra", ()))
    found = []
    if given.get("cores", 1) > 1 and "-pe" not in extra:
        found.append(
            f"cores={given['cores']} need your site's parallel environment, as in extra=-pe smp {given['cores']}"
        )
    if "memory" in given and "-l" not in extra:
        found.append(
            f"memory={given['memory']:g}G needs your site's resource, as in extra=-l mem_free={given['memory']:g}G"
        )
    return found


def _nothing_said(word: str, wrong: list[Mistake]) -> dict[str, Any]:
    wrong.append(Mistake(f"--on {word}: nothing stands behind the colon", fix="leave the colon away, or give options"))
    return {}


def _said(kind: str, rest: str, wrong: list[Mistake]) -> dict[str, Any]:
    """Split `partition=gpu,walltime=2h`. A comma divides where an option follows, so that values may hold some.

    What `extra` is given is for the batch system: an option ends it only where it is one of ours.
    """
    said: dict[str, Any] = {}
    name = ""
    for part in rest.split(",") if rest else ():
        key, equals, value = part.partition("=")
        key = key.strip()
        starts = equals and re.fullmatch(r"[A-Za-z_]\w*", key) and (name != "extra" or key in names(kind))
        if starts and key in said:
            wrong.append(Mistake(f"--on {kind}:{rest}: {key} is given twice"))
        elif starts:
            name, said[key] = key, value.strip()
        elif name:
            said[name] += f",{part}"
        else:
            fix = f"write {kind}:{_QUEUE[kind]}={part.strip() or 'NAME'}"
            wrong.append(Mistake(f"--on {kind}:{rest}: {part!r} is no option=value", fix=fix))
    return {key: value for key, value in said.items() if value}


def _unknown(kind: str, name: str) -> str:
    if name in _PROFILE_ONLY:
        return f"{name} can only be given in a profile of sweeps.toml"
    ours = _OTHER_NAMES.get(name)
    hint = f" Did you mean {ours!r}?" if ours in names(kind) else ""
    said = suggest(name, names(kind))
    return f"{kind} has no option {name!r}.{hint + said[said.index(' Allowed') :] if hint else said}"


class Shape(NamedTuple):
    """What one job holds, and how many there may be. `memory_gb` is None where the site decides."""

    slots: int
    cores: int
    memory_gb: float | None
    jobs: int

    def in_words(self, kind: str, walltime_s: float) -> str:
        memory = f", {self.memory_gb:g}G of memory" if self.memory_gb else ""
        return (
            f"up to {count(self.jobs, f'{kind} job')} of {clock(walltime_s)} with {count(self.cores, 'core')}{memory} "
            f"and {count(self.slots, 'trial')} at once"
        )


def shape(word: str, settings: Mapping[str, Any], share: Mapping[str, Any], slots: int | None) -> Shape:
    """Give the shape of the jobs.

    Parameters
    ----------
    settings
        What `read` gave.
    share
        What a trial needs: `cpus` (1 where it is not there), `gpus`, and `mem`, gigabytes.
    slots
        Trials wanted at once (`--jobs`); None for MAX_JOBS jobs. `max_jobs` limits both.

    Raises
    ------
    Mistakes
        When a job has no room for one trial.
    """
    cpus, mem, memory = share.get("cpus", 1), share.get("mem"), settings.get("memory")
    cores = settings.get("cores", math.ceil(cpus * _sharing(share.get("gpus", 0), slots)))
    wrong = []
    if cores < cpus:
        wrong.append(Mistake(f"--on {word}: cores={cores} are fewer than one trial's --cpus {cpus:g}"))
    if mem and memory and memory < mem:
        wrong.append(Mistake(f"--on {word}: memory={memory:g}G is less than one trial's --mem {mem:g}G"))
    if wrong:
        raise Mistakes(wrong)
    fitting = int(cores / cpus + 1e-9)
    if mem and memory:
        fitting = min(fitting, int(memory / mem + 1e-9))
    elif mem:
        memory = fitting * mem + WORKER_GB
    jobs = settings.get("max_jobs", MAX_JOBS) if slots is None else -(-slots // fitting)
    return Shape(fitting, cores, memory, min(jobs, settings.get("max_jobs", jobs)))


def _sharing(gpus: float, slots: int | None) -> int:
    """Give how many trials share a job where nobody says how large it is: as many as share a device."""
    fitting = int(1 / gpus + 1e-9) if 0 < gpus < 1 else 1
    return min(fitting, slots or fitting)


def clock(seconds: float) -> str:
    """Give a duration as batch systems read it, hours:minutes:seconds.

    >>> clock(5400.0)
    '01:30:00'
    """
    whole = math.ceil(seconds)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"
