"""Which folder of sweeps a command works on."""

from __future__ import annotations

import os
from pathlib import Path

from .. import live

HOME = "JUPYTER_SWEEP_HOME"


def use(folder: str) -> None:
    """Make `folder` the store of this process: it is `sweeps/` itself or holds it."""
    given = Path(folder).expanduser().absolute()
    itself = (given / "sweeps.db").exists() or given.name == "sweeps"
    os.environ[HOME] = str(given if itself else given / "sweeps")


def keep() -> None:
    """Let a folder that the environment names relatively stay the same when the working directory changes."""
    if os.environ.get(HOME):
        os.environ[HOME] = str(live.home())
