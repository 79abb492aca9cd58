"""How far a sweep is, on stderr: one line written over in a terminal, a plain line now and then in a file.

While a sweep is followed Ctrl-C is counted and not raised: once starts no more trials, twice ends what runs, three
times gives up waiting. The sweep itself belongs to its driver and survives this process in any case.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from .. import interrupts
from ..handle import Handle
from . import look
from .borrowed import Borrowed

#: Seconds between two looks, between two drawings in a terminal, and between two lines in a file.
LOOK_S, DRAW_S, LINE_S = 0.05, 0.25, 5.0
FIRST, SECOND = "Interrupted: waiting for what runs. Interrupt again to end it now.", "Ending what runs."


@dataclass(frozen=True)
class Seen:
    """What the magics ask of a view afterwards."""

    interrupts: int
    wants_cell: bool = False


class Progress:
    """Follows sweeps one after another; `handles` are those that it followed, `interrupts` counts Ctrl-C."""

    def __init__(self, borrowed: Borrowed) -> None:
        self._borrowed = borrowed
        self.handles: list[Handle] = []
        self.interrupts = 0
        self._on_terminal = sys.stderr.isatty()
        self._written_at = 0.0
        self._last = ""

    def follow(self, handle: Handle, on_interrupt: Callable[[int], bool], each: Callable[[], str]) -> int:
        """Show the sweep until it has ended or `on_interrupt(1, 2, ...)` gives False; give how often it was called."""
        self.handles.append(handle)
        told, change = 0, 0
        with interrupts.counted() as seen:
            while True:
                if sentence := each():
                    self.say(sentence)
                snapshot = handle.snapshot(change)
                change = snapshot["change"]
                is_over = snapshot["sweep"]["state"] != "paused" and handle.ended
                self._draw(snapshot, last=is_over)
                while not is_over and len(seen) > told:
                    told += 1
                    self.interrupts += 1
                    is_over = not on_interrupt(told)
                if is_over:
                    break
                time.sleep(LOOK_S)
        self._wipe()
        return told

    def wait(self, handle: Handle) -> int:
        """Follow a sweep, and do on Ctrl-C what an interrupted cell does."""

        def interrupted(times: int) -> bool:
            if times == 1:
                self.say(FIRST)
                handle.interrupt()
            elif times == 2:
                self.say(SECOND)
                handle.kill()
            return times < 3

        return self.follow(handle, interrupted, handle.revive)

    def say(self, sentence: str) -> None:
        """Put a sentence on a line of its own."""
        self._wipe()
        print(sentence, file=sys.stderr, flush=True)

    def _draw(self, snapshot: dict[str, Any], *, last: bool) -> None:
        now = time.monotonic()
        if not last and now - self._written_at < (DRAW_S if self._on_terminal else LINE_S):
            return
        if self._on_terminal:
            sys.stderr.write(f"\r\x1b[2K{self._borrowed.line(snapshot, shutil.get_terminal_size().columns)}")
            sys.stderr.flush()
            self._written_at = now
            return
        line = self._borrowed.line(snapshot, 200)
        told = (snapshot["counts"], snapshot["sweep"]["state"], snapshot["sweep"]["name"])
        if last or repr(told) != self._last:
            print(line, file=sys.stderr, flush=True)
            self._written_at, self._last = now, repr(told)

    def _wipe(self) -> None:
        if self._on_terminal:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()


class ProgressView:
    """What `%%sweep` and `%sweep show` of a file's cells show themselves by; see `magics/view.py`."""

    def __init__(self, progress: Progress, borrowed: Borrowed) -> None:
        self._progress, self._borrowed = progress, borrowed

    def show(self, handle: Handle) -> None:
        print(look.block(handle.snapshot(), self._borrowed))

    def watch(self, handle: Handle, *, on_interrupt: Callable[[int], bool], each: Callable[[], str]) -> Awaitable[Seen]:
        async def follow() -> Seen:  # nothing else is on this loop: a cell that isn't awaited has one of its own
            times = self._progress.follow(handle, on_interrupt, each)
            self.show(handle)
            return Seen(times)

        return follow()
