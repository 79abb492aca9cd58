"""Trials of 0 to 500 ms for a long time, while workers, guards and children are killed. Exit status 1 on a fault.

python benchmarks/soak.py [--minutes 30] [--trials 10000] [--jobs 6] [--seed 0]

Trials are added little by little, so that it lasts as long as was asked for. Each notes its starts and ends in a file;
in the end these notes, the store and the processes that are left are held against each other.
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import psutil

ROUNDS, RETRIES = 20, 3
#: What counts as flat: growth from the second fifth of the time to the last.
FLAT_MB, FLAT_FDS = 8.0, 8
END_S = 300.0


def job(t: float) -> float:
    with open("notes", "a") as file:
        file.write(f"start {t!r}\n")
    time.sleep(t)
    with open("notes", "a") as file:
        file.write(f"end {t!r}\n")
    return t


class Sample(NamedTuple):
    """One look at the driver and its family."""

    at: float
    memory_mb: float
    fds: int
    worker_fds: int
    processes: int
    threads: int


class Havoc(threading.Thread):
    """Kills something every few seconds, and looks at the driver in between."""

    def __init__(self, handle: Any, rng: random.Random) -> None:
        super().__init__(daemon=True)
        self.handle, self.rng = handle, rng
        self.kills: collections.Counter[str] = collections.Counter()
        self.samples: list[Sample] = []
        self.drivers: set[int] = set()
        self.over = False

    def run(self) -> None:
        next_kill, next_look = time.monotonic() + 5, time.monotonic()
        while not self.over:
            now = time.monotonic()
            try:
                if now >= next_look:
                    next_look = now + 2
                    self._look()
                if now >= next_kill:
                    next_kill = now + self.rng.uniform(1, 5)
                    self._kill()
            except psutil.NoSuchProcess:  # it ended while it was looked at
                pass
            time.sleep(0.1)

    def _look(self) -> None:
        pid = self.handle.driver
        if pid is None:
            return
        self.drivers.add(pid)
        driver = psutil.Process(pid)
        family = driver.children(recursive=True)
        worker_fds = max((p.num_fds() for p in family if is_worker(p)), default=0)
        memory = driver.memory_info()
        counted = Sample(
            time.monotonic(), (memory.rss - memory.shared) / 2**20, driver.num_fds(), worker_fds, len(family),
            driver.num_threads(),
        )  # fmt: skip
        self.samples.append(counted)

    def _kill(self) -> None:
        family = psutil.Process(self.handle.driver).children(recursive=True)
        what = self.rng.choices(["child", "guard", "worker"], [6, 1, 3])[0]
        if what == "worker":
            targets = [p for p in family if is_worker(p)]
        else:
            running = {t.pid for t in self.handle.trials() if t.state == "running"}
            targets = [p for p in family if p.pid in running]
        if not targets:
            return
        target = self.rng.choice(targets)
        (target.parent() if what == "guard" else target).kill()
        self.kills[what] += 1


def is_worker(process: psutil.Process) -> bool:
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


def soak(minutes: float, trials: int, jobs: int, seed: int) -> tuple[Any, Havoc]:
    """Run it all; give the handle and what was done to it."""
    from jupyter_sweep import Float, Space, run

    begun = time.monotonic()
    havoc = None
    for i in range(1, ROUNDS + 1):
        handle = run(
            job, Space(t=Float(0, 0.5)), name="soak", min="loss", n=trials * i // ROUNDS, algo="random", jobs=jobs,
            retry=RETRIES, seed=seed, no_canary=True, bg=True,
        )  # fmt: skip
        if havoc is None:
            havoc = Havoc(handle, random.Random(seed))
            havoc.start()
        while time.monotonic() < begun + i * minutes * 60 / ROUNDS:
            time.sleep(0.2)
    assert havoc is not None
    havoc.over = True
    havoc.join()
    handle.wait(END_S)
    return handle, havoc


def left_behind(home: Path) -> list[str]:
    """Give the command lines of what is still alive of the folder's processes, once all has had time to end."""
    limit = time.monotonic() + 30
    while True:
        found = []
        for process in psutil.process_iter():
            try:
                ours = process.environ().get("JUPYTER_SWEEP_HOME") == str(home) and process.pid != os.getpid()
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join(process.cmdline())[:80])
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        if not found or time.monotonic() > limit:
            return found
        time.sleep(0.5)


def mean(samples: list[Sample], field: str) -> float:
    return sum(getattr(sample, field) for sample in samples) / max(1, len(samples))


def judge(handle: Any, havoc: Havoc, wanted: int) -> dict[str, bool]:
    """Print the figures; give the laws and whether they hold."""
    rows = handle.trials()
    notes = [line.split() for line in Path("notes").read_text().splitlines()]
    starts, ends = (collections.Counter(float(t) for word, t in notes if word == kind) for kind in ("start", "end"))
    completed = {t.params["t"] for t in rows if t.state == "completed"}
    why = collections.Counter(reason for t in rows for _, reason, _, _ in handle._store.attempts(t.trial_id))
    twice = sum(n > 1 for n in ends.values())
    fifth = max(1, len(havoc.samples) // 5)
    early, late = havoc.samples[fifth : 2 * fifth], havoc.samples[-fifth:]
    print(f"kills: {dict(havoc.kills)}; attempts that ended before their time: {dict(why)}")
    print(f"trials: {dict(collections.Counter(str(t.state) for t in rows))}; {sum(starts.values())} starts, ", end="")
    print(f"{sum(ends.values())} ends; {twice} ended a second time, because word of it died with the worker")
    for name in ("memory_mb", "fds", "worker_fds", "processes", "threads"):
        values = [getattr(sample, name) for sample in havoc.samples]
        print(
            f"{name}: second fifth {mean(early, name):.1f}, last fifth {mean(late, name):.1f}, "
            f"lowest {min(values):.1f}, highest {max(values):.1f}"
        )
    growth = mean(late, "memory_mb") - mean(early, "memory_mb")
    return {
        "the sweep is finished": handle.state == "finished",
        "none is lost, none is there twice": len(rows) == len({t.number for t in rows}) == wanted,
        "every trial is final": all(t.state.is_final for t in rows),
        "none was run that is not in the table": set(starts) == {t.params["t"] for t in rows},
        "what is completed has ended": completed <= set(ends),
        "none fails that was not killed four times": all(
            t.state == "completed" or starts[t.params["t"]] > RETRIES for t in rows
        ),
        "the driver's memory is flat": growth < FLAT_MB,
        "no descriptor leaks": all(mean(late, f) - mean(early, f) < FLAT_FDS for f in ("fds", "worker_fds", "threads")),
        "no process leaks": mean(late, "processes") - mean(early, "processes") < FLAT_FDS,
        "one driver served it all": len(havoc.drivers) == 1,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--jobs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        home = Path(folder) / "sweeps"
        os.environ.update(JUPYTER_SWEEP_HOME=str(home), JUPYTER_SWEEP_IDLE_S="900")
        handle, havoc = soak(given.minutes, given.trials, given.jobs, given.seed)
        laws = judge(handle, havoc, given.trials)
        for driver in filter(psutil.pid_exists, havoc.drivers):
            psutil.Process(driver).terminate()
        left = left_behind(home)
        laws["nothing is left behind"] = not left
        print(*left, sep="\n", end="\n" if left else "")
        os.chdir("/")
    broken = [law for law, holds in laws.items() if not holds]
    print(*(f"does not hold: {law}" for law in broken), sep="\n")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
