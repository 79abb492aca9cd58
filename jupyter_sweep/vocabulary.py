"""The words of a sweep cell: ranges, `require`, `report`, `seed`, `folds`, `stage`, `save`, `checkpoint`.

A cell must also run without its first line, so that every word does something sensible in a plain cell: a range gives
its default or middle as a real value, never a proxy, `report` only checks its numbers, `stage` calls its function. In a
trial the worker puts its own side of each word into the module `_sweep_trial`; it is looked up by name at each call,
because the worker travels as source text and knows nothing of this package.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import operator
import os
import pickle
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path, PurePath
from types import FrameType
from typing import Any, ParamSpec, Protocol, TypeVar

from .errors import ConstraintNotMet, SweepError
from .space.parameter import UNSET, Choice, Float, Int, LogNormal, Normal, Ordinal, Parameter

P = ParamSpec("P")
R = TypeVar("R")

#: Keywords of `report` that name the step when `step=` is not given.
STEP_NAMES = ("epoch", "iter", "round", "fold")

#: The words that stand for a range, by name.
RANGES: dict[str, Callable[..., Any]] = {}


class Context(Protocol):
    """What the worker offers inside a trial, as `_sweep_trial.context`."""

    def report(self, step: int | None, metrics: dict[str, Any]) -> None: ...
    def require(self, holds: bool, message: str) -> None: ...
    def seed(self) -> int: ...
    def stage(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any: ...
    def save(self, name: str, obj: Any) -> None: ...
    def checkpoint(self, *state: Any) -> Any: ...


def current() -> Context | None:
    """Give the running trial's context; None in a plain cell."""
    return getattr(sys.modules.get("_sweep_trial"), "context", None)


def parameter_of(word: object) -> Callable[..., Parameter] | None:
    """Give what makes the `Parameter` of a range, for one of our words itself; None for any other object."""
    return getattr(word, "parameter", None) if any(word is known for known in RANGES.values()) else None


def _word(build: Callable[P, Parameter], gives: str) -> Callable[P, Any]:
    """Make the word that gives a value of the parameter that `build` makes."""

    @wraps(build)
    def word(*args: P.args, **kwargs: P.kwargs) -> Any:
        parameter = build(*args, **kwargs)
        if current() is not None:
            raise SweepError(
                f"{parameter.describe()} is called where a sweep can't see it. A range stands in the cell itself, as "
                f"`name = {build.__name__}(...)` at the top level or in a branch of an `if`."
            )
        return parameter.start

    signature = inspect.signature(build).replace(return_annotation=gives)
    word.__dict__.update(parameter=build, __signature__=signature)
    RANGES[build.__name__] = word
    return word


def _refuse_one_list(word: str, values: tuple[Any, ...]) -> None:
    """Refuse `choice([a, b])`: it would be a choice of one value, the list."""
    if len(values) == 1 and isinstance(values[0], (list, tuple, set, frozenset, range)):
        items = ", ".join(map(repr, list(values[0])[:4])) + (", ..." if len(values[0]) > 4 else "")
        raise SweepError(f"{word}(...) got one value, {values[0]!r:.60}. List the values themselves: {word}({items}).")


def _float(build: Callable[P, Parameter]) -> Callable[P, float]:
    return _word(build, "float")


def _int(build: Callable[P, Parameter]) -> Callable[P, int]:
    return _word(build, "int")


def _any(build: Callable[P, Parameter]) -> Callable[P, Any]:
    return _word(build, "Any")


@_float
def uniform(
    low: float,
    high: float,
    *,
    step: float | None = None,
    default: float | None = None,
    prior: float | None = None,
    meta: bool = False,
    ignore_default: bool = False,
) -> Parameter:
    """Give a float from `low` to `high`, both inclusive; in a plain cell the default, else the middle.

    Parameters
    ----------
    low, high
        Bounds, as values.
    step
        Only `low`, `low + step`, ... up to `high`.
    default
        The value in a plain cell and of the sweep's first trial.
    prior
        A value that you believe to be good; model-based algorithms look near it first.
    meta
        It varies but is no part of a trial's identity: a point is not run again for another value.
    ignore_default
        Trials at the default keep the identity that they had before this parameter was added.
    """
    return Float(low, high, step=step, default=default, prior=prior, meta=meta, ignore_default=ignore_default)


@_float
def loguniform(
    low: float,
    high: float,
    *,
    step: float | None = None,
    default: float | None = None,
    prior: float | None = None,
    meta: bool = False,
    ignore_default: bool = False,
) -> Parameter:
    """Give a float from `low` to `high`, even in its logarithm; in a plain cell the default, else the geometric middle.

    Bounds are values, not exponents: ``loguniform(1e-5, 1e-1)``. The options are those of `uniform`.
    """
    return Float(low, high, log=True, step=step, default=default, prior=prior, meta=meta, ignore_default=ignore_default)


@_int
def randint(
    low: int,
    high: int,
    *,
    step: int | None = None,
    default: int | None = None,
    prior: int | None = None,
    meta: bool = False,
    ignore_default: bool = False,
) -> Parameter:
    """Give an int from `low` to `high`, both inclusive; in a plain cell the default, else the middle rounded down.

    The options are those of `uniform`.
    """
    return Int(low, high, step=step, default=default, prior=prior, meta=meta, ignore_default=ignore_default)


@_int
def lograndint(
    low: int,
    high: int,
    *,
    step: int | None = None,
    default: int | None = None,
    prior: int | None = None,
    meta: bool = False,
    ignore_default: bool = False,
) -> Parameter:
    """Give an int from `low` to `high`, even in its logarithm; in a plain cell the default, else the geometric middle.

    The options are those of `uniform`.
    """
    return Int(low, high, log=True, step=step, default=default, prior=prior, meta=meta, ignore_default=ignore_default)


@_any
def choice(
    *values: Any, default: Any = UNSET, prior: Any = None, meta: bool = False, ignore_default: bool = False
) -> Parameter:
    """Give one of `values`, of any types; in a plain cell the default, else the first.

    Types are kept: 1, 1.0, True and "1" are four values. A choice of dicts is a coupled group:
    ``size = choice({"width": 64, "layers": 6}, {"width": 256, "layers": 2})``. The options are those of `uniform`.
    """
    _refuse_one_list("choice", values)
    return Choice(*values, default=default, prior=prior, meta=meta, ignore_default=ignore_default)


@_any
def ordinal(
    *values: Any, default: Any = UNSET, prior: Any = None, meta: bool = False, ignore_default: bool = False
) -> Parameter:
    """Give one of `values`, which stand in an order; in a plain cell the default, else the middle one.

    The options are those of `uniform`.
    """
    _refuse_one_list("ordinal", values)
    return Ordinal(*values, default=default, prior=prior, meta=meta, ignore_default=ignore_default)


@_float
def normal(
    mean: float,
    std: float,
    *,
    default: float | None = None,
    prior: float | None = None,
    meta: bool = False,
    ignore_default: bool = False,
) -> Parameter:
    """Give a float of a normal distribution, unbounded; in a plain cell the default, else the mean.

    The options are those of `uniform`, without `step`.
    """
    return Normal(mean, std, default=default, prior=prior, meta=meta, ignore_default=ignore_default)


@_float
def lognormal(
    mu: float,
    sigma: float,
    *,
    default: float | None = None,
    prior: float | None = None,
    meta: bool = False,
    ignore_default: bool = False,
) -> Parameter:
    """Give a float whose logarithm is normal with mean `mu` and standard deviation `sigma`; in a plain cell exp(mu).

    The options are those of `uniform`, without `step`.
    """
    return LogNormal(mu, sigma, default=default, prior=prior, meta=meta, ignore_default=ignore_default)


def require(condition: object) -> None:
    """Allow only configurations for which `condition` is true.

    In a sweep it is decided before a trial starts where it reads only parameters and plain notebook values; else the
    trial ends here as pruned.

    Raises
    ------
    ConstraintNotMet
        In a plain cell, when it is false.
    """
    if condition:
        return
    message = f"require({_call_with_values(sys._getframe(1))}."
    context = current()
    if context is None:
        raise ConstraintNotMet(message)
    context.require(False, message)


def report(*, step: int | None = None, **metrics: Any) -> None:
    """Tell the metrics of this moment; the last report that holds a target is the trial's value.

    In a sweep a trial that does badly may end here. In a plain cell the numbers are only checked.

    Parameters
    ----------
    step
        Where on the x axis the numbers lie; without it an int keyword epoch, iter, round or fold, else the count.
    **metrics
        Numbers; scalars of numpy, torch and jax are taken too.
    """
    if step is not None and _whole(step) is None:
        raise SweepError(f"report(step=...) must be a whole number, got {step!r}.")
    if not metrics:
        raise SweepError("report() got no metric. Name what you measured: report(loss=loss).")
    for name, value in metrics.items():
        _check_number(name, value)
    context = current()
    if context is not None:
        context.report(_whole(step), metrics)


def seed() -> int:
    """Give the trial's seed; 0 in a plain cell."""
    context = current()
    return 0 if context is None else context.seed()


def folds(k: int) -> range:
    """Give the fold numbers 0 to k-1: ``for fold in folds(5): ... report(acc=acc, fold=fold)``."""
    if _whole(k) is None or k < 1:
        raise SweepError(f"folds(k) needs a whole number of folds, at least 1, got {k!r}.")
    return range(k)


def stage(function: Callable[..., R], *args: Any) -> R:
    """Give ``function(*args)``; in a sweep it is computed once for all trials that call it with equal arguments."""
    context = current()
    if context is None:
        return function(*args)
    result: R = context.stage(function, args)
    return result


def save(name: str, obj: Any) -> None:
    """Keep an object as the file `name` in the trial's folder; in a plain cell in the working directory.

    ``sweep("digits").load(name)`` reads it back, and so does ``joblib.load(name)``.
    """
    if not isinstance(name, str) or not name or PurePath(name).is_absolute() or ".." in PurePath(name).parts:
        raise SweepError(f"save(name, object) needs the name of a file inside the trial's folder, got {name!r}.")
    context = current()
    if context is not None:
        context.save(name, obj)
        return
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with aside.open("wb") as file:
        pickle.dump(obj, file, protocol=pickle.HIGHEST_PROTOCOL)
    aside.replace(path)


def checkpoint(*state: Any) -> Any:
    """Without an argument give the state kept last for this trial, or None; with one keep it.

    A trial that runs again, because it failed with `--retry`, because its worker or driver died, or because its sweep
    was stopped and resumed, finds what its earlier attempts kept: ``state = checkpoint() or new_state()``. What was
    done after the last `checkpoint(state)` is done again. A `finally` block may keep a state when the trial is stopped;
    it has `--grace` for it. In a plain cell nothing is kept.
    """
    if len(state) > 1:
        raise SweepError(f"checkpoint() takes one state, got {len(state)}. Put them into a tuple or dict.")
    context = current()
    return None if context is None else context.checkpoint(*state)


#: All words of a cell.
WORDS = frozenset({*RANGES, "require", "report", "seed", "folds", "stage", "save", "checkpoint"})


def _whole(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def _check_number(name: str, value: Any) -> None:
    """Raise SweepError unless a metric is one number, of Python, numpy, torch or jax."""
    try:
        if isinstance(value, (str, bytes, bytearray)):
            raise TypeError
        item = getattr(value, "item", None)
        float(item() if callable(item) else value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        shape = getattr(value, "shape", None)
        what = type(value).__name__ + (f" of shape {tuple(shape)}" if shape is not None else f" {value!r:.40}")
        raise SweepError(f"report({name}=...) must be one number, got {what}.") from None


def _call_with_values(frame: FrameType | None) -> str:
    """Give the source of a failed `require` with the values it read, as far as the line tells."""
    line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip() if frame else ""
    try:
        statement = ast.parse(line).body[0]
    except (SyntaxError, IndexError):
        return "...) does not hold"
    if frame is None or not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Call):
        return "...) does not hold"
    known = {**frame.f_globals, **frame.f_locals}
    arguments = [a for a in statement.value.args if not isinstance(a, ast.Starred)]
    names = dict.fromkeys(n.id for a in arguments for n in ast.walk(a) if isinstance(n, ast.Name))
    values = [f"{n}={known[n]!r:.40}" for n in names if isinstance(known.get(n), (int, float, str, tuple))]
    law = ", ".join(ast.unparse(a) for a in arguments)
    return f"{law}) does not hold" + (f" for {', '.join(values)}" if values else "")
