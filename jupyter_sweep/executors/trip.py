"""One submission of a trial to a host that shares no disk with the driver: what may go there, its log here."""

from __future__ import annotations

import functools
import os
import threading

from ..errors import SweepError
from ..worker.context import CHECKPOINT
from ..worker.copies import references
from ..worker.logfile import LogFile
from .base import Task


class Trip:
    """`over` once nothing of it may reach the trial's folder any more; `landing` once its end has come."""

    def __init__(self, task: Task) -> None:
        payload = task.payload
        self.data, self.job, self.folder = payload["data"], payload["job"], payload["folder"]
        self.lock = threading.Lock()
        self.over = False
        self.landing = False
        self._log: LogFile | None = None

    def source(self, name: str) -> str:
        """Give the path of a file that a worker may have for this trial.

        Raises
        ------
        SweepError
            For any other.
        """
        if name == CHECKPOINT:
            return os.path.join(self.folder, name)
        if name == self.job or name in _named_by(os.path.join(self.data, self.job)):
            return os.path.join(self.data, name)
        raise SweepError(f"the trial does not need a file {name!r:.200}")

    def write_log(self, data: bytes) -> None:
        with self.lock:
            if self.over:
                return
            if self._log is None:
                self._log = LogFile(os.path.join(self.folder, "log.txt"))
            self._log.write(data)

    def close_log(self) -> str:
        """Give why the log could not be written, or ""."""
        with self.lock:
            log, self._log = self._log, None
            if log is None:
                return ""
            log.close()
            return log.problem


@functools.lru_cache(maxsize=64)
def _named_by(job_path: str) -> frozenset[str]:
    return frozenset(name for name, _ in references(job_path))
