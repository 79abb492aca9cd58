"""What a worker process tells the driver about trials that came from elsewhere, and the files on their way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from .parcels import Parcels

Event = dict[str, Any]
Task = Mapping[str, Any]
Emit = Callable[[Event], None]


class Line:
    """The worker's end of it.

    Parameters
    ----------
    put, flush
        Take an event; send those that were taken now.
    """

    def __init__(self, put: Emit, flush: Callable[[], None]) -> None:
        self.put, self._flush = put, flush
        self.parcels = Parcels()
        #: Set when the worker ends: nothing is waited for any more.
        self.closed = threading.Event()

    def tell(self, task: Task, kind: str, **fields: Any) -> None:
        """Send an event of a trial now."""
        self.put({"kind": kind, "trial_id": task["trial_id"], "ticket": task["ticket"], "at": time.time(), **fields})
        self._flush()
