"""Identity of a trial and its seed, from plain data only: the same in every process and on every machine.

Ranges, budgets and workers are not in it, so a wider range keeps the old points. A parameter marked `meta` is left out
(the first drawn value wins), one marked `ignore_default` is left out at its default, so that adding it loses nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from . import codec
from .space import Space


def fingerprint(space: Space, params: Mapping[str, Any], repetition: int, job_fingerprint: str) -> str:
    """Give the identity of a trial, 32 hex digits."""
    kept = {}
    for parameter in space.active_parameters(params):
        value = params[parameter.name]
        at_default = parameter.ignore_default and codec.same(value, parameter.start)
        if not parameter.meta and not at_default:
            kept[parameter.name] = value
    text = json.dumps([job_fingerprint, codec.key(kept), repetition])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def as_of_today(space: Space, params: Mapping[str, Any]) -> dict[str, Any]:
    """Give a configuration of an earlier space in this one.

    A parameter that was added since is at its default, one that is gone is left out; values stay as they are.
    """
    return space.complete(lambda p: params[p.name] if p.name in params else p.start)  # noqa: SIM401  start takes time


def seed_for(sweep_seed: int, params: Mapping[str, Any], repetition: int) -> int:
    """Give the seed of a trial, an int in [0, 2**31), from (sweep seed, parameters, repetition)."""
    text = json.dumps([sweep_seed, codec.key(params), repetition])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") % 2**31
