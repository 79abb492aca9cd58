"""Small sweeps and jobs that several tests use."""

from __future__ import annotations

from typing import Any

from jupyter_sweep.definition import Budget, Spec, Sweep
from jupyter_sweep.jobs.base import JobRef
from jupyter_sweep.space.parameter import Float, Int
from jupyter_sweep.space.space import Space
from jupyter_sweep.trial import Objective


def a_space() -> Space:
    return Space(lr=Float(1e-4, 1e-1, log=True), depth=Int(1, 8))


def a_sweep(name: str = "digits", fingerprint: str = "f" * 32, **changes: Any) -> Sweep:
    values: dict[str, Any] = {
        "name": name,
        "space": a_space(),
        "job": JobRef(kind="cell", fingerprint=fingerprint, file="job-x.json", source="loss = lr"),
        "objectives": (Objective("loss", "minimize"),),
        "budget": Budget(max_trials=10),
        "proposer": Spec("random"),
    }
    return Sweep(**{**values, **changes})
