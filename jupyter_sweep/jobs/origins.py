"""Whose code a file is, by the folder it lies in, and the version of what is installed."""

from __future__ import annotations

import functools
import os
import sysconfig
from collections.abc import Mapping
from importlib import metadata


def origin_kind(path: str) -> str:
    """Tell from a module's file where it belongs: stdlib, installed, own or local."""
    real = os.path.realpath(path)
    if {"site-packages", "dist-packages"} & set(real.split(os.sep)):
        return "installed"
    if any(real.startswith(folder + os.sep) for folder in _stdlib_folders()):
        return "stdlib"
    own = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    return "own" if real.startswith(own + os.sep) else "local"


@functools.lru_cache(maxsize=1)
def _stdlib_folders() -> tuple[str, ...]:
    return tuple({os.path.realpath(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")})


def version(top: str) -> str:
    """Give the version of the distribution that holds top-level module `top`; empty when none says so."""
    try:
        return metadata.version(top)
    except metadata.PackageNotFoundError:
        return ", ".join(f"{name} {metadata.version(name)}" for name in sorted(set(_distributions().get(top, ()))))


@functools.lru_cache(maxsize=1)
def _distributions() -> Mapping[str, list[str]]:
    """Give top-level modules -> distributions; about 0.2 s for 200 of them, so it is asked once in a process."""
    return metadata.packages_distributions()
