"""One trial, its log and the reports."""

from __future__ import annotations

from typing import TypedDict

from .common import Number, TrialState, Value


class Attempt(TypedDict):
    """An earlier attempt of a trial."""

    attempt: int
    reason: str
    error: str
    worker: str


class Reported(TypedDict):
    """What stands of a trial's reports of one metric: pairs of step and value."""

    metric: str
    points: list[tuple[int, Number]]


class Artifact(TypedDict):
    """A file that a trial saved: its path in the trial's folder, and its size in bytes."""

    name: str
    size: int


class Trial(TypedDict):
    """Everything about one trial. Values are whole up to 20,000 characters each; `folder` is a path in the store."""

    number: int
    version: int
    state: TrialState
    reason: str
    params: list[tuple[str, Value]]
    metrics: dict[str, Number]
    error: str
    traceback: str
    attempt: int
    attempts: list[Attempt]
    repetition: int
    seed: int
    worker: str
    folder: str
    queued_at: float | None
    started_at: float | None
    finished_at: float | None
    duration_s: float | None
    peak_memory_gb: float | None
    device: str
    peak_gpu_memory_gb: float | None
    log_size: int
    curves: list[Reported]
    artifacts: list[Artifact]


class Log(TypedDict):
    """The bytes from `start` to `end` of a log of `size` bytes; go on from `end` until `is_final` and `end` = `size`.

    `start` is 0 where the log was shorter than what was asked for: another attempt began a new one.
    """

    text: str
    start: int
    end: int
    size: int
    is_final: bool


class Report(TypedDict):
    """One report; `id` grows."""

    id: int
    number: int
    attempt: int
    step: int
    metrics: dict[str, Number]
    reported_at: float


class Reports(TypedDict):
    """Reports after `since`, in order of arrival; ask again with `since` = `last` while there is `more`."""

    reports: list[Report]
    last: int
    more: bool
