"""`--on inline`: trials in this very process, one at a time, for the debugger.

`submit` runs the trial and returns when it has ended. So what must act during a trial is called, not queued: `listener`
gets each `Started` and `Reported` while the body waits, and may call `stop`, which that same `report()` then obeys. The
body has a namespace of its own here too, and generators, folder, environment and import path are put back; but modules
are this process's own, also the user's, as they are loaded. There is no time limit and no memory limit, because nothing
could enforce them.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..errors import SweepError
from ..worker import trial
from ..worker.context import TrialStopped
from ..worker.job import Job, Jobs
from ..worker.keeping import surroundings
from ..worker.logfile import LogFile
from ..worker.seeds import restored
from ..worker.threads import limited
from .base import Event, Reported, Started, Task, event_from


class Inline:
    """Runs each trial inside `submit`. What is printed goes to the cell and to the trial's log.

    A KeyboardInterrupt ends the trial, and those after it in its batch, as cancelled, and comes out of `submit`.
    """

    dashboard: str | None = None
    slots = 1
    interactive = True

    def __init__(
        self, word: str = "inline", *, slots: int | None = None, options: Mapping[str, Any] | None = None
    ) -> None:
        if slots is not None:
            self.scale(slots)
        self.name = word
        #: Called with each Started and Reported in place of queueing it; True as its answer stops the trial as pruned.
        self.listener: Callable[[Event], Any] | None = None
        self._events: deque[Event] = deque()
        self._jobs = Jobs()
        self._stops: dict[int, str] = {}
        self._submitted: set[int] = set()
        self._trial_id = -1

    def submit(self, batch: Sequence[Task]) -> None:
        """Run trials, one after another.

        Raises
        ------
        SweepError
            When a trial has a time or memory limit.
        """
        for task in batch:
            _refuse_limits(task)
        self._submitted.update(task.trial_id for task in batch)
        waiting = deque(batch)
        try:
            while waiting:
                self._run(waiting[0])
                waiting.popleft()
        except KeyboardInterrupt:
            for task in waiting:
                self._finish(task.trial_id, {**trial.ended("cancelled"), "duration_s": 0.0})
            raise

    def _run(self, task: Task) -> None:
        self._trial_id = task.trial_id
        if task.trial_id in self._stops:
            self._finish(task.trial_id, {**trial.ended("stopped"), "duration_s": 0.0})
            return
        os.makedirs(task.payload["folder"], mode=0o700, exist_ok=True)
        self._tell(Started(task.trial_id, "inline/0", os.getpid(), time.time()))
        folder, cpus = task.payload["folder"], task.payload["cpus"]
        with _told_twice(folder), restored(), surroundings(_folder(task), []), limited(cpus):
            end = trial.run(task.payload, self._jobs, self)
        self._finish(task.trial_id, end)

    def _finish(self, trial_id: int, end: dict[str, Any]) -> None:
        why = self._stops.pop(trial_id, "cancelled")
        state = why if end["state"] == "stopped" else end["state"]
        self._submitted.discard(trial_id)
        told = {**end, "state": state, "kind": "finished", "trial_id": trial_id, "at": time.time()}
        self._events.append(event_from({**told, "peak_memory_gb": None}))

    def _tell(self, event: Event) -> None:
        if self.listener is None:
            self._events.append(event)
        elif self.listener(event) is True:
            self.stop(event.trial_id, "pruned")

    def events(self, timeout_s: float) -> list[Event]:
        """Give all events that are there; never waits, since nothing happens meanwhile."""
        found = list(self._events)
        self._events.clear()
        return found

    def stop(self, trial_id: int, why: str) -> None:
        """Have a trial end as `why`: the running one at its next report, one of the batch before it starts."""
        if trial_id in self._submitted:
            self._stops.setdefault(trial_id, why)

    def recall(self, trial_ids: Iterable[int]) -> None:
        """Do nothing: whoever can ask sees no trial that waits."""

    def disown(self, trial_ids: Iterable[int]) -> None:
        """Forget them: whoever can ask sees no trial that runs."""
        self._events = deque(event for event in self._events if event.trial_id not in {*trial_ids})

    def reaches_beyond(self, workers: Sequence[str]) -> bool:
        """There is no other worker."""
        return True

    def scale(self, n: int) -> None:
        """Refuse more than the one slot."""
        if n != 1:
            raise SweepError(f"--on inline runs one trial at a time, got --jobs {n}. Leave --jobs or --on inline away.")

    def workers(self) -> list[dict[str, Any]]:
        """Give the one row: this process."""
        nothing = {"device": "", "memory_gb": None, "peak_gb": None}
        state, trials = "busy" if self._submitted else "idle", sorted(self._submitted)
        row = {"worker": "inline/0", "host": socket.gethostname(), "pid": os.getpid(), "state": state, "trials": trials}
        return [{**row, **nothing}]

    def close(self) -> None:
        """Nothing is left to end."""

    # -- the host of a trial ------------------------------------------------------------------------------------------

    def prepare(self, job: Job) -> None:
        """Put the notebook's folder first on the import path."""
        sys.path[:] = dict.fromkeys([*job.path, *sys.path])

    def send(self, step: int, metrics: dict[str, float], at: float) -> None:
        """Tell a report, then end the trial if that was asked for meanwhile."""
        self._tell(Reported(self._trial_id, step, metrics, at))
        if self._trial_id in self._stops:
            raise TrialStopped("the sweep ended this trial")

    def stoppable(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def around(self, namespace: dict[str, Any]) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def failed(self, error: BaseException) -> None:
        """Leave the exception where `%debug` looks for it."""
        sys.last_type, sys.last_value, sys.last_traceback = type(error), error, error.__traceback__


def _refuse_limits(task: Task) -> None:
    for key, option in (("timeout_s", "--timeout"), ("memory_gb", "--mem")):
        if task.payload.get(key) is not None:
            raise SweepError(
                f"{option} can't be kept with --on inline: the trial runs in this process. Leave {option} away, "
                "or use --on local, where each trial has a process that can be ended."
            )


def _folder(task: Task) -> str:
    with open(task.payload["launch"], encoding="utf-8") as file:
        folder: str = json.load(file)["cwd"]
    return folder


@contextlib.contextmanager
def _told_twice(folder: str) -> Iterator[None]:
    """Send what is printed to the log, too."""
    log, streams = LogFile(os.path.join(folder, "log.txt")), (sys.stdout, sys.stderr)
    sys.stdout, sys.stderr = (_Tee(stream, log) for stream in streams)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams
        log.close()


class _Tee:
    """A stream whose text also goes to a log; all else is the stream's own."""

    def __init__(self, stream: Any, log: LogFile) -> None:
        self._stream, self._log = stream, log

    def write(self, text: str) -> int:
        self._log.write(text.encode("utf-8", "backslashreplace"))
        written: int = self._stream.write(text)
        return written

    def writelines(self, lines: Sequence[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
