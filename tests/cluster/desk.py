"""What is done from a desk that the hosts don't see: single trials by an executor, and whole sweeps."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cluster.away import Cluster
from jobfiles import JobFolder

from jupyter_sweep.executors.base import Event, Finished, Lost, Started, Task
from jupyter_sweep.executors.dask import DaskExecutor
from jupyter_sweep.handle import Handle
from jupyter_sweep.live import sweep

WAIT_S = 180


class Bench:
    """An executor on a cluster, and jobs for it in the folder that the cluster does not see."""

    def __init__(self, place: Cluster, *, wait_s: float = WAIT_S) -> None:
        self.place, self._wait_s = place, wait_s
        self.folder = JobFolder(place.desk / "sweeps")
        self.folder.write_launch(place.desk)
        self.executor = DaskExecutor(place.address)
        self.seen: list[Event] = []
        self.retries_lost = False
        self._tasks: dict[int, Task] = {}
        self._begun: set[int] = set()

    def submit(self, job: str, **changes: Any) -> Task:
        payload = self.folder.task(job, **changes)
        del payload["ticket"]
        task = self._tasks[payload["trial_id"]] = Task(payload["trial_id"], payload)
        self.executor.submit([task])
        return task

    def until(self, done: Callable[[list[Event]], bool]) -> None:
        limit = time.monotonic() + self._wait_s
        while not done(self.seen):
            assert time.monotonic() < limit, self.seen
            for event in self.executor.events(0.05):
                self._take(event)

    def _take(self, event: Event) -> None:
        """Keep an event; a trial that came back before it began goes out again, as it does in a sweep."""
        if isinstance(event, Started):
            self._begun.add(event.trial_id)
        came_back = isinstance(event, Finished) and event.state == "cancelled" and event.trial_id not in self._begun
        if came_back or (isinstance(event, Lost) and self.retries_lost):
            self._begun.discard(event.trial_id)
            self.executor.submit([self._tasks[event.trial_id]])
        else:
            self.seen.append(event)

    def end(self, task: Task) -> Any:
        """Wait for a trial's end; give its last event."""
        self.until(lambda seen: any(_ends(event, task) for event in seen))
        return next(event for event in self.seen if _ends(event, task))

    def run(self, source: str, **parts: Any) -> tuple[Any, Path]:
        """Run one trial; give its last event and its folder."""
        task = self.submit(self.folder.write(source, **parts))
        return self.end(task), Path(task.payload["folder"])

    def started(self, task: Task) -> Started:
        """Wait until a trial runs."""
        self.until(lambda seen: any(isinstance(e, Started) and e.trial_id == task.trial_id for e in seen))
        return next(e for e in self.seen if isinstance(e, Started) and e.trial_id == task.trial_id)


def _ends(event: Event, task: Task) -> bool:
    return isinstance(event, Finished | Lost) and event.trial_id == task.trial_id


def sent(text: str) -> list[str]:
    """Give the names of the files that the driver says to have sent."""
    return re.findall(r"^sent (\S+),", text, re.MULTILINE)


KERNEL = """
import os, sys
import numpy as np
from jupyter_sweep import Float, Space, checkpoint, report, run, save
import helper

DATA = np.arange(300_000, dtype=float)

def job(x):
    import time
    if os.path.exists({store!r}):
        raise RuntimeError("this host sees the store")
    print("x is", x, "and data has", len(DATA))
    at, trail = checkpoint() or (0, [])
    trail = [*trail, os.environ["HOST_OF_TEST"]]
    for step in range(at, {steps}):
        report(loss=helper.shifted(x) + 1 / (step + 1), step=step)
        save(f"parts/{{step}}.txt", step)
        checkpoint((step + 1, trail))
        time.sleep({pause})
    DATA[:] = 0
    save("model.joblib", {{"x": x, "trail": trail, "cwd": os.getcwd(), "own": os.environ.get("OWN"),
                          "told": os.environ.get("JUPYTER_SWEEP_TOLD"), "sum": float(DATA.sum())}})

run(job, Space(x=Float(0, 1)), name="s", min="loss", n={n}, algo="random", on={on!r}, bg=True)
"""


def start_kernel(
    desk: Path, on: str, *, n: int, steps: int, pause: float, inside: Sequence[str] = (), **env: str
) -> Handle:
    """Start a sweep from the desk, as a notebook would; give its handle. `inside`: what its command begins with."""
    store = desk / "sweeps"
    (desk / "helper.py").write_text("def shifted(x):\n    return (x - 0.3) ** 2\n")
    text = KERNEL.format(store=str(store), steps=steps, pause=pause, n=n, on=on)
    (desk / "kernel.py").write_text(text)
    env = {**os.environ, **env, "JUPYTER_SWEEP_HOME": str(store), "JUPYTER_SWEEP_IDLE_S": "1"}
    env |= {"JUPYTER_SWEEP_TOLD": "yes", "OWN": "a secret"}
    subprocess.run([*inside, sys.executable, "kernel.py"], cwd=desk, env=env, check=True, timeout=WAIT_S)
    return sweep("s", folder=desk)
