"""What a captured array costs: memory of all processes but the kernel, growth of the kernel, time a trial.

python benchmarks/memory.py [MB=500]
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil

N, PAUSE_S = 10, 1.0


def memory_mb(pid: int, field: str = "Pss") -> float:
    """Give a field of a process's smaps_rollup in MB; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":")) / 1024


class Peak(threading.Thread):
    """Watches the PSS of a driver's whole family.

    A peak counts when it holds for two looks: processes are read one after another, and a mapping that one gives up
    while another takes it would be counted twice.
    """

    def __init__(self, handle: object) -> None:
        super().__init__(daemon=True)
        self.handle, self.peak, self.over, self.last = handle, 0.0, False, 0.0

    def run(self) -> None:
        while not self.over:
            driver = self.handle.driver  # type: ignore[attr-defined]
            if driver is not None and psutil.pid_exists(driver):
                pids = [driver, *(p.pid for p in psutil.Process(driver).children(recursive=True))]
                now = sum(map(memory_mb, pids))
                self.peak, self.last = max(self.peak, min(now, self.last)), now
            time.sleep(0.1)


def sweep_over(mb: int, name: str) -> tuple[float, float, float, float]:
    """Give peak PSS of the others, growth of this process, seconds until started, median seconds a trial."""
    from jupyter_sweep import Float, Space, run

    big = np.random.default_rng(0).random(mb * 2**20 // 8)

    def job(a: float) -> float:
        total = float(big[:: 4096 // 8].sum() * a)  # touches every page
        time.sleep(PAUSE_S)  # long enough to be looked at
        return total

    job.__module__ = "__main__"
    before = memory_mb(os.getpid())
    begin = time.perf_counter()
    handle = run(job, Space(a=Float(0, 1)), name=name, min="loss", n=N, jobs=2, algo="random", bg=True)
    started = time.perf_counter() - begin
    watch = Peak(handle)
    watch.start()
    handle.wait(120)
    watch.over = True
    growth = memory_mb(os.getpid()) - before
    assert handle.counts == {"completed": N}, handle
    return watch.peak, growth, started, float(handle.df.duration_s.median())


def main() -> None:
    mb = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    with tempfile.TemporaryDirectory() as home:
        os.environ["JUPYTER_SWEEP_HOME"] = home
        os.environ["JUPYTER_SWEEP_IDLE_S"] = "5"
        sweep_over(1, "warm-up")
        small = sweep_over(1, "small")
        peak, growth, started, trial = sweep_over(mb, "big")
        print(f"array {mb} MB; peak PSS of all processes but the kernel {peak:.0f} MB = {peak / mb:.2f} x")
        print(f"kernel grew by {growth:.0f} MB = {growth / mb:.2f} x; the call returned after {started:.2f} s")
        own, less = (trial - PAUSE_S) * 1000, (small[3] - PAUSE_S) * 1000
        print(f"a trial that touches every page {own:.1f} ms; with 1 MB {less:.1f} ms")


if __name__ == "__main__":
    main()
