"""What tells sweeps apart, laid side by side: settings, ranges, best parameters, code. For every face that compares."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import Any

from ..definition import Sweep
from ..trial import Trial
from .analysis import Configuration, configurations


def settings(sweep: Sweep) -> dict[str, Any]:
    """Give what a sweep was asked for, beside its space, under names to read."""
    return {
        "objectives": ", ".join(f"{o.direction} {o.metric}" for o in sweep.objectives),
        "algorithm": sweep.proposer,
        "stop rule": sweep.pruner,
        "seed": sweep.seed,
        "repetitions": sweep.budget.repetitions,
        "code": sweep.job.fingerprint[:12],
        "where": sweep.executor.name,
        "timeout_s": sweep.budget.timeout_s,
        "cpus": sweep.resources.cpus,
        "memory_gb": sweep.resources.memory_gb,
    }


def differences(found: Sequence[dict[str, Any]], text: Callable[[Any], str]) -> list[tuple[str, list[str | None]]]:
    """Give the names whose values are not the same in all, and these as text; None stands for one that is missing.

    What is no float is the same where its text is: a specification, for one, is more than it says.
    """
    names = dict.fromkeys(name for one in found for name in one)
    rows = [(name, [one.get(name) for one in found]) for name in names]
    apart = [(n, values) for n, values in rows if len({_exact(v, text) for v in values}) > 1]
    return [(name, [None if v is None else text(v) for v in values]) for name, values in apart]


def _exact(value: Any, text: Callable[[Any], str]) -> str | None:
    return None if value is None else repr(value) if isinstance(value, float) else text(value)


def final_values(sweep: Sweep, trials: Sequence[Trial], best: int | None) -> Configuration | None:
    """Give the configuration of the best trial, by its number, with its repetitions."""
    if best is None:
        return None
    found = configurations(sweep, trials)
    return next((c for c in found if any(t.number == best for t in c.trials)), None)


def code(before: str, after: str, names: tuple[str, str]) -> str:
    """Give the lines of two bodies that differ, with what stands around them; "" where none do."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), *names, lineterm="", n=2)
    return "\n".join(lines)
