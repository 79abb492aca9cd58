"""All places where sweeps can run: this machine, the profiles, and the clusters that run already, as rows of a list."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..definition import Spec
from ..executors import clusters
from ..notation import profiles
from ..store.sqlite import Store
from . import elastic, launch
from .elastic import Cluster


class Place(NamedTuple):
    """One place.

    Parameters
    ----------
    name
        What stands behind `--on`: a profile's name, or a word.
    on
        The word that a profile stands for.
    slots
        Of the cluster that runs; else how many there would be, None where that is known only then.
    versions
        Of Python and of Dask there.
    health
        How it is, in words.
    ok
        Whether a sweep could start there.
    runs
        Names of the sweeps that run there; None where no cluster is up, empty for one that waits for work.
    file
        The file of the profile; empty for a word.
    """

    name: str
    on: str
    slots: int | None
    versions: str
    health: str
    ok: bool
    runs: list[str] | None
    file: str


def places(store: Store | None) -> list[Place]:
    """Look at this machine, at every profile and at every cluster of a folder; takes seconds, starts nothing.

    Raises
    ------
    Mistakes
        For files of profiles that can't be read.
    """
    named = profiles.load()
    specs = [Spec("local"), *(profile.spec for profile in named.values())]
    seen = clusters.look([clusters.parse(spec.name, spec.options) for spec in specs])
    up = elastic.clusters(store) if store is not None else []
    rows = []
    for spec, found in zip(specs, seen, strict=True):
        here = [cluster for cluster in up if _belongs(cluster, spec)]
        up = [cluster for cluster in up if cluster not in here]
        file = str(named[spec.name].file) if spec.name in named else ""
        rows += [_up(cluster, spec, found, file) for cluster in here] or [_down(spec, found, file)]
    return rows + [_up(c, Spec(c.driver.where_text), clusters.Seen(), "") for c in up]


def _belongs(cluster: Cluster, spec: Spec) -> bool:
    return cluster.driver.key.rpartition("-")[0] == launch.word_in_key(spec.name)


def _down(spec: Spec, found: clusters.Seen, file: str) -> Place:
    return Place(spec.name, _on(spec), found.slots, found.versions, found.health, found.ok, None, file)


def _up(cluster: Cluster, spec: Spec, found: clusters.Seen, file: str) -> Place:
    """A place whose cluster is up is as well as that; what else a look told is its versions."""
    does = f"runs {', '.join(cluster.sweeps)}" if cluster.sweeps else "waits for work"
    health = f"up, {does}, driver {cluster.driver.pid}"
    return Place(spec.name, _on(spec), cluster.driver.slots, found.versions, health, True, cluster.sweeps, file)


def _on(spec: Spec) -> str:
    return str(spec.options.get("on", spec.name))


def in_words(rows: Sequence[Place]) -> str:
    """Give the list as text: a line a place, what is wrong with one in lines below it."""
    cells = [("name", "on", "slots", "versions", "health")]
    below: list[list[str]] = [[]]
    for place in rows:
        slots = "" if place.slots is None else str(place.slots)
        health = place.health if place.ok else "can't be used:"
        cells.append((place.name, "" if place.on == place.name else place.on, slots, place.versions, health))
        below.append([] if place.ok else _wrapped(place.health))
    shown = [i for i in range(5) if any(row[i] for row in cells[1:])]
    widths = [max(len(row[i]) for row in cells) for i in range(5)]
    lines = []
    for row, more in zip(cells, below, strict=True):
        lines += ["  ".join(row[i].ljust(widths[i]) for i in shown).rstrip(), *more]
    files = dict.fromkeys(place.file for place in rows if place.file)
    return "\n".join([*lines, "", f"Profiles: {', '.join(files) or f'none; they are written into {profiles.FILE}'}"])


def _wrapped(text: str) -> list[str]:
    """Break long lines; those of a table stay."""
    lines = [textwrap.wrap(line, 106) if len(line) > 106 else [line] for line in text.splitlines()]
    return [f"    {part}" for parts in lines for part in parts]


def as_data(rows: Sequence[Place]) -> list[dict[str, Any]]:
    """Give the list as plain data, for JSON."""
    return [place._asdict() for place in rows]
