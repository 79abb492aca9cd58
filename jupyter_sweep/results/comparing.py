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
    """Give the names whose values, as text, are not the same in all; None stands for one that is missing."""
    names = dict.fromkeys(name for one in found for name in one)
    rows = [(name, [text(one[name]) if one.get(name) is not None else None for one in found]) for name in names]
    return [(name, values) for name, values in rows if len(set(values)) > 1]


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
