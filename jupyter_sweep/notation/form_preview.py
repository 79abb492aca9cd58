"""What a form says of a space before anything runs: how many configurations there are, and what some look like."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from ..errors import SweepError, count
from ..space.space import Space
from .form import literal
from .options import Options

#: Configurations that are counted one by one, which conditions and constraints make necessary; about 0.1 s.
COUNTED = 10_000
SHOWN = 6


def preview(space: Space, options: Options) -> dict[str, Any]:
    """Give the size in words, and the first configurations as texts: the defaults, then some at random.

    Returns
    -------
    dict
        ``{"size": sentence, "names": [...], "rows": [[...], ...], "said": ""}``; a parameter that a configuration has
        not is an empty text, `said` is why there are no rows.
    """
    said, shown = "", []
    try:
        shown = _samples(space, options)
    except SweepError as error:
        said = str(error)
    names = space.names
    rows = [[_short(params, name) for name in names] for params in shown]
    return {"size": size(space, options), "names": names, "rows": rows, "said": said}


def size(space: Space, options: Options) -> str:
    """Say how many configurations there are and how many of them run.

    >>> from jupyter_sweep.notation.options import parse_line
    >>> from jupyter_sweep.space import Choice, Space
    >>> size(Space(a=Choice(1, 2), b=Choice(1, 2, 3)), parse_line("--min loss --grid --repeat 2"))
    'a grid of 6 configurations, each 2 times: 12 trials'
    """
    endless = [p.name for p in space.reachable if p.size is None]
    wanted, times = options.wanted, options.repeat
    each = f", each {times} times: {{}} trials" if times > 1 else ""
    if endless:
        names = ", ".join(dict.fromkeys(endless))
        return f"no end of configurations, for these are continuous: {names}" + (
            f"; {_runs(wanted, times)}" if wanted is not None else ""
        )
    total = _count(space)
    of = "more than 10,000 configurations" if total > COUNTED else count(total, "configuration")
    if wanted is None or (total <= COUNTED and wanted >= total):
        return f"a grid of {of}{each.format(total * times)}" if wanted is None else f"{of}{each.format(total * times)}"
    return f"{of}; {_runs(wanted, times)}"


def _runs(wanted: int, times: int) -> str:
    if times == 1:
        return f"{count(wanted, 'trial')} run"
    return f"{wanted} run, each {times} times: {wanted * times} trials"


def _count(space: Space) -> int:
    """Give the number of configurations, or more than COUNTED."""
    if space.constraints or any(p.when for p in space.reachable):
        return space.count(COUNTED + 1)
    product = 1
    for parameter in space.reachable:
        product *= parameter.size or 1
    return product


def _samples(space: Space, options: Options) -> list[Mapping[str, Any]]:
    """Give the first points of a grid; else the defaults and random draws."""
    found: list[Mapping[str, Any]] = []
    if options.proposer.name == "grid" and all(p.size is not None for p in space.reachable):
        for params in space.grid():
            found.append(params)
            if len(found) == SHOWN:
                break
        return found
    defaults = space.defaults()
    rng = random.Random(options.seed)
    found = [defaults] if space.allows(defaults) else []
    return [*found, *(space.sample(rng) for _ in range(SHOWN - len(found)))]


def _short(params: Mapping[str, Any], name: str) -> str:
    if name not in params:
        return ""
    value = params[name]
    text = f"{value:.4g}" if isinstance(value, float) else literal(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
