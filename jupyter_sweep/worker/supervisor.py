"""One slot of a worker: runs one trial after another in a warm child and tells how each ended, whatever the trial does.

A child serves trials of one environment, one set of local modules and one number of cpus, since the first two are read
at imports and the last when libraries start their threads. It is replaced when it died or was killed, when a trial left
processes or threads behind, when it holds much more memory than after its first trial, and after a thousand trials.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from . import procs
from .process import Launch, Launches, Process, environment
from .trial import ended
from .watch import Watch

Event = dict[str, Any]
Emit = Callable[[Event], None]
Task = Mapping[str, Any]

_MAX_TRIALS, _MAX_GROWTH = 1000, 500 << 20


class Slot:
    """Runs trials, one at a time; `wake` and `close` may be called from other threads."""

    def __init__(self, boot: bytes, label: str) -> None:
        self.label = label
        self._boot = boot
        self._launches = Launches()
        self._process: Process | None = None
        self._waker, self._alarm = socket.socketpair()
        for end in (self._waker, self._alarm):
            end.setblocking(False)
        self._busy = self._closed = False

    def run(self, task: Task, emit: Emit, stops: Mapping[Any, str]) -> None:
        """Run one trial; the last event is its end.

        Parameters
        ----------
        task
            The payload, with the `ticket` that its events carry and its stop flag goes by.
        emit
            Takes the events: dicts with `kind`, `trial_id`, `ticket` and the fields of that kind.
        stops
            Ticket -> state that the trial is to end in; call `wake` after a change.
        """
        tell = functools.partial(_tell, emit, task)

        def wanted() -> str | None:
            return "cancelled" if self._closed else stops.get(task["ticket"])

        why = wanted()
        if why:
            tell("finished", **_unrun(why))
            return
        self._busy = True
        try:
            self._run(task, tell, wanted)
        finally:
            self._busy = False
            if self._closed:
                self._end_for_good()

    def _run(self, task: Task, tell: Callable[..., None], wanted: Callable[[], str | None]) -> None:
        begun = time.monotonic()
        try:
            launch = self._launches.get(task["launch"])
            os.stat(launch.cwd)  # said here in one line, where the child could only crash
            process = self._child(launch, task, wanted)
            os.makedirs(task["folder"], mode=0o700, exist_ok=True)
        except (OSError, ValueError, KeyError) as error:
            text = f"The trial could not be started: {type(error).__name__}: {error}"
            why = wanted()
            end = _unrun(why) if why else _unrun("failed", "error", text, time.monotonic() - begun)
            tell("finished", **end)
            return
        tell("started", worker=self.label, pid=process.pid)
        if not Watch(process, task, tell, wanted).until_the_end(launch, self._alarm):
            self._end()
            if not self._closed:  # the next child starts while the next trial is still on its way
                self._process = Process(self._boot, process.env, process.key)

    def wake(self) -> None:
        """Have the running trial look at its stop flag now."""
        with contextlib.suppress(OSError):  # full: it is awake already
            self._waker.send(b"w")

    def close(self) -> None:
        """End the child with the trial that runs in it; none starts after this."""
        self._closed = True
        process = self._process
        if process is not None:
            process.hang_up()
        if not self._busy:
            self._end_for_good()

    def _child(self, launch: Launch, task: Task, unwanted: Callable[[], object]) -> Process:
        """Give a child that may run the task: the warm one if it suits."""
        key = launch.digest, _modules_digest(task["data"], task["job"]), task["cpus"]
        if self._process is not None and not _suits(self._process, key):
            self._end()
        if self._process is None:
            self._process = Process(self._boot, environment(launch, task["cpus"]), key)
        process = self._process
        if not process.wait_until_ready(unwanted):
            printed = process.read_log().decode("utf-8", "replace").strip().splitlines()
            self._end()
            raise OSError(f"its process did not start: {printed[-1] if printed else 'no word from it'}")
        return process

    def _end_for_good(self) -> None:
        self._end()
        self._waker.close()
        self._alarm.close()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.close()


def _suits(process: Process, key: Any) -> bool:
    if process.key != key or process.trials >= _MAX_TRIALS or (process.pid and not process.is_quiet):
        return False
    return process.level is None or procs.anonymous_bytes([process.pid]) - process.level < _MAX_GROWTH


@functools.lru_cache(maxsize=64)
def _modules_digest(data: str, job: str) -> str:
    """Give the digest of a job's local modules; a job file never changes."""
    with open(os.path.join(data, job), encoding="utf-8") as file:
        digest: str = json.load(file).get("modules_digest", "")
    return digest


def _unrun(state: str, reason: str = "", error: str = "", duration_s: float = 0.0) -> Event:
    return {**ended(state, reason, error), "duration_s": duration_s, "peak_memory_gb": None}


def _tell(emit: Emit, task: Task, kind: str, **fields: Any) -> None:
    event = {"kind": kind, "trial_id": task["trial_id"], "ticket": task["ticket"], "at": time.time(), **fields}
    emit(event)
