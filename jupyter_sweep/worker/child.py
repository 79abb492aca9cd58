"""The process that user code runs in. It takes one trial after another and leaves each with what the first one found.

It says after each trial whether it is still clean. One that holds live processes or threads of the trial is replaced,
because nothing else ends them for sure; what modules keep in memory stays, since importing them is what takes seconds.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from . import keeping, parallel, procs, shell, trial
from .context import TrialStopped
from .job import Job, Jobs, LocalModules
from .numerals import Metrics
from .wire import Channel, Frame

#: Shorter trials leave their cycles to Python's own collector: a full collection can take 0.1 s.
_COLLECT_AFTER_S = 0.5
_OOM_SCORE = "500"


def serve(fd: int) -> None:
    """Run trials for the supervisor at the other end of `fd` until it is gone."""
    procs.adopt_orphans()
    _be_first_to_go()
    high = keeping.high_copy(fd)
    os.close(fd)
    child = Child(Channel(socket.socket(fileno=high)))
    with contextlib.suppress(EOFError, BrokenPipeError):
        child.serve()


def _be_first_to_go() -> None:
    """Ask the kernel to choose a trial before the driver or Jupyter when memory runs out."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write(_OOM_SCORE)


def _end_joblib_workers() -> None:
    """End the processes that joblib keeps for its next call: no reason to give up all that is imported here."""
    loky = sys.modules.get("joblib.externals.loky.reusable_executor")
    executor = getattr(loky, "_executor", None)
    if executor is not None:
        executor.shutdown(wait=True, kill_workers=True)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


class Child:
    """The host of trials in a process of their own."""

    interactive = False

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._jobs = Jobs()
        self._streams = keeping.Streams()
        self._pid = os.getpid()
        self._main_thread = threading.get_ident()
        self._namespace: dict[str, Any] = {}
        self._task: Frame = {}
        self._active = self._sending = self._unwinding = False
        self._stop_wanted = self._stop_raised = self._half_imported = False
        sys.path[:], sys.argv[:] = [folder for folder in sys.path if folder], [""]
        faulthandler.enable(2)
        keeping.leave_sigterm_alone_in_forks()

    def serve(self) -> None:
        """Take frames until the supervisor is gone; a stop that comes too late is for a trial that has ended."""
        self._streams.restore()
        signal.signal(signal.SIGTERM, self._on_sigterm)
        self._channel.send({"op": "ready", "pid": self._pid})
        while True:
            frame = self._channel.receive()
            if frame["op"] == "run":
                self._run(frame)

    def _run(self, frame: Frame) -> None:
        self._task = frame["task"]
        self._streams.restore()
        self._reset()
        threads, modules = set(threading.enumerate()), set(sys.modules)
        with keeping.surroundings(frame["cwd"], frame["path"], home="/"):
            end = trial.run(self._task, self._jobs, self)
        if os.getpid() != self._pid:  # a process that the body forked came back here
            os._exit(0)
        if self._stop_raised:
            end["state"] = "stopped"  # whatever the body made of it
        end["peak_bytes"] = procs.anonymous_bytes([self._pid])
        started = set(threading.enumerate()) - threads
        if self._task.get("isolation") == "fork":
            end["imported"] = [name for name in sys.modules if name not in modules and not name.startswith("_")]
        end["clean"] = self._clean_up(started, end["duration_s"])
        self._streams.flush()
        self._channel.send({"op": "end", **end})

    def _reset(self) -> None:
        keeping.reset_signals()
        signal.signal(signal.SIGTERM, self._on_sigterm)
        self._active = self._sending = self._unwinding = False
        self._stop_wanted = self._stop_raised = self._half_imported = False

    def _clean_up(self, started: set[threading.Thread], duration_s: float) -> bool:
        """Let go of what the trial left; tell whether this process may run another."""
        pyplot = sys.modules.get("matplotlib.pyplot")
        if pyplot is not None:
            pyplot.close("all")
        if not started:  # a thread that still runs would stumble over names that are gone
            self._namespace.clear()
        if duration_s > _COLLECT_AFTER_S:
            gc.collect()
        _end_joblib_workers()
        lives = any(not thread.daemon and thread.is_alive() for thread in started)
        strays = procs.has_children() and procs.strays(self._pid)
        return not (lives or strays or self._half_imported)

    # -- the host of a trial ------------------------------------------------------------------------------------------

    def prepare(self, job: Job) -> None:
        """Find the job's modules by their source. All jobs of one child have the same ones: see `Slot`."""
        if not any(isinstance(finder, LocalModules) for finder in sys.meta_path):
            sys.meta_path.insert(0, LocalModules(job.modules))
        sys.path[:] = dict.fromkeys([*job.path, *sys.path])
        shell.offer(job.uses_shell)
        if job.uses_joblib:
            parallel.offer()

    def send(self, step: int, metrics: Metrics, at: float) -> None:
        """Pass a report to the supervisor, then see whether it wants the trial to end."""
        if threading.get_ident() == self._main_thread:
            self._sending = True
        try:
            self._channel.send({"op": "report", "step": step, "metrics": metrics, "at": at})
            self._stop_wanted |= any(frame["op"] == "stop" for frame in self._channel.pending())
        finally:
            if threading.get_ident() == self._main_thread:
                self._sending = False
        if self._stop_wanted:
            self._stop()

    @contextlib.contextmanager
    def stoppable(self) -> Iterator[None]:
        """SIGTERM ends the block, wherever it is."""
        self._active = True
        try:
            yield
        finally:
            self._active = False

    @contextlib.contextmanager
    def around(self, namespace: dict[str, Any]) -> Iterator[None]:
        """Make the trial's namespace the module `__main__`, and hold its memory back."""
        self._namespace = namespace
        sys.modules["__main__"] = shell.Main(namespace)
        with keeping.memory_limited(self._task.get("memory_gb")):
            yield

    def failed(self, error: BaseException) -> None:
        """Nothing more to do: the exception is printed into the log and told to the supervisor."""

    def _on_sigterm(self, _: int, frame: FrameType | None) -> None:
        """End the trial here, but never in the middle of a frame; without a trial the signal came too late.

        A trial that is on its way out already is left to its `finally` blocks. A library that was half imported can't
        be imported again, so that this process must not run another trial.
        """
        self._stop_wanted = self._active
        if self._active and not (self._sending or self._unwinding):
            self._half_imported = _is_importing(frame)
            self._stop()

    def _stop(self) -> None:
        self._stop_raised = True
        self._unwinding |= threading.get_ident() == self._main_thread
        raise TrialStopped("the sweep ended this trial")
