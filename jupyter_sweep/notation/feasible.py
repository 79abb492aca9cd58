"""Whether any configuration meets the constraints, asked before anything starts.

The defaults mostly do; else as many are drawn as a proposer would draw before it gives up. In a finite space a proposer
then goes on along the grid, and so does this, where that takes no time worth mentioning: it refuses what can't run.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence

from ..errors import Mistake, SweepError
from ..space.condition import Constraint
from ..space.parameter import Parameter
from ..space.space import MAX_DRAWS, Space
from ..trial import Params

#: Configurations that are walked at most, in 0.3 s.
_WALKED = 50_000


def refusals(space: Space, seed: int) -> list[Mistake]:
    """Name the constraints that leave nothing to run; nothing is said where one configuration is allowed."""
    if not space.constraints:
        return []
    try:
        if space.allows(space.defaults()):
            return []
        rng = random.Random(seed)
        drawn = [space.complete(lambda parameter: parameter.sample(rng)) for _ in range(MAX_DRAWS)]
        if any(space.allows(params) for params in drawn) or _may_be_on_grid(space):
            return []
    except SweepError:  # it can't be evaluated for some values: which ones the run will say, if it meets them
        return []
    never = [c for c in space.constraints if not any(_holds(space, c, params) for params in drawn)]
    told = [[constraint] for constraint in never] or [list(space.constraints)]
    return [_mistake(space, constraints) for constraints in told]


def _may_be_on_grid(space: Space) -> bool:
    """Tell whether the grid of a finite space has an allowed configuration, or may have one far along."""
    if any(parameter.size is None for parameter in space.parameters.values()):
        return False
    read = _decisive(space)
    if math.prod(parameter.size or 1 for parameter in read) > _WALKED:
        return True
    return next(Space.of(read, space.constraints, space.constants).grid(), None) is not None


def _decisive(space: Space) -> list[Parameter]:
    """Give the parameters that the constraints read, and those that decide whether these exist."""
    names = {name for constraint in space.constraints for name in constraint.names}
    for parameter in reversed(space.parameters.values()):  # a condition reads what was declared before
        if parameter.name in names:
            names |= {name for condition in parameter.when for name in condition.names}
    return [p for p in space.parameters.values() if p.name in names]


def _holds(space: Space, constraint: Constraint, params: Params) -> bool:
    try:
        return constraint.holds({**space.constants, **params})
    except SweepError:  # another one shields it from such values
        return False


def _mistake(space: Space, constraints: Sequence[Constraint]) -> Mistake:
    laws = " and ".join(f"require({constraint})" for constraint in constraints)
    holds = f"{'holds' if len(constraints) == 1 else 'hold together'} for none of {MAX_DRAWS} configurations"
    return Mistake(
        f"{laws} {holds} drawn from {_ranges(space, constraints)}",
        line=constraints[0].line or 1,
        fix="relax it, or change the ranges to where it holds",
    )


def _ranges(space: Space, constraints: Iterable[Constraint]) -> str:
    """Give what these constraints read, as it is declared."""
    names = {name for constraint in constraints for name in constraint.names}
    values = [f"{name} = {value!r:.80}" for name, value in space.constants.items() if name in names]
    return " and ".join([*(f"{name} = {text}" for name, text in space.describe() if name in names), *values])
