"""Start a process of ours that nobody's death takes along.

It must not be a descendant of a kernel: Jupyter ends a kernel's whole process tree on restart. So a shell that ends at
once starts it in a session of its own.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..store import folder

#: How long the shell may take.
_START_S = 60.0


def with_package(environ: Mapping[str, str]) -> dict[str, str]:
    """Give an environment in which a Python finds this very package."""
    root = str(Path(__file__).resolve().parent.parent.parent)
    return {**environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, environ.get("PYTHONPATH", "")]))}


def detach(command: Sequence[str], *, log: Path, env: Mapping[str, str], cwd: str = "/") -> None:
    """Start a process that outlives this one and all its ancestors; what it prints is added to `log`."""
    folder.make_private(log.parent)
    with open(os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600), "ab") as output:
        subprocess.run(
            ["/bin/sh", "-c", '"$@" &', "sh", *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd=cwd,
            env=env,
            check=True,
            timeout=_START_S,
        )
