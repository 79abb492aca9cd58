"""Follows one running trial: its reports, its output, its time, its memory, the wish to stop it, and how it ends.

A trial is ended before its time in three steps: a word that its next `report()` finds, then SIGTERM, which raises in
its main thread (so `finally` and `with` run), then the guard kills all of it. Time is harder: no word first. Memory is
hardest: the end at once. Stop flags are looked at on every turn of the loop, not only when there is nothing to read: a
trial that reports without pause would otherwise never be stopped.
"""

from __future__ import annotations

import contextlib
import math
import select
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import nvml, procs
from .logfile import LogFile
from .process import Launch, Process, ending
from .trial import End, ended
from .wire import Frame

#: After the word: SIGTERM, then the end of all of it. Both stay under the 2 s that a stop may take, where the task
#: grants no longer grace for `finally` blocks.
TERMINATE_AFTER_S, KILL_AFTER_S = 0.25, 1.5
#: A trial over its time has this long, or its grace.
OVERTIME_S = 0.5
#: How often memory is looked at, with a limit and without.
_GUARD_MEMORY_S, _NOTE_MEMORY_S = 0.1, 0.5
_READS_A_TURN = 8  # more than the pipe holds
_GB = 2**30

Tell = Callable[..., None]


class Watch:
    """One trial in one child. `wanted` gives the state that it is to end in, or None; `devices` are its GPUs."""

    def __init__(
        self,
        process: Process,
        task: Mapping[str, Any],
        tell: Tell,
        wanted: Callable[[], str | None],
        devices: Sequence[str] = (),
    ) -> None:
        self._process, self._task, self._tell, self._wanted, self._devices = process, task, tell, wanted, devices
        self._peak_on_devices: int | None = None
        self._log = LogFile(f"{task['folder']}/log.txt")
        self._metrics: dict[str, float] = {}
        self._verdict: End | None = None  # why it is ended before its time
        self._end: End | None = None
        self._stays = False
        self._begun = time.monotonic()
        self._deadline = self._begun + (task.get("timeout_s") or math.inf)
        self._terminate_at = self._kill_at = math.inf
        self._grace_s = task.get("grace_s")
        self._pause_s = _NOTE_MEMORY_S if task.get("memory_gb") is None else _GUARD_MEMORY_S
        self._look_at = self._begun + _GUARD_MEMORY_S
        self._held = procs.anonymous_bytes([process.pid])
        self._used = self._peak = 0

    def until_the_end(self, launch: Launch, alarm: socket.socket) -> bool:
        """Run the trial and tell its events; give whether the child may run another.

        Parameters
        ----------
        launch
            Working directory and import path of the trial.
        alarm
            Readable when `wanted` should be asked now.
        """
        process = self._process
        if process.level is None and process.trials:
            process.level = self._held
        process.trials += 1
        poller = select.poll()
        for source in (process.channel, process.log, process.life, alarm):
            poller.register(source, select.POLLIN)
        try:
            with contextlib.suppress(OSError):  # it died: its life line says so below
                process.channel.send({"op": "run", "task": self._task, "cwd": launch.cwd, "path": launch.path})
            while self._end is None:
                ready = {fd for fd, _ in poller.poll(self._wait_ms())}
                self._take(ready, alarm)
                self._check()
        finally:
            self._log.close()
        self._tell("finished", **{**self._end, "error": self._end["error"] or self._log.problem})
        return self._stays

    def usage(self) -> dict[str, Any]:
        """Give the trial's ticket and the bytes that it holds, as last looked at and at most; any thread may ask."""
        return {"ticket": self._task["ticket"], "memory": max(0, self._used), "peak": self._peak}

    def _wait_ms(self) -> float:
        next_turn = min(self._look_at, self._deadline, self._terminate_at, self._kill_at)
        return max(0.0, next_turn - time.monotonic()) * 1000

    def _take(self, ready: set[int], alarm: socket.socket) -> None:
        if alarm.fileno() in ready:
            alarm.recv(4096)
        if self._process.log in ready:
            self._pump()
        try:
            if self._process.channel.fileno() in ready:
                for frame in self._process.channel.pending():
                    self._hear(frame)
        except EOFError:
            ready.add(self._process.life.fileno())
        if self._end is None and self._process.life.fileno() in ready:
            self._bury()

    def _pump(self) -> None:
        for _ in range(_READS_A_TURN):
            data = self._process.read_log()
            if not data:
                return
            self._log.write(data)

    def _hear(self, frame: Frame) -> None:
        if frame["op"] == "report":
            self._metrics.update(frame["metrics"])
            self._tell("reported", step=frame["step"], metrics=frame["metrics"], at=frame["at"])
        elif frame["op"] == "end":
            self._stays = frame["clean"]
            self._process.imported = frame.get("imported", [])
            self._note_memory(frame["peak_bytes"] - self._held)
            self._note_device_memory([self._process.pid])
            self._finish(self._judge(frame), frame["duration_s"] if self._verdict is None else self._age_s())

    def _judge(self, frame: Frame) -> End:
        """Give the end of a trial that came back by itself, perhaps because it was told to."""
        verdict = self._verdict
        if frame["state"] == "stopped":
            verdict = verdict or ended("failed", "crash", "ended by a SIGTERM that the sweep did not send")
        elif verdict is None or not verdict["reason"]:  # a stop that came too late
            verdict = frame
        return {**verdict, "metrics": frame["metrics"]}

    def _bury(self) -> None:
        """Note the end of a child that is gone."""
        left_us = self._process.is_alive and not self._process.wait_until_gone()
        status = self._process.kill()
        why = self._wanted()
        verdict = self._verdict or (ended(why) if why else None)
        if verdict is None:
            verdict = ended("failed", "crash", "it closed its connection" if left_us else ending(status))
        self._finish({**verdict, "metrics": self._metrics}, self._age_s())

    def _age_s(self) -> float:
        return time.monotonic() - self._begun

    def _finish(self, end: End, duration_s: float) -> None:
        self._pump()
        self._end = {
            **{name: end[name] for name in ("state", "reason", "metrics", "traceback", "numbers")},
            "error": end["error"],
            "duration_s": duration_s,
            "peak_memory_gb": self._peak / _GB,
            "peak_gpu_memory_gb": None if self._peak_on_devices is None else self._peak_on_devices / _GB,
        }

    # -- before its time ----------------------------------------------------------------------------------------------

    def _check(self) -> None:
        now, why = time.monotonic(), self._wanted()
        if self._end is not None:
            return
        if self._verdict is None and why:
            grace_s = KILL_AFTER_S if self._grace_s is None else self._grace_s
            self._stop(ended(why), now + min(TERMINATE_AFTER_S, grace_s), now + grace_s)
            with contextlib.suppress(OSError):
                self._process.channel.send({"op": "stop"})
        elif self._verdict is None and now >= self._deadline:
            limit = self._task["timeout_s"]
            grace_s = OVERTIME_S if self._grace_s is None else self._grace_s
            self._stop(ended("failed", "timeout", f"ran longer than its {limit:g} s"), now, now + grace_s)
        if now >= self._look_at:
            self._look_at = now + self._pause_s
            self._look_at_memory()
        if now >= self._terminate_at:
            self._terminate_at = math.inf
            self._process.terminate()
        if now >= self._kill_at:
            self._process.kill()
            self._bury()

    def _stop(self, verdict: End, terminate_at: float, kill_at: float) -> None:
        self._verdict = verdict
        self._deadline = math.inf
        self._terminate_at, self._kill_at = terminate_at, kill_at

    def _look_at_memory(self) -> None:
        limit_gb = self._task.get("memory_gb")
        pids = [self._process.pid, *procs.descendants(self._process.pid)]
        used = procs.anonymous_bytes(pids) - self._held
        if limit_gb is not None and used > limit_gb * _GB and len(pids) > 1:
            used = procs.exact_anonymous_bytes(pids) - self._held
        self._used = used
        self._note_memory(used)
        self._note_device_memory(pids)
        if limit_gb is not None and used > limit_gb * _GB:
            text = f"used {used / _GB:.2f} GB, more than its {limit_gb:.3g} GB"
            self._stop(ended("failed", "memory", text), math.inf, 0.0)

    def _note_memory(self, used: int) -> None:
        self._peak = max(self._peak, used)

    def _note_device_memory(self, pids: Sequence[int]) -> None:
        used = nvml.used_by(pids, self._devices) if self._devices else None
        if used is not None:
            self._peak_on_devices = max(self._peak_on_devices or 0, used)
