"""What every backend offers, and what they share."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any, Protocol


class Backend(Protocol):
    """A cluster with a client of ours. `prefix` begins the labels of its slots; empty for their host's name."""

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


def load_distributed() -> Any:
    """Import Dask's scheduler, client and workers: 0.75 s, so never before a cluster is wanted."""
    import distributed

    return distributed


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
