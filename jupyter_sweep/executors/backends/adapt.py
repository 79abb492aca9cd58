"""`adapt = {minimum=0, maximum=8}` of a profile: how many slots a cluster should have for what there is to run.

Growing is at once, for somebody waits. Shrinking waits until fewer have been enough for LINGER_S: a cluster that ends
workers between two rungs of a sweep would start them again a moment later. Ours rather than Dask's own `adapt`, which
measures by the memory and running time of tasks, and undoes a `scale` that it did not ask for.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ...errors import Mistake, Mistakes

#: How long fewer slots must have been enough before the others are given up.
LINGER_S = 30.0


def read_adapt(given: Any) -> dict[str, int]:
    """Check the option: a table with `maximum`, and `minimum` where it is not 0.

    Raises
    ------
    Mistakes
        With all that is wrong.
    """
    fix = "write adapt = {minimum=0, maximum=8}"
    if not isinstance(given, Mapping) or "maximum" not in given:
        raise Mistakes([Mistake(f"adapt = {given!r} of the profile has no maximum", fix=fix)])
    unknown = sorted(given.keys() - {"minimum", "maximum"})
    limits = {"minimum": given.get("minimum", 0), "maximum": given["maximum"]}
    wrong = [Mistake(f"adapt of the profile has no option {name!r}", fix=fix) for name in unknown]
    wrong += [
        Mistake(f"{name} = {n!r} in adapt of the profile is no whole number of slots", fix=fix)
        for name, n in limits.items()
        if isinstance(n, bool) or not isinstance(n, int) or n < 0
    ]
    if not wrong and not limits["minimum"] <= limits["maximum"] >= 1:
        wrong = [Mistake(f"minimum <= maximum >= 1 must hold in adapt of the profile, got {dict(limits)}", fix=fix)]
    if wrong:
        raise Mistakes(wrong)
    return limits


class Follow:
    """The number of slots that follows demand, between `minimum` and `maximum`."""

    def __init__(self, minimum: int, maximum: int) -> None:
        self.minimum, self.maximum = minimum, maximum
        self.target = minimum
        self._enough_since: float | None = None

    def demand(self, n: int) -> None:
        """Take note that `n` slots would be in use; `target` is what there should be then."""
        wanted = max(self.minimum, min(n, self.maximum))
        now = time.monotonic()
        if wanted >= self.target:
            self.target, self._enough_since = wanted, None
        elif self._enough_since is None:
            self._enough_since = now
        elif now - self._enough_since > LINGER_S:
            self.target, self._enough_since = wanted, None
