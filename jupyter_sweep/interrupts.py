"""What Ctrl-C does while somebody waits for a sweep: it is counted, and raised only where that is wanted."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def counted(wake: Callable[[], None] = lambda: None) -> Iterator[list[float]]:
    """Give a list that grows by the time of each interrupt, instead of the exception; `wake` is then called.

    Without it ipykernel cancels a coroutine once and ignores a second interrupt, and a terminal leaves it hanging. And
    while asyncio builds or drops a loop Python may be in a finalizer, where an exception is printed and forgotten.
    """
    seen: list[float] = []

    def note(_signal: int, _frame: FrameType | None) -> None:
        seen.append(time.time())
        wake()

    with _handled_by(note):
        yield seen


@contextmanager
def raised() -> Iterator[None]:
    """Let an interrupt raise KeyboardInterrupt in the block, also in an awaited cell: for trials in this process."""
    with _handled_by(signal.default_int_handler):
        yield


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    """Have interrupts go to `handler` for the block. Only the main thread receives any."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
