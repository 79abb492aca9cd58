"""Notebooks without a kernel, what is captured of them, and a fresh process to find it in."""

from __future__ import annotations

import ast
import linecache
import os
import subprocess
import sys
import textwrap
from itertools import count
from pathlib import Path
from typing import Any

from jupyter_sweep.jobs.capture import Capture, capture
from jupyter_sweep.jobs.jobfile import write_job

ROOT = Path(__file__).parents[1]

_numbers = count()

_TRIAL = """
import sys
data, job = sys.argv[1:]
from jupyter_sweep.worker.job import Job, LocalModules
job = Job(data, job)
sys.meta_path.insert(0, LocalModules(job.modules))
loaded = job.load()
loaded.namespace["loaded"] = loaded
exec(sys.stdin.read(), loaded.namespace)
"""


def cell(source: str, names: dict[str, Any] | None = None) -> dict[str, Any]:
    """Run source as a notebook runs a cell and give the namespace: a new one, or `names`."""
    names = {"__name__": "__main__"} if names is None else names
    source, name = textwrap.dedent(source), f"<captured cell {next(_numbers)}>"
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    exec(compile(source, name, "exec", dont_inherit=True), names)
    return names


def notebook(*cells: str) -> dict[str, Any]:
    """Give the namespace of a notebook that ran some cells."""
    names = holding()
    for source in cells:
        cell(source, names)
    return names


def holding(**values: Any) -> dict[str, Any]:
    """Give the namespace of a notebook that holds some values."""
    return {"__name__": "__main__", **values}


def captured(names: dict[str, Any], wanted: str, body: str = "", *, folder: Path | str = "", **options: Any) -> Capture:
    """Capture the names in `wanted`, separated by blanks; the first is read in line 2."""
    lines = {name: number for number, name in enumerate(wanted.split(), 2)}
    return capture(names, lines, tree=ast.parse(textwrap.dedent(body)), folder=str(folder), **options)


def run_in_trial(data: Path, what: Capture, code: str) -> str:
    """Run code in a fresh process, in the namespace that a capture makes there; give its output."""
    job = write_job(str(data), what, {"source": "", "sites": [], "targets": [], "parameters": []})
    return run_script(_TRIAL, str(data), job, stdin=textwrap.dedent(code))


def run_script(script: str, *arguments: str, stdin: str = "") -> str:
    """Run a script in a fresh process far from the notebook, with another hash seed; give its output."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "random", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
