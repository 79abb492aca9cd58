"""What every backend offers, and what they share."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator
from typing import Any, Protocol, runtime_checkable


class Backend(Protocol):
    """A cluster with a client of ours.

    `prefix` begins the labels of its slots, and its workers are named by the number of their first slot; where it is
    empty the labels begin with the host's name.
    """

    client: Any
    dashboard: str | None
    prefix: str

    def slots(self) -> int:
        """Count the slots that the cluster should have."""
        ...

    def scale(self, n: int) -> None: ...

    def is_whole(self) -> bool:
        """Tell whether all workers are there."""
        ...

    def heal(self) -> None:
        """Ask for the workers that are missing."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Elastic(Protocol):
    """What a backend offers beside, whose workers can be taken away one by one while others run trials.

    The executor (see `shrinking`) has Dask give a worker that is to go no new task, waits until it is idle, and only
    then asks for its removal. A backend without these keeps its workers when slots are taken away; the executor then
    uses no more of them than it should.
    """

    def capacity(self) -> int:
        """Count the slots of all workers that are there or on their way, of those that are to go, too."""
        ...

    def spare(self, busy: Collection[str]) -> list[str]:
        """Give the addresses of workers that are to go: those `busy` last. Each stays named until it is gone."""
        ...

    def remove(self, addresses: Collection[str]) -> None:
        """End idle workers for good. Returns at once."""
        ...


@runtime_checkable
class Demanding(Protocol):
    """What a backend offers beside, whose cluster grows and shrinks by itself with what there is to run."""

    def demand(self, n: int) -> None:
        """Take note that `n` batches run or could run now; called about once a second. Returns at once."""
        ...


@runtime_checkable
class Sharing(Protocol):
    """What a backend offers beside, that knows the devices of its workers before they start.

    On others each worker looks for itself.
    """

    #: What the workers share out among their slots, by name; those that are repeated, so often.
    devices: list[str]
    #: The devices, and why others are left out, for the header.
    devices_in_words: str


@runtime_checkable
class Queued(Protocol):
    """What a backend offers beside, whose workers come by way of a queue: Slurm, for one."""

    def jobs(self) -> dict[str, dict[str, str]]:
        """Give the jobs by the address of their worker, or by a name while they wait for it; from memory, at once.

        A row holds texts: `job` (its id), `job_state` (R, PD, ...), `reason` (why it waits), `node`.
        """
        ...

    def there(self) -> Collection[str]:
        """Give the addresses of the workers that are there now; from memory, at once."""
        ...

    def end_of(self, address: str) -> str:
        """Say which job a worker that is gone was in, and why the job ended as far as that is known; else ""."""
        ...

    def was_due(self, address: str) -> bool:
        """Tell whether it ended because its time was up."""
        ...


@runtime_checkable
class Mortal(Protocol):
    """What a backend offers beside, whose cluster can be gone for good while it is in use."""

    #: Why it is, in a sentence; empty while it is not.
    over: str


#: For every scheduler of ours. Of each task it would keep the pickled code, a thousand times 15 kB.
SHORT_LOGS = {"distributed.admin.low-level-log-length": 50}


def load_distributed() -> Any:
    """Import Dask's scheduler, client and workers: 0.75 s, so never before a cluster is wanted."""
    import distributed

    return distributed


def workers_of(scheduler: Any) -> dict[str, Any]:
    """Give the workers of a scheduler in this process by their addresses, as they are at one moment; on any thread.

    Its own way to go through them is Python code, in the midst of which the scheduler's thread may take one away.
    """
    return dict(dict.items(scheduler.workers))


@contextlib.contextmanager
def environment_kept() -> Iterator[None]:
    """Undo what starting a cluster leaves in the environment, for processes that are started later."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
