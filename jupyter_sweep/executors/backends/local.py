"""A LocalCluster on this machine.

Settings, each there because something broke without it (see the comments). They are given while the cluster is made;
what is read at run time (`lost-worker-timeout`, the log level) stays set, for the driver is a process of its own.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import logging
import multiprocessing
import sys
import threading
from collections.abc import Collection, Mapping
from typing import Any

from ...errors import SweepError, count
from .. import gpus
from ..clusters import Where, slots_here
from .adapt import Follow, read_adapt
from .base import SHORT_LOGS, environment_kept, load_distributed, workers_of

_SETTINGS = {
    **SHORT_LOGS,
    # What the loop sends ahead of the slots (short trials) waits on the worker, which has room for as much (see
    # `remote`): it then follows within 1 ms, not in 10.
    "distributed.scheduler.worker-saturation": 1.5,
    # A trial whose worker dies is told to us, not run again behind our back.
    "distributed.scheduler.allowed-failures": 0,
}
_LASTING = {
    # At its default of 15 s a worker that dies twice in a row is given up for good (as in dask/distributed#7312).
    "distributed.deploy.lost-worker-timeout": "1h",
    # Thread limits are a matter of each trial; in the environment of this process they outlive the cluster.
    "distributed.nanny.pre-spawn-environ": {},
}
SLOTS_PER_WORKER = 4
_CLOSE_S = 5


def read(word: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Read "local" or "threads"; a profile may have the option `adapt`."""
    unknown = sorted(options.keys() - {"adapt"})
    if ":" in word or unknown:
        more = f" It has no option {', '.join(unknown)}; a profile of it may have adapt." if unknown else ""
        raise SweepError(f"--on {word} can't be read. --jobs gives the number of trials at once.{more}")
    return {"adapt": read_adapt(options["adapt"])} if "adapt" in options else {}


def plan(where: Where, slots: int | None) -> str:
    adapt = where.options.get("adapt")
    if adapt:
        return (
            f"Dask LocalCluster on 127.0.0.1: {adapt['minimum']} to {count(adapt['maximum'], 'slot')}, as many as "
            "there is work for; every trial in a process of its own"
        )
    n = slots or slots_here(where)
    how = "a worker process each" if where.kind == "local" else "all in the driver process"
    text = f"Dask LocalCluster on 127.0.0.1: {count(n, 'worker')}, {how}; every trial in a process of its own"
    each = where.share.get("gpus")
    return f"{text}; {gpus.here(where.share, skip_busy=False).in_words(each)}" if each else text


def start(where: Where, slots: int | None) -> Local:
    found = gpus.here(where.share) if where.share.get("gpus") else None
    most = slots_here(where, found)
    return Local(where, slots or most) if found is None else Local(where, min(slots or most, most), found)


class Local:
    """A LocalCluster: processes watched by nannies, or all in this process ("threads").

    A worker process serves up to SLOTS_PER_WORKER slots. It only supervises, trials have processes of their own, so
    its threads don't get in each other's way; a process a slot would cost 48 MB and a start of its own each. Workers
    are named by the number of their first slot; the last one serves what is left, so that there are as many slots as
    were asked for. Its own `scale` is not used, because it ends workers without a look at what they run.
    """

    def __init__(self, where: Where, n: int, found: gpus.Here | None = None) -> None:
        import dask

        distributed = load_distributed()
        self.prefix = where.kind
        self.devices = found.devices if found else []
        self.devices_in_words = found.in_words(where.share["gpus"]) if found else ""
        self._most = slots_here(where, found) if found else sys.maxsize
        self._follow = Follow(**where.options["adapt"]) if "adapt" in where.options else None
        if self._follow:
            self._follow.maximum = min(self._follow.maximum, self._most)
        self._wanted = self._follow.maximum if self._follow else n
        self._leaving: set[int] = set()  # names of workers that are to go once they are idle
        self._lock = threading.Lock()
        processes = where.kind == "local"
        dask.config.set(_LASTING)
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # all that matters comes to us as an event
        with environment_kept(), dask.config.set(_SETTINGS):
            self._cluster = distributed.LocalCluster(
                n_workers=0,
                threads_per_worker=SLOTS_PER_WORKER,
                processes=processes,
                memory_limit=0,  # trials have their own limit; a worker that pauses for memory would hold them back
                host="127.0.0.1" if processes else None,
                dashboard_address="127.0.0.1:0",  # the default binds all interfaces
                silence_logs=logging.CRITICAL,
            )
            try:
                self._add_workers()
                self._cluster.sync(self._settled)
                self.client = distributed.Client(self._cluster, set_as_default=False)
            except BaseException:
                self._cluster.close(timeout=_CLOSE_S)
                raise
        self.dashboard = self._link()

    async def _settled(self) -> None:
        """Wait until the workers are those that were asked for."""
        await self._cluster

    def _link(self) -> str | None:
        """Give the dashboard's address on the interface that it is bound to, where Dask can draw one."""
        port = self._cluster.scheduler_info["services"].get("dashboard")
        if port is None or importlib.util.find_spec("bokeh") is None:
            return None
        link: str = load_distributed().utils.format_dashboard_link("127.0.0.1", port)
        return link

    def slots(self) -> int:
        return self._wanted

    def scale(self, n: int) -> None:
        if self._follow is None:
            with self._lock:
                self._wanted = min(n, self._most)
                self._grow()
        elif n > self._follow.maximum:
            most = self._follow.maximum
            raise SweepError(f"{count(n, 'slot')} are more than maximum={most} in adapt of the profile.")

    def demand(self, n: int) -> None:
        if self._follow is not None:
            with self._lock:
                self._follow.demand(n)
                self._grow()

    def capacity(self) -> int:
        return sum(self._threads().values())

    def spare(self, busy: Collection[str]) -> list[str]:
        with self._lock:
            names, threads = self._names(), self._threads()
            left = sum(n for name, n in threads.items() if name not in self._leaving) - self._target()
            for address in sorted(names, key=lambda a: (a in busy, -names[a])):
                name = names[address]
                if name in threads and name not in self._leaving and threads[name] <= left:
                    left -= threads[name]
                    self._leaving.add(name)
            return [address for address, name in names.items() if name in self._leaving]

    def remove(self, addresses: Collection[str]) -> None:
        names = self._names()
        going = [names[address] for address in addresses if address in names]
        self._cluster.loop.add_callback(self._end, going)

    async def _end(self, names: Collection[int]) -> None:
        await self._cluster.scale_down(names)
        with self._lock:
            self._leaving.difference_update(names)

    def _target(self) -> int:
        """Give the slots that there should be now."""
        return self._follow.target if self._follow else self._wanted

    def _threads(self) -> dict[int, int]:
        """Give the slots of each worker by its name."""
        return {name: spec["options"]["nthreads"] for name, spec in list(self._cluster.worker_spec.items())}

    def _names(self) -> dict[str, int]:
        """Give the name of each worker that is there by its address."""
        return {address: int(w.name) for address, w in workers_of(self._cluster.scheduler).items()}

    def _grow(self) -> None:
        if self._add_workers():
            self._cluster.scale(len(self._cluster.worker_spec))  # has the new ones started; returns at once

    def _add_workers(self) -> bool:
        """Enter workers for the slots that are missing; tell whether there were any."""
        missing = self._missing()
        for first in range(0, missing, SLOTS_PER_WORKER):
            n, new = min(SLOTS_PER_WORKER, missing - first), self._cluster.new_spec
            own = {**new, "options": {**new["options"], "nthreads": n}}
            self._cluster.worker_spec[self._free_name(n)] = own
        return missing > 0

    def _missing(self) -> int:
        """Give how many slots there should be beside those of the workers that stay."""
        return self._target() - sum(n for name, n in self._threads().items() if name not in self._leaving)

    def _free_name(self, n: int) -> int:
        """Give the lowest number from which `n` slots have no worker, not even one that is ending."""
        taken = {slot for name, own in self._threads().items() for slot in range(name, name + own)}
        taken |= {int(name) + i for name in list(self._cluster.workers) for i in range(SLOTS_PER_WORKER)}
        return next(first for first in itertools.count() if taken.isdisjoint(range(first, first + n)))

    def is_whole(self) -> bool:
        return self._missing() <= 0 and len(self._cluster.scheduler.workers) >= len(self._cluster.worker_spec)

    def heal(self) -> None:
        with self._lock:
            self._add_workers()
        self._cluster.scale(len(self._cluster.worker_spec))

    def close(self) -> None:
        pids = {pid for nanny in self._cluster.workers.values() if (pid := _pid(nanny)) is not None}
        with contextlib.suppress(Exception):  # what a close may raise is worth less than that it goes on
            self.client.close(timeout=2)
        with contextlib.suppress(Exception):
            self._cluster.close(timeout=_CLOSE_S)
        for process in multiprocessing.active_children():
            if process.pid in pids:
                process.kill()
                process.join(1)


def _pid(nanny: Any) -> int | None:
    return getattr(getattr(getattr(nanny, "process", None), "process", None), "pid", None)
