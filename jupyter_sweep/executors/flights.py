"""What the Dask executor keeps of the trials that are on their way."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any


@dataclass
class Batch:
    """One task of Dask's, or one that is held back. `began` once any of its trials was seen to start.

    `avoid` holds the labels of workers that it should not go to.
    """

    key: str
    payload: str
    tickets: list[str]
    avoid: Collection[str] = ()
    future: Any = None
    began: bool = False
    sent_at: float = math.inf


@dataclass
class Flight:
    """One trial on its way; `worker` and `address` once it was seen to start."""

    trial_id: int
    batch: Batch
    worker: str = ""
    address: str = ""
    device: str = ""
    stopped: bool = False


@dataclass
class Due:
    """A batch whose trials are lost unless their end is told by then."""

    at: float
    batch: Batch
    why: str
