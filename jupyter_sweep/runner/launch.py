"""Start a driver process that nobody's death takes along, and hand it what trials need to know of their starter.

The driver must not be a descendant of the kernel: Jupyter ends a kernel's whole process tree on restart. So a shell
that ends at once starts it in a session of its own. Environment and working directory of the process that starts or
resumes a sweep go into a file that only the user can read, because a warm driver has those of an earlier one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from ..definition import Spec, Sweep
from ..store import folder, leases
from ..store.sqlite import Store
from . import inline

#: How long a new driver may take to enter itself in the store.
START_S = 60.0


class Asked(NamedTuple):
    """A request to run a sweep: the driver it goes to, and the file that `write_launch` wrote."""

    key: str
    launch: str


def driver_key(executor: Spec) -> str:
    """Name the driver that serves an executor: same words, same Python, same code of ours share a warm driver."""
    package = Path(__file__).resolve().parent.parent
    stamp = max(path.stat().st_mtime_ns for path in package.rglob("*.py"))
    text = json.dumps([executor.name, executor.options, sys.executable, str(package), stamp], sort_keys=True)
    name = re.sub(r"[^\w.-]+", "_", executor.name)[:40]
    return f"{name}-{hashlib.blake2b(text.encode(), digest_size=6).hexdigest()}"


def key_to_ask(store: Store, sweep: Sweep) -> str:
    """Name the driver to ask: the one that owns the sweep, else the one that this process would start."""
    owner = leases.owner(store, sweep.sweep_id)
    return driver_key(sweep.executor) if owner is None else owner.key


def begin(store: Store, sweep: Sweep, *, cwd: str) -> None:
    """Ask a driver for a stored sweep, starting one if there is none; `--on inline` runs it here and now."""
    fulfil(store, sweep, ask(store, sweep, cwd=cwd))


def ask(store: Store, sweep: Sweep, *, cwd: str) -> Asked:
    """Write down what is asked of a driver; `fulfil` sees to it that there is one."""
    path = write_launch(store.home, sweep.sweep_id, cwd)
    key = key_to_ask(store, sweep)
    if sweep.executor.name != "inline":
        with store.batch():
            if leases.owner(store, sweep.sweep_id) is None:
                store.set_state(sweep.sweep_id, "queued")
            store.request(sweep.sweep_id, key, "run", launch=path)
    return Asked(key, path)


def fulfil(store: Store, sweep: Sweep, asked: Asked) -> None:
    """Start the driver that was asked, or run the sweep here; no transaction may be open."""
    if sweep.executor.name == "inline":
        inline.run(store, sweep, asked.launch)
    else:
        ensure_driver(store, asked.key, sweep.executor, slots=sweep.budget.parallel)


def write_launch(home: Path, sweep_id: int, cwd: str) -> str:
    """Write this process's environment, folder and import path for the trials of a sweep; give the file's path."""
    path = folder.make_private(home / folder.DRIVER) / f"launch-{sweep_id}.json"
    folder.write_json(path, {"env": dict(os.environ), "cwd": cwd, "path": [p for p in sys.path if p]})
    return str(path)


def log_path(home: Path, key: str) -> Path:
    """Give the driver's log file."""
    return home / folder.DRIVER / f"{key}.log"


def ensure_driver(store: Store, key: str, executor: Spec, *, slots: int | None) -> None:
    """Start the driver of `key` unless a live one is registered; returns at once.

    Two callers may both start one: the second to register finds the first and ends.
    """
    leases.refuse_second_host(store)
    if leases.live_driver(store, key) is not None:
        return
    log = log_path(store.home, key)
    folder.make_private(log.parent)
    place = {"word": executor.name, "options": executor.options}
    options = json.dumps({"home": str(store.home), "key": key, "slots": slots, **place})
    command = [sys.executable, "-m", "jupyter_sweep.runner.driver", options]
    root = str(Path(__file__).resolve().parent.parent.parent)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))}
    with open(os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600), "ab") as output:
        subprocess.run(
            ["/bin/sh", "-c", '"$@" &', "sh", *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
            env=env,
            check=True,
            timeout=START_S,
        )
