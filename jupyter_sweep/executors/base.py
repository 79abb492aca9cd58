"""The law of an executor and the events it gives: where trials run is known here and nowhere else.

The caller promises: one thread calls `submit`, `stop`, `scale` and `close`; a trial is submitted again only after its
last event. The executor promises: every submitted trial ends in exactly one `Finished` or `Lost`, in whatever way its
process does; its events come in order, `Started` first unless it never ran; nothing blocks longer than it says; nothing
of it is left after `close`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Task:
    """One trial to run. `payload` is plain JSON data.

    Its keys: `trial_id`, `number`, `attempt`, `title` (names the body in tracebacks), `data` (folder of job files),
    `job` (file name there), `launch` (file with `env`, `cwd` and `path` of the process that started the sweep),
    `params` (encoded), `seed`, `repetition`, `folder` (the trial's own), `timeout_s` and `memory_gb` (or None),
    `cpus`, `stage_dir`.
    """

    trial_id: int
    payload: dict[str, Any]


@dataclass(frozen=True)
class Started:
    """The trial's process has it. `worker` reads host/slot or local/0; `pid` is the process that the body runs in."""

    trial_id: int
    worker: str
    pid: int
    at: float


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
    names of the numbers that were seen. `peak_memory_gb` counts what no file backs, above what the process held before.
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


@dataclass(frozen=True)
class Lost:
    """The trial's worker or host is gone, and what became of the trial is unknown."""

    trial_id: int
    why: str
    at: float


Event = Started | Reported | Finished | Lost


class Executor(Protocol):
    """Runs trials. Built as `Class(word, slots=None, options=None)`: the word after `--on` and its profile."""

    name: str
    slots: int
    dashboard: str | None

    def submit(self, batch: Sequence[Task]) -> None:
        """Queue trials that run one after another in one slot."""
        ...

    def events(self, timeout_s: float) -> list[Event]:
        """Give all events that are there, waiting up to `timeout_s` for the first."""
        ...

    def stop(self, trial_id: int, why: str) -> None:
        """Have a trial end as `why` ("pruned" or "cancelled"), also one that still waits; within 2 s. Returns at once.

        A trial that ends by itself meanwhile keeps its own end; one that is over already is no mistake.
        """
        ...

    def scale(self, n: int) -> None:
        """Change the number of slots."""
        ...

    def workers(self) -> list[dict[str, Any]]:
        """Give one row a worker process: `worker` (its label), `pid` (or None), `trials` (running in it)."""
        ...

    def close(self) -> None:
        """End everything, running trials too; may be called twice."""
        ...


def event_from(data: Mapping[str, Any]) -> Event:
    """Give an event as a slot's supervisor tells it."""
    trial_id, at = data["trial_id"], data["at"]
    if data["kind"] == "started":
        return Started(trial_id, data["worker"], data["pid"], at)
    if data["kind"] == "reported":
        return Reported(trial_id, data["step"], data["metrics"], at)
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
    )
