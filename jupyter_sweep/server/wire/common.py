"""What all answers are made of: states, numbers, values, targets, errors."""

from __future__ import annotations

from typing import Literal, TypedDict

SCHEMA_ID = "https://events.jupyter.org/jupyter_sweep/sweep_changed/v1"

SweepState = Literal["queued", "running", "paused", "stopped", "interrupted", "failed", "finished"]
TrialState = Literal["waiting", "running", "completed", "pruned", "failed", "cancelled"]
Number = float | Literal["nan", "inf", "-inf"]


class Text(TypedDict):
    """A value that JSON has no word for (a tuple, an object, a huge number), as text."""

    t: str


Value = bool | int | float | str | Text


class Message(TypedDict):
    """An error: a sentence for the person."""

    message: str


class Objective(TypedDict):
    """A metric and which way is better."""

    metric: str
    direction: Literal["minimize", "maximize"]


class Progress(TypedDict):
    """How far a sweep is. `wanted` is None where nobody knows; `total` counts rows of every state."""

    final: int
    wanted: int | None
    running: int
    total: int
    elapsed_s: float
    eta_s: float | None


class Leader(TypedDict):
    """The best trial's number and value."""

    number: int
    value: Number | None
