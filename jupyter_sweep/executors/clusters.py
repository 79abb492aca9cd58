"""The words after `--on`: what each means and what it would start."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..errors import SweepError, count, suggest

#: Words that the product promises and this release doesn't have.
LATER = {"gpu": "GPUs", "ssh": "ssh hosts", "slurm": "Slurm"}
KINDS = ("local", "threads", "inline", "tcp")


@dataclass(frozen=True)
class Where:
    """Where trials run. `kind` is one of KINDS; `address` that of an existing scheduler, for "tcp"."""

    kind: str
    address: str = ""

    def __str__(self) -> str:
        return self.address or self.kind


def parse(word: str) -> Where:
    """Read the word after `--on`.

    Raises
    ------
    SweepError
        With what is allowed, for any other word.
    """
    kind, colon, rest = word.partition(":")
    if kind == "tcp" and rest.startswith("//") and rest.rpartition(":")[2].isdigit():
        return Where("tcp", word)
    if kind in ("local", "threads", "inline") and not colon:
        return Where(kind)
    allowed = "Allowed: local, threads, inline, or the address of a running Dask scheduler, tcp://HOST:PORT."
    if kind in LATER:
        raise SweepError(f"--on {word}: this release doesn't run trials on {LATER[kind]} yet. {allowed}")
    if kind in KINDS:
        hint = " --jobs gives the number of trials at once." if kind != "tcp" else ""
        raise SweepError(f"--on {word} can't be read.{hint} {allowed}")
    near = suggest(kind, [k for k in KINDS if k != "tcp"]).partition(" Allowed:")[0]
    raise SweepError(f"--on {word}: no such place.{near} {allowed}")


def usable_cores() -> int:
    """Give the cores that this process may use, which in a container or under taskset are fewer than the machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_slots(where: Where) -> int | None:
    """Give the slots that a place has when `--jobs` doesn't say; None where only the cluster knows."""
    if where.kind == "tcp":
        return None
    return 1 if where.kind == "inline" else usable_cores()


def describe(word: str, slots: int | None = None) -> str:
    """Say what would be launched, for `--dry-run`."""
    where = parse(word)
    if where.kind == "inline":
        return "trials run in this process, one at a time; no driver, no cluster, no time or memory limit"
    if where.kind == "tcp":
        return f"trials run on the Dask scheduler at {where.address}, in a process of their own on its workers"
    n = slots or default_slots(where) or 1
    how = "a worker process each" if where.kind == "local" else "all in the driver process"
    return f"Dask LocalCluster on 127.0.0.1: {count(n, 'worker')}, {how}; every trial in a process of its own"
