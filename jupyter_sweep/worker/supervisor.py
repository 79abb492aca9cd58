"""One slot of a worker: runs one trial after another in a process and tells how each ended, whatever the trial does.

The task's `isolation` says in what process: "warm", a child that serves trial after trial; "fork", one forked for each
from a process that has imported what trials import; "fresh", a new interpreter for each; "inline", the slot's own
thread. The next child of "fork" and "fresh" starts as soon as the last one is gone, while its result is on its way.

A warm child serves trials of one environment, one set of local modules and one number of cpus, since the first two are
read at imports and the last when libraries start their threads. It is replaced when it died or was killed, when a trial
left processes or threads behind, when it holds much more memory than after its first trial, and after a thousand of
them.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import procs
from .inside import Inside, turn
from .nursery import Nursery
from .process import Launch, Launches, Process, environment
from .trial import ended
from .watch import Watch

Event = dict[str, Any]
Emit = Callable[[Event], None]
Task = Mapping[str, Any]

_MAX_TRIALS, _MAX_GROWTH = 1000, 500 << 20
_MAX_TRIALS_OF = {"warm": _MAX_TRIALS, "fork": 1, "fresh": 1}


class Slot:
    """Runs trials, one at a time; `wake` and `close` may be called from other threads.

    Its `devices`, which never change, are all the GPUs that its trials see; without any they see what the launch says.
    """

    def __init__(self, boot: bytes, label: str, devices: Sequence[str] = ()) -> None:
        self.label, self.devices = label, tuple(devices)
        self._boot = boot
        self._launches = Launches()
        self._process: Process | None = None
        self._nursery: Nursery | None = None
        self._waker, self._alarm = socket.socketpair()
        for end in (self._waker, self._alarm):
            end.setblocking(False)
        self._busy = self._closed = False
        self._watch: Watch | None = None

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
        tell = _Telling(emit, task)

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
            os.makedirs(task["folder"], mode=0o700, exist_ok=True)
            if task.get("isolation") == "inline":
                self._run_inside(launch, task, tell, wanted)
                return
            process = self._child(launch, task, wanted)
        except (OSError, ValueError, KeyError) as error:
            text = f"The trial could not be started: {type(error).__name__}: {error}"
            why = wanted()
            end = _unrun(why) if why else _unrun("failed", "error", text, time.monotonic() - begun)
            tell("finished", **end)
            return
        tell("started", worker=self.label, pid=process.pid, device=",".join(self.devices))
        self._watch = Watch(process, task, tell, wanted, self.devices)
        stays = self._watch.until_the_end(launch, self._alarm)
        self._watch = None
        if not stays or not _suits(process, process.key):
            self._end()
            if self._nursery is not None:
                self._nursery.learn(process.imported, launch, task, lambda: self._closed)
            if not self._closed:  # the next child starts while the next trial is still on its way
                self._process = self._started(process.env, process.key)

    def _run_inside(
        self, launch: Launch, task: Task, tell: Callable[..., None], wanted: Callable[[], str | None]
    ) -> None:
        with turn(wanted) as mine:
            if not mine:
                tell("finished", **_unrun(wanted() or "cancelled"))
                return
            tell("started", worker=self.label, pid=os.getpid())
            Inside(task, tell, wanted).run(launch)

    def usage(self) -> dict[str, Any]:
        """Give the ticket of the running trial and the bytes that its processes hold, now and at most; or nothing."""
        watch = self._watch
        return {} if watch is None else watch.usage()

    def wake(self) -> None:
        """Have the running trial look at its stop flag now."""
        with contextlib.suppress(OSError):  # full: it is awake already
            self._waker.send(b"w")

    def close(self) -> None:
        """End the child with the trial that runs in it; none starts after this."""
        self._closed = True
        process, nursery = self._process, self._nursery
        if process is not None:
            process.hang_up()
        if nursery is not None:
            nursery.hang_up()
        if not self._busy:
            self._end_for_good()

    def _child(self, launch: Launch, task: Task, unwanted: Callable[[], object]) -> Process:
        """Give a child that may run the task: the warm one if it suits."""
        isolation = task.get("isolation") or "warm"
        key = launch.digest, _modules_digest(task["data"], task["job"]), task["cpus"], isolation
        ahead = self._process
        dies = self._nursery is not None and self._nursery.is_dead
        if ahead is not None and (dies or not (_suits(ahead, key) and (ahead.pid or ahead.wait_until_ready(unwanted)))):
            self._end()
        if self._process is None:
            self._process = self._started(environment(launch, task["cpus"], self.devices), key, unwanted)
        process = self._process
        if not process.wait_until_ready(unwanted):
            printed = process.read_log().decode("utf-8", "replace").strip().splitlines()
            self._end()
            raise OSError(f"its process did not start: {printed[-1] if printed else 'no word from it'}")
        return process

    def _started(self, env: Mapping[str, str], key: Any, unwanted: Callable[[], object] = lambda: False) -> Process:
        """Give a new child, which is still starting."""
        nursery = self._nursery
        if nursery is not None and nursery.key != key:
            nursery.close()
            nursery = self._nursery = None
        if key[-1] != "fork":
            return Process(self._boot, env, key)
        if nursery is None:
            nursery = self._nursery = Nursery(self._boot, env, key)
        return nursery.fork(env, unwanted)

    def _end_for_good(self) -> None:
        self._end()
        if self._nursery is not None:
            self._nursery.close()
        self._waker.close()
        self._alarm.close()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.close()


def _suits(process: Process, key: Any) -> bool:
    if process.key != key or process.trials >= _MAX_TRIALS_OF[key[-1]] or (process.pid and not process.is_quiet):
        return False
    return process.level is None or procs.anonymous_bytes([process.pid]) - process.level < _MAX_GROWTH


@functools.lru_cache(maxsize=64)
def _modules_digest(data: str, job: str) -> str:
    """Give the digest of a job's local modules; a job file never changes."""
    with open(os.path.join(data, job), encoding="utf-8") as file:
        digest: str = json.load(file).get("modules_digest", "")
    return digest


def _unrun(state: str, reason: str = "", error: str = "", duration_s: float = 0.0) -> Event:
    return {**ended(state, reason, error), "duration_s": duration_s, "peak_memory_gb": None, "peak_gpu_memory_gb": None}


class _Telling:
    """Tells the events of one trial; writes its end down first where the task names a file for it."""

    def __init__(self, emit: Emit, task: Task) -> None:
        self._emit, self._task = emit, task
        self._told: list[Event] = []
        self._reports = 0

    def __call__(self, kind: str, **fields: Any) -> None:
        task = self._task
        event = {"kind": kind, "trial_id": task["trial_id"], "ticket": task["ticket"], "at": time.time(), **fields}
        if kind == "reported":
            self._reports += 1
        else:
            self._told.append(event)
        if kind == "finished" and "end" in task:
            self._write_down(*task["end"])
        self._emit(event)

    def _write_down(self, path: str, whose: str) -> None:
        text = json.dumps([whose, self._reports, self._told])
        with contextlib.suppress(OSError), open(path, "w", encoding="utf-8") as file:  # a full disk: it is only told
            file.write(text)
