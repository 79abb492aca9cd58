"""What a host keeps of a store whose disk it does not share: one copy for all its workers, for as long as they live.

Everything lies in a folder that only the user can enter: `jupyter-sweep-UID` in $JUPYTER_SWEEP_SCRATCH of the worker's
own environment, else in $XDG_CACHE_HOME, else in the folder for temporary files. In it, for each store:

    data/       job files and captured buffers, named by content; a name is there only when all of its bytes are
    stages/     results of `stage()`, shared by the trials of this host
    work/       the working directory of trials, where the starter's is not on this host
    trials/     one folder a worker process with those of its running trials; removed with it

Processes agree by locks on hidden files. `.STORE.use` is held shared by every process that uses a store: the last one
to let go removes it all, or the janitor does when that one was killed. `.NAME.use` is held shared by whoever runs a
trial of job NAME, so nobody removes what it needs; `.NAME.lock` is held by the one that fetches a file while the others
wait for it; `.check` keeps removal and looking for what is missing apart. What was not used for longest is removed when
something new does not fit.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
import uuid
from collections.abc import Iterator

from . import janitor
from .copies import entries, free, references, remove, remove_store, remove_trials, shrink
from .locks import hidden, holding

_TRIES = 10


def root() -> str:
    """Give the user's scratch folder on this host; made if it is not there.

    Raises
    ------
    OSError
        When it can't be made, or is not a folder of this user that nobody else can enter.
    """
    base = os.environ.get("JUPYTER_SWEEP_SCRATCH") or os.environ.get("XDG_CACHE_HOME") or tempfile.gettempdir()
    path = os.path.join(os.path.abspath(os.path.expanduser(base)), f"jupyter-sweep-{os.getuid()}")
    os.makedirs(path, mode=0o700, exist_ok=True)
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(
            f"{path} is not a folder that only this user can enter; remove it, or name another place with "
            "JUPYTER_SWEEP_SCRATCH in the environment of the worker"
        )
    return path


class Depot:
    """One store's part of the scratch folder, used by one worker process."""

    def __init__(self, store: str) -> None:
        for left in reversed(range(_TRIES)):
            self.root = root()
            with contextlib.ExitStack() as held:
                try:
                    self._settle(store, held)
                except FileNotFoundError:  # who was here last removed the folder just now
                    if not left:
                        raise
                else:
                    self._held = held.pop_all()
                    return

    def _settle(self, store: str, held: contextlib.ExitStack) -> None:
        self.home = os.path.join(self.root, store)
        held.enter_context(holding(hidden(self.home, "use"), shared=True))
        self.data, self.stages, self.work, trials = (
            os.path.join(self.home, name) for name in ("data", "stages", "work", "trials")
        )
        for folder in (self.home, self.data, self.stages, self.work, trials):
            os.makedirs(folder, mode=0o700, exist_ok=True)
        janitor.hire(self.home)
        for entry in entries(self.root):
            if entry.is_dir(follow_symlinks=False):
                remove_store(entry.path)
        remove_trials(trials)
        self.trials = os.path.join(trials, f"{os.getpid()}-{uuid.uuid4().hex[:8]}")
        held.enter_context(holding(hidden(self.trials, "use")))
        os.mkdir(self.trials, mode=0o700)

    def close(self) -> None:
        """Remove the folders of this process's trials; all of the store, when it was the last one to use it."""
        remove(self.trials)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(hidden(self.trials, "use"))
        self._held.close()
        with contextlib.suppress(OSError):  # the janitor was quicker, or there are other stores
            remove_store(self.home)
            os.rmdir(self.root)

    @contextlib.contextmanager
    def in_use(self, job: str) -> Iterator[None]:
        """Keep a job and all that it names from being removed by others, for the length of the block."""
        with holding(hidden(self.path(job), "use"), shared=True):
            with contextlib.suppress(FileNotFoundError):
                os.utime(self.path(job))
            yield

    def missing(self, job: str) -> list[tuple[str, int | None]]:
        """Give the files that a job in use still lacks here, as `references` does; only the job while it is missing."""
        with holding(os.path.join(self.data, ".check"), shared=True):
            path = self.path(job)
            if not os.path.exists(path):
                return [(job, None)]
            return [(name, size) for name, size in references(path) if not self.has(name, size)]

    def has(self, name: str, size: int | None = None) -> bool:
        """Tell whether a file is here, with the size that it should have."""
        try:
            found = os.stat(self.path(name)).st_size
        except FileNotFoundError:
            return False
        return size is None or found == size

    def path(self, name: str) -> str:
        """Give where a data file lies, or will.

        Raises
        ------
        ValueError
            When `name` is not the name of a file alone.
        """
        if not name or name != os.path.basename(name) or name.startswith("."):
            raise ValueError(f"{name!r} is no name of a data file")
        return os.path.join(self.data, name)

    def make_room(self, nbytes: int) -> None:
        """See to it that `nbytes` more fit.

        Raises
        ------
        OSError
            When they don't, with all removed that nobody uses.
        """
        if free(self.root) < nbytes:
            shrink(self.root, nbytes)
        left = free(self.root)
        if left < nbytes:
            raise OSError(
                f"{nbytes / 2**20:,.0f} MB do not fit into {self.root}, where {max(0, left) / 2**20:,.0f} MB are free; "
                "free some, or name another place with JUPYTER_SWEEP_SCRATCH in the environment of the worker"
            )
