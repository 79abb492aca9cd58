"""`--dry-run`: what a cell would run, as text. Nothing is started, nothing is written."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import live, plugins
from ..definition import Sweep
from ..errors import count
from ..executors import clusters
from ..trial import Params

_SAMPLE = 5


def describe(sweep: Sweep, captures: Iterable[Mapping[str, Any]], warnings: Iterable[str], *, there: int) -> str:
    """Give the text.

    Parameters
    ----------
    captures
        What the body takes from the notebook, as ``{"name", "kind", "nbytes"}``.
    there
        Final trials of this very definition that the store holds already.
    """
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
        "First configurations",
        *(f"  {_assignments(params)}" for params in _sample(sweep)),
    ]
    return "\n".join(lines)


def already_there(sweep: Sweep, folder: Path) -> int:
    """Give the number of final trials that the store holds for this name and code; 0 where there is none."""
    named = [handle for handle in live.sweeps(folder) if handle.name == sweep.name]
    versions = [version for handle in named for version in handle.versions]
    same = [v for v in versions if v.definition.job.fingerprint == sweep.job.fingerprint]
    return sum(t.is_final and t.counts for t in same[-1].trials()) if same else 0


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


def _sample(sweep: Sweep) -> list[Params]:
    proposer = plugins.load("proposer", sweep.proposer.name)
    made = proposer(sweep.space, sweep.objectives, seed=sweep.seed, **sweep.proposer.options)
    first = [sweep.space.defaults()] if sweep.canary else []
    return (first + [p.params for p in made.ask(_SAMPLE) if p.params not in first])[:_SAMPLE]


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
