"""Requests, events, drivers and workers."""

from __future__ import annotations

from typing import Literal, TypedDict

from .common import Number, SweepState


class Request(TypedDict, total=False):
    """What is wanted of a sweep.

    `version` (default: the newest); `jobs` for scale alone: trials at once; `number` for retry, a failed trial, and for
    enter, one that waits for its result: `metrics`, numbers by name or as written, or `failed`, why there are none.
    """

    verb: Literal["pause", "stop", "interrupt", "kill", "resume", "retry", "scale", "enter"]
    version: int | None
    jobs: int | None
    number: int | None
    metrics: dict[str, Number | str] | None
    failed: str | None


class Asked(TypedDict):
    """The request was written down; `state` is the sweep's state right after."""

    name: str
    version: int
    state: SweepState
    message: str


class Event(TypedDict):
    """A sweep changed, or (`state` "dropped") is gone. `counts` are the trials by state."""

    store: str
    name: str
    version: int
    state: str
    change: int
    counts: dict[str, int]


class Driver(TypedDict):
    """A process that runs sweeps of a store."""

    store: str
    where: str
    slots: int
    pid: int
    host: str
    dashboard: str
    sweeps: list[str]


class Slot(TypedDict):
    """One slot of a cluster, as of the last second. `sweep` and `number` are of the trial that it runs.

    `job` and `job_state` are None where no queue gives the workers.
    """

    worker: str
    host: str
    state: str
    sweep: str
    device: str
    pid: int | None
    number: int | None
    since: float | None
    memory_gb: float | None
    peak_gb: float | None
    job: str | None
    job_state: str | None


class Worker(Slot):
    """A slot, and whose it is: the store, and the process id of its driver."""

    store: str
    driver: int


class Cluster(TypedDict):
    """The slots of one sweep's cluster. `at_once` is None where nobody knows; not `warm`: no driver has it now.

    `idle_since` is None while it has work; it ends `idle_limit_s` after.
    """

    at_once: int | None
    warm: bool
    workers: list[Slot]
    idle_since: float | None
    idle_limit_s: float | None


class Workers(TypedDict):
    """Who runs what, in all stores or in one."""

    drivers: list[Driver]
    workers: list[Worker]
