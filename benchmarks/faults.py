"""What bad trials cost: each row of the table that the peers were measured with. Exit status 1 when a row fails.

python benchmarks/faults.py [segfault] [hang] [trial] [worker] [leak] [print]

A job notes each start in a file, so that reruns are counted by the trials themselves. Every row starts cold, in a
folder of its own; its seconds hold the start of driver and cluster and the trials, two at once.
"""

from __future__ import annotations

import collections
import ctypes
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import psutil

JOBS, LIMIT_S = 2, 10.0
TIMEOUT_S = 2.0

Job = Callable[[int], float]


class Row(NamedTuple):
    """One kind of fault. `ends` is how each culprit must end; `slack_s` what the fault itself takes."""

    title: str
    n: int
    job: Job
    ends: tuple[str, str]
    options: Mapping[str, Any] = MappingProxyType({})
    kill: str = ""
    slack_s: float = 0.0
    peers: str = ""


def begin(i: int, what: str = "starts") -> None:
    with open(what, "a") as file:
        file.write(f"{i}\n")


def noted(what: str) -> collections.Counter[int]:
    path = Path(what)
    return collections.Counter(map(int, path.read_text().split()) if path.exists() else ())


def segfault(i: int) -> float:
    begin(i)
    if i % 5 == 4:
        ctypes.string_at(0)
    return float(i)


def hang(i: int) -> float:
    begin(i)
    if i % 5 == 4:
        ctypes.PyDLL(None).sleep(600)  # in C, with the GIL held
    return float(i)


def nap(i: int) -> float:
    begin(i)
    time.sleep(0.5)
    begin(i, "ends")
    return float(i)


def leak(i: int) -> float:
    import builtins

    begin(i)
    held = vars(builtins).setdefault("held", [])
    held.append(os.urandom(1 << 20) * 50)
    return float(i)


def chatter(i: int) -> float:
    begin(i)
    if i % 5 == 4:
        line = "x" * 99 + "\n"
        for _ in range(1_000_000):
            sys.stdout.write(line)
    return float(i)


ROWS = {
    "segfault": Row(
        "SIGSEGV in 1 of 5, 20 trials", 20, segfault, ("failed", "crash"),
        peers="Dask map: 2 of 4 runs end (10-13 s), 119-133 reruns; Pool hangs; joblib keeps 0; Optuna threads: the "
        "notebook dies; Ray Tune exact, 31 s; Syne Tune 14 s, 35 starts",
    ),
    "hang": Row(
        f"hang in C, GIL held, 1 of 5, timeout {TIMEOUT_S:g} s", 20, hang, ("failed", "timeout"),
        {"timeout": TIMEOUT_S}, slack_s=2 * (TIMEOUT_S + 0.5), peers="none has a hard timeout: all wait",
    ),
    "trial": Row(
        "kill -9 of a trial's process, 12 of 0.5 s", 12, nap, ("failed", "crash"), kill="trial", slack_s=3,
        peers="Pool hangs; joblib keeps 0; Dask 10 s, 3 reruns; Optuna processes 8 of 12, rc 0; DaskStorage 15 for 12; "
        "Ray 26-36 s",
    ),
    "worker": Row(
        "kill -9 of a Dask worker, 12 of 0.5 s", 12, nap, ("completed", ""), kill="worker", slack_s=3,
        peers="Dask 10 s, 15 starts: also work that was finished or queued there; DaskStorage 15 trials for 12",
    ),
    "leak": Row("leak of 50 MB a trial, 40 trials", 40, leak, ("completed", ""), peers="not measured"),
    "print": Row(
        "100 MB of prints in 1 of 5, 20 trials", 20, chatter, ("completed", ""), slack_s=5, peers="not measured"
    ),
}  # fmt: skip


class Look(threading.Thread):
    """Watches the memory of a driver's whole family, and kills one of it when that is wanted."""

    def __init__(self, handle: Any, kill: str) -> None:
        super().__init__(daemon=True)
        self.handle, self.kill = handle, kill
        self.peak_mb, self.over = 0.0, False

    def run(self) -> None:
        while not self.over:
            family = self._family()
            self.peak_mb = max(self.peak_mb, sum(map(private_mb, family)))
            if self.kill and sum(t.state == "completed" for t in self.handle.trials()) >= 3:
                self._kill(family)
            time.sleep(0.05)

    def _family(self) -> list[psutil.Process]:
        try:
            driver = psutil.Process(self.handle.driver or -1)
            return [driver, *driver.children(recursive=True)]
        except (psutil.NoSuchProcess, ValueError):
            return []

    def _kill(self, family: list[psutil.Process]) -> None:
        running = [t for t in self.handle.trials() if t.state == "running" and psutil.pid_exists(t.pid)]
        if not running:
            return
        if self.kill == "trial":
            psutil.Process(running[0].pid).kill()
        else:
            next(p for p in family if "spawn_main" in " ".join(p.cmdline())).kill()
        self.kill = ""


def private_mb(process: psutil.Process) -> float:
    """Give the anonymous memory of a process in MB; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss_Anon:")), 0) / 1024


def measure(row: Row) -> list[str]:
    """Run a row and print it; give what does not hold."""
    from jupyter_sweep import Int, Space, run

    begun = time.perf_counter()
    options: dict[str, Any] = {"name": "faults", "min": "loss", "grid": True, "jobs": JOBS, **row.options}
    handle = run(row.job, Space(i=Int(0, row.n - 1)), bg=True, **options)
    look = Look(handle, row.kill)
    look.start()
    ended = handle.wait(120)
    seconds = time.perf_counter() - begun
    look.over = True
    look.join()
    trials = handle.trials()
    starts, ends = noted("starts"), noted("ends")
    if row.kill == "worker":  # the trials that it cut short; one that had ended and runs again is no culprit
        culprits = {i for i in starts if starts[i] > ends[i]}
    elif row.kill:
        culprits = {t.params["i"] for t in trials if t.reason == "crash"}
    else:
        culprits = {i for i in starts if i % 5 == 4 and row.ends[0] == "failed"}
    reruns = sum(n - 1 for i, n in starts.items() if i not in culprits)
    failed = {t.params["i"] for t in trials if t.state == "failed"}
    other = [t for t in trials if (t.state, t.reason) not in {("completed", ""), row.ends}]
    log_mb = max((handle.folder.parent / t.folder / "log.txt").stat().st_size for t in trials) / 1e6
    again = sum(starts[i] - 1 for i in culprits)
    cells = [row.title, f"{seconds:.1f} s", f"{len(trials) - len(failed)} + {len(failed)} failed", len(culprits), again]
    print(
        "|", " | ".join(map(str, [*cells, reruns, f"{look.peak_mb:.0f}", f"{log_mb:.1f}", row.peers])), "|", flush=True
    )
    laws = {
        "it ends": ended and handle.state == "finished",
        "as many final trials as were asked for": len(trials) == row.n and all(t.state.is_final for t in trials),
        "one kill has one victim": row.kill != "trial" or len(culprits) == 1,
        "exactly the culprits fail": not other and failed == (culprits if row.ends[0] == "failed" else set()),
        "no innocent runs twice": reruns == 0 and sum(starts.values()) == row.n + again,
        f"{LIMIT_S + row.slack_s:g} s at most": seconds < LIMIT_S + row.slack_s,
        "memory is bounded": look.peak_mb < 2000 and log_mb < 30,
    }
    return [law for law, holds in laws.items() if not holds]


def main() -> None:
    unknown = set(sys.argv[1:]) - set(ROWS)
    if unknown:
        sys.exit(f"unknown rows: {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    heads = "fault", "all of it", "results", "culprits", "their reruns", "others' reruns", "peak MB", "log MB", "peers"
    print("|", " | ".join(heads), "|\n|", " | ".join(["---"] * len(heads)), "|")
    broken = []
    for name in sys.argv[1:] or ROWS:
        with tempfile.TemporaryDirectory() as home:
            os.chdir(home)
            os.environ.update(JUPYTER_SWEEP_HOME=f"{home}/sweeps", JUPYTER_SWEEP_IDLE_S="1")
            broken += [f"{name}: {law}" for law in measure(ROWS[name])]
            os.chdir("/")
    sys.exit("\n".join(f"does not hold: {law}" for law in broken) or 0)


if __name__ == "__main__":
    main()
