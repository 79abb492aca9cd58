"""What a trial costs the driver with 10 to 1,000 workers and up to 10,000 trials behind it. Starts no worker.

python benchmarks/many_workers.py [--trials 10000] [--workers 10 100 1000] [--kinds random asha] [--profile]

The driver, its loop and the store are the real ones; behind the executor's seam stands one that pretends: trials begin,
report and end as fast as they are asked about, a few slots at a time, in an order drawn at random. Printed is the
driver's processor time a trial, in milliseconds, around the 500th, 1,000th, 5,000th and last trial, without the
pretender's own, while all slots are taken: between two ends of trials one is recorded and one is sent. It must not
grow, neither along a row nor down a column. That is to be seen where trials' folders are made in memory
(TMPDIR=/dev/shm); on a disk its file system adds 0.2 to 1.5 ms, the more the more folders it has just made.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

#: The first ends come while the slots are filled.
FIRST = 50
#: Slots of which something is heard in one turn of the driver, and trials over which the cost is averaged.
HEARD, WINDOW = 10, 500
#: The steps at which a trial with a pruner reports.
STEPS = (1, 3, 9, 27)


class Pretender:
    """An executor whose trials are numbers: a few slots, next in a shuffled row, move on at each question.

    Has its driver end after so many `trials`.
    """

    dashboard = None

    def __init__(self, slots: int, steps: Sequence[int], trials: int) -> None:
        self.name, self.slots, self._steps, self._trials = "nowhere", slots, steps, trials
        self.driver: Any = None
        self._rng = random.Random(0)
        self._waiting: deque[Any] = deque()
        self._running: deque[tuple[Any, int]] = deque()
        self._stops: dict[int, str] = {}
        self.ended = 0
        #: Processor time of all but this class, at the end of each trial.
        self.marks: list[float] = []
        self._own = 0.0

    def submit(self, batch: Sequence[Any]) -> None:
        self._waiting.extend(batch)

    def events(self, timeout_s: float) -> list[Any]:
        begun = time.process_time()
        found: list[Any] = []
        for _ in range(min(HEARD, self.slots)):
            if len(self._running) < self.slots and self._waiting:
                found += self._begin(self._waiting.popleft())
            elif self._running:
                found += self._move_on(*self._running.popleft())
        now = time.process_time()
        self._own += now - begun
        self.marks += [now - self._own] * (self.ended - len(self.marks))
        self.driver.asked_to_end = self.ended >= self._trials
        return found

    def _begin(self, task: Any) -> list[Any]:
        from jupyter_sweep.executors.base import Started

        self._running.insert(self._rng.randint(0, len(self._running)), (task, 0))
        return [Started(task.trial_id, f"nowhere/{task.trial_id % self.slots}", os.getpid(), time.time())]

    def _move_on(self, task: Any, done: int) -> list[Any]:
        from jupyter_sweep.executors.base import Finished, Reported

        i, now = task.trial_id, time.time()
        loss = float(task.payload["params"]["x"]) + 1 / (1 + done)
        if i in self._stops or done == len(self._steps):
            self.ended += 1
            state = self._stops.pop(i, "completed")
            return [Finished(i, state, metrics={"loss": loss}, duration_s=60.0, at=now)]
        self._running.append((task, done + 1))
        return [Reported(i, self._steps[done], {"loss": loss}, now)]

    def stop(self, trial_id: int, why: str) -> None:
        self._stops[trial_id] = why

    def recall(self, trial_ids: Iterable[int]) -> None:
        """None waits for long."""

    def reaches_beyond(self, workers: Sequence[str]) -> bool:
        return True

    def scale(self, n: int) -> None:
        self.slots = n

    def workers(self) -> list[dict[str, Any]]:
        nothing = {"host": "", "pid": None, "device": "", "memory_gb": None, "peak_gb": None, "state": "busy"}
        return [{"worker": f"nowhere/{n}", "trials": [t.trial_id], **nothing} for n, (t, _) in enumerate(self._running)]

    def close(self) -> None:
        """There is nothing to end."""


def drive(home: Path, kind: str, workers: int, trials: int) -> list[float]:
    """Run a sweep; give the driver's processor time at the end of each trial, in seconds."""
    from jupyter_sweep.definition import Budget, Spec, Sweep
    from jupyter_sweep.jobs.base import JobRef
    from jupyter_sweep.runner.driver import Driver
    from jupyter_sweep.space import Choice, Float, Int, Space
    from jupyter_sweep.store import leases
    from jupyter_sweep.store.sqlite import Store
    from jupyter_sweep.trial import Objective

    store = Store(home)
    sweep = store.create_sweep(
        Sweep(
            name="many",
            space=Space(x=Float(0, 1), lr=Float(1e-5, 1e-1, log=True), n=Int(1, 1000), opt=Choice("sgd", "adam")),
            job=JobRef(kind="function", fingerprint="f" * 32, file="job.json"),
            objectives=(Objective("loss", "minimize"),),
            proposer=Spec("random"),
            pruner=Spec("asha" if kind == "asha" else "none"),
            budget=Budget(max_trials=trials + 3 * workers),  # so that there is work to the end
        )
    )
    driver_id = leases.register(store, "many")
    assert driver_id is not None
    launch = home / "launch.json"
    launch.write_text(json.dumps({"env": {}, "cwd": str(home), "path": []}))
    store.request(sweep.sweep_id, "many", "run", launch=str(launch))
    executor = Pretender(workers, STEPS if kind == "asha" else (), trials)
    executor.driver = Driver(store, driver_id, "many", executor)
    executor.driver.run()
    assert executor.ended >= trials, store.sweep(sweep.sweep_id).message
    return executor.marks[:trials]


def costs(marks: list[float], at: Sequence[int]) -> list[float]:
    """Give milliseconds a trial around each of these trials."""
    found = []
    for n in at:
        first, last = max(FIRST, n - WINDOW), min(len(marks) - 1, n + WINDOW)
        found.append((marks[last] - marks[first]) / (last - first) * 1000)
    return found


def main(options: argparse.Namespace) -> None:
    at = [n for n in (WINDOW, 1_000, 5_000) if n < options.trials - WINDOW] + [options.trials - WINDOW]
    print(f"{'':8}{'workers':>8}" + "".join(f"{f'at {n:,}':>12}" for n in at) + "   ms a trial")
    for kind in options.kinds:
        for workers in options.workers:
            with tempfile.TemporaryDirectory(prefix="many-workers-") as folder:
                marks = drive(Path(folder) / "sweeps", kind, workers, options.trials)
            print(f"{kind:8}{workers:8,}" + "".join(f"{ms:12.2f}" for ms in costs(marks, at)), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--workers", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--kinds", nargs="+", choices=["random", "asha"], default=["random", "asha"])
    parser.add_argument("--profile", action="store_true", help="print where the time goes instead")
    options = parser.parse_args()
    if options.profile:
        import cProfile
        import pstats

        profile = cProfile.Profile()
        profile.runcall(main, options)
        pstats.Stats(profile, stream=sys.stdout).sort_stats("tottime").print_stats(30)
    else:
        main(options)
