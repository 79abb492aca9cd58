"""The copies that a host keeps: what a job needs of them, and how those go that nobody uses (see `scratch`)."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

from .locks import hidden, holding, locked

#: Left free on the disk.
RESERVE = 64 << 20


def references(job_path: str) -> list[tuple[str, int | None]]:
    """Give the names of the files that a job needs beside its own, with their size where the job says it."""
    with open(job_path, encoding="utf-8") as file:
        job = json.load(file)
    named = [(job["namespace"], None)] if job.get("namespace") else []
    return [*named, *((name, size) for name, size in job.get("buffers", []))]


def free(folder: str) -> int:
    """Give the bytes that may still be written."""
    return shutil.disk_usage(folder).free - RESERVE


def shrink(folder: str, needed: int) -> None:
    """Remove of all stores what nobody uses, oldest first, until `needed` bytes are free.

    What trials wrote into their working directory stays: it could be a running one's.
    """
    found = [item for store in entries(folder) for item in _removable(store.path)]
    for _, remove_it in sorted(found, key=lambda item: item[0]):
        if free(folder) >= needed:
            return
        with contextlib.suppress(FileNotFoundError):  # another process removes, too
            remove_it()


def remove_store(path: str) -> None:
    """Remove all that is kept of a store, unless a process holds it."""
    use = hidden(path, "use")
    last = locked(use)
    if last is not None:
        remove(path)
        remove(hidden(path, "janitor"))
        os.unlink(use)
        os.close(last)


def _removable(store: str) -> Iterator[tuple[float, Callable[[], None]]]:
    """Give when each job and each result of a stage was used last, and what removes it."""
    for entry in entries(os.path.join(store, "data")):
        if entry.name.startswith("job-") and entry.name.endswith(".json"):
            yield entry.stat().st_mtime, functools.partial(_remove_job, entry.path)
    yield from _by_last_use(os.path.join(store, "stages"))


def _by_last_use(folder: str) -> Iterator[tuple[float, Callable[[], None]]]:
    for entry in entries(folder):
        status = entry.stat(follow_symlinks=False)
        yield max(status.st_mtime, status.st_atime), functools.partial(remove, entry.path)


def _remove_job(path: str) -> None:
    """Remove a job that nobody uses, and the files that no other job names."""
    use = locked(hidden(path, "use"))
    if use is None:
        return
    data = os.path.dirname(path)
    try:
        with holding(os.path.join(data, ".check")):
            os.unlink(path)
            os.unlink(hidden(path, "use"))
            _sweep(data)
    finally:
        os.close(use)


def _sweep(data: str) -> None:
    names = {entry.name for entry in entries(data) if not entry.name.startswith(".")}
    jobs = {name for name in names if name.startswith("job-") and name.endswith(".json")}
    needed = {name for job in jobs for name, _ in references(os.path.join(data, job))}
    for name in names - jobs - needed:
        path = os.path.join(data, name)
        fetching = locked(hidden(path, "lock"))
        if fetching is not None:
            remove(path)
            remove(hidden(path, "part"))
            os.unlink(hidden(path, "lock"))
            os.close(fetching)


def remove_trials(folder: str) -> None:
    """Remove the trials of worker processes that are gone."""
    for entry in entries(folder):
        if entry.name.startswith("."):
            continue
        gone = locked(hidden(entry.path, "use"))
        if gone is not None:
            remove(entry.path)
            os.unlink(hidden(entry.path, "use"))
            os.close(gone)


def remove(path: str) -> None:
    """Remove a file or a folder that may be gone already."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def entries(folder: str) -> list[os.DirEntry[Any]]:
    """Give what lies in a folder that need not be there."""
    try:
        with os.scandir(folder) as found:
            return list(found)
    except (FileNotFoundError, NotADirectoryError):
        return []
