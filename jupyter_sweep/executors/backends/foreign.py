"""A cluster of a class that somebody else wrote: clouds, Kubernetes, Dask Gateway, Coiled, one's own.

    on = "class:dask_cloudprovider.aws.EC2Cluster"

Wanted is an object with `scheduler_address` or `get_client()`, and `scale` and `close`. What we started we shut down:
at the end of the driver, at a start that fails or takes too long, and when the driver is told to end meanwhile. Where
the driver itself is killed nobody is left to do so; the scheduler is therefore started with Dask's `idle-timeout`, and
ends by itself when it was idle for a while, its machines with it where the class arranges that (dask-cloudprovider's
`auto_shutdown`, the default).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...errors import SweepError, count
from ..clusters import Seen, Where
from . import class_words
from .adapt import Follow
from .base import environment_kept
from .reached import closed, connect, require_same_release

_CLOSE_S = 60.0
_POLL_S = 0.2
#: The scheduler gives up after so many times the idle time of the driver, which ends its cluster first where it lives.
_ABANDONED = 3

read = class_words.read


def plan(where: Where, slots: int | None) -> str:
    """Say what would be made, after holding the options against the class."""
    settings = where.options
    class_words.bound(settings)
    size = f"{count(settings['workers'], 'worker')}" if settings["workers"] else "workers as the class makes them"
    if settings["adapt"]:
        size = f"{settings['adapt']['minimum']} to {count(settings['adapt']['maximum'], 'slot')}, as there is work"
    elif slots:
        size = f"workers for {count(slots, 'slot')}"
    arguments = [f"    {name} = {value!r}" for name, value in settings["arguments"].items()]
    ends = f"shut down by the driver when it ends, or {settings['idle_s']:g} s after the last sweep"
    head = f"{settings['class']} ({class_words.package_of(settings['class'])}): {size}; {ends}"
    return "\n".join([head, *arguments])


def check(where: Where) -> None:
    """Import the class and hold the options against its signature."""
    class_words.bound(where.options)


def seen(where: Where) -> Seen:
    class_words.bound(where.options)
    return Seen(None, class_words.package_of(where.options["class"]), "ok, its options suit the class")


def start(where: Where, slots: int | None) -> Foreign:
    return Foreign(where, slots)


class Foreign:
    """A cluster of a foreign class. Threads of its workers are slots; it is scaled in whole workers."""

    prefix = ""

    def __init__(self, where: Where, slots: int | None) -> None:
        settings = where.options
        self._word = f"class:{settings['class']}"
        self._limit = time.monotonic() + settings["start_s"]
        self._start_s = settings["start_s"]
        self.idle_s: float = settings["idle_s"]
        self._follow = Follow(**settings["adapt"]) if settings["adapt"] else None
        self._asked: int | None = None
        self._threads = 1
        made = class_words.bound(settings)
        _configure(self.idle_s)
        with environment_kept(), _ended_by_signal():
            self._cluster = self._make(made, settings["arguments"])
            try:
                self._size(settings["workers"], slots)
                self.client = self._reach()
                self._settle(slots)
            except BaseException:
                self.close()
                raise
        self.dashboard: str | None = getattr(self._cluster, "dashboard_link", None)

    # -- the start ----------------------------------------------------------------------------------------------------

    def _make(self, made: Any, arguments: Mapping[str, Any]) -> Any:
        """Call the class in a thread, so that its start has a limit; end what it began when it fails."""
        plain = isinstance(made, type) and getattr(made, "__new__", None) is object.__new__
        cluster: Any = object.__new__(made) if plain else None  # in hand before its start can fail
        ended: list[Any] = []

        def call() -> None:
            try:
                if cluster is None:
                    ended.append(made(**arguments))
                else:
                    cluster.__init__(**arguments)
                    ended.append(cluster)
            except BaseException as error:
                ended.append(error)

        thread = threading.Thread(target=call, name="cluster start", daemon=True)
        thread.start()
        try:
            while thread.is_alive():
                if time.monotonic() > self._limit:
                    raise SweepError(f"--on {self._word}: no cluster after {self._start_s:g} s (start_within).")
                thread.join(_POLL_S)
            if isinstance(ended[0], BaseException):
                raise SweepError(f"--on {self._word}: {_reason(ended[0])}") from ended[0]
        except BaseException:
            _end(cluster)
            raise
        return ended[0]

    def _size(self, workers: int | None, slots: int | None) -> None:
        """Ask for the first workers; how many are enough for the slots is known when one of them has come."""
        first = workers or (1 if slots or self._follow else None)
        if first is not None:
            self._scale_workers(first)

    def _settle(self, slots: int | None) -> None:
        threads = list(self.client.nthreads().values())
        self._threads = max(threads)
        if self._follow is not None:
            self._scale_workers(self._workers_for(self._follow.target))
        elif slots is not None:
            self._scale_workers(max(self._asked or 0, self._workers_for(slots)))

    def _reach(self) -> Any:
        """Give a new client, once the scheduler has a worker."""
        client = self._client()
        try:
            while not client.nthreads():
                if time.monotonic() > self._limit:
                    raise SweepError(f"--on {self._word}: no worker came within {self._start_s:g} s (start_within).")
                time.sleep(_POLL_S)
            fix = "Give the workers the same environment: a container image of the same Python, for one (docker_image)."
            require_same_release(client, self._word, fix)
        except BaseException:
            closed(client)
            raise
        return client

    def _client(self) -> Any:
        if isinstance(getattr(self._cluster, "scheduler_address", None), str):
            return connect(self._cluster, self._word, timeout_s=30)
        if not hasattr(self._cluster, "get_client"):
            raise SweepError(f"--on {self._word}: it makes no cluster: no scheduler_address and no get_client().")
        try:
            return self._cluster.get_client()
        except Exception as error:
            raise SweepError(f"--on {self._word}: no client: {type(error).__name__}: {error}") from error

    # -- its size -----------------------------------------------------------------------------------------------------

    def _workers_for(self, slots: int) -> int:
        return math.ceil(slots / self._threads)

    def _scale_workers(self, n: int) -> None:
        if n != self._asked:
            self._asked = n
            self._cluster.scale(n)

    def slots(self) -> int:
        if self._follow is not None:
            return self._follow.maximum
        there: int = sum(self.client.nthreads().values())
        return there if self._asked is None else max(there, self._asked * self._threads)

    def scale(self, n: int) -> None:
        if self._follow is None:
            self._scale_workers(self._workers_for(n))
        elif n > self._follow.maximum:
            most = self._follow.maximum
            raise SweepError(f"{count(n, 'slot')} are more than maximum={most} in adapt of the profile.")

    def demand(self, n: int) -> None:
        """Follow demand: at once where there is more, only while nothing runs where there is less.

        Not every class says which of its workers it would end.
        """
        if self._follow is None:
            return
        self._follow.demand(n)
        wanted = self._workers_for(self._follow.target)
        if wanted > (self._asked or 0) or n == 0:
            self._scale_workers(wanted)

    def is_whole(self) -> bool:
        return self._asked is None or len(self.client.scheduler_info(n_workers=-1)["workers"]) >= self._asked

    def heal(self) -> None:
        if self._asked is not None:
            self._cluster.scale(self._asked)

    def close(self) -> None:
        client = getattr(self, "client", None)
        if client is not None:
            closed(client)
        _end(self._cluster)


def _configure(idle_s: float) -> None:
    """Set what the cluster's scheduler and workers inherit; it stays set, for the driver is a process of its own."""
    import dask

    dask.config.set(
        {
            "distributed.scheduler.worker-saturation": 1.5,
            "distributed.scheduler.allowed-failures": 0,
            "distributed.scheduler.idle-timeout": f"{max(600.0, _ABANDONED * idle_s):.0f}s",
        }
    )
    logging.getLogger("distributed").setLevel(logging.CRITICAL)


@contextlib.contextmanager
def _ended_by_signal() -> Iterator[None]:
    """Turn SIGTERM into an exception while a cluster is being made: what was begun is then ended, too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: Any) -> None:
        raise SystemExit("ended while its cluster was being made")

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _reason(error: BaseException) -> str:
    """Give an error's text, and that of the first one, where cleaning up after it has failed as well."""
    first = error
    while (earlier := first.__cause__ or first.__context__) is not None:
        first = earlier
    said = f"{type(error).__name__}: {error}"
    return said if str(first) in said else f"{said} (after {type(first).__name__}: {first})"


def _end(cluster: Any) -> None:
    """Close a cluster, also one that was never whole, in bounded time; what fails is told in the driver's log."""
    if cluster is None:
        return
    thread = threading.Thread(target=_close, args=(cluster,), name="cluster end", daemon=True)
    thread.start()
    thread.join(_CLOSE_S)
    if thread.is_alive():
        _note(cluster, f"could not be shut down within {_CLOSE_S:g} s")


def _close(cluster: Any) -> None:
    """Close it; of one whose start did not end, or whose own closing failed, its parts.

    `close` of Dask's SpecCluster leaves those alone in the first case, and waits for itself in the second.
    """
    status = getattr(getattr(cluster, "status", None), "name", "")
    try:
        if status in ("starting", "closing"):
            parts = [cluster.scheduler, *getattr(cluster, "_created", ())]
            asyncio.run_coroutine_threadsafe(_close_all(parts), cluster.loop.asyncio_loop).result(_CLOSE_S)
        elif status != "closed" and hasattr(cluster, "close"):
            cluster.close()
    except Exception as error:
        _note(cluster, f"failed to shut down: {type(error).__name__}: {error}")


async def _close_all(parts: Iterable[Any]) -> None:
    ends = await asyncio.gather(*(part.close() for part in parts if part is not None), return_exceptions=True)
    for error in ends:
        if isinstance(error, Exception):
            raise error


def _note(cluster: Any, said: str) -> None:
    print(f"{type(cluster).__name__} {said}. Look whether what it started is gone.", file=sys.stderr, flush=True)
