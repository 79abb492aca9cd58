"""What runs on an ssh host: the agent, which starts Dask workers and ends them, and the workers. Travels as text.

The agent lives as long as somebody holds the other end of its input and says a word now and then. When that ends,
because the driver is done, was killed or can't be reached any more, so do the workers, all their trials, and the one
folder that there was. A host that is reached again sooner than its agent gave up gets a new one, which ends the other
first: no trial of before runs beside those of now. Nothing secret is on a command line or in a file that stays: all
comes by the input.

Nothing here needs a package of ours; only `work`, in a process of its own, needs Dask.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from typing import Any, NoReturn

#: A worker that died is started again after this pause, and not after so many deaths in a row within QUICK_S each.
_AGAIN_S, _QUICK_S, _MAX_QUICK = 1.0, 10.0, 3
#: How long trials may take to be gone once their workers are.
_CLEAR_S = 5.0
_TURN_S = 0.5
#: Exit status when the driver fell silent, when the workers don't stay alive, and when a newer agent took over.
SILENT, HOPELESS, REPLACED = 94, 95, 96
#: Begins the name of an agent's folder. Whoever holds the lock of the file in it lives; one whose file is gone ends.
_FOLDER, _LIFE = "sweep-host-", "life"

#: What `python -c` runs for a worker. Its first line tells in a list of processes what this is.
_WORKER = """# sweep-worker
import json, sys
config = json.loads(sys.stdin.buffer.readline())
space = {"__name__": "sweep_host"}
exec(compile(config["source"], "<sweep host>", "exec"), space)
space["work"](config)
"""


def main(config: dict[str, Any]) -> int:
    """Run workers until the input ends or is silent for too long; give the exit status.

    Parameters
    ----------
    config
        `workers` (for each the number of its first slot and of its threads), `silence_s`, `source` (this file),
        `token` (the same for all agents that one driver starts on one host), `env_before` (as the shell began), and
        what `work` needs.
    """
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGHUP, _end)
    with contextlib.suppress(OSError, AttributeError):  # Linux: trials whose workers are gone become our children
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
    _take_over(config["token"])
    folder, life = _own_folder(config["token"])
    agent = _Agent({**config, "folder": folder})
    try:
        return agent.serve()
    finally:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        agent.end()
        shutil.rmtree(folder, ignore_errors=True)
        os.close(life)


def _end(*_: object) -> NoReturn:
    raise SystemExit(0)


def _own_folder(token: str) -> tuple[str, int]:
    """Make the folder of this agent; give its path, and a descriptor that holds its lock."""
    aside = tempfile.mkdtemp(prefix="sweep-new-")  # nobody sees it under its name before it is locked
    life = os.open(os.path.join(aside, _LIFE), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(life, fcntl.LOCK_EX)
    above, name = os.path.split(aside)
    folder = os.path.join(above, f"{_FOLDER}{token}-{name.rpartition('-')[2]}")
    os.rename(aside, folder)
    return folder, life


def _take_over(token: str) -> None:
    """Have earlier agents of this driver end, and wait for it; clear up after those of any driver that were killed."""
    with os.scandir(tempfile.gettempdir()) as found:
        folders = [entry.path for entry in found if entry.name.startswith(_FOLDER)]
    for folder in folders:
        with contextlib.suppress(OSError):  # another user's, or gone already
            life = os.open(os.path.join(folder, _LIFE), os.O_WRONLY | os.O_CLOEXEC)
            try:
                if os.path.basename(folder).startswith(f"{_FOLDER}{token}-"):
                    os.unlink(os.path.join(folder, _LIFE))
                    _await_end(life)
                fcntl.flock(life, fcntl.LOCK_EX | fcntl.LOCK_NB)  # OSError while it lives
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(life)


def _await_end(life: int) -> None:
    """Wait until nobody holds the lock of an agent that was told to end."""
    until = time.monotonic() + _TURN_S + 2 * _CLEAR_S
    while time.monotonic() < until:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(life, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(0.05)


class _Agent:
    def __init__(self, config: dict[str, Any]) -> None:
        self._config = config
        self._env = {**os.environ, "TMPDIR": config["folder"], "JUPYTER_SWEEP_TRIAL_ENV": _changes(config)}
        self._workers = [_Worker(spec) for spec in config["workers"]]
        self._life = os.path.join(config["folder"], _LIFE)

    def serve(self) -> int:
        for worker in self._workers:
            worker.start(self._config, self._env)
        poller = select.poll()
        poller.register(0, select.POLLIN)
        heard = time.monotonic()
        while True:
            if poller.poll(_TURN_S * 1000):
                if not os.read(0, 4096):
                    return 0
                heard = time.monotonic()
                with contextlib.suppress(OSError):
                    os.utime(self._life)  # what cleans /tmp by age leaves it alone
            if time.monotonic() - heard > self._config["silence_s"]:
                return SILENT
            if not os.path.exists(self._life):
                return REPLACED
            for worker in self._workers:
                if worker.is_due():
                    if worker.quick_deaths >= _MAX_QUICK:
                        return HOPELESS
                    worker.start(self._config, self._env)

    def end(self) -> None:
        """End the workers at once, and with them their trials; returns when all are gone."""
        for worker in self._workers:
            worker.hang_up()
        until = time.monotonic() + _CLEAR_S
        while _children() and time.monotonic() < until:
            time.sleep(0.02)
        for pid in _children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _changes(config: Mapping[str, Any]) -> str:
    """Give what the profile's variables and the prescript made of the environment: trials get it over their own."""
    before = config["env_before"]
    changed = {name: value for name, value in os.environ.items() if before.get(name) != value}
    for name in ("PWD", "OLDPWD", "SHLVL", "_"):
        changed.pop(name, None)
    return json.dumps(changed)


def _children() -> list[int]:
    """Take leave of children that ended; give those that live."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:  # no such list here: the guards of the trials see to their end
        return []


class _Worker:
    """One worker process, started again when it dies."""

    def __init__(self, spec: Mapping[str, int]) -> None:
        self._spec = spec
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = 0
        self._began = self._due = 0.0
        self.quick_deaths = 0

    def start(self, config: Mapping[str, Any], env: Mapping[str, str]) -> None:
        self._starts += 1
        self._began, self._due = time.monotonic(), 0.0
        name = f"{config['name']}/{self._spec['first']}.{config['generation']}.{self._starts}"
        self._process = subprocess.Popen(
            [sys.executable, "-c", _WORKER],
            stdin=subprocess.PIPE,
            stdout=2,
            stderr=2,
            env=dict(env),
            cwd="/",
            start_new_session=True,
        )
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it ended already: seen in the next turn
            self._process.stdin.write(json.dumps({**config, **self._spec, "name": name}).encode() + b"\n")
            self._process.stdin.flush()

    def is_due(self) -> bool:
        """Tell whether it is to be started again now."""
        now = time.monotonic()
        if self._process is not None:
            status = self._process.poll()
            if status is None:
                return False
            self.hang_up()
            self._process, self._due = None, now + _AGAIN_S
            self.quick_deaths = self.quick_deaths + 1 if now - self._began < _QUICK_S else 0
            print(f"the worker of slot {self._spec['first']} ended ({status})", file=sys.stderr, flush=True)
        return now >= self._due

    def hang_up(self) -> None:
        """Close its input, at which it ends at once."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()


# -- in a process of its own ------------------------------------------------------------------------------------------


def work(config: dict[str, Any]) -> NoReturn:
    """Be a Dask worker until the scheduler or the agent goes."""
    threading.Thread(target=_end_with_the_agent, daemon=True).start()
    status = 1
    try:
        asyncio.run(_work(config))
        status = 0
    finally:
        sys.stderr.flush()
        os._exit(status)


def _end_with_the_agent() -> NoReturn:
    sys.stdin.buffer.read()
    os._exit(0)


async def _work(config: dict[str, Any]) -> None:
    import logging

    import dask
    import distributed as untyped

    distributed: Any = untyped
    logging.getLogger("distributed").setLevel(logging.WARNING)
    dask.config.set(config["settings"])
    worker = distributed.Worker(
        config["scheduler"],
        name=config["name"],
        nthreads=config["threads"],
        host=config["host"],
        security=distributed.Security(**config["security"]),
        memory_limit=0,  # trials have their own limit; a worker that pauses for memory would hold them back
        local_directory=config["folder"],
        dashboard_address="127.0.0.1:0",  # the default binds all interfaces
        death_timeout=config["silence_s"],
    )
    async with worker:
        await worker.finished()
