"""What runs beside a sweep in processes of its own: passing trials on to trackers, telling of the end.

Not in the driver: a tracker's package takes seconds to import and may wait for a server, and a driver that does so
sends out no trials; and a warm driver has the environment of an earlier starter, with another server and another
password in it. Nor are they the driver's children: they go on for a while when it ends.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
from pathlib import Path
from typing import IO

from ..definition import Sweep
from ..store import folder
from ..store.sqlite import Store
from . import detached


def follow(store: Store, sweep: Sweep, launched: str) -> None:
    """See to it that the sweep's trials are passed on to every tracker of `--log`; `launched` as of `write_launch`."""
    for tracker in sweep.log:
        held = hold(store.home, sweep.sweep_id, tracker)
        if held is not None:
            held.close()
            word = {"home": str(store.home), "sweep_id": sweep.sweep_id, "tracker": tracker}
            log = lock_path(store.home, sweep.sweep_id, tracker).with_suffix(".log")
            _start("jupyter_sweep.runner.following", word, log, launched)


def notify(store: Store, sweep: Sweep, launched: str) -> None:
    """Have somebody tell of the sweep's end, if its definition says to whom."""
    if sweep.notify:
        log = store.home / folder.DRIVER / f"notify-{sweep.sweep_id}.log"
        _start("jupyter_sweep.notify", {"home": str(store.home), "sweep_id": sweep.sweep_id}, log, launched)


def _start(module: str, word: dict[str, object], log: Path, launched: str) -> None:
    before = folder.read_launch(launched)
    env, cwd = before.get("env", dict(os.environ)), before.get("cwd", "/")
    command = [sys.executable, "-m", module, json.dumps(word)]
    detached.detach(command, log=log, env=detached.with_package(env), cwd=cwd if Path(cwd).is_dir() else "/")


def lock_path(home: Path, sweep_id: int, tracker: str) -> Path:
    """Give the file that whoever passes a sweep on to a tracker holds."""
    return home / folder.DRIVER / f"log-{sweep_id}-{tracker}.lock"


def hold(home: Path, sweep_id: int, tracker: str) -> IO[bytes] | None:
    """Give the file, held until it is closed; None while another process holds it. A process that dies lets it go."""
    path = lock_path(home, sweep_id, tracker)
    folder.make_private(path.parent)
    file = open(os.open(path, os.O_CREAT | os.O_RDWR, 0o600), "r+b")  # noqa: SIM115
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
