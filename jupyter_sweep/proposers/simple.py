"""Proposers that learn nothing: random, grid, Sobol; and the one that leaves the trials to a person.

Each is one fixed sequence of configurations, known from the seed alone; `ask` gives the next one that is neither told
nor given out. So the order of telling can't matter, and a fresh proposer that is told the past goes on by itself: it
walks its sequence from the start and skips what it was told (0.4 s after 10,000 trials).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from .. import plugins
from ..errors import SweepError
from ..plugins import refuse_unknown
from ..space.space import Space
from ..trial import Objective, Params, Trial
from .base import Proposal, Unseen, identity, walk
from .marks import Marks


class FixedSequence:
    """Base of the proposers that learn nothing: a subclass gives the sequence."""

    name: ClassVar[str]
    adaptive: ClassVar[bool] = False

    def __init__(self, space: Space, objectives: Sequence[Objective] = (), *, seed: int = 0, **unknown: Any) -> None:
        refuse_unknown(self, "--algo", unknown)
        self._space = space
        self._seed = seed
        self._known = Marks()
        self._sequence = enumerate(self._configurations())
        self._ahead: tuple[bytes, Proposal] | None = None

    def ask(self, n: int) -> list[Proposal]:
        proposals: list[Proposal] = []
        while len(proposals) < n and (ahead := self._look_ahead()) is not None:
            self._known.add(ahead[0])
            proposals.append(ahead[1])
        return proposals

    def tell(self, trial: Trial) -> None:
        self._known.add(identity(self._space, trial.params))

    @property
    def exhausted(self) -> bool:
        return self._look_ahead() is None

    def _look_ahead(self) -> tuple[bytes, Proposal] | None:
        while self._ahead is None or self._ahead[0] in self._known:
            index, found = next(self._sequence, (0, None))
            if found is None:
                return None
            self._ahead = found[0], Proposal(found[1], index)
        return self._ahead

    def _configurations(self) -> Iterator[tuple[bytes, Params]]:
        """Give the sequence, each configuration after its identity; one may come twice."""
        raise NotImplementedError


class Random(FixedSequence):
    """Independent draws from the ranges; about 30 us each, whatever the history."""

    name: ClassVar[str] = "random"

    def _configurations(self) -> Iterator[tuple[bytes, Params]]:
        rng, unseen, given = random.Random(self._seed), Unseen(self._space), Marks()
        while (found := unseen.find(given, lambda: self._space.sample(rng))) is not None:
            given.add(found[0])
            yield found


class Grid(FixedSequence):
    """Every configuration once: the first declared parameter slowest, the last fastest.

    Raises
    ------
    SweepError
        At once, when a parameter has no end of values.
    """

    name: ClassVar[str] = "grid"

    def __init__(self, space: Space, objectives: Sequence[Objective] = (), *, seed: int = 0, **unknown: Any) -> None:
        endless = [f"{p.name} = {p.describe()}" for p in space.varying if p.size is None]
        if endless:
            raise SweepError(
                f"a grid has no end over {' and '.join(endless)}. "
                f"Give each a step=, list values with choice(...), or take another --algo."
            )
        super().__init__(space, objectives, seed=seed, **unknown)

    def _configurations(self) -> Iterator[tuple[bytes, Params]]:
        return ((identity(self._space, params), params) for params in walk(self._space))


class Sobol(FixedSequence):
    """Points of a scrambled Sobol sequence: they fill the space more evenly than random ones.

    Every varying parameter has a dimension of its own, also one that exists only under a condition.
    """

    name: ClassVar[str] = "sobol"

    def _configurations(self) -> Iterator[tuple[bytes, Params]]:
        unseen, given = Unseen(self._space), Marks()
        drawn = self._allowed()
        while (found := unseen.find(given, lambda: next(drawn))) is not None:
            given.add(found[0])
            yield found

    def _allowed(self) -> Iterator[Params]:
        """Give the points that meet the constraints; a random one where 1000 points in a row don't."""
        rng, misses = random.Random(self._seed), 0
        for point in self._points():
            params = self._at(point)
            misses = 0 if self._space.allows(params) else misses + 1
            if misses == 0:
                yield params
            elif misses % 1000 == 0:
                yield self._space.sample(rng)

    def _at(self, point: dict[str, float]) -> Params:
        return self._space.complete(lambda parameter: parameter.from_unit(point.get(parameter.slot, 0.0)))

    def _points(self) -> Iterator[dict[str, float]]:
        from scipy.stats import qmc

        slots = [p.slot for p in self._space.varying]
        engine = qmc.Sobol(max(1, len(slots)), scramble=True, seed=self._seed)
        while True:
            for row in engine.random(64).tolist():
                yield dict(zip(slots, row, strict=False))


class Passive:
    """Another proposer's configurations, which a person evaluates: only who runs the trials is different.

    Parameters
    ----------
    algo
        Name of the proposer that chooses; what options there are more are its own.

    Raises
    ------
    SweepError
        For an unknown name, and what that proposer refuses.
    """

    name: ClassVar[str] = "passive"

    def __init__(
        self,
        space: Space,
        objectives: Sequence[Objective] = (),
        *,
        seed: int = 0,
        algo: str = "random",
        **options: Any,
    ) -> None:
        if algo == self.name:
            raise SweepError("passive takes its configurations from another algorithm, as in passive:sobol")
        self._chooser = plugins.load("proposer", algo)(space, objectives, seed=seed, **options)
        self.adaptive: bool = self._chooser.adaptive

    def ask(self, n: int) -> list[Proposal]:
        found: list[Proposal] = self._chooser.ask(n)
        return found

    def tell(self, trial: Trial) -> None:
        self._chooser.tell(trial)

    @property
    def exhausted(self) -> bool:
        return bool(self._chooser.exhausted)
