"""Notices what changed in the stores and tells it: to the server's event bus and to streams of server-sent events.

Stores are asked, not watched: file events come late or not at all on network disks, and a question costs 10 us as long
as nothing moves. It begins with the first question to the API and ends some time after the last, so that a server whose
user has no sweeps does nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from ..errors import StoreError
from ..store import overview
from .desk import Desk
from .listing import Scans
from .refused import Refused

#: Seconds between two looks: while something changes, and at rest.
FAST_S, SLOW_S = 0.3, 2.0
#: How long it goes on after the last question.
WATCH_S = 900.0
#: Streams at once, events that wait in one, seconds between signs of life.
STREAMS, QUEUE, ALIVE_S = 32, 256, 15.0

Event = dict[str, Any]


@dataclass
class _Known:
    """What was seen of a store last."""

    clock: int = -1
    sweeps: dict[int, tuple[int, Event]] = field(default_factory=dict)


class Stream:
    """The events for one page, from now on; None now and then as a sign of life."""

    def __init__(self, for_s: float, on_close: Callable[[Stream], None]) -> None:
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue(QUEUE)
        self._until = time.monotonic() + for_s
        self._on_close = on_close
        self._closed = False

    def put(self, event: Event | None) -> None:
        """Add an event. A page that doesn't read gets no more: it will ask again."""
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            self.close()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._on_close(self)
            with contextlib.suppress(asyncio.QueueFull):
                self._queue.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[Event | None]:
        while not self._closed:
            left = self._until - time.monotonic()
            if left <= 0:
                return
            try:
                event = await asyncio.wait_for(self._queue.get(), min(left, ALIVE_S))
            except asyncio.TimeoutError:
                event = None
            if not self._closed and (event is not None or time.monotonic() < self._until):
                yield event


class Changes:
    """Looks for changes and passes them on. Everything but the look itself is done on the server's loop.

    Parameters
    ----------
    emit
        Passes an event to the server's event bus.
    warn
        Takes a sentence for the server's log.
    """

    def __init__(self, desk: Desk, scans: Scans, emit: Callable[[Event], None], warn: Callable[[str], None]) -> None:
        self._desk, self._scans, self._emit, self._warn = desk, scans, emit, warn
        self._known: dict[str, _Known] = {}
        self._streams: set[Stream] = set()
        self._task: asyncio.Task[None] | None = None
        self._until = 0.0

    def watch(self) -> None:
        """Look for changes from now on, for WATCH_S seconds at least."""
        self._until = time.monotonic() + WATCH_S
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    def stream(self, for_s: float) -> Stream:
        """Give a stream of the events to come.

        Raises
        ------
        Refused
            429 when there are too many.
        """
        if len(self._streams) >= STREAMS:
            raise Refused(429, f"{STREAMS} pages listen already; close one.")
        stream = Stream(for_s, self._streams.discard)
        self._streams.add(stream)
        self.watch()
        return stream

    async def close(self) -> None:
        """Stop looking and end all streams."""
        for stream in list(self._streams):
            stream.close()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        pause = FAST_S
        is_first = not self._known
        while self._streams or time.monotonic() < self._until:
            try:
                events = await self._desk.answer(self._look)
            except Refused:  # too many wait: later
                events = []
            except Exception as error:  # it goes on: one bad look must not end them all
                self._warn(f"jupyter_sweep: looking for changes failed: {type(error).__name__}: {error}")
                events = []
            for event in [] if is_first else events:
                self._emit(event)
                for stream in list(self._streams):
                    stream.put(event)
            is_first = False
            pause = FAST_S if events else min(SLOW_S, pause * 1.3)
            await asyncio.sleep(pause)

    def _look(self) -> list[Event]:
        """Give what changed since the last look; blocks."""
        paths = self._scans.get(self._desk).stores
        events = [event for path in paths for event in self._look_at(path)]
        for path in set(self._known) - set(paths):
            events += [_dropped(event) for _, event in self._known.pop(path).sweeps.values()]
        return events

    def _look_at(self, path: str) -> list[Event]:
        known = self._known.setdefault(path, _Known())
        try:
            store = self._desk.open(path)
            clock = store.change()
            if known.clock == clock:
                return []
            changes = overview.changes(store)
            events = []
            for sweep_id, change in changes.items():
                if known.sweeps.get(sweep_id, (-1, {}))[0] != change:
                    event = {"store": path, **overview.about(store, sweep_id), "change": change}
                    known.sweeps[sweep_id] = change, event
                    events.append(event)
            gone = set(known.sweeps) - set(changes)
            events += [_dropped(known.sweeps.pop(sweep_id)[1]) for sweep_id in gone]
        except (Refused, StoreError):  # gone, or not to be read now: the list says why
            return []
        known.clock = clock
        return events


def _dropped(event: Event) -> Event:
    return {**event, "state": "dropped"}
