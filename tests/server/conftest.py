"""One server for all tests of this folder, with two stores that hold sweeps which ended."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import end_processes_of
from server.serving import Server

STORE = "project/sweeps"
MADE = """
import math, sys
from jupyter_sweep import Choice, Float, Int, Space, report, run

def fit(lr, depth, opt):
    print("trial of", opt, "\\u00e9\\u20ac" * 50)
    for epoch in range(3):
        report(loss=lr + depth + 1 / (epoch + 1), epoch=epoch)
    if depth == 4:
        raise ValueError("too deep")
    return lr + depth

space = Space(lr=Float(1e-3, 1e-1, log=True), depth=Int(1, 4), opt=Choice("sgd", "adam"))
run(fit, space, name="digits", min="loss", n=14, jobs=2, algo="random", note="a first look", tag=["one", "two"])

def both(x):
    return {"a": x, "b": math.inf if x > 0.9 else 1 - x}

run(both, Space(x=Float(0, 1)), name="front", min=["a", "b"], n=6, algo="sobol")
"""


def run_script(folder: Path, text: str, home: Path, *words: str, idle_s: int = 2) -> subprocess.CompletedProcess[str]:
    """Run a script in `folder` with the store `home`; it must succeed. A driver stays for `idle_s` without work."""
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "script.py"
    script.write_text(text)
    env = {**os.environ, "JUPYTER_SWEEP_HOME": str(home), "JUPYTER_SWEEP_IDLE_S": str(idle_s)}
    done = subprocess.run(
        [sys.executable, str(script), *words],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=160,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The server's root, with the store of two sweeps that have ended."""
    folder = tmp_path_factory.mktemp("root")
    home = folder / STORE
    run_script(folder / "project", MADE, home)
    yield folder
    for path in folder.rglob("sweeps.db"):
        end_processes_of(path.parent)


@pytest.fixture(scope="session")
def server(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Jupyter server with that root."""
    with Server(root, tmp_path_factory.mktemp("private"), env={"JUPYTER_SWEEP_IDLE_S": "2"}) as server:
        yield server
