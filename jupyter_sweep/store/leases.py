"""Which driver owns what: a row per driver process with a heartbeat, and the owner of each running sweep.

On one host a driver lives exactly as long as its process (pid and start time, so that a reused pid is not mistaken);
its heartbeat counts only from another host, where the process can't be seen. Taking over needs `begin immediate`, so of
two processes that try at once one wins.
"""

from __future__ import annotations

import os
import socket
import time
from typing import NamedTuple

from ..errors import StoreError
from .sqlite import Store

#: A driver on another host is taken for dead when it hasn't written for so long.
STALE_S = 30.0
HOST = socket.gethostname()


class Driver(NamedTuple):
    """One driver process as the store knows it."""

    driver_id: int
    key: str
    host: str
    pid: int
    process_started: float
    heartbeat_at: float
    slots: int
    dashboard: str
    where_text: str

    @property
    def alive(self) -> bool:
        if self.host == HOST:
            started = process_started(self.pid)
            return started is not None and abs(started - self.process_started) < 1.0
        return time.time() - self.heartbeat_at < STALE_S


_COLUMNS = "driver_id, key, host, pid, process_started, heartbeat_at, slots, dashboard, where_text"


def process_started(pid: int) -> float | None:
    """Give when a process of this host started, seconds after the boot; None when it is gone or a zombie.

    Its date would change whenever the clock is set, and a driver that lives would be taken for another's dead one.
    """
    import psutil

    try:
        process, booted = psutil.Process(pid), psutil.boot_time()
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time() - booted
    except psutil.NoSuchProcess:
        return None


def register(store: Store, key: str) -> int | None:
    """Enter this process as the driver of `key`; None when a live one is there already."""
    pid = os.getpid()
    now = time.time()
    with store.write() as (db, _):
        rows = db.execute(f"select {_COLUMNS} from drivers where key = ? and ended_at is null", (key,)).fetchall()
        if any(Driver(*row).alive for row in rows):
            return None
        db.execute("update drivers set ended_at = ? where key = ? and ended_at is null", (now, key))
        cursor = db.execute(
            "insert into drivers (key, host, pid, process_started, started_at, heartbeat_at) values (?, ?, ?, ?, ?, ?)",
            (key, HOST, pid, process_started(pid) or 0.0, now, now),
        )
        return cursor.lastrowid


def heartbeat(store: Store, driver_id: int) -> None:
    """Say that the driver lives."""
    with store.write() as (db, _):
        db.execute("update drivers set heartbeat_at = ? where driver_id = ?", (time.time(), driver_id))


def describe(store: Store, driver_id: int, *, slots: int, dashboard: str, where: str) -> None:
    """Write what the driver runs on, for the header."""
    with store.write() as (db, _):
        db.execute(
            "update drivers set slots = ?, dashboard = ?, where_text = ? where driver_id = ?",
            (slots, dashboard, where, driver_id),
        )


def show(store: Store, driver_id: int, workers: str, *, idle_since: float | None, idle_limit_s: float) -> None:
    """Write what the driver shows of itself: its slots as JSON, and since when it waits for work (UTC seconds)."""
    with store.write() as (db, _):
        db.execute(
            "update drivers set workers = ?, idle_since = ?, idle_limit_s = ? where driver_id = ?",
            (workers, idle_since, idle_limit_s, driver_id),
        )


def sign_off(store: Store, driver_id: int) -> bool:
    """End the driver's row, unless something was asked of it meanwhile: then False, and it must go on."""
    with store.write() as (db, _):
        (key,) = db.execute("select key from drivers where driver_id = ?", (driver_id,)).fetchone()
        asked = db.execute(
            "select 1 from requests where key = ? and handled_at is null and verb = 'run'", (key,)
        ).fetchone()
        if asked:
            return False
        end(store, driver_id)
        return True


def end(store: Store, driver_id: int) -> None:
    """End the driver's row, whatever was asked of it."""
    with store.write() as (db, _):
        db.execute("update drivers set ended_at = ? where driver_id = ?", (time.time(), driver_id))


def claim(store: Store, sweep_id: int, driver_id: int) -> bool:
    """Make a driver the owner of a sweep; False while another live driver owns it."""
    with store.write() as (db, _):
        row = db.execute(
            f"select {', '.join('d.' + c for c in _COLUMNS.split(', '))} from sweeps s join drivers d on d.driver_id = s.owner "
            "where s.sweep_id = ? and d.ended_at is null",
            (sweep_id,),
        ).fetchone()
        if row is not None and Driver(*row).driver_id != driver_id and Driver(*row).alive:
            return False
        db.execute("update sweeps set owner = ? where sweep_id = ?", (driver_id, sweep_id))
        return True


def release(store: Store, sweep_id: int) -> None:
    """Give a sweep back: nobody owns it."""
    with store.write() as (db, _):
        db.execute("update sweeps set owner = null where sweep_id = ?", (sweep_id,))


def owner(store: Store, sweep_id: int) -> Driver | None:
    """Give the live driver that owns a sweep, or None."""
    columns = ", ".join("d." + c for c in _COLUMNS.split(", "))
    rows = store.read(
        f"select {columns} from sweeps s join drivers d on d.driver_id = s.owner where s.sweep_id = ? and d.ended_at is null",
        sweep_id,
    )
    driver = Driver(*rows[0]) if rows else None
    return driver if driver is not None and driver.alive else None


def live_driver(store: Store, key: str) -> Driver | None:
    """Give the live driver of a key, or None."""
    rows = store.read(f"select {_COLUMNS} from drivers where key = ? and ended_at is null", key)
    return next((d for d in (Driver(*row) for row in rows) if d.alive), None)


def has_registered(store: Store, key: str, *, since: float) -> bool:
    """Tell whether a driver of a key has entered itself after `since`, whatever became of it."""
    return bool(store.read("select 1 from drivers where key = ? and started_at >= ? limit 1", key, since))


def was_owned(store: Store, sweep_id: int) -> bool:
    """Tell whether a driver had the sweep and didn't give it back: it died."""
    return bool(store.read("select 1 from sweeps where sweep_id = ? and owner is not null", sweep_id))


def refuse_second_host(store: Store) -> None:
    """Raise StoreError when a driver of another host works in this store: two hosts must not write one SQLite file."""
    rows = store.read(f"select {_COLUMNS} from drivers where ended_at is null and host != ?", HOST)
    for driver in (Driver(*row) for row in rows):
        if driver.alive:
            raise StoreError(
                f"{store.home} is in use on the host {driver.host} (driver {driver.pid}). Run the sweep there, or set "
                "JUPYTER_SWEEP_HOME to a folder of this host."
            )
