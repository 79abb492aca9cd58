"""Read what a trial saved with `save(name, object)`: a joblib file in its folder, made by the user's own trial."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import SweepError, suggest


def load(folder: Path, name: str) -> Any:
    """Load an artifact of a trial.

    Parameters
    ----------
    folder
        The trial's folder.
    name
        The name that the trial gave to `save`.

    Raises
    ------
    SweepError
        When the trial saved nothing of that name, or the name leads out of its folder.
    """
    import joblib

    path = (folder / name).resolve()
    if folder.resolve() not in path.parents or not path.is_file():
        own = {"params.json", "metrics.json", "log.txt"}
        saved = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} - own
        raise SweepError(f"Trial folder {folder.name} holds no {name!r}.{suggest(name, saved)}")
    return joblib.load(path)
