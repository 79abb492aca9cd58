"""A LocalCluster on this machine.

Settings, each there because something broke without it (see the comments). They are given while the cluster is made;
what is read at run time (`lost-worker-timeout`, the log level) stays set, for the driver is a process of its own.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import multiprocessing
from collections.abc import Mapping
from typing import Any

from ...errors import SweepError, count
from ..clusters import Where, usable_cores
from .base import environment_kept, load_distributed

_SETTINGS = {
    # What the loop sends ahead of the slots (short trials) waits on the worker: it then follows in 2 ms, not in 10.
    "distributed.scheduler.worker-saturation": 1.5,
    # A trial whose worker dies is told to us, not run again behind our back.
    "distributed.scheduler.allowed-failures": 0,
    # Thread limits are a matter of each trial; in the environment of this process they outlive the cluster.
    "distributed.nanny.pre-spawn-environ": {},
}
#: At its default of 15 s a worker that dies twice in a row is given up for good (dask/distributed#7312 looks the same).
_LASTING = {"distributed.deploy.lost-worker-timeout": "1h"}
SLOTS_PER_WORKER = 4
_CLOSE_S = 5


def read(word: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Read "local" or "threads"; neither has options."""
    if ":" in word or options:
        raise SweepError(f"--on {word} can't be read. --jobs gives the number of trials at once.")
    return {}


def plan(where: Where, slots: int | None) -> str:
    n = slots or usable_cores()
    how = "a worker process each" if where.kind == "local" else "all in the driver process"
    return f"Dask LocalCluster on 127.0.0.1: {count(n, 'worker')}, {how}; every trial in a process of its own"


def start(where: Where, slots: int | None) -> Local:
    return Local(where, slots or usable_cores())


class Local:
    """A LocalCluster: processes watched by nannies, or all in this process ("threads").

    A worker process serves up to SLOTS_PER_WORKER slots. It only supervises, trials have processes of their own, so
    its threads don't get in each other's way; a process a slot would cost 48 MB and a start of its own each.
    """

    def __init__(self, where: Where, n: int) -> None:
        import dask

        distributed = load_distributed()
        self.prefix = where.kind
        self._wanted = n
        self._threads = min(n, SLOTS_PER_WORKER)
        processes = where.kind == "local"
        dask.config.set(_LASTING)
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # all that matters comes to us as an event
        with environment_kept(), dask.config.set(_SETTINGS):
            self._cluster = distributed.LocalCluster(
                n_workers=self._n_workers(),
                threads_per_worker=self._threads,
                processes=processes,
                memory_limit=0,  # trials have their own limit; a worker that pauses for memory would hold them back
                host="127.0.0.1" if processes else None,
                dashboard_address="127.0.0.1:0",  # the default binds all interfaces
                silence_logs=logging.CRITICAL,
            )
            try:
                self.client = distributed.Client(self._cluster, set_as_default=False)
            except BaseException:
                self._cluster.close(timeout=_CLOSE_S)
                raise
        self.dashboard = self._link()

    def _link(self) -> str | None:
        """Give the dashboard's address on the interface that it is bound to, where Dask can draw one."""
        port = self._cluster.scheduler_info["services"].get("dashboard")
        if port is None or importlib.util.find_spec("bokeh") is None:
            return None
        link: str = load_distributed().utils.format_dashboard_link("127.0.0.1", port)
        return link

    def _n_workers(self) -> int:
        return -(-self._wanted // self._threads)

    def slots(self) -> int:
        return self._wanted

    def scale(self, n: int) -> None:
        self._wanted = n
        self._cluster.scale(self._n_workers())

    def is_whole(self) -> bool:
        return len(self._cluster.scheduler.workers) >= self._n_workers()

    def heal(self) -> None:
        self._cluster.scale(self._n_workers())

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
