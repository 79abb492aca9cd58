"""Trials on a host that shares no disk with the driver: what they need comes here first, what they made goes home.

A payload names paths of the driver's machine. A worker tells by itself whether they are also its own: the payload says
where the driver laid a file with random text in it, and a worker that reads that text there, and may write beside it,
uses all paths as they are. Another one gives the trial paths of its own, and the body finds:

- the captured data, memory-mapped from the host's one copy (see `scratch`), local modules as source, as everywhere;
- the environment of the *worker*, which has what the profile's `env` says, with the variables JUPYTER_SWEEP_* of the
  process that started the sweep and the thread limits of every trial. Others don't leave that process: they hold keys;
- its working directory, if there is one of that path here, else a folder in the host's scratch that its trials share;
- of its import path what exists here, less what is installed there: packages are the host's own;
- its last `checkpoint()`, wherever it was made; results of `stage()` computed once per host, not once in all.

Its log follows while it runs, in pieces of 32 kB twice a second. A `checkpoint()` goes home within a second, after all
that the trial saved before it, so that the next attempt goes on from there on any host. What it saved otherwise goes
home when it ends, however it ends, before its end is told; a trial whose files can't be brought home is lost and runs
again. Only regular files in its folder travel. Nothing stays on a host: its copies go with its last worker, and so does
what trials wrote elsewhere in the scratch folder.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable

from .line import Emit, Line, Task
from .parcels import NotWanted
from .scratch import Depot
from .visit import Visit

FOLLOW_S = 0.5


class Home:
    """A trial on a host that shares the store's disk: nothing is to be done."""

    def __init__(self, task: Task, emit: Emit) -> None:
        self.task, self.emit = task, emit

    def end(self) -> None:
        """Nothing is held back."""


class Outpost:
    """What one worker process does for trials from elsewhere.

    Parameters
    ----------
    put, flush
        Take an event; send those that were taken now.
    """

    def __init__(self, put: Emit, flush: Callable[[], None]) -> None:
        self._line = Line(put, flush)
        #: What the driver sends and fetches arrives here.
        self.parcels = self._line.parcels
        self._environ = dict(os.environ)
        self._shared: dict[tuple[str, str], bool] = {}
        self._depots: dict[str, Depot] = {}
        self._visits: set[Visit] = set()
        self._lock = threading.Lock()
        self._follower: threading.Thread | None = None

    def receive(self, task: Task, wanted: Callable[[], str | None]) -> Home | Visit | None:
        """Bring here what a trial needs; None when that can't be done, which is told.

        Parameters
        ----------
        wanted
            Gives the state that the trial is to end in, or None. A trial that is to end before it begins is given back
            as it is, for its slot to end it.
        """
        away = task.get("away")
        if away is None or self._shares(away["disk"], away["token"]):
            return Home(task, self._line.put)

        def given_up() -> bool:
            return self._line.closed.is_set() or wanted() is not None

        visit = None
        try:
            visit = Visit(self._line, self._depot(away["store"]), task, self._environ, wanted)
            visit.begin(given_up)
        except (OSError, ValueError, KeyError, NotWanted) as error:
            if visit is not None:
                visit.leave()
            if given_up():
                return Home(task, self._line.put)
            why = f"{socket.gethostname()} could not get what the trial needs: {error or type(error).__name__}"
            self._line.tell(task, "lost", why=why)
            return None
        self._see_to(visit)
        return visit

    def give_up(self) -> None:
        """End all waiting; nothing new comes here after this."""
        self._line.closed.set()

    def close(self) -> None:
        """Remove what is only this process's, once no trial runs here."""
        with self._lock:
            depots, self._depots = list(self._depots.values()), {}
        for depot in depots:
            depot.close()

    def _shares(self, path: str, token: str) -> bool:
        if (path, token) not in self._shared:
            try:
                with open(path, encoding="ascii") as file:
                    same = file.read() == token
            except (OSError, ValueError):
                same = False
            self._shared[path, token] = same and os.access(os.path.dirname(path), os.W_OK)
        return self._shared[path, token]

    def _depot(self, store: str) -> Depot:
        with self._lock:
            if self._line.closed.is_set():
                raise NotWanted
            if store not in self._depots:
                self._depots[store] = Depot(store)
            return self._depots[store]

    def _see_to(self, visit: Visit) -> None:
        visit.at_leave(lambda: self._visits.discard(visit))
        with self._lock:
            self._visits.add(visit)
            if self._follower is None:
                self._follower = threading.Thread(target=self._follow, name="sweep outpost", daemon=True)
                self._follower.start()

    def _follow(self) -> None:
        while not self._line.closed.wait(FOLLOW_S):
            for visit in list(self._visits):
                with contextlib.suppress(OSError):  # whatever is wrong with a file is found again at the end
                    visit.follow()
