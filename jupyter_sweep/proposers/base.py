"""The law of a proposer, and `proposer(...)`, its public face for a loop of the user's own.

A proposer's next draw is a function of the seed, of what was told, and of what still runs: of nothing else, above all
not of the order or the process in which it was told. So a fresh proposer that is told the trials of a store goes on
exactly where the dead process left off, and no proposer is ever pickled. No configuration is given out twice, nor one
that was told; `identity` says which configurations are the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

from .. import plugins
from ..errors import SweepError, suggest
from ..space.codec import key, same
from ..space.space import Space
from ..trial import Objective, Params, Trial, TrialState


class Proposal(NamedTuple):
    """A configuration to run; `index` is the draw it came from, another one for each proposal of a sweep."""

    params: Params
    index: int  # type: ignore[assignment]  # a tuple's own `index` method is not missed


class Proposer(Protocol):
    """Says which configurations to run next.

    The caller promises: one thread; every trial of the sweep is told, also those that still run, and told again when
    they end. The order does not matter, twice is once, and points that were never asked for are welcome, also those
    outside today's ranges. Options are keyword-only, and an unknown one raises SweepError.

    The proposer promises: whole configurations in the space, with the constraints met and inactive parameters absent;
    no configuration twice; each configuration of a finite space once, then `exhausted`.
    """

    name: ClassVar[str]
    #: Whether proposals depend on results; where they don't, the loop may ask far ahead and in batches.
    adaptive: ClassVar[bool]

    def ask(self, n: int) -> list[Proposal]:
        """Give up to `n` proposals; fewer only when the space is exhausted."""
        ...

    def tell(self, trial: Trial) -> None:
        """Learn of a trial in any state."""
        ...

    @property
    def exhausted(self) -> bool:
        """Tell whether no configuration is left to propose."""
        ...


def identity(space: Space, params: Mapping[str, Any]) -> bytes:
    """Give 8 bytes that two configurations share when the sweep takes them for the same one.

    Others share them once in 40 million sweeps of a million trials each. As in `space.fingerprint`, parameters marked
    `meta=True` are left out, and those marked `ignore_default=True` where they hold their default: a point told from
    before they were added lacks them.
    """
    if any(p.meta or p.ignore_default for p in space.parameters.values()):
        marked = [p for p in space.active_parameters(params) if p.name in params and (p.meta or p.ignore_default)]
        left_out = {p.name for p in marked if p.meta or same(params[p.name], p.start)}
        params = {name: value for name, value in params.items() if name not in left_out}
    return hashlib.blake2b(key(params).encode(), digest_size=8).digest()


def walk(space: Space) -> Iterator[Params]:
    """Give the allowed configurations of a finite space in the order of a grid.

    Raises
    ------
    SweepError
        When there is none.
    """
    params = None
    for params in space.grid():
        yield params
    if params is None:
        raise SweepError(
            f"no configuration of {space!r} meets {' and '.join(f'require({c})' for c in space.constraints)}. "
            f"Relax the constraint or widen the ranges."
        )


class Unseen:
    """Finds configurations that are not known yet: by drawing, and when draws only repeat, along the grid.

    The place on the grid is kept from call to call, so that all calls together walk it once; what is known may only
    grow. Small finite spaces are thus exhausted to the last configuration.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._is_finite = all(p.size is not None for p in space.parameters.values())
        self._grid: Iterator[Params] | None = None
        self._ahead: tuple[bytes, Params] | None = None

    def find(self, known: Container[bytes], draw: Callable[[], Params]) -> tuple[bytes, Params] | None:
        """Give identity and params of one that is not in `known`; None when there is none."""
        for _ in range(100 if self._is_finite else 10_000):
            try:
                params = draw()
            except SweepError:  # no draw met the constraints: on a grid they are found for certain
                if not self._is_finite:
                    raise
                break
            name = identity(self._space, params)
            if name not in known:
                return name, params
        return self._next_on_grid(known) if self._is_finite else None

    def _next_on_grid(self, known: Container[bytes]) -> tuple[bytes, Params] | None:
        if self._grid is None:
            self._grid = walk(self._space)
        while self._ahead is None or self._ahead[0] in known:
            params = next(self._grid, None)
            if params is None:
                return None
            self._ahead = identity(self._space, params), params
        return self._ahead


def proposer(
    name: str,
    space: Space,
    *,
    min: str | Sequence[str] | None = None,
    max: str | Sequence[str] | None = None,
    seed: int = 0,
    **options: Any,
) -> AskTell:
    """Give a proposer by name, for a loop of your own.

    Parameters
    ----------
    name
        "random", "grid", "sobol", "tpe" or the name of a plug-in.
    space
        What may vary.
    min, max
        The metric to make small, or large; a list for several.
    seed
        The same seed gives the same proposals.
    options
        Those of the proposer, such as ``n_startup=5`` of tpe.

    Examples
    --------
    >>> from jupyter_sweep.space import Choice, Space
    >>> p = proposer("grid", Space(a=Choice(1, 2), b=Choice("x", "y")))
    >>> p.ask(3)
    [{'a': 1, 'b': 'x'}, {'a': 1, 'b': 'y'}, {'a': 2, 'b': 'x'}]
    >>> p.tell({"params": {"a": 2, "b": "y"}, "state": "completed", "metrics": {"loss": 0.5}})
    >>> p.exhausted
    True
    """
    if not isinstance(space, Space):
        raise SweepError(f"the space must be a Space, got {space!r:.100}: Space(lr=Float(1e-4, 1e-1, log=True))")
    cls = plugins.load("proposer", name)
    objectives = [Objective(m, "minimize") for m in _names(min)] + [Objective(m, "maximize") for m in _names(max)]
    if cls.adaptive and not objectives:
        raise SweepError(f'{name} learns from results; say from which: proposer({name!r}, space, min="loss")')
    return AskTell(cls(space, tuple(objectives), seed=seed, **options), space, objectives)


class AskTell:
    """A proposer as a loop of the user's own sees it: plain dicts in and out. `proposer(...)` makes it."""

    def __init__(self, inner: Proposer, space: Space, objectives: Sequence[Objective]) -> None:
        self._inner = inner
        self._space = space
        self._objectives = objectives

    @property
    def exhausted(self) -> bool:
        """True when no configuration is left to propose."""
        return self._inner.exhausted

    def ask(self, n: int = 1) -> list[Params]:
        """Give up to `n` configurations, fewer only when the space is exhausted."""
        return [proposal.params for proposal in self._inner.ask(n)]

    def tell(self, trial: Trial | Mapping[str, Any]) -> None:
        """Tell how a configuration fared; one that was never asked for is welcome.

        Parameters
        ----------
        trial
            A `Trial`, or a mapping with `params`, `state` ("completed", "failed", "pruned", "running" ...; default
            "completed") and `metrics`; `number` tells repetitions of one configuration apart.
        """
        self._inner.tell(trial if isinstance(trial, Trial) else self._trial(trial))

    def _trial(self, told: Mapping[str, Any]) -> Trial:
        known = ("params", "state", "metrics", "number", "repetition", "proposal")
        wrong = [f" Unknown key {name!r}.{suggest(name, known)}" for name in told if name not in known]
        if wrong or not isinstance(told.get("params"), Mapping):
            example = '{"params": {...}, "state": "completed", "metrics": {"loss": 0.1}}'
            raise SweepError(f"tell got {dict(told)!r} and wants a mapping such as {example}.{''.join(wrong)}")
        state = str(told.get("state", TrialState.COMPLETED))
        if state not in list(TrialState):
            raise SweepError(f"{state!r} is no state of a trial.{suggest(state, [str(s) for s in TrialState])}")
        metrics = _numbers(told.get("metrics") or {})
        self._require_objectives(state, metrics)
        return Trial(
            trial_id=0,
            sweep_id=0,
            number=int(told.get("number", -1)),
            params=self._typed(told["params"]),
            state=TrialState(state),
            metrics=metrics,
            repetition=int(told.get("repetition", 0)),
            proposal=int(told.get("proposal", -1)),
        )

    def _require_objectives(self, state: str, metrics: Mapping[str, float]) -> None:
        missing = [o.metric for o in self._objectives if o.metric not in metrics]
        if state == TrialState.COMPLETED and missing and self._inner.adaptive:
            raise SweepError(
                f"a completed trial was told without {', '.join(map(repr, missing))}; its metrics are "
                f"{', '.join(metrics) or 'empty'}. Tell the metric, or the state it ended in."
            )

    def _typed(self, params: Mapping[str, Any]) -> Params:
        """Give each value the type of its parameter (1 -> 1.0); what lies outside today's space stays as it is."""
        known = {p.name: p for p in self._space.active_parameters(params)}
        return {n: known[n].coerce(v) if n in known and known[n].contains(v) else v for n, v in params.items()}


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    try:
        return {name: float(value) for name, value in metrics.items()}
    except (AttributeError, TypeError, ValueError):
        raise SweepError(f'metrics must map names to numbers, such as {{"loss": 0.1}}, got {metrics!r}') from None


def _names(metrics: str | Sequence[str] | None) -> list[str]:
    if metrics is None:
        return []
    return [metrics] if isinstance(metrics, str) else list(metrics)
