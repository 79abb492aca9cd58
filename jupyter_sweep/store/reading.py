"""A store that is only looked at: nothing in its folder is made, migrated or written.

The Jupyter server shows every store below its root, also those that lie on a read-only disk or belong to a newer or
older release. A file that was removed and made again is noticed by its inode (`is_current`).
"""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path
from urllib.parse import quote

from ..errors import StoreError
from .opening import refuse_foreign
from .schema import MIGRATIONS
from .sqlite import Store

#: How long a question waits for a writer.
_BUSY_S = 5.0


class ReadingStore(Store):
    """Open the store under `home` for reading.

    Raises
    ------
    StoreError
        When there is none, for a file of another program, and for a schema that this release does not know.
    """

    def __init__(self, home: Path | str) -> None:
        self.home = Path(home).absolute()
        self.path = self.home / "sweeps.db"
        self.notice = ""
        self._local = threading.local()
        if not self.path.is_file():
            raise StoreError(f"There are no sweeps in {self.home}.")
        self._file = _identity(self.path)
        self.change()

    @property
    def is_current(self) -> bool:
        """False once the file was removed or replaced."""
        return _identity(self.path) == self._file

    @property
    def _db(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._open("mode=ro")
            try:
                self._look(connection)
            except sqlite3.OperationalError:
                # WAL wants to make two files beside the store, which a read-only folder refuses: then nobody writes.
                connection.close()
                if os.access(self.home, os.W_OK) or self.path.with_name("sweeps.db-wal").exists():
                    raise
                connection = self._open("mode=ro&immutable=1")
                self._look(connection)
            self._local.connection = connection
        return connection

    def _open(self, how: str) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{quote(str(self.path))}?{how}", uri=True, timeout=_BUSY_S, isolation_level=None)

    def _look(self, connection: sqlite3.Connection) -> None:
        refuse_foreign(connection, self.path)
        version = connection.execute("pragma user_version").fetchone()[0]
        if version < len(MIGRATIONS):
            raise StoreError(
                f"{self.path} was written by an older release (schema {version}; this one knows {len(MIGRATIONS)}). "
                f"Using it from a notebook brings it up to date, and so does: jupyter sweep list --folder {self.home}"
            )


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
