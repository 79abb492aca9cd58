"""What is sent to Dask workers by value: a worker needs nothing of ours, not even our package.

Dask pickles a class or function of an importable module by its name, and a worker that lacks the module then hangs
without a word. Classes and functions made inside a function have no such name, so they travel whole. They import what
they use inside their own bodies, for the same reason.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from .. import worker as worker_package
from .backends.base import load_distributed


class Remote(NamedTuple):
    """What an executor sends: the plug-in of each worker, the task of a batch, four calls on a worker."""

    plugin: Any
    run_batch: Callable[[str, str], None]
    stop: Callable[..., None]
    recall: Callable[..., list[str]]
    describe: Callable[..., dict[str, Any]]
    parcel: Callable[..., Any]


def make(topic: str, prefix: str, share: Mapping[str, Any], devices: Sequence[str] | None = None) -> Remote:
    """Make all of it for one executor.

    Parameters
    ----------
    topic
        Name of the plug-in and of the topic of its events.
    prefix
        First part of the slots' labels; empty for the worker's host.
    share
        What each slot has of cores and devices (see `gpus`). With `gpus` in it a worker has a slot for each share of
        its devices, at most one a thread, and none without devices.
    devices
        What the workers share out among them; None to have each look for the devices of its host.
    """
    return Remote(_plugin(topic, prefix, worker_package.sources(), share, devices), *_functions())


def end_with(topic: str, owner: str) -> Any:
    """Give a plug-in for a scheduler, which ends all that runs for a client once that has gone, by `kill -9` too.

    A scheduler of ours ends with its driver. Somebody else's lives on, and its workers would keep our trials.
    """
    base: Any = load_distributed().SchedulerPlugin

    class SweepEnd(base):  # type: ignore[misc]
        """Waits for one client to leave."""

        name = topic

        def remove_client(self, scheduler: Any, client: str) -> None:
            if client == owner:
                scheduler.remove_plugin(self.name)
                if self.name in scheduler.worker_plugins:  # else it took leave in order
                    scheduler.loop.add_callback(scheduler.unregister_worker_plugin, None, self.name)
                # It keeps the last thousand events of a topic for ever: 40 MB where logs were among them.
                forget = getattr(getattr(scheduler, "_broker", None), "truncate", None)
                if forget is not None:
                    forget(self.name)

    return SweepEnd()


def call(client: Any, parcel: Any, topic: str, address: str, verb: str, *args: Any) -> concurrent.futures.Future[Any]:
    """Do something with a file that travels, at one worker; from any thread but Dask's own."""

    async def ask() -> Any:
        answers = await client.run(parcel, topic, verb, *args, workers=[address])
        return answers[address]

    return asyncio.run_coroutine_threadsafe(ask(), client.loop.asyncio_loop)


def _plugin(
    topic: str, prefix: str, sources: Mapping[str, str], share: Mapping[str, Any], known: Sequence[str] | None
) -> Any:
    base: Any = load_distributed().WorkerPlugin
    make_room = _room()

    class SweepSlots(base):  # type: ignore[misc]
        """The slots of one worker."""

        def __init__(self) -> None:
            self.name = topic
            self.claim: Any = None
            self.devices: list[list[str]] = []
            self.said: list[str] = []

        async def setup(self, worker: Any) -> None:
            import asyncio
            import hashlib
            import re
            import socket

            space: dict[str, Any] = {"__name__": "loader"}
            exec(compile(sources["loader"], "<sweep worker>/loader.py", "exec"), space)
            version = hashlib.blake2b("".join(sources.values()).encode(), digest_size=4).hexdigest()
            package = space["install"](f"_sweep_worker_{version}", space["compiled"](sources))
            own = str(worker.name)
            n = worker.state.nthreads
            if share.get("gpus"):
                await asyncio.to_thread(self.take_devices, package.devices, n)
                n = len(self.devices)
            elif prefix:
                make_room(worker, n + (n + 1) // 2)
            if prefix:  # our own cluster, whose workers are named by the number of their first slot
                self.labels = [f"{prefix}/{int(own) + i}" for i in range(n)]
            # So, too, with the host's name as its user has it.
            elif named := re.fullmatch(r"([^/]+)/(\d+)\.[\d.]+", own):
                self.labels = [f"{named[1]}/{int(named[2]) + i}" for i in range(n)]
            else:
                label = f"{socket.gethostname()}/{own.rpartition(':')[2]}"
                self.labels = [label] if n == 1 else [f"{label}.{i}" for i in range(n)]
            address = worker.address
            self.pool = package.pool.Pool(
                sources, self.labels, lambda text: worker.log_event(topic, [address, text]), self.devices
            )

        def take_devices(self, law: Any, most: int) -> None:
            import os

            offer = law.Offer(known, []) if known is not None else law.offer(os.environ, share.get("devices", ()))
            self.claim = law.Claim(offer.devices, share["gpus"], most, topic)
            self.devices, self.said = [list(own) for own in self.claim.sets], offer.said

        def teardown(self, worker: Any) -> None:
            self.pool.close()
            if self.claim is not None:
                self.claim.close()

    return SweepSlots()


def _room() -> Callable[[Any, int], None]:
    def make_room(worker: Any, threads: int) -> None:
        """Have batches that are sent ahead wait in threads of their own, so that one begins as its slot is free.

        Only the worker knows. The scheduler, which shares work out by threads, goes on to count the slots.
        """
        from distributed import threadpoolexecutor

        kind: Any = threadpoolexecutor.ThreadPoolExecutor
        worker.executors["default"].shutdown(wait=False)
        worker.executors["default"] = kind(threads, thread_name_prefix="sweep")
        worker.state.nthreads = threads

    return make_room


def _functions() -> tuple[
    Callable[[str, str], None],
    Callable[..., None],
    Callable[..., list[str]],
    Callable[..., dict[str, Any]],
    Callable[..., Any],
]:
    def run_batch(name: str, batch: str) -> None:
        from distributed import get_worker

        plugin: Any = get_worker().plugins[name]
        plugin.pool.run(batch)

    def stop(name: str, flags: dict[str, str], dask_worker: Any = None) -> None:
        plugin = dask_worker.plugins.get(name)
        if plugin is not None:
            plugin.pool.stop(flags)

    def recall(name: str, tickets: list[str], dask_worker: Any = None) -> list[str]:
        begun: list[str] = dask_worker.plugins[name].pool.recall(tickets)
        return begun

    def describe(name: str, dask_worker: Any = None) -> dict[str, Any]:
        import os
        import socket

        plugin = dask_worker.plugins.get(name)
        if plugin is None:  # it is only coming, or going
            return {}
        return {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "labels": plugin.labels,
            "slots": plugin.pool.usage(),
            "devices": plugin.devices,
            "said": plugin.said,
        }

    async def parcel(name: str, verb: str, *args: Any, dask_worker: Any = None) -> Any:
        import asyncio

        parcels = dask_worker.plugins[name].pool.parcels
        return await asyncio.to_thread(parcels.call, verb, *args)  # files: not on the worker's own thread

    return run_batch, stop, recall, describe, parcel
