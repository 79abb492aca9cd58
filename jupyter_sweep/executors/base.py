"""The law of an executor and the events it gives: where trials run is known here and nowhere else.

The caller promises: one thread calls `submit`, `stop`, `scale` and `close`; a trial is submitted again only after its
last event. The executor promises: every submitted trial ends in exactly one `Finished` or `Lost`, in whatever way its
process does (one that has not begun may come back as cancelled, without a `Started`, when slots come or go); its events
come in order, `Started` first unless it never ran; nothing blocks longer than it says; nothing of it is left after
`close`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..errors import SweepError


@dataclass(frozen=True)
class Task:
    """One trial to run. `payload` is plain JSON data.

    Its keys: `trial_id`, `number`, `attempt`, `title` (names the body in tracebacks), `data` (folder of job files),
    `job` (file name there), `launch` (file with `env`, `cwd` and `path` of the process that started the sweep),
    `params` (encoded), `seed`, `repetition`, `folder` (the trial's own), `timeout_s` and `memory_gb` (or None),
    `cpus`, `isolation` (see `worker/supervisor.py`), `stage_dir`, `grace_s` (what the end before its time leaves to
    `finally` blocks, None for a default), `avoid` (labels of workers that an earlier attempt failed on).
    """

    trial_id: int
    payload: dict[str, Any]


@dataclass(frozen=True)
class Started:
    """The trial's process has it.

    `worker` reads host/slot or local/0; `pid` is the process that the body runs in; `device` names its GPUs, as in
    "0,1", and is empty where it has none of its own.
    """

    trial_id: int
    worker: str
    pid: int
    at: float
    device: str = ""


@dataclass(frozen=True)
class Reported:
    """One `report(...)`."""

    trial_id: int
    step: int
    metrics: dict[str, float]
    at: float


@dataclass(frozen=True)
class Finished:
    """The end of a trial that its executor saw.

    `state` is a final state and `reason` one of `trial.REASONS`. `numbers` is None, or, when a target has no value, the
    names of the numbers that were seen. `peak_memory_gb` counts what no file backs, above what the process held before;
    `peak_gpu_memory_gb` what the driver says that the processes used of their GPUs, None where it doesn't.
    """

    trial_id: int
    state: str
    reason: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    error: str = ""
    traceback: str = ""
    duration_s: float = 0.0
    peak_memory_gb: float | None = None
    at: float = 0.0
    numbers: tuple[str, ...] | None = None
    peak_gpu_memory_gb: float | None = None


@dataclass(frozen=True)
class Lost:
    """The trial's worker or host is gone, and what became of the trial is unknown.

    `planned` where that was to come: the time that a batch system gives its jobs was up.
    """

    trial_id: int
    why: str
    at: float
    planned: bool = False


Event = Started | Reported | Finished | Lost


class SchedulerGone(SweepError):
    """The cluster's scheduler can't be reached any more: nothing more will be heard of what was submitted.

    `may_return` where it is somebody else's, who may start it again.
    """

    def __init__(self, where: str, *, may_return: bool) -> None:
        super().__init__(f"--on {where}: the connection to the scheduler is lost.")
        self.may_return = may_return


class Executor(Protocol):
    """Runs trials. Built as `Class(word, slots=None, options=None)`: the word after `--on` and its profile."""

    name: str
    slots: int
    dashboard: str | None

    def submit(self, batch: Sequence[Task]) -> None:
        """Queue trials that run one after another in one slot; SchedulerGone when that is so."""
        ...

    def events(self, timeout_s: float) -> list[Event]:
        """Give all events that are there, waiting up to `timeout_s` for the first; SchedulerGone when that is so."""
        ...

    def reaches_beyond(self, workers: Sequence[str]) -> bool:
        """Tell whether a trial whose payload avoids these workers (their labels) would get elsewhere if it were
        submitted now. True also where there is no other."""
        ...

    def stop(self, trial_id: int, why: str) -> None:
        """Have a trial end as `why` ("pruned" or "cancelled"), also one that still waits; within 2 s. Returns at once.

        A trial that ends by itself meanwhile keeps its own end; one that is over already is no mistake.
        """
        ...

    def recall(self, trial_ids: Iterable[int]) -> None:
        """Have trials come back that have not begun: each ends as cancelled, without a `Started`. Others go on."""
        ...

    def disown(self, trial_ids: Iterable[int]) -> None:
        """End trials as `stop` does, and tell nothing more of them: each may be submitted again. Returns at once."""
        ...

    def scale(self, n: int) -> None:
        """Change the number of slots; SweepError where that can't be. What runs on those that go runs on to its end."""
        ...

    def workers(self) -> list[dict[str, Any]]:
        """Give one row a slot.

        Its keys: `worker` (its label), `host`, `pid` (of the worker process, or None), `trials` (ids of those that run
        there), `state`, `device`, `memory_gb` and `peak_gb` (of the trial's processes, or None). Where a queue gives
        the workers, `job` and `job_state` too. The states: idle, busy, draining (to go once its trial has ended),
        unused (beyond the slots that there should be), lost (its worker is gone), queued (not there yet).
        """
        ...

    def close(self) -> None:
        """End everything, running trials too; may be called twice."""
        ...


def event_from(data: Mapping[str, Any]) -> Event:
    """Give an event as a slot's supervisor tells it."""
    trial_id, at = data["trial_id"], data["at"]
    if data["kind"] == "started":
        return Started(trial_id, data["worker"], data["pid"], at, data.get("device", ""))
    if data["kind"] == "reported":
        return Reported(trial_id, data["step"], data["metrics"], at)
    if data["kind"] == "lost":
        return Lost(trial_id, data["why"], at)
    return Finished(
        trial_id,
        data["state"],
        data["reason"],
        data["metrics"],
        data["error"],
        data["traceback"],
        data["duration_s"],
        data["peak_memory_gb"],
        at,
        None if data["numbers"] is None else tuple(data["numbers"]),
        data.get("peak_gpu_memory_gb"),
    )
