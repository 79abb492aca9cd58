"""What a sweep needs of a place, in Experimaestro's words.

    duration=2 days & cuda(mem=16G) * 4 & cpu(mem=400M, cores=4) | duration=4 days & cuda(mem=16G) * 2

Alternatives stand in order of preference. Joined by `&`, the longest duration, the most memory and the most cores
count, and accelerators add up. G is 10**9 bytes and GiB is 2**30 here, as in Experimaestro; both sides of a comparison
are read by this module, so `16G` always fits `16G`. Beyond Experimaestro's grammar there are decimals, seconds, weeks,
T and K, an accelerator without a memory, and brackets; `* 0` is a mistake, where Experimaestro takes one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..errors import SweepError, count, suggest

#: Kinds of accelerators; "gpu" in a wish is any of them.
ACCELERATORS = ("cuda", "mps")
EXAMPLE = "duration=2 days & cuda(mem=16G) * 4 & cpu(mem=400M, cores=4)"

TIMES = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "hour": 3600, "d": 86400, "day": 86400, "w": 604800}
TIMES.update({f"{unit}s": TIMES[unit] for unit in ("sec", "min", "hour", "day")} | {"week": 604800, "weeks": 604800})
SIZES = {"K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


class Gpu(NamedTuple):
    """One accelerator, there or wished for: its kind and its memory in bytes."""

    kind: str
    mem: float = 0

    def __str__(self) -> str:
        return f"{self.kind}(mem={size_text(self.mem)})" if self.mem else self.kind


@dataclass(frozen=True)
class Need:
    """One alternative of a requirement. Durations in seconds, memory in bytes; 0 makes no demand."""

    duration_s: float = 0
    mem: float = 0
    cores: int = 0
    gpus: tuple[Gpu, ...] = ()

    def __and__(self, other: Need) -> Need:
        return Need(
            max(self.duration_s, other.duration_s),
            max(self.mem, other.mem),
            max(self.cores, other.cores),
            self.gpus + other.gpus,
        )

    def __str__(self) -> str:
        terms = [f"duration={time_text(self.duration_s)}"] if self.duration_s else []
        for gpu in dict.fromkeys(self.gpus):
            n = self.gpus.count(gpu)
            terms.append(f"{gpu} * {n}" if n > 1 else str(gpu))
        if self.mem or self.cores:
            mem = [f"mem={size_text(self.mem)}"] if self.mem else []
            terms.append(f"cpu({', '.join([*mem, f'cores={self.cores}'])})")
        return " & ".join(terms)


def parse(text: str) -> tuple[Need, ...]:
    """Give the alternatives of a requirement, in order.

    >>> [str(need) for need in parse("cuda(mem=16G) * 2 | cpu(cores=4)")]
    ['cuda(mem=16G) * 2', 'cpu(cores=4)']

    Raises
    ------
    SweepError
        With a caret under what can't be read.
    """
    return tuple(_Parser(text).whole())


class _Parser:
    """A recursive descent over the tokens of one requirement."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = [(m[0], m.start()) for m in re.finditer(r"\d+(?:\.\d+)?|[A-Za-z]+|\S", text)]
        self.at = 0

    def whole(self) -> list[Need]:
        found = self.alternatives()
        if self.at < len(self.tokens):
            raise self.wrong("wants & or | here")
        return found

    def alternatives(self) -> list[Need]:
        found = self.joined()
        while self.take("|"):
            found += self.joined()
        return found

    def joined(self) -> list[Need]:
        found = self.term()
        while self.take("&"):
            right = self.term()
            found = [a & b for a in found for b in right]
        return found

    def term(self) -> list[Need]:
        if self.take("("):
            inside = self.alternatives()
            self.expect(")")
            return inside
        word, start = self.word(), self.at - 1
        if word == "duration":
            self.expect("=")
            return [Need(duration_s=self.amount(TIMES, "a unit of time: s, m, h, d or w"))]
        if word == "cpu":
            return [self.cpu()]
        if word in (*ACCELERATORS, "gpu"):
            mem = self.arguments(word, ("mem",)).get("mem", 0) if self.peek() == "(" else 0
            return [Need(gpus=(Gpu(word, mem),) * self.times())]
        self.at = start
        raise self.wrong(f"{word!r} is nothing to ask for.{suggest(word, ['duration', 'cpu', 'gpu', *ACCELERATORS])}")

    def cpu(self) -> Need:
        start = self.at
        given = self.arguments("cpu", ("mem", "cores"))
        if not given:
            self.at = start
            raise self.wrong("cpu wants mem, cores or both")
        return Need(mem=given.get("mem", 0), cores=int(given.get("cores", 1)))

    def arguments(self, owner: str, allowed: Sequence[str]) -> dict[str, float]:
        given: dict[str, float] = {}
        self.expect("(")
        while not self.take(")"):
            if given:
                self.expect(",")
            name, start = self.word(), self.at - 1
            if name not in allowed or name in given:
                self.at = start
                twice = f"{name} is given twice" if name in given else f"{owner} has no {name!r}."
                raise self.wrong(twice if name in given else twice + suggest(name, allowed))
            self.expect("=")
            unit = "a unit of memory: K, M, G, T, or KiB, MiB, GiB, TiB"
            given[name] = self.amount(SIZES, unit) if name == "mem" else self.number("a whole number of cores, from 1")
        return given

    def times(self) -> int:
        return self.number("a whole number of devices, from 1") if self.take("*") else 1

    def amount(self, units: Mapping[str, float], wanted: str) -> float:
        number = self.peek()
        if not re.fullmatch(r"\d+(\.\d+)?", number) or not float(number):
            raise self.wrong("wants a number above 0")
        self.at += 1
        unit = self.peek()
        if unit not in units:
            raise self.wrong(f"wants {wanted}")
        self.at += 1
        return float(number) * units[unit]

    def number(self, wanted: str) -> int:
        word = self.peek()
        if not word.isdecimal() or int(word) < 1:
            raise self.wrong(f"wants {wanted}")
        self.at += 1
        return int(word)

    def word(self) -> str:
        word = self.peek()
        if not word.isalpha():
            raise self.wrong(f"wants a demand such as {EXAMPLE.rpartition('& ')[2]}")
        self.at += 1
        return word

    def peek(self) -> str:
        return self.tokens[self.at][0] if self.at < len(self.tokens) else ""

    def take(self, symbol: str) -> bool:
        found = self.peek() == symbol
        self.at += found
        return found

    def expect(self, symbol: str) -> None:
        if not self.take(symbol):
            raise self.wrong(f"wants {symbol!r} here")

    def wrong(self, what: str) -> SweepError:
        column = self.tokens[self.at][1] if self.at < len(self.tokens) else len(self.text)
        end = "" if what.endswith(".") else "."
        return SweepError(f"{what}{end} It reads, for example: {EXAMPLE}\n    {self.text}\n    {' ' * column}^")


def size_text(size: float) -> str:
    decimal = next((u for u in ("T", "G", "M", "K") if size >= SIZES[u]), "K")
    binary = f"{decimal}iB" if size >= SIZES[f"{decimal}iB"] else ""
    if binary and size % SIZES[binary] == 0:
        return f"{size / SIZES[binary]:g}{binary}"
    return f"{size / SIZES[decimal]:g}{decimal}"


def time_text(seconds: float) -> str:
    for name, unit in (("day", 86400), ("hour", 3600), ("min", 60)):
        if seconds >= unit and seconds % unit == 0:
            return count(int(seconds // unit), name)
    return f"{seconds:g}s"
