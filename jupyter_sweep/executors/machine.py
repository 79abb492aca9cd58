"""What this process may use of its machine: cores and memory, which in a container are fewer than the machine's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_GB = 2**30
_GROUPS = Path("/sys/fs/cgroup")


def usable_cores(groups: Path = _GROUPS) -> int:
    """Give the cores that this process may use: by affinity (containers, taskset, Slurm) and by its cgroups' quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = []
    for folder in _folders(groups, "cpu"):
        found = _numbers(folder, "cpu.max") or _numbers(folder, "cpu.cfs_quota_us", "cpu.cfs_period_us")
        if found and min(found) > 0:
            quotas.append(found[0] / found[1])
    return max(1, min(cores, int(min(quotas, default=cores))))


def memory_gb(groups: Path = _GROUPS) -> float:
    """Give the memory that this process may use, in GB of 2**30 bytes."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [whole]
    for folder in _folders(groups, "memory"):
        limits += [n for n in (*_numbers(folder, "memory.max"), *_numbers(folder, "memory.limit_in_bytes")) if n > 0]
    return min(limits) / _GB


def _folders(groups: Path, controller: str) -> Iterator[Path]:
    """Give the folders of this process's cgroup and of those above it: one tree, or with version 1 one a controller."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, names, path = line.split(":", 2)
        if names and controller not in names.split(","):
            continue
        root = groups / names if names else groups
        below = [part for part in path.split("/") if part]
        for depth in range(len(below) + 1):
            yield root.joinpath(*below[:depth])


def _numbers(folder: Path, *files: str) -> list[int]:
    """Give the whole numbers in some files; none where a file isn't there, or names no limit ("max")."""
    try:
        words = [word for file in files for word in (folder / file).read_text(encoding="utf-8").split()]
    except OSError:
        return []
    return [int(word) for word in words] if all(word.lstrip("-").isdigit() for word in words) else []
