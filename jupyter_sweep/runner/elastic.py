"""Asking a driver for more or fewer workers, and looking at those that it has."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, NamedTuple

from ..definition import ACTIVE_STATES, Sweep
from ..errors import SweepError
from ..store import leases, looking, overview
from ..store.looking import Shown
from ..store.sqlite import Store
from . import launch

#: How long a driver may take to answer, one that is only starting included.
_ANSWER_S = 30.0
_POLL_S = 0.02


def scale(store: Store, sweep: Sweep, n: int) -> None:
    """Have a sweep run `n` trials at once; returns when its driver has answered.

    Raises
    ------
    SweepError
        Where that can't be, or no answer came.
    """
    if sweep.executor.name == "inline":
        raise SweepError(f"{sweep.name} runs --on inline: one trial at a time, in its own process.")
    if n < 1:
        raise SweepError(f"A sweep runs at least 1 trial at once, got {n}. To hold it: %sweep pause {sweep.name}")
    is_starting = store.asked_at(sweep.sweep_id, "run") is not None
    if leases.owner(store, sweep.sweep_id) is None and not is_starting:
        store.redefine(replace(sweep, budget=replace(sweep.budget, parallel=n)))
        if sweep.is_passive and sweep.state in ACTIVE_STATES:
            launch.begin_as_before(store, sweep)
        return
    request = store.request(sweep.sweep_id, launch.key_to_ask(store, sweep), "scale", slots=n)
    limit = time.monotonic() + _ANSWER_S
    while (answer := looking.answer(store, request)) is None:
        if time.monotonic() > limit:
            raise SweepError(f"The driver of {sweep.name} has not answered within {_ANSWER_S:g} s; it may still do it.")
        time.sleep(_POLL_S)
    if answer:
        raise SweepError(f"{sweep.name} can't run {n} trials at once: {answer}")


def driver_of(store: Store, sweep: Sweep) -> leases.Driver | None:
    """Give the driver that runs the sweep, or that would serve it warm when it was run again now; None without one."""
    owner = leases.owner(store, sweep.sweep_id)
    if owner is None and sweep.has_driver:
        owner = leases.live_driver(store, launch.driver_key(sweep.executor))
    return owner


def seen(store: Store, sweep: Sweep) -> Shown:
    """Give what the sweep's driver shows of itself; nothing without one."""
    driver = driver_of(store, sweep)
    if driver is None:
        return Shown([], None, None)
    return looking.shown(store, driver.driver_id)


def cluster(store: Store, sweep: Sweep) -> dict[str, Any]:
    """Give what a view shows of the sweep's cluster, as JSON data.

    Its keys: `at_once` (trials; None where nobody knows), `warm` (whether there is a driver), `workers` (see
    `looking.Shown`), `idle_since` (UTC seconds; None while it has work) and `idle_limit_s`.
    """
    driver = driver_of(store, sweep)
    told = looking.shown(store, driver.driver_id) if driver is not None else Shown([], None, None)
    slots = driver.slots if driver is not None else None
    wanted = sweep.budget.parallel
    at_once = min(wanted, slots) if wanted and slots else wanted or slots
    return {"at_once": at_once, "warm": driver is not None, **told._asdict()}


def hold_up(store: Store, sweep: Sweep) -> str:
    """Say in a clause what a waiting trial of this sweep waits for."""
    owner = leases.owner(store, sweep.sweep_id)
    if sweep.state not in ACTIVE_STATES:
        return f"the sweep is {sweep.state}; %sweep resume {sweep.name} goes on with it"
    if sweep.is_passive:
        return f"its result is to be entered: %sweep enter {sweep.name} NUMBER {sweep.blank_result}"
    if owner is None:
        return "no driver has the sweep yet"
    running = store.counts(sweep.sweep_id).get("running", 0)
    at_once = min(sweep.budget.parallel or owner.slots, owner.slots)
    if running >= at_once:
        return f"{running} others run, as many as may at once. More: %sweep scale {sweep.name} {2 * at_once}"
    return "its turn is next, or its slot has been given to another sweep"


class Cluster(NamedTuple):
    """A live driver, what it shows, and the names of the sweeps that it runs."""

    driver: leases.Driver
    shown: Shown
    sweeps: list[str]

    @property
    def idle_s(self) -> float | None:
        """Seconds for which it has waited for work; None while it has some."""
        since = self.shown.idle_since
        return None if since is None or self.sweeps else max(0.0, time.time() - since)


def clusters(store: Store) -> list[Cluster]:
    """Give the live drivers of a folder, warm ones too, oldest first."""
    owners, names = overview.owners(store), {s.sweep_id: s.name for s in store.sweeps()}
    return [
        Cluster(d, looking.shown(store, d.driver_id), [names[i] for i, owner in owners.items() if owner == d.driver_id])
        for d in overview.live_drivers(store)
    ]
