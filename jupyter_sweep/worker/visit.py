"""One trial on a host that shares no disk with its driver: paths of this host, everything brought here and home."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
from collections.abc import Callable, Mapping

from .context import CHECKPOINT
from .homeward import Homeward
from .line import Event, Line, Task
from .parcels import NotWanted
from .scratch import Depot
from .supply import Supply


class Visit:
    """`task` is what the slot runs, once `begin` has returned; `emit` takes its events.

    Parameters
    ----------
    environ
        What the environment of the trial is made of.
    wanted
        Gives the state that the trial is to end in, or None.
    """

    def __init__(
        self, line: Line, depot: Depot, task: Task, environ: Mapping[str, str], wanted: Callable[[], str | None]
    ) -> None:
        self.task = task
        self._line, self._depot, self._given, self._environ = line, depot, task, environ
        self._folder = os.path.join(depot.trials, task["ticket"])
        self._stay = contextlib.ExitStack()
        self._homeward = Homeward(line, task, self._folder, wanted)
        self._finished: Event | None = None

    def begin(self, unwanted: Callable[[], object]) -> None:
        """Bring everything here; OSError or ValueError when that can't be done, NotWanted when it is not to be."""
        task, depot = self._given, self._depot
        supply = Supply(self._line, depot, task, unwanted)
        self._stay.enter_context(depot.in_use(task["job"]))
        supply.gather()
        os.mkdir(self._folder, mode=0o700)
        with open(os.path.join(self._folder, "params.json"), "w", encoding="utf-8") as file:
            json.dump(task["params"], file)
        if task["away"]["checkpoint"]:
            supply.ask(CHECKPOINT, os.path.join(self._folder, CHECKPOINT))
            self._homeward.is_home(CHECKPOINT)
        launch = supply.launch(self._environ)
        self.task = {**task, "data": depot.data, "folder": self._folder, "stage_dir": depot.stages, "launch": launch}

    def follow(self) -> None:
        """Send home what can go while it runs."""
        self._homeward.follow()

    def emit(self, event: Event) -> None:
        """Pass an event on, but keep the end back until `end`."""
        if event["kind"] == "finished":
            self._finished = event
        else:
            self._line.put(event)

    def end(self) -> None:
        """Bring home what is left, then tell the end. Nothing is told when this worker ends meanwhile."""
        self._homeward.stop()
        try:
            if self._finished is not None:
                self._line.put({**_with(self._finished, self._homeward.bring()), "away": True})
        except (OSError, ValueError) as error:
            why = f"what it made could not be brought from {socket.gethostname()}: {error}"
            self._line.tell(self._given, "lost", why=why)
        except NotWanted:
            pass  # the worker ends: its driver hears that from Dask
        finally:
            self.leave()

    def at_leave(self, call: Callable[[], object]) -> None:
        """Have something called when the trial has left."""
        self._stay.callback(call)

    def leave(self) -> None:
        """Remove the trial's folder here, and let go of its job."""
        self._homeward.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._stay.close()


def _with(end: Event, problem: str) -> Event:
    """Give the end of a trial some of whose files could not be stored, or as it is."""
    if not problem:
        return end
    failed = {"state": "failed", "reason": "error"} if end["state"] == "completed" else {}
    return {**end, **failed, "error": end["error"] or problem}
