"""What pages want of sweeps: requests, written into the store for the driver; and who runs what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import live
from ..errors import SweepError
from ..handle import Handle
from ..runner import again, entering, launch
from ..store import looking, overview
from ..store.leases import Driver
from ..store.sqlite import Store
from .desk import Desk
from .listing import Scans
from .refused import Refused


def request(desk: Desk, *, store: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
    """Answer `wire.Asked`: write a request for the driver of a sweep, and start one to resume a sweep that has none.

    Raises
    ------
    Refused
        409 for what makes no sense now: to pause what has ended, to resume what ran in a kernel.
    """
    found = desk.version(store, name, body.get("version"))
    try:
        writable = desk.open_to_write(store)
        handle = Handle(writable, found.sweep_id)
        message = _ACTS[body["verb"]](writable, handle, body)
        return {"name": handle.name, "version": handle.version, "state": handle.state, "message": message}
    except SweepError as error:
        raise Refused(409, str(error)) from None


def _pause(store: Store, handle: Handle, body: dict[str, Any]) -> str:
    _refuse_ended(handle)
    handle.pause()
    return f"Pausing {handle.name}: what runs goes on to its end."


def _interrupt(store: Store, handle: Handle, body: dict[str, Any]) -> str:
    _refuse_ended(handle)
    handle.interrupt()
    return f"Interrupting {handle.name}: what runs goes on to its end."


def _stop(store: Store, handle: Handle, body: dict[str, Any]) -> str:
    if handle.state != "paused":
        _refuse_ended(handle)
    handle.stop()
    return f"Stopping {handle.name}: what runs is cancelled within 5 s."


def _kill(store: Store, handle: Handle, body: dict[str, Any]) -> str:
    if handle.state != "paused":
        _refuse_ended(handle)
    handle.kill()
    return f"Ending what runs of {handle.name}."


def _refuse_ended(handle: Handle) -> None:
    if handle.ended:
        raise Refused(409, f"{handle.name} is {handle.state} already.")


def _refuse_inline(handle: Handle) -> None:
    if handle.definition.executor.name == "inline":
        raise Refused(409, f"{handle.name} ran --on inline, in its kernel: run its cell again to go on.")


def _resume(store: Store, handle: Handle, body: dict[str, Any]) -> str:
    _refuse_inline(handle)
    sweep = handle.definition
    if sweep.state == "running" and handle.owner is not None:
        raise Refused(409, f"{sweep.name} runs already.")
    if over := live.nothing_left(handle):
        raise Refused(409, over)
    launch.begin_as_before(store, sweep)
    return f"{sweep.name} goes on."


def _retry(store: Store, handle: Handle, body: dict[str, Any]) -> str:
    number = body.get("number")
    if number is None:
        raise Refused(400, "retry needs number: which trial is to run again.")
    _refuse_inline(handle)
    begun = again.retry(store, handle.definition, number)
    goes_on = "" if begun else f" when {handle.name} goes on"
    return f"Trial {number} runs again{goes_on}."


def _enter(store: Store, handle: Handle, body: dict[str, Any]) -> str:
    number = body.get("number")
    if number is None:
        raise Refused(400, "enter needs number: whose result it is.")
    trial = entering.enter(store, handle.definition, number, body.get("metrics") or {}, failed=body.get("failed") or "")
    return f"Trial {number} is {trial.state}."


def _scale(store: Store, handle: Handle, body: dict[str, Any]) -> str:
    jobs = body.get("jobs")
    if jobs is None:
        raise Refused(400, "scale needs jobs: how many trials may run at once.")
    handle.scale(jobs)
    return f"{handle.name} runs {jobs} trials at once, as soon as its workers are there."


_ACTS: dict[str, Callable[[Store, Handle, dict[str, Any]], str]] = {
    "pause": _pause,
    "stop": _stop,
    "interrupt": _interrupt,
    "kill": _kill,
    "resume": _resume,
    "retry": _retry,
    "scale": _scale,
    "enter": _enter,
}
VERBS = tuple(_ACTS)


def workers(desk: Desk, scans: Scans, *, store: str | None = None) -> dict[str, Any]:
    """Answer `wire.Workers`, of one store or of all."""
    paths = scans.get(desk).stores if store is None else [store]
    drivers: list[dict[str, Any]] = []
    seats: list[dict[str, Any]] = []
    for path in paths:
        try:
            opened = desk.open(path)
        except Refused:
            if store is not None:
                raise
            continue
        owners, names = overview.owners(opened), overview.names(opened)
        for driver in overview.live_drivers(opened):
            owned = [names[sweep_id] for sweep_id, owner in owners.items() if owner == driver.driver_id]
            drivers.append(_driver(path, driver, owned))
            rows = looking.shown(opened, driver.driver_id).workers
            seats += [{"store": path, "driver": driver.pid, **_slot(row)} for row in rows]
    return {"drivers": drivers, "workers": seats}


def cluster(desk: Desk, *, store: str, name: str, version: int | None = None) -> dict[str, Any]:
    """Answer `wire.Cluster`."""
    told = desk.reader(store, name, version).handle.cluster()
    return {**told, "workers": [_slot(row) for row in told["workers"]]}


def _driver(path: str, driver: Driver, owned: list[str]) -> dict[str, Any]:
    keys = ("slots", "pid", "host", "dashboard")
    return {"store": path, "where": driver.where_text, **{key: getattr(driver, key) for key in keys}, "sweeps": owned}


def _slot(row: dict[str, Any]) -> dict[str, Any]:
    texts = {key: str(row.get(key) or "") for key in ("worker", "host", "state", "sweep", "device")}
    numbers = {key: row.get(key) for key in ("pid", "number", "since", "memory_gb", "peak_gb")}
    job = {key: None if row.get(key) is None else str(row[key]) for key in ("job", "job_state")}
    return {**texts, **numbers, **job}
