"""A sweep as text that people read and keep: YAML with all that it was, Python that runs it again.

The Python is what `jupyter sweep run FILE` takes: a `%%sweep` cell in the percent format, or a script that calls
`run(job, space, ...)`. It holds the sweep's own body; what that took from the notebook is named in a comment, for it
may be of any size and kind.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..definition import Sweep
from ..errors import SweepError, one_line
from ..space.codec import encode
from ..space.parameter import Parameter
from ..trial import Report, Trial
from .best import find_best, holds_object, literal
from .rows import numbers

_CALLS = {"float": "Float", "int": "Int", "choice": "Choice", "fixed": "Fixed"}
_UNBOUNDED = {False: "Normal", True: "LogNormal"}


def write_yaml(path: Path, sweep: Sweep, trials: Sequence[Trial], reports: Sequence[Report]) -> None:
    """Write one YAML document of plain data."""
    import yaml

    best = find_best(sweep, trials)
    data = {
        "name": sweep.name,
        "version": sweep.version,
        "state": sweep.state,
        "targets": [{"metric": o.metric, "direction": o.direction} for o in sweep.objectives],
        "space": [{"name": name, "range": told} for name, told in sweep.space.describe()],
        "constraints": [c.expression for c in sweep.space.constraints],
        "algorithm": str(sweep.proposer),
        "stop": str(sweep.pruner),
        "seed": sweep.seed,
        "line": sweep.line,
        "note": sweep.note,
        "tags": list(sweep.tags),
        "best": None if best is None else {"trial": best.trial, "params": encode(best.params), **_told(best.metrics)},
        "trials": [
            {"number": t.number, "state": t.state.value, "params": encode(t.params), **_told(t.metrics)} for t in trials
        ],
    }
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)
    path.write_text(text, encoding="utf-8")


def _told(metrics: dict[str, float]) -> dict[str, Any]:
    return {"metrics": numbers(metrics)}


def write_py(path: Path, sweep: Sweep, trials: Sequence[Trial], reports: Sequence[Report]) -> None:
    """Write a file that runs the sweep, and below it the best configuration as plain assignments."""
    lines = [*_needs(sweep), *(_cell(sweep) if sweep.job.kind == "cell" else _call(sweep))]
    best = find_best(sweep, trials)
    if best is not None:
        lines += ["", "# %% the best configuration", *(f"# {line}" for line in best.cell.splitlines())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _needs(sweep: Sweep) -> Iterator[str]:
    """Say what the body took from its notebook or module."""
    taken = [f"{c['name']} ({c['kind']})" for c in sweep.job.captures]
    if taken:
        told = one_line(f"From {sweep.notebook or 'its notebook'}: {', '.join(taken)}")
        yield from textwrap.wrap(told, 100, initial_indent="# ", subsequent_indent="#   ")
        yield "# It must be made or imported above the sweep."
        yield ""


def _cell(sweep: Sweep) -> Iterator[str]:
    yield "# %%"
    yield f"from jupyter_sweep import {_VOCABULARY}"
    yield ""
    yield f"# %%sweep {one_line(sweep.line)}"
    yield from sweep.job.source.rstrip().splitlines()


_VOCABULARY = (
    "checkpoint, choice, folds, lognormal, lograndint, loguniform, normal, ordinal, randint, report, require, "
    "save, seed, stage, uniform"
)


def _call(sweep: Sweep) -> Iterator[str]:
    name = _function_name(sweep)
    yield "from jupyter_sweep import Choice, Fixed, Float, Int, LogNormal, Normal, Ordinal, Space, run"
    yield from ("", "", *textwrap.dedent(sweep.job.source).rstrip().splitlines(), "", "")
    yield "space = Space("
    for parameter in sweep.space.parameters.values():
        yield f"    {parameter.name}={_declared(sweep, parameter)},"
    if sweep.space.constraints:
        yield f"    constraints={literal([c.expression for c in sweep.space.constraints])},"
    if sweep.space.constants:
        yield f"    constants={literal(sweep.space.constants)},"
    yield ")"
    options = ", ".join(f"{option}={literal(value)}" for option, value in _options(sweep).items())
    yield f"run({name}, space, {options})"


def _function_name(sweep: Sweep) -> str:
    """Give the name of the job's function.

    Raises
    ------
    SweepError
        Where no text gives it: a lambda, an instance.
    """
    try:
        tree = ast.parse(textwrap.dedent(sweep.job.source))
    except SyntaxError:
        tree = ast.Module([], [])
    if len(tree.body) != 1 or not isinstance(tree.body[0], ast.FunctionDef):
        raise SweepError(f"The job of {sweep.name!r} is no function written with def, so no script can be made of it.")
    return tree.body[0].name


def _declared(sweep: Sweep, p: Parameter) -> str:
    """Give the call that makes a parameter.

    Raises
    ------
    SweepError
        Where no text gives it: several ranges under one name, objects as choices.
    """
    if p.alternative or any(holds_object(choice) for choice in p.choices):
        why = "has several ranges" if p.alternative else "chooses between objects"
        raise SweepError(f"The parameter {p.name!r} of {sweep.name!r} {why}, which no call of Space(...) can say.")
    values = [*p.choices] if p.choices else [p.mean, p.sigma] if not p.bounded else [p.low, p.high]
    call = _CALLS[p.kind] if p.bounded and not p.ordered else "Ordinal" if p.ordered else _UNBOUNDED[p.log]
    options: dict[str, Any] = {"log": True} if p.log and p.bounded else {}
    options.update({name: getattr(p, name) for name in ("step", "prior") if getattr(p, name) is not None})
    if p.kind != "fixed" and p.default is not None:
        options["default"] = p.default
    options.update({name: True for name in ("meta", "ignore_default") if getattr(p, name)})
    if p.when:
        options["when"] = [str(c) for c in p.when]
    return f"{call}({', '.join([*map(literal, values), *(f'{k}={literal(v)}' for k, v in options.items())])})"


def _options(sweep: Sweep) -> dict[str, Any]:
    """Give the keywords of the call that tell what is tried; where it runs is left to who runs it."""
    options: dict[str, Any] = {"name": sweep.name}
    for word, direction in (("min", "minimize"), ("max", "maximize")):
        metrics = [o.metric for o in sweep.objectives if o.direction == direction]
        if metrics:
            options[word] = metrics if len(metrics) > 1 else metrics[0]
    if sweep.budget.max_trials is not None:
        options["n"] = sweep.budget.max_trials
    options["algo"] = str(sweep.proposer)
    if sweep.pruner.name != "none":
        options["stop"] = str(sweep.pruner)
    if sweep.budget.repetitions > 1:
        options["repeat"] = sweep.budget.repetitions
    return {**options, "seed": sweep.seed}
