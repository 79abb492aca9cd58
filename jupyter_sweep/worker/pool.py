"""The slots of one worker process, and the outbox through which all they have to tell goes out.

Events that arise within 20 ms go out as one message: a batch of short trials would otherwise cost more in messages than
in work. The end of a batch goes out at once.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from .process import boot_data
from .supervisor import Event, Slot

COALESCE_S = 0.02
#: How long `close` waits for trials to be gone.
CLOSE_S = 5.0


class Outbox:
    """Collects events and sends them together, as the text of a JSON object `{"pid", "events"}`."""

    def __init__(self, send: Callable[[str], None]) -> None:
        self._send = send
        self._events: list[Event] = []
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._flush_now_and_then, name="sweep outbox", daemon=True)
        self._thread.start()

    def put(self, event: Event) -> None:
        with self._changed:
            self._events.append(event)
            if len(self._events) == 1:
                self._changed.notify()

    def flush(self) -> None:
        """Send what is there. Two callers never overtake each other."""
        with self._changed:
            events, self._events = self._events, []
            if events:
                self._send(json.dumps({"pid": os.getpid(), "events": events}))

    def close(self) -> None:
        self.flush()
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _flush_now_and_then(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._events or self._closed)
                if self._closed:
                    return
            time.sleep(COALESCE_S)
            self.flush()


class Pool:
    """All slots of one worker.

    Parameters
    ----------
    sources
        This package as source text, for the children.
    labels
        One name a slot, as users see it: "local/0".
    send
        Takes each message; called from any thread.
    """

    def __init__(self, sources: Mapping[str, str], labels: Sequence[str], send: Callable[[str], None]) -> None:
        boot = boot_data(sources)
        self._slots = [Slot(boot, label) for label in labels]
        self._free = list(self._slots)
        self._changed = threading.Condition()
        self._stops: dict[str, str] = {}
        self._outbox = Outbox(send)
        self._closed = False

    def run(self, batch: str) -> None:
        """Run a batch, the JSON text of a list of payloads, one after another in one slot; waits for a free one."""
        slot = self._take()
        try:
            for task in json.loads(batch):
                slot.run(task, self._outbox.put, self._stops)
                self._stops.pop(task["ticket"], None)
        finally:
            self._outbox.flush()
            with self._changed:
                self._free.append(slot)
                self._changed.notify_all()

    def _take(self) -> Slot:
        with self._changed:
            self._changed.wait_for(lambda: self._free)
            return self._free.pop()

    def stop(self, flags: Mapping[str, str]) -> None:
        """Have trials end: ticket -> state. One that is not here, or is over, is no mistake."""
        self._stops.update(flags)
        for slot in self._slots:
            slot.wake()

    def close(self) -> None:
        """End all trials and children; returns when they are gone, after at most five seconds."""
        for slot in self._slots:
            slot.close()
        with self._changed:
            self._changed.wait_for(lambda: len(self._free) == len(self._slots), CLOSE_S)
        self._outbox.close()
