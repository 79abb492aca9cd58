"""What is sent to Dask workers by value: a worker needs nothing of ours, not even our package.

Dask pickles a class or function of an importable module by its name, and a worker that lacks the module then hangs
without a word. Classes and functions made inside a function have no such name, so they travel whole. They import what
they use inside their own bodies, for the same reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .. import worker as worker_package
from .backends.base import load_distributed


class Remote(NamedTuple):
    """What an executor sends: the plug-in of each worker, the task of a batch, two calls on a worker."""

    plugin: Any
    run_batch: Callable[[str, str], None]
    stop: Callable[..., None]
    describe: Callable[..., dict[str, Any]]


def make(topic: str, prefix: str) -> Remote:
    """Make all of it for one executor.

    Parameters
    ----------
    topic
        Name of the plug-in and of the topic of its events.
    prefix
        First part of the slots' labels; empty for the worker's host.
    """
    return Remote(_plugin(topic, prefix, worker_package.sources()), *_functions())


def _plugin(topic: str, prefix: str, sources: Mapping[str, str]) -> Any:
    base: Any = load_distributed().WorkerPlugin

    class SweepSlots(base):  # type: ignore[misc]
        """The slots of one worker."""

        def __init__(self) -> None:
            self.name = topic

        def setup(self, worker: Any) -> None:
            import hashlib
            import socket

            space: dict[str, Any] = {"__name__": "loader"}
            exec(compile(sources["loader"], "<sweep worker>/loader.py", "exec"), space)
            version = hashlib.blake2b("".join(sources.values()).encode(), digest_size=4).hexdigest()
            package = space["install"](f"_sweep_worker_{version}", space["compiled"](sources))
            own = str(worker.name)
            n = worker.state.nthreads
            if prefix:  # our own cluster, whose workers are numbered
                self.labels = [f"{prefix}/{int(own) * n + i}" for i in range(n)]
            else:
                label = f"{socket.gethostname()}/{own.rpartition(':')[2]}"
                self.labels = [label] if n == 1 else [f"{label}.{i}" for i in range(n)]
            address = worker.address
            self.pool = package.pool.Pool(sources, self.labels, lambda text: worker.log_event(topic, [address, text]))

        def teardown(self, worker: Any) -> None:
            self.pool.close()

    return SweepSlots()


def _functions() -> tuple[Callable[[str, str], None], Callable[..., None], Callable[..., dict[str, Any]]]:
    def run_batch(name: str, batch: str) -> None:
        from distributed import get_worker

        plugin: Any = get_worker().plugins[name]
        plugin.pool.run(batch)

    def stop(name: str, flags: dict[str, str], dask_worker: Any = None) -> None:
        plugin = dask_worker.plugins.get(name)
        if plugin is not None:
            plugin.pool.stop(flags)

    def describe(name: str, dask_worker: Any = None) -> dict[str, Any]:
        import os

        return {"pid": os.getpid(), "labels": dask_worker.plugins[name].labels}

    return run_batch, stop, describe
