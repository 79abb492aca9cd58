"""The driver's side of trials on hosts that share no disk with it: `worker/outpost.py` asks, this sends and fetches.

What a worker asks for arrives on Dask's own thread, which only queues it. One thread, the scribe, then keeps the order
of each trial: its log is written as it comes, and its end is passed on after everything that came before it. A few
other threads, the carriers, take turns among all transfers of files, so that none waits for another's end and memory
stays bounded. Pieces go by calls on a worker through the scheduler, the one way that every cluster has; 8 MiB at a time
was fastest. A worker gets only what its own trial names, and what it sends stays in its own trial's folder.
"""

from __future__ import annotations

import base64
import concurrent.futures
import contextlib
import functools
import hashlib
import os
import queue
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from ..errors import SweepError
from ..worker.context import CHECKPOINT
from .base import Task
from .carriers import Carriers, Gone, Steps
from .confined import Arrival
from .passport import Passports
from .trip import Trip

PIECE, MIN_PIECE = 8 << 20, 256 << 10
#: A piece that takes longer is followed by a smaller one, so that every call ends in time.
SLOW_S = 5.0
#: How long a worker may take to take or give one piece.
_PIECE_S = 60.0
_TURN_S = 0.2
#: How long the ends of the threads are waited for; a call that hangs ends with the client.
_CLOSE_S = 1.0
_TRIES = 3

#: Does something at a worker, or at one parcel there.
Call = Callable[..., Any]


class Ferry:
    """Carries the files of one executor's trials.

    Parameters
    ----------
    call
        Called with (address, verb, parcel, ...): does that at the worker and gives a future of its answer, which fails
        when the worker can't be reached.
    land
        Takes the end of a trial that was held back, with the address that it came from.
    """

    def __init__(self, call: Call, land: Callable[[dict[str, Any], str], None]) -> None:
        self._call_worker, self._land = call, land
        self._passports = Passports()
        self._trips: dict[str, Trip] = {}
        self._notes: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._carriers = Carriers()
        self._scribe: threading.Thread | None = None
        self._closed = False

    def depart(self, task: Task, ticket: str) -> dict[str, Any]:
        """Begin a submission; give what goes along in its payload as `away`."""
        self._trips[ticket] = Trip(task)
        return self._passports.issue(task.payload)

    # -- called by the executor under its lock, so nothing here waits -------------------------------------------------

    def take(self, event: dict[str, Any], address: str) -> bool:
        """Take an event that is for the ferry: tell whether it is. What nobody waits for is not."""
        kind, trip = event["kind"], self._trips.get(event["ticket"])
        if trip is None or not (kind in ("want", "offer", "log") or event.get("away")):
            return False
        self._start()
        trip.landing |= kind == "finished"
        self._notes.put(functools.partial(self._note, trip, event, address))
        return True

    def is_landing(self, ticket: str) -> bool:
        """Tell whether the end of a trial has come and is about to be passed on."""
        trip = self._trips.get(ticket)
        return trip is not None and trip.landing

    def forget(self, ticket: str) -> None:
        """End a submission: nothing of it reaches the trial's folder any more."""
        trip = self._trips.pop(ticket, None)
        if trip is not None:
            with trip.lock:
                trip.over = True
            if self._scribe is not None:
                self._notes.put(lambda: _ignore(trip.close_log()))

    def close(self) -> None:
        """End all transfers; what is half written is removed."""
        self._closed = True
        for trip in self._trips.values():
            with trip.lock:
                trip.over = True
        self._notes.put(None)
        self._carriers.close(_CLOSE_S)
        if self._scribe is not None:
            self._scribe.join(_CLOSE_S)
        for trip in self._trips.values():
            trip.close_log()
        self._passports.close()

    def _start(self) -> None:
        if self._scribe is None:
            self._scribe = threading.Thread(target=self._write, name="sweep ferry", daemon=True)
            self._scribe.start()

    # -- the scribe ---------------------------------------------------------------------------------------------------

    def _write(self) -> None:
        while (note := self._notes.get()) is not None:
            try:
                note()
            except Exception:  # one trial's trouble: the others' logs go on
                traceback.print_exc()

    def _note(self, trip: Trip, event: dict[str, Any], address: str) -> None:
        kind = event["kind"]
        if kind == "log":
            trip.write_log(base64.b64decode(event["data"]))
        elif kind == "want":
            self._carriers.take(self._send(trip, address, event["want"], event["name"]))
        elif kind == "offer":
            self._carriers.take(self._fetch(trip, address, event["offer"], event["files"]))
        else:
            problem = trip.close_log()
            self._land({**event, "error": event["error"] or problem}, address)

    # -- the carriers -------------------------------------------------------------------------------------------------

    def _call(self, trip: Trip, address: str, verb: str, parcel: str, *args: Any) -> Any:
        error: Exception | None = None
        for _ in range(_TRIES):
            if trip.over or self._closed:
                break
            try:
                return self._answer(trip, self._call_worker(address, verb, parcel, *args))
            except Gone:
                raise
            except Exception as problem:  # Dask has many ways to say that a worker can't be reached
                error = problem
        raise Gone(f"{address}: {error}")

    def _answer(self, trip: Trip, future: concurrent.futures.Future[Any]) -> Any:
        """Wait for an answer, as long as somebody waits for its trial: to reach a dead host Dask takes 30 s or more."""
        begun, is_held = time.monotonic(), False
        try:
            while not concurrent.futures.wait([future], _TURN_S).done:
                waited = time.monotonic() - begun
                if trip.over or self._closed or waited > _PIECE_S:
                    future.cancel()
                    raise Gone
                is_held = is_held or (waited > SLOW_S and self._carriers.stand_in())
        finally:
            if is_held:
                self._carriers.back()
        return future.result()

    def _send(self, trip: Trip, address: str, parcel: str, name: str) -> Steps:
        """Send one file, a piece a step."""
        begun, at = time.monotonic(), 0
        try:
            file = open(trip.source(name), "rb")  # noqa: SIM115  closed below, also when the transfer is given up
        except (OSError, SweepError) as error:
            self._call(trip, address, "refuse", parcel, f"the driver has it not: {error}")
            return
        with file:
            digest, size, pace = hashlib.sha256(), os.fstat(file.fileno()).st_size, _Pace()
            while True:
                data = file.read(min(pace.piece, size - at))
                digest.update(data)
                last = at + len(data) >= size
                with pace:
                    end = digest.hexdigest() if last else ""
                    if self._call(trip, address, "accept", parcel, at, size, data, end) != "":
                        return
                at += len(data)
                if last:
                    break
                yield
        if name != CHECKPOINT:
            line = f"sent {name}, {size:,} bytes, to {address} in {time.monotonic() - begun:.2f} s\n"
            print(line, end="", flush=True)  # in one piece: another carrier may print at the same time

    def _fetch(self, trip: Trip, address: str, parcel: str, files: list[dict[str, Any]]) -> Steps:
        """Fetch the files of an offer, a piece a step, then release it with the names of those that failed."""
        problems: dict[str, str] = {}
        for index, file in enumerate(files):
            give = functools.partial(self._call, trip, address, "give", parcel, index)
            try:
                if file["append"]:
                    yield from _fetch_log(trip, give)
                else:
                    yield from _fetch_file(trip, file["name"], give)
            except (OSError, SweepError) as error:
                problems[str(file["name"])[:200]] = str(error)
        self._call(trip, address, "release", parcel, problems)


def _fetch_log(trip: Trip, give: Call) -> Steps:
    for data, _ in _pieces(give):
        trip.write_log(data)
        yield


def _fetch_file(trip: Trip, name: str, give: Call) -> Steps:
    arrival: Arrival | None = None
    try:
        for data, digest in _pieces(give):
            if arrival is None:
                arrival = Arrival(trip.folder, name)
            arrival.write(data)
            if digest:
                if not arrival.has(digest):
                    raise OSError(f"{name} did not arrive as it was read (its digest differs)")
                with trip.lock:
                    if trip.over:  # the next attempt has begun: it may have a newer one
                        raise Gone
                    arrival.keep()
            yield
    finally:
        if arrival is not None:
            arrival.close()


def _pieces(give: Call) -> Iterator[tuple[bytes, str]]:
    """Give the pieces of a file, with the last one its digest; nothing when the worker has it no more."""
    at, pace = 0, _Pace()
    while True:
        with pace:
            found = give(at, pace.piece)
        if found is None:
            return
        data, size, digest = found
        if not digest and (not data or at + len(data) > size):
            raise OSError("the worker gave pieces that make no file")
        at += len(data)
        yield data, digest
        if digest:
            return


class _Pace(contextlib.AbstractContextManager["_Pace", None]):
    """Measures one call a block; the next piece is smaller after a slow one, larger after a quick one."""

    def __init__(self) -> None:
        self.piece = PIECE
        self._begun = 0.0

    def __enter__(self) -> _Pace:
        self._begun = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        took = time.monotonic() - self._begun
        if took > SLOW_S:
            self.piece = max(MIN_PIECE, self.piece // 2)
        elif took < SLOW_S / 4:
            self.piece = min(PIECE, self.piece * 2)


def _ignore(_: object) -> None:
    """The log of a trial that was given up: nobody waits for what became of it."""
