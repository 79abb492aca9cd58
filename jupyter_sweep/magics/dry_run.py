"""`--dry-run`: what a cell would run, as text. Nothing is started, nothing is written."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..definition import Sweep
from ..errors import count
from ..executors import clusters
from ..handle import Handle
from ..runner import foresight

_SAMPLE = 5


def describe(
    sweep: Sweep, captures: Iterable[Mapping[str, Any]], warnings: Iterable[str], *, known: Handle | None
) -> str:
    """Give the text.

    Parameters
    ----------
    captures
        What the body takes from the notebook, as ``{"name", "kind", "nbytes"}``.
    known
        The version that would be taken up, as the store holds it; None where the sweep would begin.
    """
    trials = known.trials() if known else []
    there = sum(trial.is_final and trial.counts for trial in trials)
    sample = foresight.coming(sweep, trials, _SAMPLE, runs=known is not None and known.owner is not None)
    lines = [
        f"Dry run of {sweep.name!r}: nothing is started, nothing is written.",
        f"  target      {', '.join(f'{o.direction} {o.metric}' for o in sweep.objectives)}",
        f"  trials      {_trials(sweep, there)}",
        f"  algorithm   {sweep.proposer}, stop rule {sweep.pruner}, seed {sweep.seed}",
        f"  where       {_where(sweep)}",
        f"  code        {sweep.job.fingerprint[:6]}",
        "",
        "What would be launched",
        textwrap.indent(_launch(sweep), "  "),
        "",
        "Space",
        *_columns(sweep.space.describe()),
        *(f"  require({constraint})" for constraint in sweep.space.constraints),
        "",
        "Captured from the notebook",
        *(_columns([(c["name"], f"{c['kind']}, {_size(c['nbytes'])}") for c in captures]) or ["  nothing"]),
        *(f"  warning: {warning}" for warning in warnings),
        "",
        "Next configurations" if trials else "First configurations",
        *([f"  {_assignments(params)}" for params in sample] or [f"  {_nothing(known)}"]),
    ]
    return "\n".join(lines)


def _trials(sweep: Sweep, there: int) -> str:
    size, wanted = sweep.space.size, sweep.budget.max_trials
    configurations = size if wanted is None else wanted if size is None else min(size, wanted)
    text = "until the space is exhausted" if configurations is None else str(configurations * sweep.budget.repetitions)
    of = f" of {size} configurations" if size is not None else ""
    repeated = f", each {sweep.budget.repetitions} times" if sweep.budget.repetitions > 1 else ""
    return f"{text}{of}{repeated}" + (f"; {count(there, 'trial')} there already" if there else "")


def _where(sweep: Sweep) -> str:
    budget = sweep.budget
    limits = [f"{count(budget.parallel, 'trial')} at once"] if budget.parallel else []
    limits += [f"{sweep.resources.cpus:g} cpus each"] if sweep.resources.cpus != 1 else []
    limits += [f"{sweep.resources.gpus:g} gpus each"] if sweep.resources.gpus else []
    limits += [f"timeout {budget.timeout_s:g} s"] if budget.timeout_s else []
    limits += [f"memory {budget.memory_gb:g} GB"] if budget.memory_gb else []
    limits += [f"ends after {budget.max_seconds:g} s"] if budget.max_seconds else []
    return ", ".join([sweep.executor.name, *limits])


def _launch(sweep: Sweep) -> str:
    """Say what the place would start; a plug-in of another package says so itself, when it is started."""
    kind = str(sweep.executor.options.get("on", sweep.executor.name)).partition(":")[0]
    if kind not in clusters.KINDS:
        if sweep.is_passive:
            return "nothing: the trials wait for results that are entered by hand"
        return f"{sweep.executor.name}, which is a plug-in of another package"
    return clusters.describe(clusters.parse(sweep.executor.name, sweep.executor.options), sweep.budget.parallel)


def _nothing(known: Handle | None) -> str:
    """Say why there is no configuration to show."""
    if known is not None and known.state == "failed":
        return f"none: nothing would run, as the sweep failed: {known.definition.message}"
    return "none: nothing would run, as all are there already"


def _assignments(params: Mapping[str, Any]) -> str:
    return "  ".join(f"{n}={v:.6g}" if isinstance(v, float) else f"{n}={v!r}" for n, v in params.items())


def _columns(pairs: Sequence[tuple[str, str]]) -> list[str]:
    width = max((len(name) for name, _ in pairs), default=0)
    return [f"  {name.ljust(width)}  {text}" for name, text in pairs]


def _size(nbytes: float) -> str:
    for unit in ("B", "KB", "MB"):
        if nbytes < 1024:
            return f"{nbytes:.0f} {unit}"
        nbytes /= 1024
    return f"{nbytes:.1f} GB"
