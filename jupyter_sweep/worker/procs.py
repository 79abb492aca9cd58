"""Processes and their memory, read from /proc; empty answers where there is none (then only the child is ended)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Iterable

_PAGE = os.sysconf("SC_PAGE_SIZE")
_SET_PDEATHSIG, _SET_CHILD_SUBREAPER = 1, 36
#: In their command lines: what `multiprocessing` and joblib start once a process.
_HELPERS = ("multiprocessing.resource_tracker", "multiprocessing.forkserver", "loky.backend.resource_tracker")
#: How long processes that were killed may take to vanish (one that waits for a dead network disk never does).
END_S = 3.0
#: A process closes its files this much before it has ended, at most.
_LAST_BREATH_S = 0.1


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent thread ends; ends at once when `parent` is gone already."""
    _prctl(_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of orphaned descendants, so that a double fork hides no process from us."""
    _prctl(_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(option, value, 0, 0, 0)


def descendants(pid: int) -> list[int]:
    """Give the living descendants of a process, parents first."""
    found, todo = [], [pid]
    while todo:
        own = [child for child in _children(todo.pop()) if child not in found]
        found += own
        todo += own
    return found


def _children(pid: int) -> list[int]:
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    found: list[int] = []
    for thread in threads:
        text = _read(f"/proc/{pid}/task/{thread}/children")
        if text is None:
            return _children_by_scan(pid)
        found += map(int, text.split())
    return found


def _children_by_scan(pid: int) -> list[int]:
    """Find children by the parent that each process names: for kernels without the list of children."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        fields = (_read(f"/proc/{name}/stat") or "").rpartition(")")[2].split()
        if len(fields) > 1 and int(fields[1]) == pid:
            found.append(int(name))
    return found


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return None


def has_children() -> bool:
    """Tell whether this process has a living child; those that ended are reaped."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            return True


def strays(root: int) -> list[int]:
    """Give the descendants of a process without the helpers that Python itself keeps for its later processes.

    What a helper forked has the helper's command line, so only children of `root` are taken for helpers.
    """
    helpers = {pid for pid in _children(root) if any(name in _command(pid) for name in _HELPERS)}
    return [pid for pid in descendants(root) if pid not in helpers]


def _command(pid: int) -> str:
    return (_read(f"/proc/{pid}/cmdline") or "").replace("\0", " ")


def anonymous_bytes(pids: Iterable[int]) -> int:
    """Give the memory of processes that no file backs: resident less shared.

    Captured arrays are mapped from files and cost nothing here until they are written to. A page that a forked process
    still shares with its parent counts twice: see `exact_anonymous_bytes`.
    """
    total = 0
    for pid in pids:
        fields = (_read(f"/proc/{pid}/statm") or "0 0 0").split()
        total += max(0, int(fields[1]) - int(fields[2]))
    return total * _PAGE


def exact_anonymous_bytes(pids: Iterable[int]) -> int:
    """Give the same with each page counted once, for the price of a walk over the page tables."""
    total = 0
    for pid in pids:
        for line in (_read(f"/proc/{pid}/smaps_rollup") or "").splitlines():
            if line.startswith("Pss_Anon:"):
                total += int(line.split()[1]) * 1024
    return total


def writable_bytes() -> int:
    """Give what RLIMIT_DATA counts of this process: its private writable mappings, touched or not."""
    fields = (_read("/proc/self/statm") or "").split()
    return int(fields[5]) * _PAGE if len(fields) > 5 else 0


def kill(pid: int) -> None:
    """Send SIGKILL; a process that is gone is fine."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def kill_rest_of_group(leader: int) -> None:
    """Kill what is left of the group of a process that has just ended; nothing where its number is another's now."""
    limit = time.monotonic() + _LAST_BREATH_S
    while not _has_ended(leader):
        if time.monotonic() > limit:
            return
        time.sleep(0.001)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _has_ended(pid: int) -> bool:
    fields = (_read(f"/proc/{pid}/stat") or "").rpartition(")")[2].split()
    return not fields or fields[0] in "ZX"


def kill_descendants() -> None:
    """Kill all descendants of this process again and again until none is left, since they may fork meanwhile."""
    limit = time.monotonic() + END_S
    while has_children() and time.monotonic() < limit:
        for pid in descendants(os.getpid()):
            kill(pid)
        time.sleep(0.001)
