"""The job's own file: JSON named by its content, written aside and renamed, so that whoever sees it sees all of it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

from .capture import Capture
from .storing import aside, keep


def identity(*parts: str) -> str:
    """Give the fingerprint of a job, 32 hex digits."""
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()


def write_job(folder: str, captured: Capture, own: Mapping[str, Any]) -> str:
    """Write what was captured and the file that says how to run it; give its name.

    Parameters
    ----------
    folder
        The store's data folder; made if it is not there.
    own
        Keys of the file besides those of the capture; `worker.job` says what they mean.

    Raises
    ------
    StoreError
        When the disk is full or the folder can't be written to.
    """
    data = json.dumps({**own, **captured.write(folder)}, sort_keys=True).encode()
    name = f"job-{hashlib.blake2b(data, digest_size=16).hexdigest()}.json"
    target = os.path.join(folder, name)
    try:
        os.utime(target)  # see `write_buffer`
    except FileNotFoundError:
        with aside(folder) as (file, path):
            file.write(data)
            keep(file, path, target)
    return name
