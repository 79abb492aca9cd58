"""Trials on a Dask cluster: one thin task a batch, everything that happens told by events.

Dask gives workers, restarts them and says when one died. Nothing of a trial's result travels through Dask's own
results: events go from the worker's outbox to a topic that this client subscribes to (about 2 ms), stop flags the other
way by a call on the worker (about 3 ms). Events of a batch arrive before the end of its task, since both use one
stream; so a task that ended without the end of one of its trials lost it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import queue
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import clusters, remote
from .base import Event, Finished, Lost, Started, Task, event_from

#: How long the events of a task that ended may take: it ended in order, or with its worker.
_GRACE_S = {"finished": 2.0, "error": 0.3}
#: A cluster that has fewer workers than it should for so long is asked for them again.
_HEAL_AFTER_S = 20.0
_TURN_S = 1.0
_CLOSE_S = 10.0


@dataclass
class _Batch:
    """One task of Dask's. `began` once any of its trials was seen to start."""

    tickets: list[str]
    future: Any = None
    began: bool = False


@dataclass
class _Flight:
    """One trial on its way; `worker` and `address` once it was seen to start."""

    trial_id: int
    batch: _Batch
    worker: str = ""
    address: str = ""


@dataclass
class _Due:
    """A batch whose trials are lost unless their end is told by then."""

    at: float
    batch: _Batch
    why: str


class DaskExecutor:
    """Runs trials on the cluster that `word` names: "local", "tcp://host:port", a profile with its `options`.

    Every submission of a trial has a ticket of its own, which its events and its stop flag carry, so that what is late
    is never taken for the next attempt.
    """

    def __init__(
        self, word: str = "local", *, slots: int | None = None, options: Mapping[str, Any] | None = None
    ) -> None:
        self.name = word
        self._topic = f"sweep-{uuid.uuid4().hex[:12]}"
        self._numbers = itertools.count()
        self._queue: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._flights: dict[str, _Flight] = {}
        self._tickets: dict[int, str] = {}
        self._pids: dict[str, int] = {}
        self._due: list[_Due] = []
        self._over = False
        self._wake = threading.Event()
        self._backend = clusters.start(clusters.parse(word, options), slots)
        self.slots = self._backend.slots()
        self.dashboard = self._backend.dashboard
        self._client = self._backend.client
        try:
            self._prepare()
        except BaseException:
            self._backend.close()
            raise

    def _prepare(self) -> None:
        self._remote = remote.make(self._topic, self._backend.prefix)
        comm: Any = getattr(self._client, "scheduler_comm", None)
        if hasattr(comm, "interval"):  # its 10 ms between sends are for bulk; a loop that feeds trial by trial waits
            comm.interval = 0.001
        self._client.subscribe_topic(self._topic, self._on_message)
        self._client.register_plugin(self._remote.plugin, name=self._topic)
        for found in self._client.run(self._remote.describe, self._topic).values():
            self._pids.update(dict.fromkeys(found["labels"], found["pid"]))
        self._thread = threading.Thread(target=self._look_after, name="sweep executor", daemon=True)
        self._thread.start()

    # -- what the caller asks -----------------------------------------------------------------------------------------

    def submit(self, batch: Sequence[Task]) -> None:
        """Queue trials that run one after another in one slot."""
        number = next(self._numbers)
        tickets = [f"{number}.{i}" for i in range(len(batch))]
        payload = json.dumps([{**task.payload, "ticket": t} for task, t in zip(batch, tickets, strict=True)])
        sent = _Batch(tickets)
        with self._lock:
            for task, ticket in zip(batch, tickets, strict=True):
                self._flights[ticket] = _Flight(task.trial_id, sent)
                self._tickets[task.trial_id] = ticket
        run, key = self._remote.run_batch, f"{self._topic}-{number}"
        try:
            sent.future = self._client.submit(run, self._topic, payload, key=key, pure=False, retries=0)
        except BaseException:
            with self._lock:
                for ticket in tickets:
                    self._forget(ticket)
            raise
        sent.future.add_done_callback(lambda future: self._on_task_end(sent, future))

    def events(self, timeout_s: float) -> list[Event]:
        """Give all events that are there, waiting up to `timeout_s` for the first."""
        found: list[Event] = []
        try:
            found.append(self._queue.get(timeout=timeout_s) if timeout_s > 0 else self._queue.get_nowait())
            while True:
                found.append(self._queue.get_nowait())
        except queue.Empty:
            return found

    def stop(self, trial_id: int, why: str) -> None:
        """Have a trial end as `why`. One that was not seen to start ends at once, here; its worker will skip it."""
        with self._lock:
            ticket = self._tickets.get(trial_id)
            if ticket is None:
                return
            flight = self._flights[ticket]
            if not flight.worker:
                self._forget(ticket)
                self._queue.put(Finished(trial_id, why, at=time.time()))
            nothing_left = not flight.batch.began and not any(t in self._flights for t in flight.batch.tickets)
        self._client.loop.add_callback(self._send_stop, {ticket: why}, [flight.address] if flight.worker else None)
        if nothing_left and flight.batch.future is not None:
            self._client.loop.add_callback(self._cancel, flight.batch.future)

    def scale(self, n: int) -> None:
        """Change the number of slots."""
        self._backend.scale(n)
        self.slots = n

    def workers(self) -> list[dict[str, Any]]:
        """Give one row a slot that has been heard of: its label, the pid of its worker process, its trials."""
        with self._lock:
            running: dict[str, list[int]] = {label: [] for label in self._pids}
            for flight in self._flights.values():
                if flight.worker:
                    running.setdefault(flight.worker, []).append(flight.trial_id)
            return [{"worker": w, "pid": self._pids.get(w), "trials": t} for w, t in sorted(running.items())]

    def close(self) -> None:
        """End everything, running trials too; may be called twice."""
        if self._over:
            return
        self._over = True
        self._wake.set()
        with self._lock:
            self._flights.clear()
            self._tickets.clear()
        self._end_trials()
        self._backend.close()
        self._thread.join(_TURN_S)

    def _end_trials(self) -> None:
        """End the children first: a worker that waits for a trial would hold the end of the cluster up.

        Where that fails, because the cluster is gone or hangs, their guards end them with the workers.
        """
        with contextlib.suppress(Exception):
            self._client.unsubscribe_topic(self._topic)
            self._client.sync(self._client.unregister_worker_plugin, self._topic, callback_timeout=_CLOSE_S)

    async def _cancel(self, future: Any) -> None:
        await self._client.cancel([future])

    async def _send_stop(self, flags: dict[str, str], workers: list[str] | None) -> None:
        await self._client.run(self._remote.stop, self._topic, flags, workers=workers, on_error="ignore")

    # -- what comes back ----------------------------------------------------------------------------------------------

    def _on_message(self, message: tuple[float, tuple[str, str]]) -> None:
        address, text = message[1]
        data = json.loads(text)
        with self._lock:
            for event in data["events"]:
                self._on_event(event, address, data["pid"])

    def _on_event(self, data: dict[str, Any], address: str, pid: int) -> None:
        flight = self._flights.get(data["ticket"])
        if flight is None:  # ended here already
            return
        event = event_from(data)
        if isinstance(event, Started):
            flight.batch.began = True
            flight.worker, flight.address = event.worker, address
            self._pids[event.worker] = pid
        elif isinstance(event, Finished):
            self._forget(data["ticket"])
        self._queue.put(event)

    def _forget(self, ticket: str) -> None:
        flight = self._flights.pop(ticket)
        if self._tickets.get(flight.trial_id) == ticket:
            del self._tickets[flight.trial_id]

    def _on_task_end(self, batch: _Batch, future: Any) -> None:
        """Note that a task ended: what has not told its end by then, or soon after, is lost."""
        why, at = _why(future), time.monotonic() + _GRACE_S.get(future.status, 0.3)
        batch.future = None
        with self._lock:
            if any(ticket in self._flights for ticket in batch.tickets):
                self._due.append(_Due(at, batch, why))
        self._wake.set()

    # -- what nobody asks for -----------------------------------------------------------------------------------------

    def _look_after(self) -> None:
        """Declare what is lost, and heal the cluster, until the executor is closed."""
        whole_at = time.monotonic()
        while not self._over:
            self._wake.wait(self._pause_s())
            self._wake.clear()
            self._declare_lost()
            now = time.monotonic()
            if self._over or self._backend.is_whole():
                whole_at = now
            elif now - whole_at > _HEAL_AFTER_S:
                whole_at = now
                self._backend.heal()

    def _pause_s(self) -> float:
        with self._lock:
            soonest = min((item.at for item in self._due), default=float("inf"))
        return max(0.0, min(_TURN_S, soonest - time.monotonic()))

    def _declare_lost(self) -> None:
        now = time.monotonic()
        with self._lock:
            due = [item for item in self._due if item.at <= now]
            self._due = [item for item in self._due if item.at > now]
            for item in due:
                for ticket in item.batch.tickets:
                    if ticket in self._flights:
                        flight = self._flights[ticket]
                        self._forget(ticket)
                        self._queue.put(Lost(flight.trial_id, item.why, time.time()))


def _why(future: Any) -> str:
    """Say in a sentence why a task that ended left trials without an end. Asks Dask's loop: not under our lock."""
    error = future.exception() if future.status == "error" else None
    if type(error).__name__ == "KilledWorker":
        return "the worker process died"
    return f"{type(error).__name__}: {error}" if error is not None else f"its task is {future.status} without its end"
