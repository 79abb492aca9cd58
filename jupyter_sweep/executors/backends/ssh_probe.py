"""Whether the Pythons of the hosts can work with this one, and the table that says so for all of them at once.

Functions travel to the workers as byte code, which another minor version of Python can't run, and Dask's messages
change with its version; a mismatch shows as a worker that hangs, so it is refused before anything is started.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

from ...errors import SweepError, count
from .ssh_link import Unusable

#: Package -> how many parts of its version must be the same; all of them for 0.
_SAME = {"dask": 0, "distributed": 0, "cloudpickle": 2, "msgpack": 1}


class Found(NamedTuple):
    """What became of one host: what it said of itself (empty where it said nothing), and why it can't be used."""

    name: str
    hello: Mapping[str, Any]
    problem: Unusable | None


def own_versions() -> dict[str, str]:
    """Give the versions of the packages that matter, here."""
    found = {}
    for name in _SAME:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = ""
    return found


def judge(hello: Mapping[str, Any], here: Mapping[str, str]) -> Unusable | None:
    """Say what keeps a host's Python from working with this one; None when nothing does."""
    python, wanted = hello["python"], f"{sys.version_info[0]}.{sys.version_info[1]}"
    if python.split(".")[:2] != wanted.split("."):
        return Unusable(
            f"Python {'.'.join(python.split('.')[:2])}, not {wanted}",
            f"{hello['executable']} is Python {python}, here it is {wanted}: name one that is the same in a profile, "
            f'with python = "/path/to/python{wanted}"',
        )
    there = hello["versions"]
    wrong = [name for name, parts in _SAME.items() if not _same(there.get(name, ""), here[name], parts)]
    if not wrong:
        return None
    packages = " ".join(f"'{name}=={here[name]}'" for name in wrong)
    differ = ", ".join(f"{name} is {there.get(name) or 'missing'}, here {here[name]}" for name in wrong)
    return Unusable(
        f"{wrong[-1] if 'distributed' not in wrong else 'distributed'} differs",
        f"{differ}. On the host: {shlex.quote(hello['executable'])} -m pip install {packages}",
    )


def _same(there: str, here: str, parts: int) -> bool:
    if not parts:
        return there == here
    return there.split(".")[:parts] == here.split(".")[:parts]


def table(found: Sequence[Found]) -> str:
    """Draw what was found: a row a host."""
    rows = [("host", "reachable", "python", "distributed", "cores", "memory", "verdict")]
    for name, hello, problem in found:
        verdict = "ok" if problem is None else problem.verdict
        if not hello:
            rows.append((name, "no", "-", "-", "-", "-", verdict))
            continue
        memory = f"{hello['memory'] / 2**30:.0f}G" if hello["memory"] else "?"
        distributed = hello["versions"].get("distributed") or "none"
        rows.append((name, "yes", hello["python"], distributed, str(hello["cores"]), memory, verdict))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def require(word: str, found: Sequence[Found]) -> None:
    """Raise SweepError when a host is not as it should be, or none answers; one that is only away may come later."""
    if any(f.problem and not f.problem.passing for f in found) or all(f.problem for f in found):
        raise SweepError(refusal(word, found))


def refusal(word: str, found: Sequence[Found]) -> str:
    """Say all that is to mend before these hosts can be used: first what to do, then the table."""
    bad = [item for item in found if item.problem is not None]
    lines = [f"--on {word}: {len(bad)} of {count(len(found), 'host')} can't be used; nothing was started."]
    advice: dict[str, list[str]] = {}
    for name, _, problem in bad:
        assert problem is not None
        text = problem.advice or "is it on, and is its sshd reachable from here?"
        advice.setdefault(f"{problem.verdict}: {text}", []).append(name)
    lines += [f"  {', '.join(names)}: {text}" for text, names in advice.items()]
    return "\n".join([*lines, table(found)])
