"""`Sweep` and `Budget`: the whole definition of a sweep, to and from JSON.

The definition is what the store keeps and the driver reads; it holds plain data only. The job's code and captured
values lie in files that `job` names (see `jobs/base.py`), so that a definition can be read without running anything.

The module isn't called `sweep`, because the package gives the function `sweep(name)`, which a submodule of that name
would replace on its first import.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from .jobs.base import JobRef, Resources
from .space.space import Space
from .trial import Objective


@dataclass(frozen=True)
class Spec:
    """A plug-in by name with its options, as in ``--stop "asha(eta=4)"``."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        inside = ", ".join(f"{k}={v!r}" for k, v in self.options.items())
        return f"{self.name}({inside})" if inside else self.name


@dataclass(frozen=True)
class Budget:
    """When a sweep ends and how much it may use.

    Parameters
    ----------
    max_trials
        Final trials wanted in all; None for "until the space is exhausted" (a grid).
    max_seconds
        Wall-clock seconds since the sweep was started or resumed; None for no limit.
    parallel
        Trials at once; None for the cluster's slots.
    attempts
        How often a failed trial may run in all (1 + `--retry`). A lost trial has 3 more of its own.
    repetitions
        Trials of one configuration, with different seeds.
    max_failures
        Failed trials after which the sweep stops; None for never (`--keep-going`), 0 for `--fail-fast`.
    timeout_s, memory_gb
        Hard limits of one trial.
    grace_s
        How long a trial that is ended before its time has for its `finally` blocks; None for a default.
    """

    max_trials: int | None = 20
    max_seconds: float | None = None
    parallel: int | None = None
    attempts: int = 1
    repetitions: int = 1
    max_failures: int | None = None
    timeout_s: float | None = None
    memory_gb: float | None = None
    grace_s: float | None = None


#: What a sweep as a whole can be; "paused", "stopped", "interrupted", "failed" and "finished" can all be resumed.
SWEEP_STATES = ("queued", "running", "paused", "stopped", "interrupted", "failed", "finished")

#: States in which a driver has the sweep, or is about to have it.
ACTIVE_STATES = ("queued", "running")


@dataclass(frozen=True)
class Sweep:
    """One version of a sweep. `sweep_id` is the store's key (0: not stored yet); `version` counts from 1 per name.

    `log` names the trackers that its trials are passed on to, `notify` is the command or URL that hears of its end.
    `adopted` counts the trials of other code that `--code ignore` took over, by that code's fingerprint.
    `created_at` is when the version began, `taken_up_at` when a cell or call asked for it last; UTC seconds.
    """

    name: str
    space: Space
    job: JobRef
    objectives: tuple[Objective, ...]
    sweep_id: int = 0
    version: int = 1
    proposer: Spec = field(default_factory=lambda: Spec("tpe"))
    pruner: Spec = field(default_factory=lambda: Spec("none"))
    executor: Spec = field(default_factory=lambda: Spec("local"))
    budget: Budget = field(default_factory=Budget)
    resources: Resources = field(default_factory=Resources)
    seed: int = 0
    canary: bool = True
    tags: tuple[str, ...] = ()
    note: str = ""
    state: str = "queued"
    message: str = ""
    created_at: float = field(default_factory=time.time)
    taken_up_at: float = field(default_factory=time.time)
    notebook: str = ""
    line: str = ""
    log: tuple[str, ...] = ()
    notify: str = ""
    adopted: dict[str, int] = field(default_factory=dict)

    @property
    def objective(self) -> Objective:
        """The first target: the one that pruners, progress and single-valued answers go by."""
        return self.objectives[0]

    @property
    def is_passive(self) -> bool:
        """Whether a person evaluates the trials: nothing runs, results are entered."""
        return self.executor.name == "person"

    @property
    def has_driver(self) -> bool:
        """Whether a driver process runs it; `--on inline` runs in its kernel, and a passive sweep does not run."""
        return self.executor.name != "inline" and not self.is_passive

    @property
    def blank_result(self) -> str:
        """The result of a trial as a person enters it, with its numbers left open: ``loss=VALUE acc=VALUE``."""
        return " ".join(f"{objective.metric}=VALUE" for objective in self.objectives)

    def to_json(self) -> dict[str, Any]:
        """Give plain data without the columns that the store keeps beside it."""
        data = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _COLUMNS}
        data["space"] = self.space.to_json()
        for name in ("job", "proposer", "pruner", "executor", "budget", "resources"):
            data[name] = asdict(data[name])
        data["objectives"] = [asdict(o) for o in self.objectives]
        data["tags"], data["log"] = list(self.tags), list(self.log)
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any], **columns: Any) -> Sweep:
        """Rebuild a sweep from `to_json` and the store's columns; keys of a newer release are ignored."""
        known = {f.name for f in fields(cls)}
        values = {k: v for k, v in {**data, **columns}.items() if k in known}
        values["space"] = Space.from_json(values["space"])
        for name, kind in _NESTED.items():
            allowed = {f.name for f in fields(kind)}
            values[name] = kind(**{k: v for k, v in values[name].items() if k in allowed})
        values["objectives"] = tuple(Objective(**o) for o in values["objectives"])
        values["tags"], values["log"] = tuple(values.get("tags", ())), tuple(values.get("log", ()))
        values["resources"] = replace(values["resources"], devices=tuple(values["resources"].devices))
        job = values["job"]
        values["job"] = replace(job, captures=tuple(job.captures), warnings=tuple(job.warnings))
        return cls(**values)


_COLUMNS = ("sweep_id", "name", "version", "state", "message", "created_at")
_NESTED: dict[str, Any] = {
    "job": JobRef,
    "proposer": Spec,
    "pruner": Spec,
    "executor": Spec,
    "budget": Budget,
    "resources": Resources,
}
