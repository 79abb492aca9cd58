"""`--on inline`: the loop in this very process, one trial at a time, for the debugger. No driver, no cluster.

The store is the same, so a sweep may begin inline and go on elsewhere. This process enters itself as the sweep's
driver, so that no other takes the sweep over meanwhile, and obeys what others ask of it: between two trials, and when
a trial reports.
"""

from __future__ import annotations

import os
import time

from .. import plugins
from ..definition import Sweep
from ..errors import SweepError
from ..executors.base import Event
from ..store import leases
from ..store.sqlite import Store
from .loop import Loop
from .resume import release_orphans


def run(store: Store, sweep: Sweep, launch: str) -> None:
    """Run a stored sweep to its end. A KeyboardInterrupt leaves it interrupted, its running trial cancelled.

    Raises
    ------
    SweepError
        While another process runs the sweep.
    """
    key = f"inline-{os.getpid()}-{sweep.sweep_id}"
    driver_id = leases.register(store, key)
    if driver_id is None or not leases.claim(store, sweep.sweep_id, driver_id):
        if driver_id is not None:
            leases.sign_off(store, driver_id)
        raise _taken(sweep)
    try:
        release_orphans(store, sweep, at=time.time())
        _drive(store, sweep, launch, key)
        while not leases.sign_off(store, driver_id):  # asked for more just now
            _drive(store, store.sweep(sweep.sweep_id), launch, key)
    finally:
        leases.release(store, sweep.sweep_id)
        for request in store.open_requests(key):
            store.close_request(request.request_id)
        leases.sign_off(store, driver_id)


def refuse_taken(store: Store, sweep: Sweep) -> None:
    """Raise SweepError while a process runs the sweep: it can't go on in this one meanwhile."""
    if leases.owner(store, sweep.sweep_id) is not None:
        raise _taken(sweep)


def _taken(sweep: Sweep) -> SweepError:
    return SweepError(f"Sweep {sweep.name!r} runs already in another process; wait for it or stop it first.")


def _drive(store: Store, sweep: Sweep, launch: str, key: str) -> None:
    executor = plugins.load("executor", "inline")(sweep.executor.name, slots=1)
    loop = Loop(store, sweep, executor, launch)

    def listen(event: Event) -> None:
        loop.handle([event])
        _obey_others(store, loop, key)

    executor.listener = listen
    try:
        while not loop.ended:
            _obey_others(store, loop, key)
            loop.handle(executor.events(0))
            loop.submit()
            loop.settle()
    except KeyboardInterrupt:
        loop.end("interrupted", "")
        loop.handle(executor.events(0))
        loop.settle()
        raise
    finally:
        executor.close()


def _obey_others(store: Store, loop: Loop, key: str) -> None:
    for request in store.open_requests(key):
        if request.verb == "run":
            loop.launch = request.args["launch"]
            loop.redefine(store.sweep(request.sweep_id))
        else:
            loop.obey(request.verb)
        store.close_request(request.request_id)
