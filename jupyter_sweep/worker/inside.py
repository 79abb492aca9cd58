"""A trial in the worker's own thread (`--isolation inline`): for trials of milliseconds that harm nobody.

Nothing can end such a trial but its next `report()`, and one that crashes takes the worker and its neighbours along.
One runs at a time in a worker process, since generators, folder, output and the context that `report` reaches are the
process's. They are put back afterwards; what modules keep is not, except that edited local modules are loaded anew.
What C code prints is not the trial's.
"""

from __future__ import annotations

import contextlib
import io
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from . import parallel, shell, trial
from .context import TrialStopped
from .job import Job, Jobs, LocalModules
from .keeping import set_environment, surroundings
from .logfile import LogFile
from .numerals import Metrics
from .process import Launch, environment
from .seeds import restored
from .threads import limited

_turn = threading.Lock()
_PATIENCE_S = 0.1

Tell = Callable[..., None]


@contextlib.contextmanager
def turn(unwanted: Callable[[], object]) -> Iterator[bool]:
    """Wait until no other trial runs in this process; False when the trial is not wanted any more."""
    mine = False
    while not mine and not unwanted():
        mine = _turn.acquire(timeout=_PATIENCE_S)
    try:
        yield mine
    finally:
        if mine:
            _turn.release()


class Inside:
    """The host of one trial in this thread. `wanted` gives the state that it is to end in, or None."""

    interactive = False

    def __init__(self, task: Mapping[str, Any], tell: Tell, wanted: Callable[[], str | None]) -> None:
        self._task, self._tell, self._wanted = task, tell, wanted

    def run(self, launch: Launch) -> None:
        """Run the trial and tell its reports and its end."""
        log = LogFile(f"{self._task['folder']}/log.txt")
        main = sys.modules["__main__"]
        try:
            cpus = self._task["cpus"]
            with restored(), surroundings(launch.cwd, launch.path), _printing_into(log), limited(cpus):
                set_environment(environment(launch, cpus))
                end = trial.run(self._task, _jobs, self)
        finally:
            sys.modules["__main__"] = main
            shell.offer(False)
            log.close()
        if end["state"] == "stopped":
            end["state"] = self._wanted() or "cancelled"
        end["error"] = end["error"] or log.problem
        self._tell("finished", **end, peak_memory_gb=None, peak_gpu_memory_gb=None)

    # -- the host of a trial ------------------------------------------------------------------------------------------

    def prepare(self, job: Job) -> None:
        """Find the job's modules by their source; those of another version of it are forgotten."""
        found = next((finder for finder in sys.meta_path if isinstance(finder, LocalModules)), None)
        if found is None or found.modules != job.modules:
            if found is not None:
                sys.meta_path.remove(found)
                for name in found.modules:
                    sys.modules.pop(name, None)
            sys.meta_path.insert(0, LocalModules(job.modules))
        sys.path[:] = dict.fromkeys([*job.path, *sys.path])
        shell.offer(job.uses_shell)
        if job.uses_joblib:
            parallel.offer()

    def send(self, step: int, metrics: Metrics, at: float) -> None:
        """Tell a report, then end the trial if that is wanted."""
        self._tell("reported", step=step, metrics=metrics, at=at)
        if self._wanted():
            raise TrialStopped("the sweep ended this trial")

    def stoppable(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def around(self, namespace: dict[str, Any]) -> Iterator[None]:
        """Make the trial's namespace the module `__main__`."""
        sys.modules["__main__"] = shell.Main(namespace)
        yield

    def failed(self, error: BaseException) -> None:
        """Nothing more to do: the exception is printed into the log and told."""


_jobs = Jobs()


@contextlib.contextmanager
def _printing_into(log: LogFile) -> Iterator[None]:
    streams = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = _Printed(log)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams


class _Printed(io.TextIOBase):
    """A stream into a log."""

    encoding = "utf-8"

    def __init__(self, log: LogFile) -> None:
        self._log = log

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._log.write(text.encode("utf-8", "backslashreplace"))
        return len(text)
