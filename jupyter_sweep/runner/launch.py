"""Start a driver process that nobody's death takes along, and hand it what trials need to know of their starter.

The driver must not be a descendant of the kernel: Jupyter ends a kernel's whole process tree on restart. So a shell
that ends at once starts it in a session of its own. Environment and working directory of the process that starts or
resumes a sweep go into a file that only the user can read, because a warm driver has those of an earlier one.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from .. import units
from ..definition import Spec, Sweep
from ..errors import SweepError
from ..store import folder, leases
from ..store.sqlite import Store
from . import entering, inline
from .detached import detach, with_package

#: The variable that hands a driver the options of its place: an `env` there may hold what others must not read, and
#: anybody can read a command line.
PLACE = "JUPYTER_SWEEP_PLACE"
#: The state that a request gives to a sweep that nobody runs.
RESTING = {"pause": "paused", "stop": "stopped", "interrupt": "interrupted", "kill": "interrupted"}
#: How long a driver waits for work where the environment doesn't say.
IDLE_S = 300.0


class Asked(NamedTuple):
    """A request to run a sweep: the driver it goes to, and the file that `write_launch` wrote."""

    key: str
    launch: str


def driver_key(executor: Spec, python: str = sys.executable) -> str:
    """Name the driver that serves an executor: same words, same Python, same code of ours share a warm driver."""
    text = json.dumps([executor.name, executor.options, python, *_code()], sort_keys=True)
    return f"{word_in_key(executor.name)}-{hashlib.blake2b(text.encode(), digest_size=6).hexdigest()}"


@functools.cache
def _code() -> tuple[str, int]:
    """Give our folder and when its youngest file was written, as this process, which has loaded it, found it."""
    package = Path(__file__).resolve().parent.parent
    return str(package), max(path.stat().st_mtime_ns for path in package.rglob("*.py"))


def word_in_key(word: str) -> str:
    """Give a word of `--on` as the keys of its drivers begin."""
    return re.sub(r"[^\w.-]+", "_", word)[:40]


def key_to_ask(store: Store, sweep: Sweep) -> str:
    """Name the driver to ask: the one that owns the sweep, else the one that this process would start."""
    owner = leases.owner(store, sweep.sweep_id)
    return driver_key(sweep.executor) if owner is None else owner.key


def begin(store: Store, sweep: Sweep, *, cwd: str) -> None:
    """Ask a driver for a stored sweep, starting one if there is none; `--on inline` runs it here and now, a
    passive one only proposes."""
    fulfil(store, sweep, ask(store, sweep, cwd=cwd))


def begin_as_before(store: Store, sweep: Sweep) -> None:
    """As `begin`, with the environment, folder and Python of whoever started or resumed the sweep last.

    For a process that only looks, as the Jupyter server does: trials must not run in its environment, which on a hub
    isn't even that of the kernels. Where nobody left a word of his, or that folder is gone, it is as `begin`.
    """
    path = folder.launch_path(store.home, sweep.sweep_id)
    before = folder.read_launch(path)
    if sweep.is_passive and before:
        entering.begin(store, sweep, str(path))
        return
    if not sweep.has_driver or not Path(before.get("cwd", "")).is_dir() or "env" not in before:
        begin(store, sweep, cwd=str(store.home.parent))
        return
    python = before.get("python", "")
    owner = leases.owner(store, sweep.sweep_id)
    other = python if python != sys.executable and os.access(python, os.X_OK) else ""
    key = owner.key if owner else driver_key(sweep.executor, other or sys.executable)
    _request(store, sweep, Asked(key, str(path)))
    ensure_driver(
        store, key, sweep.executor, slots=sweep.budget.parallel, other=(other, before["env"]) if other else None
    )


def ask(store: Store, sweep: Sweep, *, cwd: str) -> Asked:
    """Write down what is asked of a driver; `fulfil` sees to it that there is one."""
    path = write_launch(store.home, sweep.sweep_id, cwd)
    asked = Asked(key_to_ask(store, sweep), path)
    _request(store, sweep, asked)
    return asked


def _request(store: Store, sweep: Sweep, asked: Asked) -> None:
    if sweep.has_driver:
        with store.batch():
            if leases.owner(store, sweep.sweep_id) is None:
                store.set_state(sweep.sweep_id, "queued")
            store.request(sweep.sweep_id, asked.key, "run", launch=asked.launch)


def fulfil(store: Store, sweep: Sweep, asked: Asked) -> None:
    """Start the driver that was asked, or do here what needs none; no transaction may be open."""
    if sweep.is_passive:
        entering.begin(store, sweep, asked.launch)
    elif not sweep.has_driver:
        inline.run(store, sweep, asked.launch)
    else:
        ensure_driver(store, asked.key, sweep.executor, slots=sweep.budget.parallel)


def write_launch(home: Path, sweep_id: int, cwd: str) -> str:
    """Write this process's environment, folder and import path for the trials of a sweep; give the file's path.

    Raises
    ------
    SweepError
        Where that environment says nonsense to the driver.
    """
    idle_limit_s(os.environ)
    folder.make_private(home / folder.DRIVER)
    path = folder.launch_path(home, sweep_id)
    word = {"env": dict(os.environ), "cwd": cwd, "path": [p for p in sys.path if p], "python": sys.executable}
    folder.write_json(path, word)
    return str(path)


def idle_limit_s(env: Mapping[str, str]) -> float:
    """Give how long a driver waits for work, its cluster warm, as an environment has it: JUPYTER_SWEEP_IDLE_S.

    >>> idle_limit_s({}), idle_limit_s({"JUPYTER_SWEEP_IDLE_S": "20m"})
    (300.0, 1200.0)
    """
    text = env.get("JUPYTER_SWEEP_IDLE_S", "") or str(IDLE_S)
    try:
        return 0.0 if text.strip() == "0" else units.duration(text)
    except SweepError as error:
        raise SweepError(f"JUPYTER_SWEEP_IDLE_S, how long an idle cluster is kept, {error}") from None


def log_path(home: Path, key: str) -> Path:
    """Give the driver's log file."""
    return home / folder.DRIVER / f"{key}.log"


def ensure_driver(
    store: Store, key: str, executor: Spec, *, slots: int | None, other: tuple[str, dict[str, str]] | None = None
) -> None:
    """Start the driver of `key` unless a live one is registered; returns at once.

    Two callers may both start one: the second to register finds the first and ends. `other` is another Python and its
    environment to start it with; the package that is installed there is used.
    """
    leases.refuse_second_host(store)
    if leases.live_driver(store, key) is not None:
        return
    start = json.dumps({"home": str(store.home), "key": key, "slots": slots, "word": executor.name})
    python, env = other or (sys.executable, with_package(os.environ))
    env = {**env, PLACE: json.dumps(executor.options)}
    detach([python, "-m", "jupyter_sweep.runner.driver", start], log=log_path(store.home, key), env=env)
