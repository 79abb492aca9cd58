"""The slots of one worker process, and the outbox through which all they have to tell goes out.

Events that arise within 20 ms go out as one message: a batch of short trials would otherwise cost more in messages than
in work. The end of a batch goes out at once.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from .outpost import Outpost
from .process import boot_data
from .supervisor import Event, Slot

COALESCE_S = 0.02
#: How long what a batch has to tell stands back, so that the next one, which waits for its slot, is on its way first.
HEAD_START_S = 0.0002
#: How long `close` waits for trials to be gone.
CLOSE_S = 5.0
#: Trials that are remembered to have begun: many more than begin while word of it is on its way.
KNOWN_BEGUN = 4096


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
    devices
        The GPUs of each slot, in the order of `labels`; empty where trials have none.
    """

    def __init__(
        self,
        sources: Mapping[str, str],
        labels: Sequence[str],
        send: Callable[[str], None],
        devices: Sequence[Sequence[str]] = (),
    ) -> None:
        boot = boot_data(sources)
        self._slots = [Slot(boot, label, own) for label, own in zip(labels, devices or [()] * len(labels), strict=True)]
        self._free = list(self._slots)
        self._waiting = 0
        self._changed = threading.Condition()
        self._stops: dict[str, str] = {}
        self._begun: dict[str, None] = {}
        self._recalled: set[str] = set()
        self._outbox = Outbox(send)
        self._outpost = Outpost(self._outbox.put, self._outbox.flush)
        #: What the driver sends to, and fetches from, a host that shares no disk with it.
        self.parcels = self._outpost.parcels

    def run(self, batch: str) -> None:
        """Run a batch, the JSON text of a list of payloads, one after another in one slot; waits for a free one."""
        tasks = json.loads(batch)
        slot = self._take({label for task in tasks for label in task.get("avoid", ())})
        try:
            for task in tasks:
                ticket = task["ticket"]
                self._run(slot, task, self._stops if self._begin(ticket) else {ticket: "cancelled"})
                self._stops.pop(ticket, None)
        finally:
            if self._pass_on(slot):
                time.sleep(HEAD_START_S)
            self._outbox.flush()

    def _pass_on(self, slot: Slot) -> bool:
        """Free a slot; tell whether a batch waits for one."""
        with self._changed:
            self._free.append(slot)
            self._changed.notify_all()
            return self._waiting > 0

    def _run(self, slot: Slot, task: Mapping[str, Any], stops: Mapping[str, str]) -> None:
        visit = self._outpost.receive(task, lambda: stops.get(task["ticket"]))
        if visit is not None:
            slot.run(visit.task, visit.emit, stops)
            visit.end()

    def _begin(self, ticket: str) -> bool:
        """Tell whether a trial may begin; from then on it can't be recalled."""
        with self._changed:
            if ticket in self._recalled:
                self._recalled.discard(ticket)
                return False
            self._begun[ticket] = None
            if len(self._begun) > KNOWN_BEGUN:
                del self._begun[next(iter(self._begun))]
            return True

    def _take(self, avoid: Collection[str]) -> Slot:
        if not self._slots:
            raise RuntimeError("this worker has no device for a trial")
        with self._changed:
            self._waiting += 1
            self._changed.wait_for(lambda: self._free)
            self._waiting -= 1
            slot = min(reversed(self._free), key=lambda slot: (slot.label in avoid, self._crowd(slot)))
            self._free.remove(slot)
            return slot

    def _crowd(self, slot: Slot) -> int:
        """Count the trials that run on a slot's devices."""
        return sum(not {*slot.devices}.isdisjoint(other.devices) for other in self._slots if other not in self._free)

    def stop(self, flags: Mapping[str, str]) -> None:
        """Have trials end: ticket -> state. One that is not here, or is over, is no mistake."""
        self._stops.update(flags)
        for slot in self._slots:
            slot.wake()

    def recall(self, tickets: Sequence[str]) -> list[str]:
        """Have trials not begin: each that comes here later ends as cancelled. Give those that have begun already."""
        with self._changed:
            begun = [ticket for ticket in tickets if ticket in self._begun]
            self._recalled.update(set(tickets).difference(begun))
            return begun

    def usage(self) -> list[dict[str, object]]:
        """Give one row a slot: its `label`, and of the trial that it runs `ticket`, `memory` and `peak` in bytes."""
        return [{"label": slot.label, **slot.usage()} for slot in self._slots]

    def close(self) -> None:
        """End all trials and children; returns when they are gone, after at most five seconds."""
        for slot in self._slots:
            slot.close()
        self._outpost.give_up()
        with self._changed:
            self._changed.wait_for(lambda: len(self._free) == len(self._slots), CLOSE_S)
        self._outpost.close()
        self._outbox.close()
