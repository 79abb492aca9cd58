"""A few threads that take turns among many transfers, one step of one in the hand of each.

A step may wait for a worker, and one that is frozen lets it wait long. Who is held up so says it, and another thread
stands in meanwhile: a few bad workers don't hold up the files of all others.
"""

from __future__ import annotations

import queue
import threading
import time
import traceback
from collections.abc import Iterator

Steps = Iterator[None]

THREADS = 4
#: So many may be held up at once and be stood in for; each has a piece of a file in memory.
MAX_HELD = 16


class Gone(Exception):
    """A transfer is over before its end: its worker is gone, or nobody waits for it any more."""


class Carriers:
    """Takes transfers as iterators, each step of which moves one piece. The first one starts the threads."""

    def __init__(self) -> None:
        self._ready: queue.SimpleQueue[Steps | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def take(self, steps: Steps) -> None:
        """Take on a transfer."""
        with self._lock:
            for _ in range(THREADS - len(self._threads)):
                self._start()
        self._ready.put(steps)

    def stand_in(self) -> bool:
        """Have another thread go on in place of the calling one; not if too many are held up. Then call `back`."""
        with self._lock:
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            if len(self._threads) >= THREADS + MAX_HELD:
                return False
            self._start()
            return True

    def back(self) -> None:
        """Let one thread go: the calling one can go on."""
        self._ready.put(None)

    def close(self, limit_s: float) -> None:
        """Have the threads end, and wait up to `limit_s` for that."""
        with self._lock:
            threads = list(self._threads)
        for _ in threads:
            self._ready.put(None)
        until = time.monotonic() + limit_s
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _start(self) -> None:
        thread = threading.Thread(target=self._carry, name="sweep carrier", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _carry(self) -> None:
        while (steps := self._ready.get()) is not None:
            try:
                next(steps)
            except (StopIteration, Gone):
                continue
            except Exception:  # one transfer's trouble; its worker gives up after a while
                traceback.print_exc()
            else:
                self._ready.put(steps)
