"""joblib on a sweep's cluster: `with joblib.parallel_config("sweep"): GridSearchCV(...).fit(X, y)`.

Existing code of scikit-learn, or whatever else uses joblib, runs its tasks as trials are run: on any place that `--on`
names, each in a process that can be killed and has limits of its own, with large arrays written once and mapped. The
cluster belongs to this process, starts with the first task and ends with it, or when it was idle for long.
joblib's own back end for Dask was rejected: its tasks run in Dask's workers, where one that crashes takes its
neighbours' work along.

A batch of joblib's is a job of its own; what it gives comes back as a file in its folder. It costs 20 to 40 ms.
"""

from __future__ import annotations

import ast
import atexit
import functools
import itertools
import os
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any

from . import plugins
from .definition import Spec, Sweep
from .errors import Mistake, Mistakes, SweepError
from .executors.base import Event, Finished, Lost, Started, Task
from .jobs.base import JobRef
from .jobs.capture import capture
from .jobs.jobfile import write_job
from .notation import options as notation
from .runner import launch, limits
from .space.parameter import Int
from .space.space import Space
from .store import folder
from .worker import stages
from .worker.parallel import NAME

#: What a task leaves in its folder: whether it ended well, and what it gave or raised.
RESULT = "result.joblib"
_ALLOWED = ("on", "jobs", "cpus", "gpus", "devices", "mem", "timeout", "grace", "isolation", "needs")
_PATIENCE_S = 0.2


def register_joblib() -> None:
    """Make `"sweep"` a name for `joblib.parallel_config` and `joblib.parallel_backend`.

    Both take options of the `%%sweep` line by their long names: `on`, `jobs`, `cpus`, `gpus`, `devices`, `mem`,
    `timeout`, `grace`, `isolation`, `needs`. `n_jobs=-1`, the default, means all slots of the cluster, which
    are the cores of this machine unless `on` says otherwise. Within a trial `"sweep"` means the trial's own cpus.

    >>> from joblib import parallel_config
    >>> register_joblib()
    >>> with parallel_config("sweep", on="ssh:ada,bob", mem="4G"):  # doctest: +SKIP
    ...     GridSearchCV(SVC(), grid, n_jobs=-1).fit(X, y)
    """
    import joblib

    joblib.register_parallel_backend(NAME, _backend)


def _backend(nesting_level: int | None = None, **options: Any) -> Any:
    unknown = sorted(options.keys() - set(_ALLOWED))
    if unknown:
        raise SweepError(f"{', '.join(unknown)}: no option of the back end {NAME!r}. Allowed: {', '.join(_ALLOWED)}.")
    return _backend_class()(_plan(options), nesting_level)


def _plan(options: Mapping[str, Any]) -> Sweep:
    """Read the options as those of a sweep are read."""
    given, space = notation.from_keywords(min="loss", algo="random", **options), Space(i=Int(0, 1))
    mistakes = notation.refusals(given, space)
    if "inline" in (given.on.name, given.isolation):
        mistakes.append(Mistake("inline: joblib's own back end 'sequential' does that"))
    if mistakes:
        raise Mistakes(mistakes)
    return notation.build(given, name="joblib", space=space, job=JobRef("function", "", ""))


@functools.lru_cache(maxsize=1)
def _backend_class() -> Any:
    from joblib._parallel_backends import AutoBatchingMixin, ParallelBackendBase

    class SweepBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]
        """One use of the cluster by joblib. Several share it."""

        supports_retrieve_callback = True
        default_n_jobs = -1

        def __init__(self, plan: Sweep, nesting_level: int | None = None) -> None:
            super().__init__(nesting_level=nesting_level)
            self.plan, self._own = plan, list[Future[Any]]()

        def effective_n_jobs(self, n_jobs: int | None) -> int:
            slots: int = cluster(self.plan).executor.slots
            if n_jobs == 0:
                raise ValueError("n_jobs == 0 in Parallel has no meaning")
            wanted = -1 if n_jobs is None else n_jobs
            return min(wanted, slots) if wanted > 0 else max(slots + 1 + wanted, 1)

        def submit(self, func: Callable[[], Any], callback: Callable[[Any], object] | None = None) -> Future[Any]:
            future = cluster(self.plan).submit(func, self.plan)
            self._own = [*(other for other in self._own if not other.done()), future]
            if callback is not None:
                future.add_done_callback(callback)
            return future

        def retrieve_result_callback(self, out: Future[Any]) -> Any:
            return out.result()

        def abort_everything(self, ensure_ready: bool = True) -> None:
            for future in self._own:
                cluster(self.plan).stop(future)

        def terminate(self) -> None:
            self.reset_batch_stats()

    return SweepBackend


_clusters: dict[str, Cluster] = {}
_making = threading.Lock()


def cluster(plan: Sweep) -> Cluster:
    """Give the cluster of a plan, starting it unless it runs."""
    key = repr((plan.executor, plan.budget.parallel))
    with _making:
        found = _clusters.get(key)
        if found is None or found.closed:
            found = _clusters[key] = Cluster(plan.executor, plan.budget.parallel)
    return found


@atexit.register
def close_all() -> None:
    """End all clusters with what runs on them."""
    with _making:
        for found in _clusters.values():
            found.close()
        _clusters.clear()


@dataclass
class _Flight:
    """One call on its way; `wanted` until it is stopped."""

    task: Task
    future: Future[Any]
    begun: bool = False
    wanted: bool = True
    lost: int = 0


class Cluster:
    """An executor, and the thread that hears it.

    On this machine its workers are threads of this process, which start no second one of it: that would run a script
    again that lacks `if __name__ == "__main__"`. The tasks have processes of their own anyway.
    """

    def __init__(self, spec: Spec, slots: int | None) -> None:
        self.closed = False
        self._home = Path(tempfile.mkdtemp(prefix="sweep-joblib-"))
        self._numbers = itertools.count()
        self._flights: dict[int, _Flight] = {}
        self._lock = threading.Lock()
        self._last_use = time.monotonic()
        word = "threads" if spec.name == "local" else spec.name
        try:
            self.executor = plugins.load("executor", word)(word, slots=slots, options=spec.options)
        except BaseException:
            shutil.rmtree(self._home, ignore_errors=True)
            raise
        self._launch = launch.write_launch(self._home, 0, os.getcwd())
        threading.Thread(target=self._listen, name="sweep joblib", daemon=True).start()

    def submit(self, call: Callable[[], Any], plan: Sweep) -> Future[Any]:
        """Run a call in a process of its own; its future gives what it gives, and raises what it raises."""
        number, future = next(self._numbers), Future[Any]()
        future.set_running_or_notify_cancel()
        place = folder.make_trial_folder(self._home, f"{number}")
        task = Task(number, {**self._payload(plan), "number": number, "trial_id": number, "folder": str(place),
                             "job": self._write(call)})  # fmt: skip
        with self._lock:
            self._flights[number] = _Flight(task, future)
            self.executor.submit([task])
        return future

    def _payload(self, plan: Sweep) -> dict[str, Any]:
        return {
            "attempt": 1,
            "title": "joblib",
            "data": str(self._home / folder.DATA),
            "launch": self._launch,
            "params": {},
            "seed": random.SystemRandom().getrandbits(31),
            "repetition": 0,
            "timeout_s": plan.budget.timeout_s,
            "memory_gb": plan.budget.memory_gb,
            "cpus": plan.resources.cpus,
            "isolation": plan.resources.runs_in,
            "grace_s": plan.budget.grace_s,
            "avoid": [],
            "stage_dir": str(self._home / folder.STAGES),
        }

    def _write(self, call: Callable[[], Any]) -> str:
        """Write a call as a job that needs nothing of ours where it runs."""
        names = {"__name__": "__main__", "call": call}
        function = FunctionType(_run.__code__, names, "run")
        function.__module__ = "__main__"
        captured = capture(names, {}, tree=ast.Module([], []), folder=os.getcwd(), job=function)
        own = {"kind": "function", "source": "", "sites": [], "line_offset": 0, "targets": [], "parameters": []}
        return write_job(str(self._home / folder.DATA), captured, own)

    def stop(self, future: Future[Any]) -> None:
        """End a call, wherever it is."""
        with self._lock:
            for number, flight in self._flights.items():
                if flight.future is future and not self.closed:
                    flight.wanted = False
                    self.executor.stop(number, "cancelled")

    def close(self) -> None:
        """End everything, also calls that run; may be called twice."""
        with self._lock:
            if self.closed:
                return
            self.closed = True
            flights, self._flights = self._flights, {}
            self.executor.close()
        for flight in flights.values():
            flight.future.set_exception(SweepError("The cluster of joblib's tasks was closed while this one ran."))
        shutil.rmtree(self._home, ignore_errors=True)

    def _listen(self) -> None:
        idle_s = launch.idle_limit_s(os.environ)
        while not self.closed:
            try:
                for event in self.executor.events(_PATIENCE_S):
                    self._hear(event)
            except SweepError as error:
                self._fail(error)
            now = time.monotonic()
            if self._flights:
                self._last_use = now
            elif now - self._last_use > idle_s:
                self.close()

    def _fail(self, error: SweepError) -> None:
        """Give the cluster up: the scheduler is gone."""
        with self._lock:
            flights, self._flights = self._flights, {}
        for flight in flights.values():
            flight.future.set_exception(error)
        self.close()

    def _hear(self, event: Event) -> None:
        flight = self._flights.get(event.trial_id)
        if flight is None:
            return
        if isinstance(event, Started):
            flight.begun = True
        elif self._goes_again(flight, event):
            flight.begun = False
            with self._lock:
                self.executor.submit([flight.task])
        elif isinstance(event, Finished | Lost):
            self._land(flight, event)

    def _goes_again(self, flight: _Flight, event: Event) -> bool:
        """Tell whether a call is to run again: its worker was lost, or it came back without having begun."""
        if isinstance(event, Lost):
            flight.lost += 1
            return flight.wanted and flight.lost <= limits.MAX_LOST
        came_back = isinstance(event, Finished) and event.state == "cancelled" and not flight.begun
        return came_back and flight.wanted

    def _land(self, flight: _Flight, event: Finished | Lost) -> None:
        place = Path(flight.task.payload["folder"])
        well, value = _result(event, place)
        with self._lock:
            del self._flights[event.trial_id]
        shutil.rmtree(place, ignore_errors=True)
        if well:
            flight.future.set_result(value)
        else:
            flight.future.set_exception(value)


def _run() -> None:
    """Run the call and keep what comes of it. Travels by value; `call` is in its namespace."""
    import sys

    context = sys.modules["_sweep_trial"].context
    try:
        result = True, call()  # type: ignore[name-defined]  # noqa: F821
    except Exception as error:
        result = False, error
    context.save("result.joblib", result)


def _result(event: Finished | Lost, place: Path) -> tuple[bool, Any]:
    """Give whether a call ended well, and what it gave, or the exception to raise."""
    if isinstance(event, Finished) and event.state == "completed":
        try:
            found: tuple[bool, Any] = stages.load(str(place / RESULT))
        except Exception as error:  # whatever an object that can't be unpickled raises
            return False, SweepError(f"What a task of joblib's gave can't be read: {type(error).__name__}: {error}")
        return found
    why = event.why if isinstance(event, Lost) else event.error or event.state
    return False, SweepError(f"A task of joblib's ended before its time: {why}")
