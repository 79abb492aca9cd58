"""Trials that crash, hang, leave, flood and swallow memory, in one sweep: each costs itself alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_sweep.live import sweep

pytestmark = pytest.mark.timeout(240)

SCRIPT = """
import ctypes, os, sys, time
from jupyter_sweep import Int, Space, report, run

def job(i):
    kind = i % 5
    report(loss=float(i), step=0)
    if not 5 <= i < 30:
        return
    if kind == 0:
        ctypes.string_at(0)
    if kind == 1 and i < 12:
        ctypes.PyDLL(None).sleep(600)  # in C, with the GIL held
    if kind == 2:
        os._exit(7)
    if kind == 3:
        line = "x" * 99 + chr(10)
        for _ in range(1_000_000):
            sys.stdout.write(line)
    if kind == 4:
        hog = [bytearray(50_000_000) for _ in range(100)]

run(job, Space(i=Int(0, 49)), name="hostile", min="loss", grid=True, jobs=2, timeout=16, mem="1G")
"""


@pytest.mark.usefixtures("nothing_left")
def test_each_bad_trial_costs_itself_alone_and_has_its_reason(home: Path) -> None:
    script = home.parent / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, str(script)], cwd=home.parent, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout) + len(done.stderr) < 2000
    handle = sweep("hostile")
    trials = {t.params["i"]: t for t in handle.trials()}
    assert sorted(trials) == list(range(50))
    outcome = {i: (str(t.state), t.reason) for i, t in trials.items()}
    for i in range(5, 30):
        expected = {
            0: ("failed", "crash"),
            1: ("failed", "timeout") if i < 12 else ("completed", ""),
            2: ("failed", "crash"),
            3: ("completed", ""),
            4: ("failed", "memory"),
        }[i % 5]
        assert outcome[i] == expected, (i, trials[i])
    assert all(outcome[i] == ("completed", "") for i in [*range(5), *range(30, 50)])
    assert "killed by SIGSEGV" in trials[5].error
    assert "exit status 7" in trials[7].error
    assert all(t.attempt == 1 for t in trials.values())
    assert sum(handle.counts.values()) == 50
    assert json.loads((home / trials[8].folder / "metrics.json").read_text()) == {"loss": 8.0}
    logs = [(home / t.folder / "log.txt").stat().st_size for t in trials.values()]
    assert max(logs) < 30_000_000
    assert "Segmentation fault" in handle.log(trials[5].number)
