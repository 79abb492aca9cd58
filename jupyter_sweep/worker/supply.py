"""What a trial needs on a host that shares no disk with its driver, brought there once for all trials and workers."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .line import Line
from .locks import hidden, locked
from .parcels import STALL_S, NotWanted, Want
from .scratch import Depot

_TURN_S = 0.05


class Supply:
    """Gets the files of one trial.

    Parameters
    ----------
    unwanted
        Comes true when the trial is not to run any more: every wait then ends with NotWanted.
    """

    def __init__(self, line: Line, depot: Depot, task: Mapping[str, Any], unwanted: Callable[[], object]) -> None:
        self._line, self._depot, self._task, self._unwanted = line, depot, task, unwanted

    def gather(self) -> None:
        """Get the job and all that it names; twice over, for a first round gets only the file that names the rest."""
        job = self._task["job"]
        for _ in range(3):
            missing = self._depot.missing(job)
            if not missing:
                return
            for name, size in missing:
                self._get(name, size)
        raise OSError(f"the files of {job} do not stay in {self._depot.data}, or have another size than they should")

    def _get(self, name: str, size: int | None) -> None:
        """Get one file, unless another worker of this host just does."""
        path = self._depot.path(name)
        with _turn_at(path, self._unwanted):
            if not self._depot.has(name, size):
                self.ask(name, path)

    def ask(self, name: str, path: str) -> None:
        """Get one file to `path`."""
        want = Want(path, self._depot.make_room)
        with self._line.parcels.under_way(want):
            self._line.tell(self._task, "want", want=want.id, name=name)
            want.wait(name, self._unwanted)
            if want.problem:
                raise OSError(want.problem)

    def launch(self, environ: Mapping[str, str]) -> str:
        """Write what stands for the starter's environment, folder and import path here; give the file's path."""
        given = self._task["away"]["launch"]
        launch = {
            "env": {**environ, **given["env"]},
            "cwd": given["cwd"] if os.access(given["cwd"], os.R_OK | os.X_OK) else self._depot.work,
            "path": [path for path in given["path"] if os.path.exists(path)],
        }
        text = json.dumps(launch, sort_keys=True)
        name = f"launch-{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}.json"
        path = os.path.join(self._depot.trials, name)
        if not os.path.exists(path):
            aside = f"{path}.{self._task['ticket']}"
            with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(text)
            os.rename(aside, path)
        return path


@contextlib.contextmanager
def _turn_at(path: str, unwanted: Callable[[], object]) -> Iterator[None]:
    """Wait for the turn to fetch a file, as long as the worker that fetches it gets on."""
    seen, since = -1, time.monotonic()
    while (fd := locked(hidden(path, "lock"))) is None:
        if unwanted():
            raise NotWanted
        so_far = _size(hidden(path, "part"))
        if so_far != seen:
            seen, since = so_far, time.monotonic()
        elif time.monotonic() - since > STALL_S:
            raise TimeoutError(f"another worker of this host fetches {path} and got no further for {STALL_S:g} s")
        time.sleep(_TURN_S)
    try:
        yield
    finally:
        os.close(fd)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
