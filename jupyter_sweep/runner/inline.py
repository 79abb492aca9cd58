"""`--on inline`: the loop in this very process, one trial at a time, for the debugger. No driver, no cluster.

The store is the same, so a sweep may begin inline and go on elsewhere. This process enters itself as the sweep's
driver, so that no other takes the sweep over meanwhile.
"""

from __future__ import annotations

import os
import time

from .. import plugins
from ..definition import Sweep
from ..errors import SweepError
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
    driver_id = leases.register(store, f"inline-{os.getpid()}-{sweep.sweep_id}")
    if driver_id is None or not leases.claim(store, sweep.sweep_id, driver_id):
        raise SweepError(f"Sweep {sweep.name!r} runs already in another process; wait for it or stop it first.")
    try:
        release_orphans(store, sweep, at=time.time())
        _drive(store, sweep, launch)
    finally:
        leases.release(store, sweep.sweep_id)
        leases.sign_off(store, driver_id)


def _drive(store: Store, sweep: Sweep, launch: str) -> None:
    executor = plugins.load("executor", "inline")(str(sweep.executor), slots=1)
    loop = Loop(store, sweep, executor, launch)
    executor.listener = lambda event: loop.handle([event])
    try:
        while not loop.ended:
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
