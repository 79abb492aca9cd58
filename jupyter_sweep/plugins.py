"""Names of plug-ins -> classes: a built-in table of strings, then entry points of other packages.

The table holds strings, not classes, so that the registry imports nothing of what it registers and a name can be
checked without loading Optuna or Dask.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from .errors import SweepError, suggest

BUILT_IN: dict[str, dict[str, str]] = {
    "proposer": {
        "random": "jupyter_sweep.proposers.simple:Random",
        "grid": "jupyter_sweep.proposers.simple:Grid",
        "sobol": "jupyter_sweep.proposers.simple:Sobol",
        "passive": "jupyter_sweep.proposers.simple:Passive",
        "tpe": "jupyter_sweep.proposers.optuna:Tpe",
        "auto": "jupyter_sweep.proposers.optuna:Tpe",
    },
    "pruner": {
        "none": "jupyter_sweep.pruners.rules:Never",
        "median": "jupyter_sweep.pruners.rules:Median",
        "asha": "jupyter_sweep.pruners.halving:Asha",
    },
    "tracker": {
        "mlflow": "jupyter_sweep.trackers.mlflow:Mlflow",
        "tb": "jupyter_sweep.trackers.tensorboard:TensorBoard",
        "wandb": "jupyter_sweep.trackers.wandb:Wandb",
    },
    "executor": {
        "inline": "jupyter_sweep.executors.inline:Inline",
        "person": "jupyter_sweep.executors.person:Person",
        "local": "jupyter_sweep.executors.dask:DaskExecutor",
        "threads": "jupyter_sweep.executors.dask:DaskExecutor",
        "gpu": "jupyter_sweep.executors.dask:DaskExecutor",
        "tcp": "jupyter_sweep.executors.dask:DaskExecutor",
        "tls": "jupyter_sweep.executors.dask:DaskExecutor",
        "class": "jupyter_sweep.executors.dask:DaskExecutor",
        "ssh": "jupyter_sweep.executors.dask:DaskExecutor",
        "slurm": "jupyter_sweep.executors.dask:DaskExecutor",
        "pbs": "jupyter_sweep.executors.dask:DaskExecutor",
        "sge": "jupyter_sweep.executors.dask:DaskExecutor",
        "lsf": "jupyter_sweep.executors.dask:DaskExecutor",
    },
}


def names(kind: str) -> list[str]:
    """Give all known names of a kind (a key of BUILT_IN), built in and from other packages."""
    return sorted({*BUILT_IN[kind], *_from_others(kind)})


def _from_others(kind: str) -> dict[str, EntryPoint]:
    return _entry_points(kind, tuple(sys.path))


@functools.lru_cache(maxsize=16)
def _entry_points(kind: str, path: tuple[str, ...]) -> dict[str, EntryPoint]:
    """Look once for each import path: reading what all installed packages offer takes 10 ms, each cell asks twice."""
    return {entry.name: entry for entry in entry_points(group=f"jupyter_sweep.{kind}s")}


def check(kind: str, name: str) -> None:
    """Raise SweepError with the nearest name when `name` is no plug-in of `kind`; loads nothing."""
    if name not in names(kind):
        raise SweepError(f"{name!r} is no {kind}.{suggest(name, names(kind))}")


def load(kind: str, name: str) -> Any:
    """Give the class of a plug-in.

    Raises
    ------
    SweepError
        When no plug-in has that name.
    """
    check(kind, name)
    target = BUILT_IN[kind].get(name)
    if target is None:
        return _from_others(kind)[name].load()
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


def refuse_unknown(plugin: Any, option: str, unknown: Iterable[str]) -> None:
    """Raise SweepError for options that a plug-in's constructor does not name.

    Parameters
    ----------
    option
        What names the plug-in on the line: "--algo".
    """
    parameters = inspect.signature(type(plugin)).parameters.values()
    allowed = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "seed"]
    wrong = [f"{option} {plugin.name} has no option {name!r}.{suggest(name, allowed)}" for name in unknown]
    if wrong:
        raise SweepError("\n".join(wrong))
