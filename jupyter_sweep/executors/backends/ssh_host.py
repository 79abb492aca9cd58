"""The life of one ssh host in a cluster: reached, started, watched, lost, tried again, given up."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from ...worker.logfile import LogFile
from . import ssh_agent, ssh_probe
from .ssh_link import Link, Unusable, reach

log = logging.getLogger("jupyter_sweep.ssh")
#: A worker process serves so many slots; it only supervises, so its threads don't get in each other's way.
SLOTS_PER_WORKER = 4
#: An agent that hears nothing for so long ends all that runs there; one that lives hears something in PING_S.
SILENCE_S, PING_S = 20.0, 3.0
#: How long workers may take until the scheduler knows them.
_START_S = 60.0


async def look(options: Mapping[str, Any], timeout_s: float) -> list[ssh_probe.Found]:
    """Reach all hosts, hear what they say of themselves, and leave again. A host has `timeout_s` for its answer."""
    limit = min(timeout_s, options["connect_timeout"])
    hosts = [Host(word, {**options, "connect_timeout": limit}, 1) for word in options["hosts"]]
    await asyncio.gather(*(host.reach() for host in hosts))
    await asyncio.gather(*(host.end() for host in hosts))
    return [host.found for host in hosts]


class Host:
    """One host of a cluster.

    Parameters
    ----------
    word
        As `ssh_words.read` gives it.
    options
        All that it gives: `connect_timeout`, `max_retries`, `reconn_wait_time`.
    cpus
        Cores of one trial; they say how many slots a host has that has no number of its own.
    """

    def __init__(self, word: Mapping[str, Any], options: Mapping[str, Any], cpus: float) -> None:
        self.name: str = word["name"]
        self.hello: dict[str, Any] = {}
        self.problem: Unusable | None = None  # why it can't be used now
        self.given_up = False
        self.link: Link | None = None
        self._word, self._options, self._cpus = word, options, cpus
        self._generation = self._failures = 0
        self._token = secrets.token_hex(8)
        self._log = _log_of(self.name)

    @property
    def slots(self) -> int:
        """Trials at once; 0 until the host has said how many cores it has."""
        if self._word["slots"]:
            return int(self._word["slots"])
        return max(1, int(self.hello["cores"] // self._cpus)) if self.hello else 0

    @property
    def is_up(self) -> bool:
        return self.link is not None and self.problem is None

    @property
    def found(self) -> ssh_probe.Found:
        return ssh_probe.Found(self.name, self.hello, self.problem)

    @property
    def in_words(self) -> str:
        """Say how it is, where it isn't up."""
        if self.problem is None:
            return "starting"
        what = "given up" if self.given_up else f"tried again every {self._options['reconn_wait_time']:g} s"
        return f"{self.problem.verdict}, {what}"

    async def reach(self) -> None:
        """Connect and look whether its Python can work with ours; `problem` says why it can't."""
        try:
            self.link = await reach(self._word, self._options["connect_timeout"], self._keep)
            self.hello = self.link.hello
            self.problem = ssh_probe.judge(self.hello, ssh_probe.own_versions())
        except Unusable as problem:
            self.problem = problem

    async def begin(self, common: Mapping[str, Any], names: Callable[[], Mapping[Any, str]]) -> None:
        """Start the workers and wait until the scheduler knows them; `problem` says why they didn't come.

        Parameters
        ----------
        common
            What all hosts are told: `scheduler` (its address for this host), `security`, `settings`.
        names
            Gives the names of the workers that the scheduler knows.
        """
        assert self.link is not None
        self._generation += 1
        workers = _workers(self.slots)
        source = Path(ssh_agent.__file__).read_text(encoding="utf-8")
        own = {"name": self.name, "generation": self._generation, "host": self.link.there, "workers": workers}
        with contextlib.suppress(OSError):  # broken since it was reached: `over` says so below
            self.link.begin({**common, **own, "token": self._token, "silence_s": SILENCE_S, "source": source})
        limit = time.monotonic() + _START_S
        pinged = time.monotonic()
        while sum(self.is_mine(name, now=True) for name in names()) < len(workers):
            if self.link.over.is_set() or time.monotonic() > limit:
                self.problem = await self._not_begun(common["scheduler"])
                return
            if time.monotonic() - pinged > PING_S:
                self.link.ping()
                pinged = time.monotonic()
            await asyncio.sleep(0.05)

    async def _not_begun(self, scheduler: str) -> Unusable:
        assert self.link is not None
        if not self.link.over.is_set():
            text = f"not within {_START_S:.0f} s: a firewall, or a way there by a third host? "
            return Unusable("its workers can't reach us", f"{text}They must reach {scheduler}{self.link.said()}")
        status = await self.link.status()
        if status is None:
            return Unusable("connection lost", passing=True)
        return Unusable("its workers don't stay alive", f"status {status}{self.link.said()}")

    def is_mine(self, worker: object, *, now: bool = False) -> bool:
        """Tell whether a worker's name is one of this host; `now`: of its present connection."""
        own = re.escape(self.name) + r"/\d+\." + (rf"{self._generation}\." if now else "")
        return re.match(own, str(worker)) is not None

    async def look_after(self, again: Callable[[], Awaitable[None]], forget: Callable[[Host], Awaitable[None]]) -> None:
        """Keep the host in use until it is given up.

        Parameters
        ----------
        again
            Reaches the host and starts its workers; `problem` is set when that fails.
        forget
            Takes the host's workers from the scheduler.
        """
        retries, wait_s = self._options["max_retries"], self._options["reconn_wait_time"]
        while True:
            if self.link is not None and self.problem is None:
                self._failures = 0
                await self._watch()
                log.warning("%s is lost; its trials go elsewhere, and it is tried again every %g s", self.name, wait_s)
            await self.let_go()
            await forget(self)
            if retries is not None and self._failures >= retries:
                self.given_up = True
                log.warning("%s is given up after %d attempts to reach it again", self.name, self._failures)
                return
            await asyncio.sleep(wait_s)
            self._failures += 1
            await self._tried(again)
            if self.problem is None:
                log.warning("%s is back", self.name)
            elif self._failures == 1 or not self.problem.passing:
                log.warning("%s: %s. %s", self.name, self.problem.verdict, self.problem.advice)

    async def _tried(self, again: Callable[[], Awaitable[None]]) -> None:
        """Try once. Whatever comes of it, a connection that breaks at any word for one, this host is looked after."""
        try:
            await again()
        except Exception as error:
            log.warning("%s can't be taken back now", self.name, exc_info=True)
            self.problem = Unusable(str(error) or type(error).__name__, passing=True)

    async def _watch(self) -> None:
        """Keep the host's agent alive until it ends or the connection breaks."""
        assert self.link is not None
        while not self.link.over.is_set():
            self.link.ping()
            try:
                await asyncio.wait_for(self.link.over.wait(), PING_S)
            except asyncio.TimeoutError:
                continue
        self.problem = Unusable("connection lost", passing=True)

    async def let_go(self) -> None:
        """Drop the connection: the host then ends what runs there."""
        link, self.link = self.link, None
        if link is not None:
            await link.drop()

    async def end(self) -> None:
        """Have the host end all and clear up; returns when it has, or after a bound."""
        link, self.link = self.link, None
        if link is not None:
            await link.end()
        if self._log is not None:
            self._log.close()

    def _keep(self, data: bytes) -> None:
        if self._log is not None:
            self._log.write(data)


def _workers(slots: int) -> list[dict[str, int]]:
    """Share slots out among worker processes.

    >>> _workers(6)
    [{'first': 0, 'threads': 4}, {'first': 4, 'threads': 2}]
    """
    return [
        {"first": first, "threads": min(SLOTS_PER_WORKER, slots - first)} for first in range(0, slots, SLOTS_PER_WORKER)
    ]


def _log_of(name: str) -> LogFile | None:
    """Open the log of a host beside the driver's; None where no driver has said where that is."""
    folder = os.environ.get("JUPYTER_SWEEP_LOGS")
    return LogFile(os.path.join(folder, f"ssh-{re.sub(r'[^A-Za-z0-9_.@-]+', '_', name)}.log")) if folder else None
