"""What a driver does when the scheduler of its cluster is gone: wait for its return, then give up and keep all.

Whatever ran is lost with it, since workers end when their scheduler does; so its trials are queued again at once, as
after the death of a driver, and a new executor begins where the old one stopped. A scheduler that we started is not
waited for: it would not come back by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import SweepError
from ..executors.base import Executor, SchedulerGone
from ..store import leases
from . import beside
from .loop import Loop
from .resume import release_orphans

if TYPE_CHECKING:
    from .driver import Driver

#: How long a scheduler may be gone.
GONE_S = 30.0
_RETRY_S = 1.0


def outlast(driver: Driver, gone: SchedulerGone, make: Callable[[], Executor]) -> bool:
    """Have the driver go on with an executor that `make` gives; False when there is none to be had, or nothing to run.

    Its sweeps have then failed, with a message that says how to go on; their trials are kept and queued. One that was
    paused, stopped or interrupted rests at once: nobody wants it to begin again.
    """
    begun, store = time.monotonic(), driver.store
    loops = dict(driver.loops)
    for loop in loops.values():
        loop.close()
    driver.loops.clear()
    driver.executor.close()
    for sweep_id in loops:
        release_orphans(store, store.sweep(sweep_id), at=time.time())
    launches = {sweep_id: loop.launch for sweep_id, loop in loops.items() if not _is_laid_to_rest(driver, loop)}
    executor, why = None, str(gone)
    may_return = gone.may_return and bool(launches)
    while executor is None and may_return and not driver.asked_to_end and time.monotonic() - begun < GONE_S:
        leases.heartbeat(store, driver.driver_id)
        try:
            executor = make()
        except SweepError as error:
            why = str(error)
            time.sleep(_RETRY_S)
    if executor is None:
        for sweep_id in launches:
            _give_up(driver, loops[sweep_id], why, time.monotonic() - begun)
        return False
    driver.take(executor)
    for sweep_id, launch in launches.items():
        driver.loops[sweep_id] = Loop(store, store.sweep(sweep_id), executor, launch)
    return True


def _is_laid_to_rest(driver: Driver, loop: Loop) -> bool:
    """Lay a sweep to rest that only waited for what ran, since somebody held it or it was over; tell whether it was."""
    if not (loop.paused or loop.ending):
        return False
    loop.flying.clear()
    loop.settle()
    leases.release(driver.store, loop.sweep.sweep_id)
    return True


def _give_up(driver: Driver, loop: Loop, why: str, seconds: float) -> None:
    sweep_id, name = loop.sweep.sweep_id, loop.sweep.name
    waited = f"The scheduler has been gone for {seconds:.0f} s. " if seconds > 1 else ""
    message = f"{waited}{why} What is done is kept, the rest is queued: %sweep resume {name} goes on once it is back."
    driver.store.set_state(sweep_id, "failed", message)
    leases.release(driver.store, sweep_id)
    beside.notify(driver.store, loop.sweep, loop.launch)
