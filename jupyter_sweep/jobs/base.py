"""What a sweep runs: `JobRef` names it, `Resources` says what one trial needs.

A job lies in the store's folder as two files (and one file a large buffer), written once and named by content:

    .data/job-<digest>.json   how to run it: kind, source, sites, modules, buffers; readable without running anything
    .data/job-<digest>.pkl    the captured namespace, a pickle made by the user's own kernel, read only by trials
    .data/<digest>.bin        one large buffer (numpy, pandas, any pickle-5 buffer), memory-mapped copy-on-write

`worker.py` documents the keys of the JSON file, because it alone runs them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Resources:
    """What one trial needs.

    Parameters
    ----------
    cpus
        Cores; the threads of numerical libraries are limited to it.
    gpus
        Devices of its own, or the part of one that it shares; 0 leaves the environment as it is.
    memory_gb
        Its limit, in GB of 2**30 bytes.
    devices
        The devices to use, by number or name; a repeated one is shared. Empty for those that are found.
    isolation
        "warm", "fork", "fresh" or "inline" (see `worker/supervisor.py`); empty for what suits the devices.
    """

    cpus: float = 1
    gpus: float = 0
    memory_gb: float | None = None
    devices: tuple[str, ...] = ()
    isolation: str = ""

    @property
    def runs_in(self) -> str:
        """The isolation: where nobody says, a process of its own with devices, whose memory then surely comes back."""
        return self.isolation or ("fresh" if self.gpus else "warm")


@dataclass(frozen=True)
class Captured:
    """One captured name for the header: its kind in a word, its size, its digest."""

    name: str
    kind: str
    nbytes: int
    digest: str


@dataclass(frozen=True)
class JobRef:
    """A job as the definition of a sweep holds it.

    Parameters
    ----------
    kind
        "cell" or "function".
    fingerprint
        Identity of code and captured data, 32 hex digits: another fingerprint is another version of the sweep.
    file
        Name of the job's JSON file under the store's `.data` folder.
    source
        The body as the user wrote it, for display, best-config cell, replay and the code diff.
    captures
        What was captured, as ``{"name", "kind", "nbytes", "digest"}``.
    warnings
        Sentences for the header, such as a module whose file differs from the loaded one.
    """

    kind: str
    fingerprint: str
    file: str
    source: str = ""
    captures: tuple[dict[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()


class Job(Protocol):
    """A job in the kernel, before it is written: every job kind implements this."""

    @property
    def kind(self) -> str:
        """Give "cell" or "function"."""
        ...

    @property
    def source(self) -> str:
        """Give the text as the user wrote it."""
        ...

    @property
    def fingerprint(self) -> str:
        """Identity of code and captured data; the same after a change of comments, spacing or ranges."""
        ...

    def write(self, folder: str) -> JobRef:
        """Write the job's files under `folder` (idempotent: content-addressed names) and give the reference."""
        ...
