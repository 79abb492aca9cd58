"""The driver: a detached process that owns one cluster and runs the loops of all sweeps asked of it.

It enters itself in the store (one driver per key, see `store/leases.py`), obeys requests, and ends by itself: after
JUPYTER_SWEEP_IDLE_S seconds (300) without a sweep, within seconds when its folder is gone, at once when another process
took its place. Kernels and other viewers only read the store and write requests. Slots are shared out in turn, so that
two notebooks that use one folder both get on.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from .. import plugins
from ..definition import ACTIVE_STATES
from ..errors import SweepError
from ..executors.base import Executor
from ..store import leases
from ..store.sqlite import Request, Store
from .loop import Loop
from .resume import release_orphans

BUSY_WAIT_S = 0.05
IDLE_WAIT_S = 0.02
HEARTBEAT_S = 2.0
#: The state that a request gives to a sweep that nobody runs.
RESTING = {"pause": "paused", "stop": "stopped", "interrupt": "interrupted", "kill": "interrupted"}


class Driver:
    """Everything the process does after it has registered; `run` returns when it is to end."""

    def __init__(self, store: Store, driver_id: int, key: str, executor: Executor) -> None:
        self.store, self.driver_id, self.key, self.executor = store, driver_id, key, executor
        self.loops: dict[int, Loop] = {}
        self.idle_limit_s = float(os.environ.get("JUPYTER_SWEEP_IDLE_S", "300"))
        self.asked_to_end = False
        self._seen = -1
        self._idle_since = time.monotonic()
        self._next_heartbeat = 0.0

    def run(self) -> None:
        """Serve until idle, asked to end, or without a folder."""
        while not self.asked_to_end:
            self._obey_requests()
            self._share_out_slots()
            self._settle()
            if not self._keep_alive() or self._is_over():
                return
            self._pass_on_events()  # the one place that waits

    def _obey_requests(self) -> None:
        version = self.store.data_version()
        if version == self._seen:
            return
        self._seen = version
        for request in self.store.open_requests(self.key):
            try:
                self._obey(request)
            except Exception as error:
                self._fail(request.sweep_id, error)
            self.store.close_request(request.request_id)

    def _obey(self, request: Request) -> None:
        loop = self.loops.get(request.sweep_id)
        if request.verb == "run":
            self._run(request, loop)
        elif loop is not None:
            loop.obey(request.verb)
        elif self._is_left_over(request.sweep_id):
            self.store.set_state(request.sweep_id, RESTING[request.verb])

    def _is_left_over(self, sweep_id: int) -> bool:
        """Tell whether a sweep is unfinished without anybody running it; it may have ended since it was asked to."""
        unfinished = self.store.sweep(sweep_id).state in (*ACTIVE_STATES, "paused")
        return unfinished and leases.owner(self.store, sweep_id) is None

    def _run(self, request: Request, loop: Loop | None) -> None:
        sweep = self.store.sweep(request.sweep_id)
        parallel = sweep.budget.parallel
        if parallel is not None and parallel > self.executor.slots:
            self.executor.scale(parallel)
            self._describe()
        if loop is not None:
            loop.launch = request.args["launch"]
            loop.redefine(sweep)
            self.store.set_state(sweep.sweep_id, "running")
        elif leases.claim(self.store, sweep.sweep_id, self.driver_id):
            release_orphans(self.store, sweep, at=time.time())
            self.loops[sweep.sweep_id] = Loop(self.store, sweep, self.executor, request.args["launch"])

    def _fail(self, sweep_id: int, error: Exception) -> None:
        """End one sweep that can't go on; the other sweeps of this driver do."""
        if not isinstance(error, SweepError):
            traceback.print_exc()
        loop = self.loops.get(sweep_id)
        if loop is not None:
            for trial_id in list(loop.flying):
                self.executor.stop(trial_id, "cancelled")
            loop.close()
            del self.loops[sweep_id]
        self.store.set_state(sweep_id, "failed", f"{type(error).__name__}: {error}"[:2000])
        leases.release(self.store, sweep_id)

    def _pass_on_events(self) -> None:
        events = self.executor.events(BUSY_WAIT_S if self.loops else IDLE_WAIT_S)
        if not events:
            return
        for loop in list(self.loops.values()):
            mine = [event for event in events if event.trial_id in loop.flying]
            self._guard(loop, functools.partial(loop.handle, mine))

    def _share_out_slots(self) -> None:
        hungry = list(self.loops.values())
        while hungry:
            hungry = [loop for loop in hungry if self._guard(loop, loop.submit)]

    def _settle(self) -> None:
        for loop in list(self.loops.values()):
            self._guard(loop, loop.settle)
            if loop.ended and loop.sweep.sweep_id in self.loops:
                del self.loops[loop.sweep.sweep_id]
                leases.release(self.store, loop.sweep.sweep_id)

    def _guard(self, loop: Loop, action: Any) -> Any:
        try:
            return action()
        except Exception as error:
            self._fail(loop.sweep.sweep_id, error)
            return None

    def _describe(self) -> None:
        leases.describe(
            self.store,
            self.driver_id,
            slots=self.executor.slots,
            dashboard=self.executor.dashboard or "",
            where=self.executor.name,
        )

    def _keep_alive(self) -> bool:
        now = time.monotonic()
        if self.loops:
            self._idle_since = now
        if now < self._next_heartbeat:
            return True
        self._next_heartbeat = now + HEARTBEAT_S
        if not self.store.path.exists():
            return False
        leases.heartbeat(self.store, self.driver_id)
        return True

    def _is_over(self) -> bool:
        if self.loops or time.monotonic() - self._idle_since < self.idle_limit_s:
            return False
        return leases.sign_off(self.store, self.driver_id)


def main(options: dict[str, Any]) -> int:
    """Run one driver; the exit status is 0 unless it could not begin."""
    home = Path(options["home"])
    store = Store(home, create=False)
    driver_id = leases.register(store, options["key"])
    if driver_id is None:
        return 0
    try:
        executor = _executor(options)
    except Exception as error:
        _give_up(store, options["key"], error)
        leases.sign_off(store, driver_id)
        raise
    sys.setswitchinterval(0.0005)
    driver = Driver(store, driver_id, options["key"], executor)

    def end(*_: Any) -> None:
        driver.asked_to_end = True

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        driver._describe()
        driver.run()
    finally:
        executor.close()
        if store.path.exists():
            _sign_off(store, driver)
    return 0


def _sign_off(store: Store, driver: Driver) -> None:
    for sweep_id in driver.loops:
        leases.release(store, sweep_id)
    leases.sign_off(store, driver.driver_id)


def _give_up(store: Store, key: str, error: Exception) -> None:
    """Say in every sweep that waits for this driver why its cluster can't be had."""
    for request in store.open_requests(key):
        store.set_state(request.sweep_id, "failed", f"{type(error).__name__}: {error}"[:2000])
        store.close_request(request.request_id)


def _executor(options: dict[str, Any]) -> Executor:
    word, settings = options["word"], options["options"]
    kind = str(settings.get("on", word)).partition(":")[0]
    executor: Executor = plugins.load("executor", kind)(word, slots=options["slots"], options=settings)
    return executor


if __name__ == "__main__":
    status = main(json.loads(sys.argv[1]))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # all is closed and written; what a library's threads still wait for must not keep the process
