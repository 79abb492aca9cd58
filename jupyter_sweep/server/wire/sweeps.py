"""Lists of sweeps, one sweep, its rows by changes, its code and its best cell."""

from __future__ import annotations

from typing import Literal, TypedDict

from .common import Leader, Number, Objective, Progress, SweepState, TrialState, Value


class Place(TypedDict):
    """A store that was found; `error` says why it can't be read, else it is empty."""

    store: str
    error: str


class Summary(TypedDict):
    """The newest version of one sweep, for the list. `driver` is None while no process has the sweep."""

    store: str
    name: str
    version: int
    versions: list[int]
    state: SweepState
    message: str
    counts: dict[str, int]
    objectives: list[Objective]
    progress: Progress
    best: Leader | None
    where: str
    driver: int | None
    dashboard: str
    started_at: float | None
    finished_at: float | None
    taken_up_at: float
    change: int
    note: str
    tags: list[str]
    notebook: str


class Sweeps(TypedDict):
    """All sweeps, the one that was asked for last first; `complete` is False where the search for stores was cut."""

    root: str
    stores: list[Place]
    sweeps: list[Summary]
    complete: bool


class Capture(TypedDict):
    """What the body takes from the notebook."""

    name: str
    kind: str
    nbytes: float


class Header(TypedDict):
    """The sweep itself, as `snapshot.py` gives it; `folder` is a path from the server's root."""

    name: str
    version: int
    versions: int
    state: SweepState
    message: str
    where: str
    slots: int | None
    driver: int | None
    dashboard: str
    objectives: list[Objective]
    wanted: int | None
    repetitions: int
    started_at: float | None
    finished_at: float | None
    captures: list[Capture]
    warnings: list[str]
    algorithm: str
    pruner: str
    folder: str
    passive: bool
    note: str
    tags: list[str]


class Columns(TypedDict):
    """Names of the entries of a row's `params` and `metrics`; the first metric is the first target.

    `log` names the parameters that are drawn on a log axis.
    """

    params: list[str]
    metrics: list[str]
    log: list[str]


class Best(TypedDict):
    """The best configuration; `params` are pairs of name and value, `cell` the source of the best-config cell."""

    number: int
    value: Number | None
    params: list[tuple[str, Value]]
    cell: str


class Baseline(TypedDict):
    """The first trial, where it ran the defaults."""

    number: int
    value: Number | None


class Head(TypedDict):
    """All that is no row. `now` is the server's clock."""

    sweep: Header
    counts: dict[str, int]
    progress: Progress
    baseline: Baseline | None
    columns: Columns
    best: Best | None
    now: float


#: number, state, reason, params, metrics, duration_s, attempt, repetition, worker, error, started_at
Row = tuple[
    int, TrialState, str, list[Value | None], list[Number | None], float | None, int, int, str, str, float | None
]  # fmt: skip
#: The same of a trial that has GPUs, and then device, peak_gpu_memory_gb.
RowWithDevice = tuple[
    int, TrialState, str, list[Value | None], list[Number | None], float | None, int, int, str, str, float | None,
    str, float | None,
]  # fmt: skip


class Changes(TypedDict):
    """Rows that changed after (`since`, the `after` that was given), in order of change and number, with the head.

    `after` is the number of the last row where that row's change has more rows, else -1.
    """

    kind: Literal["full", "delta"]
    epoch: str
    since: int
    change: int
    after: int
    more: bool
    head: Head
    rows: list[Row | RowWithDevice]


class Version(TypedDict):
    """One version of a sweep, for the list of versions."""

    version: int
    state: SweepState
    trials: int
    created_at: float
    fingerprint: str


class Detail(TypedDict):
    """One version of a sweep without its rows."""

    store: str
    head: Head
    versions: list[Version]
    line: str
    notebook: str
    seed: int
    created_at: float
    taken_up_at: float
    change: int


class BestCell(TypedDict):
    """The best configuration so far, and the cell of plain assignments that holds it."""

    trial: int
    value: Number
    params: dict[str, Value]
    metrics: dict[str, Number]
    cell: str


class Code(TypedDict):
    """What one version runs: the body without its line, the line, and what it captured."""

    version: int
    source: str
    line: str
    kind: str
    fingerprint: str
    notebook: str
    captures: list[Capture]
    created_at: float
