"""Sweeps and trials made by hand, for the tests of results."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

from samples import a_sweep

from jupyter_sweep.definition import Budget, Sweep
from jupyter_sweep.space import Choice, Float, Int, Parameter, Space
from jupyter_sweep.trial import Metrics, Objective, Params, Report, Trial, TrialState

#: What the body of `mixed_trials` reports at step s is the final value times this.
STEPS = (0.5, 0.8, 1.0)


def make_sweep(*, repetitions: int = 1, targets: str = "min loss", source: str = "", **parameters: Parameter) -> Sweep:
    """Give a sweep over the parameters; `targets` reads like "max acc, min ms"."""
    words = [target.split() for target in targets.split(",")]
    objectives = tuple(Objective(m, "minimize" if word == "min" else "maximize") for word, m in words)
    sweep = a_sweep(space=Space(**parameters), objectives=objectives, budget=Budget(repetitions=repetitions))
    return Sweep(**{**vars(sweep), "version": 3})


def make_trial(
    number: int,
    params: Params | None = None,
    value: float | Metrics | None = None,
    state: str = "completed",
    **more: Any,
) -> Trial:
    """Give a trial; `value` is its loss, or all its metrics."""
    metrics = {"loss": float(value)} if isinstance(value, (int, float)) else dict(value or {})
    return Trial(number + 100, 1, number, params or {}, TrialState(state), metrics=metrics, **more)


def repeated(params: Params, values: Sequence[float], first: int = 0) -> list[Trial]:
    """Give the completed repetitions of one configuration."""
    return [make_trial(first + i, params, value, repetition=i) for i, value in enumerate(values)]


def mixed_sweep(targets: str = "min loss") -> Sweep:
    """Give a sweep with every kind of parameter."""
    return make_sweep(
        targets=targets,
        lr=Float(1e-5, 1e-1, log=True),
        depth=Int(1, 8),
        opt=Choice("sgd", "adam"),
        momentum=Float(0, 0.99, when='opt == "sgd"'),
        size=Choice({"width": 64, "layers": 6}, {"width": 256, "layers": 2}),
    )


def mixed_trials(sweep: Sweep, n: int, *, seed: int = 0) -> tuple[list[Trial], list[Report]]:
    """Give `n` trials of all states with their reports; the first objective depends on `lr` alone."""
    rng = random.Random(seed)
    trials, reports = [], []
    for number in range(n):
        params = sweep.space.sample(rng)
        value = abs(math.log10(params["lr"]) + 3) + 0.01 * rng.random()
        metrics = {o.metric: value if i == 0 else rng.random() for i, o in enumerate(sweep.objectives)}
        state = "completed" if number % 5 < 3 else "pruned" if number % 5 == 3 else "failed"
        reports += [
            Report(number + 100, step, {name: v * part for name, v in metrics.items()}, 1.7e9 + number + step / 10)
            for step, part in enumerate(STEPS[: 3 if state == "completed" else 1])
        ]
        times = {"started_at": 1.7e9 + number, "finished_at": 1.7e9 + number + 0.9, "worker": f"local/{number % 4}"}
        trials.append(make_trial(number, params, metrics if state != "failed" else None, state, **times))
    return trials, reports
