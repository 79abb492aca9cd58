"""Trials on a Dask cluster: one thin task a batch, everything that happens told by events.

Dask gives workers, restarts them and says when one died. Nothing of a trial's result travels through Dask's own
results: events go from the worker's outbox to a topic that this client subscribes to (about 2 ms), stop flags the other
way by a call on the worker (about 3 ms). Events of a batch arrive before the end of its task, since both use one
stream; so a task that ended without the end of one of its trials lost it.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import queue
import threading
import time
import traceback
import uuid
from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ..errors import SweepError
from . import clusters, remote
from .backends.base import Demanding, Mortal, Queued
from .base import Event, Finished, Lost, Reported, SchedulerGone, Started, Task, event_from
from .doubts import DIED, Doubts, why_ended
from .elsewhere import Choice, choose
from .ferry import Ferry
from .flights import Batch, Due, Flight
from .lastwords import LastWords
from .roster import Busy, Roster
from .shares import Shares
from .shrinking import Shrinker

#: How long the events of a task that ended may take: it ended in order, or with its worker.
_GRACE_S = {"finished": 2.0, "error": 0.3}
#: A cluster that has fewer workers than it should for so long is asked for them again.
_HEAL_AFTER_S = 20.0
_TURN_S = 1.0
_CLOSE_S = 10.0
#: Kinds of places that are this machine, whose disk is the store's.
_HERE = ("local", "threads")


class DaskExecutor:
    """Runs trials on the cluster that `word` names: "local", "tcp://host:port", a profile with its `options`.

    Every submission of a trial has a ticket of its own, which its events and its stop flag carry, so that what is late
    is never taken for the next attempt.
    """

    def __init__(
        self, word: str = "local", *, slots: int | None = None, options: Mapping[str, Any] | None = None
    ) -> None:
        self._topic = f"sweep-{uuid.uuid4().hex[:12]}"
        self._numbers = itertools.count()
        # No SimpleQueue: its `get` waits for ever where a signal comes and its time is up meanwhile (CPython 3.11).
        self._queue: queue.Queue[Event] = queue.Queue()
        self._lock = threading.Lock()
        self._flights: dict[str, Flight] = {}
        self._tickets: dict[int, str] = {}
        self._due: list[Due] = []
        self._held: deque[Batch] = deque()
        self._sent: dict[str, str] = {}  # key -> address of the worker whose devices it is meant for, or ""
        self._over = False
        self._wake = threading.Event()
        where = clusters.parse(word, options)
        self._ferry = None if where.kind in _HERE else Ferry(self._call_worker, self._land)
        self._last_words = LastWords(self._topic, here=self._ferry is None)
        self._backend = clusters.start(where, slots)
        self._shares = Shares(word, where.share, self._backend)
        self.name = self._shares.in_words
        self.slots = self._backend.slots()
        self.dashboard = self._backend.dashboard
        self._client = self._backend.client
        self._doubts = Doubts(self._backend)
        self._shrinker = Shrinker(self._client, self._backend, self.slots)
        self._limit = self._shrinker.limit(self.slots)
        try:
            self._prepare()
        except BaseException:
            self._backend.close()
            raise

    def _prepare(self) -> None:
        self._remote = remote.make(self._topic, self._backend.prefix, self._shares.share, self._shares.devices)
        comm: Any = getattr(self._client, "scheduler_comm", None)
        self._comm = comm
        if hasattr(comm, "interval"):  # its 10 ms between sends are for bulk; a loop that feeds trial by trial waits
            comm.interval = 0.001
        self._client.subscribe_topic(self._topic, self._on_message)
        if self._ferry is not None:  # before there is anything to end: we may be killed at any moment
            self._client.register_plugin(remote.end_with(self._topic, self._client.id), name=self._topic)
        self._client.register_plugin(self._remote.plugin, name=self._topic)
        self._roster = Roster(self._client, self._ask_workers, self._backend)
        self._roster.ask()
        self._shares.require()
        self.slots = self._shares.slots(self.slots)
        self._whole_at = time.monotonic()
        self._thread = threading.Thread(target=self._look_after, name="sweep executor", daemon=True)
        self._thread.start()

    # -- what the caller asks -----------------------------------------------------------------------------------------

    def submit(self, batch: Sequence[Task]) -> None:
        """Queue trials that run one after another in one slot."""
        if isinstance(self._backend, Mortal) and self._backend.over:
            raise SweepError(self._backend.over)
        self._require_scheduler()
        number = next(self._numbers)
        tickets = [f"{number}.{i}" for i in range(len(batch))]
        payload = json.dumps([self._payload(task, ticket) for task, ticket in zip(batch, tickets, strict=True)])
        avoid = frozenset(label for task in batch for label in task.payload.get("avoid", ()))
        new = Batch(f"{self._topic}-{number}", payload, tickets, avoid)
        with self._lock:
            for task, ticket in zip(batch, tickets, strict=True):
                self._flights[ticket] = Flight(task.trial_id, new)
                self._tickets[task.trial_id] = ticket
            self._held.append(new)
        try:
            self._send_held()
        except BaseException:
            with self._lock:
                for ticket in tickets:
                    self._forget(ticket)
            raise
        if isinstance(self._backend, Demanding):
            self._wake.set()

    def _payload(self, task: Task, ticket: str) -> dict[str, Any]:
        away = {} if self._ferry is None else {"away": self._ferry.depart(task, ticket)}
        return {**task.payload, "ticket": ticket, **self._last_words.ask(task, ticket), **away}

    def _send_held(self) -> None:
        """Hand Dask the batches that it may have."""
        while True:
            with self._lock:
                while self._held and not any(ticket in self._flights for ticket in self._held[0].tickets):
                    self._held.popleft()
                if not self._held or len(self._sent) >= self._limit:
                    return
                seats = self._roster.seats(self._shrinker.leaving) if self._shares.are_placed else []
                worker = self._shares.place(seats, self._sent.values(), self._held[0].avoid)
                if worker is None:
                    return
                batch = self._held.popleft()
                self._sent[batch.key] = worker
            where: dict[str, Any] = {"workers": [worker], "allow_other_workers": False} if worker else {}
            workers = self._choose(batch.avoid, but=batch.key).workers if batch.avoid and not worker else []
            if workers:  # Dask refuses an empty list, which there is when all workers are gone
                where = {"workers": workers, "allow_other_workers": True}
            run, payload = self._remote.run_batch, batch.payload
            future = self._client.submit(run, self._topic, payload, key=batch.key, pure=False, retries=0, **where)
            batch.future, batch.sent_at = future, time.monotonic()
            future.add_done_callback(functools.partial(self._on_task_end, batch))

    def reaches_beyond(self, workers: Sequence[str]) -> bool:
        """Tell whether a trial that avoids these workers would get elsewhere now, or never."""
        return self._choose(workers).reached

    def _choose(self, avoid: Collection[str], but: str = "") -> Choice:
        """Say where a task with the key `but` may go."""
        with self._lock:
            flights = [flight for flight in self._flights.values() if flight.batch.key != but]
        running = Counter(flight.address for flight in flights if flight.address)
        out = len({flight.batch.key for flight in flights})
        return choose(self._roster.seats(self._shrinker.leaving), avoid, running, out)

    def events(self, timeout_s: float) -> list[Event]:
        """Give all events that are there, waiting up to `timeout_s` for the first."""
        found: list[Event] = []
        if self._queue.empty():  # what was heard before is told first
            self._require_scheduler()
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
            flight.stopped = True
            if not flight.worker:
                self._forget(ticket)
                self._queue.put(Finished(trial_id, why, at=time.time()))
            idle = self._idle([flight.batch])
        self._client.loop.add_callback(self._send_stop, {ticket: why}, [flight.address] if flight.worker else None)
        self._client.loop.add_callback(self._cancel, idle)

    def recall(self, trial_ids: Iterable[int]) -> None:
        """Have trials come back that have not begun, as cancelled; those that have go on."""
        with self._lock:
            tickets = [t for i in trial_ids if (t := self._tickets.get(i)) and not self._flights[t].worker]
            held = {ticket for batch in self._held for ticket in batch.tickets}
            for ticket in held.intersection(tickets):
                self._give_back(ticket)
        self._recall_from_workers([ticket for ticket in tickets if ticket not in held])

    def _recall_from_workers(self, tickets: list[str]) -> None:
        if tickets:
            self._client.loop.add_callback(self._ask_back, tickets)

    async def _ask_back(self, tickets: list[str]) -> None:
        """Ask every worker not to begin trials, and give back those that none has begun.

        Where a worker doesn't answer nobody knows; then those that reach one come back from there.
        """
        call = self._client.run(self._remote.recall, self._topic, tickets, on_error="return")
        answers: list[Any] = list((await call).values())
        if not all(isinstance(answer, list) for answer in answers):
            return
        begun = {ticket for answer in answers for ticket in answer}
        with self._lock:
            back = [t for t in tickets if t not in begun and t in self._flights and not self._flights[t].worker]
            batches = self._batches_of(back)
            for ticket in back:
                self._give_back(ticket)
            idle = self._idle(batches)
        await self._cancel(idle)

    def _batches_of(self, tickets: Iterable[str]) -> list[Batch]:
        return list({batch.key: batch for batch in (self._flights[ticket].batch for ticket in tickets)}.values())

    def _idle(self, batches: Iterable[Batch]) -> list[Any]:
        """Give the tasks of batches that have not begun and that nobody waits for any more; under the lock."""
        left = [b for b in batches if not b.began and not any(ticket in self._flights for ticket in b.tickets)]
        return [batch.future for batch in left if batch.future is not None]

    def _give_back(self, ticket: str) -> None:
        trial_id = self._flights[ticket].trial_id
        self._forget(ticket)
        self._queue.put(Finished(trial_id, "cancelled", at=time.time()))

    def disown(self, trial_ids: Iterable[int]) -> None:
        """End trials as `stop` does, and tell nothing more of them: each may be submitted again."""
        ids = {*trial_ids}
        with self._lock:
            tickets = [self._tickets[i] for i in ids if i in self._tickets]
            batches = self._batches_of(tickets)
            for ticket in tickets:
                self._forget(ticket)
            with self._queue.mutex:
                self._queue.queue = deque(event for event in self._queue.queue if event.trial_id not in ids)
            idle = self._idle(batches)
        if tickets:
            self._client.loop.add_callback(self._send_stop, dict.fromkeys(tickets, "cancelled"), None)
            self._client.loop.add_callback(self._cancel, idle)

    def scale(self, n: int) -> None:
        """Change the number of slots. What runs on those that go runs on to its end."""
        self._backend.scale(n)
        self.slots = self._shares.slots(self._backend.slots())
        self._limit = self._shrinker.limit(self.slots)
        self._wake.set()

    def workers(self) -> list[dict[str, Any]]:
        """Give one row a slot; what its trial holds is as old as `roster.ASK_S`, all else is as of now."""
        with self._lock:
            flights = [(ticket, flight) for ticket, flight in self._flights.items() if flight.worker]
        busy = {flight.worker: Busy(flight.trial_id, ticket, flight.device) for ticket, flight in flights}
        return self._roster.rows(busy, self._shrinker.leaving, self.slots)

    async def _ask_workers(self) -> dict[str, Any]:
        found: dict[str, Any] = await self._client.run(self._remote.describe, self._topic, on_error="return")
        self._shares.hear(found)
        return found

    def close(self) -> None:
        """End everything, running trials too; may be called twice."""
        if self._over:
            return
        self._over = True
        self._wake.set()
        with self._lock:
            self._flights.clear()
            self._tickets.clear()
            self._held.clear()
        if self._ferry is not None:
            self._ferry.close()
        self._end_trials()
        self._backend.close()
        self._thread.join(_TURN_S)

    def _is_gone(self) -> bool:
        """Tell whether the connection to the scheduler was lost, also one made again: what ran is lost then."""
        return self._client.status != "running" or getattr(self._client, "scheduler_comm", None) is not self._comm

    def _require_scheduler(self) -> None:
        if not self._over and self._is_gone():
            raise SchedulerGone(self.name, may_return=hasattr(self._backend, "reach"))

    def _end_trials(self) -> None:
        """End the children first: a worker that waits for a trial would hold the end of the cluster up.

        Where that fails, because the cluster is gone or hangs, their guards end them with the workers.
        """
        if self._is_gone():
            return
        with contextlib.suppress(Exception):
            self._client.unsubscribe_topic(self._topic)
            self._client.sync(self._client.unregister_worker_plugin, self._topic, callback_timeout=_CLOSE_S)

    def _call_worker(self, *args: Any) -> Any:
        return remote.call(self._client, self._remote.parcel, self._topic, *args)

    async def _cancel(self, futures: Sequence[Any]) -> None:
        if futures:
            await self._client.cancel(futures)

    async def _send_stop(self, flags: dict[str, str], workers: list[str] | None) -> None:
        await self._client.run(self._remote.stop, self._topic, flags, workers=workers, on_error="ignore")

    # -- what comes back ----------------------------------------------------------------------------------------------

    def _on_message(self, message: tuple[float, tuple[str, str]]) -> None:
        address, text = message[1]
        data = json.loads(text)
        with self._lock:
            for event in data["events"]:
                if self._ferry is None or not self._ferry.take(event, address):
                    self._on_event(event, address)

    def _land(self, event: dict[str, Any], address: str) -> None:
        """Take the end of a trial whose files are in its folder now."""
        with self._lock:
            self._on_event(event, address)

    def _on_event(self, data: dict[str, Any], address: str) -> None:
        flight = self._flights.get(data["ticket"])
        if flight is None or self._doubts.holds(data["ticket"]):  # ended here already
            if data["kind"] in ("started", "reported", "want", "offer"):
                self._stop_strays([data["ticket"]], address)
            return
        event = event_from(data)
        if isinstance(event, Started) and flight.worker:  # somebody's scheduler ran its task again, without a word
            self._lose(flight.batch, DIED)
            self._stop_strays(flight.batch.tickets, address)
            return
        if isinstance(event, Started):
            self._roster.has_spoken(address)
            flight.batch.began = True
            flight.worker, flight.address, flight.device = event.worker, address, event.device
        elif isinstance(event, Reported):
            self._last_words.hear(data["ticket"])
        elif isinstance(event, Finished | Lost):
            if self._doubts.hold(data["ticket"], event, address):
                return
            if isinstance(event, Finished) and event.state == "cancelled" and flight.worker and not flight.stopped:
                event = self._doubts.lost(event, address)
            self._forget(data["ticket"])
        self._queue.put(event)

    def _lose(self, batch: Batch, why: str) -> None:
        """Give up a batch whose task ended, or whose worker is gone; under the lock."""
        self._roster.distrust()
        for ticket in batch.tickets:
            if ticket in self._flights and not self._is_to_come(ticket):
                flight = self._flights[ticket]
                told = self._last_words.read(ticket, begun=bool(flight.worker))
                self._forget(ticket)
                for event in told or [self._doubts.loss(flight.trial_id, flight.address, why, time.time())]:
                    self._queue.put(event)
        if batch.future is not None:
            self._client.loop.add_callback(self._cancel, [batch.future])

    def _stop_strays(self, tickets: Sequence[str], address: str) -> None:
        """End trials that nobody waits for any more."""
        self._client.loop.add_callback(self._send_stop, dict.fromkeys(tickets, "cancelled"), [address])

    def _forget(self, ticket: str) -> None:
        flight = self._flights.pop(ticket)
        if self._tickets.get(flight.trial_id) == ticket:
            del self._tickets[flight.trial_id]
        if self._ferry is not None:
            self._ferry.forget(ticket)
        self._last_words.forget(ticket)

    def _on_task_end(self, batch: Batch, future: Any) -> None:
        """Note that a task ended: what has not told its end by then, or soon after, is lost."""
        why, at = why_ended(future), time.monotonic() + _GRACE_S.get(future.status, 0.3)
        batch.future = None
        with self._lock:
            self._sent.pop(batch.key, None)
            if any(ticket in self._flights for ticket in batch.tickets):
                self._due.append(Due(at, batch, why))
        self._send_held()
        self._wake.set()

    # -- what nobody asks for -----------------------------------------------------------------------------------------

    def _look_after(self) -> None:
        """Declare what is lost, and heal the cluster, until the executor is closed."""
        while not self._over:
            self._wake.wait(self._pause_s())
            self._wake.clear()
            if not self._over and self._is_gone():
                return
            for turn in (self._declare_lost, self._resize, self._heal):
                try:
                    turn()
                except (
                    Exception
                ):  # of one turn, told in the driver's log: without turns what is lost would run for ever
                    traceback.print_exc()

    def _heal(self) -> None:
        """Have the cluster ask for workers that have been missing for a while."""
        now = time.monotonic()
        if self._over or self._backend.is_whole():
            self._whole_at = now
        elif now - self._whole_at > _HEAL_AFTER_S:
            self._whole_at = now
            self._backend.heal()

    def _resize(self) -> None:
        """Have the cluster follow demand, and go on with taking away what is to go."""
        if self._over:
            return
        with self._lock:
            busy = {flight.address for flight in self._flights.values() if flight.worker}
            out = {flight.batch.key: flight.batch for flight in self._flights.values()}
        if isinstance(self._backend, Demanding):
            self._backend.demand(len(out))
        if isinstance(self._backend, Mortal) and self._backend.over:
            self.recall([flight.trial_id for batch in out.values() for flight in self._waiting(batch)])
        # Workers come when they come, more of them than were known of, with the devices that they have.
        varies = isinstance(self._backend, Queued) or self._shares.are_placed
        if varies:
            self.slots = self._shares.slots(self._backend.slots())
        self._roster.ask_soon(running=bool(out), slots=self.slots)
        gone = self._roster.gone()
        left_behind = self._shrinker.turn(busy) | {key for key, worker in list(self._sent.items()) if worker in gone}
        batches = [batch for key, batch in out.items() if key in left_behind and not batch.began]
        batches += self._behind_others([batch for batch in out.values() if batch not in batches])
        self._recall_from_workers([ticket for batch in batches for ticket in batch.tickets])
        self._limit = self._shrinker.limit(self.slots)
        self._send_held()

    def _behind_others(self, batches: Sequence[Batch]) -> list[Batch]:
        """Give batches that wait at full workers while slots of others idle, as many as do: Dask doesn't move them.

        Those that wait with the scheduler, or at a worker with an idle slot, are about to begin.
        """
        before = time.monotonic() - _TURN_S
        waiting = [batch for batch in batches if not batch.began and batch.sent_at < before]
        if not waiting:
            return []
        with self._lock:
            taken = {flight.worker for flight in self._flights.values()}
        idle = Counter(s.address for s in self._roster.seats(self._shrinker.leaving) if s.label not in taken)
        if not idle:
            return []
        try:
            tasks = self._client.sync(self._client.scheduler.processing, callback_timeout=_CLOSE_S)
        except (OSError, TimeoutError):  # the scheduler is busy or gone; there is another turn
            return []
        full = {key for address, keys in tasks.items() if not idle[address] for key in keys}
        return [batch for batch in waiting if batch.key in full][: idle.total()]

    def _waiting(self, batch: Batch) -> list[Flight]:
        with self._lock:
            flights = [self._flights[ticket] for ticket in batch.tickets if ticket in self._flights]
        return [flight for flight in flights if not flight.worker]

    def _pause_s(self) -> float:
        with self._lock:
            soonest = min((item.at for item in self._due), default=float("inf"))
        return max(0.0, min(_TURN_S, soonest - time.monotonic()))

    def _declare_lost(self) -> None:
        now = time.monotonic()
        with self._lock:
            gone = self._roster.gone()
            due = [item for item in self._due if item.at <= now]
            self._due = [item for item in self._due if item.at > now]
            for ticket, end in self._doubts.settled():
                if ticket in self._flights:
                    self._forget(ticket)
                    self._queue.put(end)
            for item in due:
                self._lose(item.batch, item.why)
            for batch in [flight.batch for flight in self._flights.values() if flight.address in gone]:
                self._lose(batch, DIED)

    def _is_to_come(self, ticket: str) -> bool:
        """Tell whether the end of a trial is known and will be told."""
        return self._doubts.holds(ticket) or bool(self._ferry and self._ferry.is_landing(ticket))
