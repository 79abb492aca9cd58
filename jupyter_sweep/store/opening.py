"""What is done to a connection before the store uses it: is the file ours, is it up to date, what journal has it."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from ..errors import StoreError
from .schema import APPLICATION_ID, MIGRATIONS


def refuse_foreign(db: sqlite3.Connection, path: Path) -> None:
    """Look at a file before anything is written to it, even the mode of its journal.

    Raises
    ------
    StoreError
        A database of another program, or one that a newer release wrote.
    """
    empty = db.execute("select count(*) from sqlite_master").fetchone()[0] == 0  # first: another may just make it
    identity = db.execute("pragma application_id").fetchone()[0]
    version = db.execute("pragma user_version").fetchone()[0]
    if not empty and identity != APPLICATION_ID:
        raise StoreError(f"{path} is a database of another program. Move it away or set JUPYTER_SWEEP_HOME.")
    if version > len(MIGRATIONS):
        raise StoreError(
            f"{path} was written by a newer release (schema {version}; this one knows {len(MIGRATIONS)}). "
            "Upgrade jupyter-sweep in this environment."
        )


def migrate(db: sqlite3.Connection) -> None:
    """Bring the tables up to date, in one transaction."""
    version = db.execute("pragma user_version").fetchone()[0]
    if version == len(MIGRATIONS):
        return
    try:
        db.execute("begin immediate")
        version = db.execute("pragma user_version").fetchone()[0]
        for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
            for statement in statements:
                db.execute(statement)
            db.execute(f"pragma user_version={number}")
        db.execute(f"pragma application_id={APPLICATION_ID}")
        db.execute("commit")
    except BaseException:
        if db.in_transaction:
            db.execute("rollback")
        raise


def set_journal(db: sqlite3.Connection, mode: str, wait_s: float) -> None:
    """Set the journal's mode, waiting for others: of two that change it at once SQLite refuses one without a wait."""
    limit = time.monotonic() + wait_s
    while db.execute("pragma journal_mode").fetchone()[0] != mode:
        try:
            db.execute(f"pragma journal_mode={mode}")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > limit:
                raise
            time.sleep(0.01)
