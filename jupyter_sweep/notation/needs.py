"""Which profile has what a sweep needs: the facts that profiles state, held against a requirement (see `demands`).

What a profile does not say is taken so: no duration is no limit, no gpus are none, and of processors one core is there
in any case; a wish for more, or for memory, is not met by silence.

Everything here is pure: texts and tables in, records and sentences out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import SweepError, suggest
from .demands import ACCELERATORS, SIZES, TIMES, Gpu, Need, parse, size_text, time_text

FACTS = ("duration", "cpu", "gpus")


@dataclass(frozen=True)
class Facts:
    """What a profile says that its place has; None where it says nothing."""

    duration_s: float | None = None
    mem: float | None = None
    cores: int | None = None
    gpus: tuple[Gpu, ...] = ()

    def __str__(self) -> str:
        known = Need(self.duration_s or 0, self.mem or 0, self.cores or 0, self.gpus)
        return str(known)


def facts(table: Mapping[str, Any]) -> tuple[Facts, list[str]]:
    """Give what the keys `duration`, `cpu` and `gpus` of a profile say, and the mistakes in them."""
    said: dict[str, Any] = {}
    wrong: list[str] = []
    if "duration" in table:
        said["duration_s"] = _fact(wrong, "duration", table["duration"], _duration)
    if "cpu" in table:
        cpu = _inner(wrong, "cpu", table["cpu"], {"mem": "64G", "cores": 16})
        if "mem" in cpu:
            said["mem"] = _fact(wrong, "cpu.mem", cpu["mem"], _memory)
        if "cores" in cpu:
            said["cores"] = _fact(wrong, "cpu.cores", cpu["cores"], _cores)
    if "gpus" in table:
        said["gpus"] = _gpus(wrong, table["gpus"])
    return (Facts() if wrong else Facts(**said)), wrong


def _gpus(wrong: list[str], given: Any) -> tuple[Gpu, ...]:
    if not isinstance(given, list):
        wrong.append(
            f'gpus wants a list with one entry a device, as in [{{kind = "cuda", mem = "16G"}}], got {given!r}'
        )
        return ()
    found = []
    for i, entry in enumerate(given):
        gpu = _inner(wrong, f"gpus[{i}]", entry, {"kind": "cuda", "mem": "16G"})
        kind = gpu.get("kind", "cuda")
        if kind not in ACCELERATORS:
            wrong.append(f"gpus[{i}].kind: {kind!r} is no accelerator.{suggest(str(kind), ACCELERATORS)}")
        mem = _fact(wrong, f"gpus[{i}].mem", gpu["mem"], _memory) if "mem" in gpu else 0
        found.append(Gpu(str(kind), mem))
    return tuple(found)


def _inner(wrong: list[str], name: str, given: Any, example: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        shown = ", ".join(f"{k} = {v!r}".replace("'", '"') for k, v in example.items())
        wrong.append(f"{name} wants a table as in {{{shown}}}, got {given!r}")
        return {}
    wrong += [f"{name} has no key {key!r}.{suggest(key, example)}" for key in given if key not in example]
    return given


def _fact(wrong: list[str], name: str, given: Any, read: Any) -> Any:
    try:
        return read(given)
    except SweepError as error:
        wrong.append(f"{name} {error}")
        return 0


def _duration(given: Any) -> float:
    if isinstance(given, int | float) and not isinstance(given, bool) and given > 0:
        return given
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(\w+)\s*", given) if isinstance(given, str) else None
    if found is None or found[2] not in TIMES or not float(found[1]):
        raise SweepError(f'wants a time such as "2 days" or "12h", got {given!r}')
    return float(found[1]) * TIMES[found[2]]


def _memory(given: Any) -> float:
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*", given) if isinstance(given, str) else None
    if found is None or found[2] not in SIZES or not float(found[1]):
        raise SweepError(f'wants a size with a unit such as "16G" or "16GiB", got {given!r}')
    return float(found[1]) * SIZES[found[2]]


def _cores(given: Any) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or given < 1:
        raise SweepError(f"wants a whole number from 1, got {given!r}")
    return given


# -- matching ---------------------------------------------------------------------------------------------------------


def why_not(need: Need, has: Facts) -> list[str]:
    """Say what a place lacks for an alternative; nothing where it has all."""
    wrong = []
    if has.duration_s is not None and need.duration_s > has.duration_s:
        wrong.append(f"duration: {time_text(need.duration_s)} wanted, at most {time_text(has.duration_s)} there")
    if need.cores > (1 if has.cores is None else has.cores):
        there = f"{has.cores} there" if has.cores is not None else "the profile does not say how many (cpu.cores)"
        wrong.append(f"cores: {need.cores} wanted, {there}")
    if need.mem > (has.mem or 0):
        there = f"{size_text(has.mem)} there" if has.mem else "the profile does not say how much (cpu.mem)"
        wrong.append(f"memory: {size_text(need.mem)} wanted, {there}")
    placed = _placed(need.gpus, has.gpus)
    if placed is None:
        wrong.append(f"gpus: {_listed(need.gpus)} wanted, {_listed(has.gpus)} there")
    elif not wrong and _shares_memory(placed) and need.mem + sum(g.mem for g in need.gpus) > (has.mem or 0):
        total = size_text(need.mem + sum(g.mem for g in need.gpus))
        wrong.append(f"memory: mps devices share it with the processor, and together {total} are wanted")
    return wrong


def _placed(wanted: Sequence[Gpu], there: Sequence[Gpu]) -> list[Gpu] | None:
    """Give the device for each wish, or None. A largest matching, so that no order of wishes is a reason to fail."""
    holder: dict[int, int] = {}

    def place(wish: int, tried: set[int]) -> bool:
        for i, gpu in enumerate(there):
            fits = wanted[wish].kind in ("gpu", gpu.kind) and wanted[wish].mem <= gpu.mem
            if fits and i not in tried:
                tried.add(i)
                if i not in holder or place(holder[i], tried):
                    holder[i] = wish
                    return True
        return False

    return [there[i] for i in holder] if all(place(wish, set()) for wish in range(len(wanted))) else None


def _shares_memory(placed: Sequence[Gpu]) -> bool:
    return any(gpu.kind == "mps" for gpu in placed)


def report(text: str, places: Mapping[str, Facts]) -> dict[str, Any]:
    """Say which alternative is met by which place, and why the others are not: plain data, for JSON.

    Returns
    -------
    dict
        `needs` (as given), `profile` (the name of the place that is taken, or None), `alternative` (its number from 0,
        or None), `alternatives`: of each its `needs`, the `profile` that it would get, and for every profile `name`,
        `matches` and `why` (sentences; empty where it matches).
    """
    rows = []
    for need in parse(text):
        tried = [(name, why_not(need, has)) for name, has in places.items()]
        profile = next((name for name, why in tried if not why), None)
        rows.append(
            {
                "needs": str(need),
                "profile": profile,
                "profiles": [{"name": name, "matches": not why, "why": why} for name, why in tried],
            }
        )
    taken = next((i for i, row in enumerate(rows) if row["profile"] is not None), None)
    best = None if taken is None else rows[taken]["profile"]
    return {"needs": text, "profile": best, "alternative": taken, "alternatives": rows}


def explain(found: Mapping[str, Any]) -> str:
    """Put what `report` gives into lines: every alternative, and why each profile has not got it."""
    lines = []
    for number, row in enumerate(found["alternatives"], 1):
        taken = f"-> {row['profile']}" if row["profile"] else "no profile"
        lines.append(f"{number}. {row['needs']}: {taken}")
        lines += [f"   {p['name']}: {'; '.join(p['why'])}" for p in row["profiles"] if not p["matches"]]
    return "\n".join(lines)


# -- words ------------------------------------------------------------------------------------------------------------


def _listed(gpus: Sequence[Gpu]) -> str:
    if not gpus:
        return "none"
    return " and ".join(f"{gpus.count(gpu)} x {gpu}" for gpu in dict.fromkeys(gpus))
