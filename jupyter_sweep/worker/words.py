"""`report`, `save` and our other words in a trial on a host where our package is not installed: its source travels.

Captured code names them as attributes of `jupyter_sweep`. They need of it what SOURCES holds, which `sources` fills in;
a package that is installed where the trial runs is used as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

_PACKAGE = "jupyter_sweep"
#: File of our package -> its source text.
SOURCES: dict[str, str] = {}


def module(name: str, but: object) -> Mapping[str, Any] | None:
    """Give a module of ours as `job.LocalModules` has those of the user; None where the package is installed.

    Parameters
    ----------
    but
        The finder that asks.
    """
    if name.partition(".")[0] != _PACKAGE:
        return None
    inner = name.split(".")[1:]
    for file in ("/".join([*inner, "__init__.py"]), "/".join(inner) + ".py"):
        if file in SOURCES and not _is_installed(but):
            path = f"<sweep worker>/{_PACKAGE}/{file}"
            return {"path": path, "package": file.endswith("__init__.py"), "source": SOURCES[file]}
    return None


def _is_installed(but: object) -> bool:
    for finder in sys.meta_path:
        spec = finder.find_spec(_PACKAGE, None) if finder is not but else None
        if spec is not None and spec.origin is not None:  # not a folder that is only called so
            return True
    return False
