"""The driver: a detached process that owns one cluster and runs the loops of all sweeps asked of it.

It enters itself in the store (one driver per key, see `store/leases.py`), obeys requests, and ends by itself: after
JUPYTER_SWEEP_IDLE_S (300 s; whoever had a sweep run last decides) without a sweep, within seconds when its folder is
gone, at once when another process took its place. Kernels and other viewers only read the store and write requests.
Slots are shared out in turn, so that two notebooks that use one folder both get on.
"""

from __future__ import annotations

import faulthandler
import functools
import gc
import json
import os
import signal
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import plugins
from ..definition import ACTIVE_STATES, Spec, Sweep
from ..errors import SweepError
from ..executors.base import Executor, SchedulerGone
from ..store import folder, leases
from ..store.sqlite import Request, Store
from . import beside, launch
from .loop import Loop
from .outage import outlast
from .resume import release_orphans, requeue_running
from .telling import Telling

BUSY_WAIT_S = 0.05
IDLE_WAIT_S = 0.02
HEARTBEAT_S = 2.0
#: How long the cluster's end may take, clouds included. Then the process ends all the same, and what hung is in its
#: log; workers end by themselves as their driver is gone.
END_S = 120.0


class Driver:
    """Everything the process does after it has registered; `run` returns when it is to end."""

    def __init__(self, store: Store, driver_id: int, key: str, executor: Executor) -> None:
        self.store, self.driver_id, self.key, self.executor = store, driver_id, key, executor
        self.loops: dict[int, Loop] = {}
        self.idle_limit_s = launch.idle_limit_s(os.environ)
        self.asked_to_end = False
        self._slots_at_first = executor.slots
        self._telling = Telling(store, driver_id, executor)
        self._seen = -1
        self._idle_since = time.monotonic()
        self._next_heartbeat = 0.0

    def take(self, executor: Executor) -> None:
        """Go on with another executor, where the one before is gone with its cluster."""
        self.executor = executor
        self._telling = Telling(self.store, self.driver_id, executor)
        self._describe()

    def run(self) -> None:
        """Serve until idle, asked to end, or without a folder."""
        while not self.asked_to_end:
            self._obey_requests()
            self._share_out_slots()
            self._settle()
            self._telling.tell(self.loops, self.idle_limit_s)
            if not self._keep_alive() or self._is_over():
                return
            self._pass_on_events()  # the one place that waits

    def _obey_requests(self) -> None:
        version = self.store.data_version()
        if version == self._seen:
            return
        self._seen = version
        for request in self.store.open_requests(self.key):
            self.store.close_request(request.request_id, self._answer(request))

    def _answer(self, request: Request) -> str:
        """Obey a request; give why not where it is refused and the sweep goes on as before."""
        try:
            if request.verb != "scale":
                self._obey(request)
                return ""
            try:
                self._scale(request.sweep_id, int(request.args["slots"]))
            except SweepError as error:
                return str(error)
        except Exception as error:
            self._fail(request.sweep_id, error)
        return ""

    def _obey(self, request: Request) -> None:
        loop = self.loops.get(request.sweep_id)
        if request.verb == "run":
            self._run(request, loop)
        elif loop is not None:
            loop.obey(request.verb)
        elif self._is_left_over(request.sweep_id):
            self.store.set_state(request.sweep_id, launch.RESTING[request.verb])

    def _is_left_over(self, sweep_id: int) -> bool:
        """Tell whether a sweep is unfinished without anybody running it; it may have ended since it was asked to."""
        unfinished = self.store.sweep(sweep_id).state in (*ACTIVE_STATES, "paused")
        return unfinished and leases.owner(self.store, sweep_id) is None

    def _run(self, request: Request, loop: Loop | None) -> None:
        sweep = self.store.sweep(request.sweep_id)
        self.idle_limit_s = launch.idle_limit_s(folder.read_launch(request.args["launch"]).get("env", {}))
        if loop is not None:
            self._run_on(request, loop, sweep)
        elif leases.claim(self.store, sweep.sweep_id, self.driver_id):
            self._fit(sweep.sweep_id, sweep.budget.parallel, shrink=False)
            release_orphans(self.store, sweep, at=time.time())
            self.loops[sweep.sweep_id] = Loop(self.store, sweep, self.executor, request.args["launch"])
        elif owner := leases.owner(self.store, sweep.sweep_id):  # it began to run this after we were asked
            self.store.request(sweep.sweep_id, owner.key, "run", **request.args)

    def _run_on(self, request: Request, loop: Loop, sweep: Sweep) -> None:
        """Go on with a sweep as it is defined now; where there can't be so many slots, with those that there are."""
        refused = ""
        try:
            self._fit(sweep.sweep_id, sweep.budget.parallel, shrink=True)
        except SweepError as error:
            refused = str(error)
        loop.launch = request.args["launch"]
        loop.redefine(sweep)
        self.store.set_state(sweep.sweep_id, "running", refused)

    def _scale(self, sweep_id: int, n: int) -> None:
        """Have a sweep run `n` trials at once from now on, and keep that in its definition."""
        loop = self.loops.get(sweep_id)
        sweep = self.store.sweep(sweep_id)
        if loop is not None:
            self._fit(sweep_id, n, shrink=True)
            loop.resize(n)
        self.store.redefine(replace(sweep, budget=replace(sweep.budget, parallel=n)))

    def _fit(self, sweep_id: int, parallel: int | None, *, shrink: bool) -> None:
        """Have as many slots as one sweep and all others want; fewer than before only with `shrink`.

        A sweep without `--jobs` wants what there is, and at least what there was at first.
        """
        slots = self.executor.slots
        asked = {**{i: loop.sweep.budget.parallel for i, loop in self.loops.items()}, sweep_id: parallel}
        wanted = max(n or max(slots, self._slots_at_first) for n in asked.values())
        if wanted > slots or (shrink and wanted < slots):
            self.executor.scale(wanted)
            for loop in self.loops.values():
                loop.recall_excess()
            self._describe()

    def _fail(self, sweep_id: int, error: Exception) -> None:
        """End one sweep that can't go on; the other sweeps of this driver do."""
        if not isinstance(error, SweepError):
            traceback.print_exc()
        loop = self.loops.get(sweep_id)
        if loop is not None:
            self.executor.disown(loop.flying)
            requeue_running(self.store, loop.sweep, why="the sweep failed while this attempt ran", at=time.time())
            loop.close()
            del self.loops[sweep_id]
        self.store.set_state(sweep_id, "failed", f"{type(error).__name__}: {error}"[:2000])
        leases.release(self.store, sweep_id)
        if loop is not None:
            beside.notify(self.store, loop.sweep, loop.launch)

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
                if not self.loops:
                    self.store.tidy()

    def _guard(self, loop: Loop, action: Any) -> Any:
        try:
            return action()
        except SchedulerGone:
            raise
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
    os.environ["JUPYTER_SWEEP_LOGS"] = str(home / folder.DRIVER)  # for what a cluster prints elsewhere
    store = Store(home, create=False)
    driver_id = leases.register(store, options["key"])
    if driver_id is None:
        return 0
    try:
        executor = _executor(options)
    except Exception as error:
        _give_up(store, options["key"], error)
        while not leases.sign_off(store, driver_id):  # somebody asked for another sweep meanwhile
            _give_up(store, options["key"], error)
        raise
    sys.setswitchinterval(0.0005)
    gc.freeze()  # else a collection looks at all that Dask loaded, and trials wait 0.1 s for it
    driver = Driver(store, driver_id, options["key"], executor)

    def end(*_: Any) -> None:
        driver.asked_to_end = True
        faulthandler.dump_traceback_later(END_S, exit=True)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        driver._describe()
        _serve(driver, options)
    finally:
        faulthandler.dump_traceback_later(END_S, exit=True)
        driver.executor.close()
        signed_off = not store.path.exists() or _sign_off(store, driver)
    if not signed_off:  # asked for a sweep while its cluster ended, when it still counted as alive
        leases.end(store, driver_id)
        word = Spec(options["word"], options["options"])
        launch.ensure_driver(store, driver.key, word, slots=options["slots"])
    return 0


def _serve(driver: Driver, options: dict[str, Any]) -> None:
    """Run the driver to its end; where its scheduler goes, wait for that a while."""
    while True:
        try:
            return driver.run()
        except SchedulerGone as gone:
            if not outlast(driver, gone, lambda: _executor(options)):
                return None


def _sign_off(store: Store, driver: Driver) -> bool:
    for sweep_id in driver.loops:
        leases.release(store, sweep_id)
    return leases.sign_off(store, driver.driver_id)


def _give_up(store: Store, key: str, error: Exception) -> None:
    """Say in every sweep that waits for this driver why its cluster can't be had."""
    for request in store.open_requests(key):
        store.set_state(request.sweep_id, "failed", f"{type(error).__name__}: {error}"[:2000])
        store.close_request(request.request_id)
        beside.notify(store, store.sweep(request.sweep_id), request.args.get("launch", ""))


def _executor(options: dict[str, Any]) -> Executor:
    word, settings = options["word"], options["options"]
    kind = str(settings.get("on", word)).partition(":")[0]
    executor: Executor = plugins.load("executor", kind)(word, slots=options["slots"], options=settings)
    return executor


if __name__ == "__main__":
    status = main({"options": json.loads(os.environ.pop(launch.PLACE, "{}")), **json.loads(sys.argv[1])})
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # all is closed and written; what a library's threads still wait for must not keep the process
