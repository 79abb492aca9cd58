"""A sweep's trials as rows of a file: CSV, Parquet, lines of JSON."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..definition import Sweep
from ..errors import SweepError
from ..space.codec import encode
from ..trial import Metrics, Report, Trial
from .frame import trials_frame


def write_csv(path: Path, sweep: Sweep, trials: Sequence[Trial], reports: Sequence[Report]) -> None:
    """Write the frame of the trials."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        trials_frame(sweep, trials).to_csv(file, index=False)


def write_parquet(path: Path, sweep: Sweep, trials: Sequence[Trial], reports: Sequence[Report]) -> None:
    """Write the frame with its types; a column of several types is written as JSON, for Parquet has none such."""
    frame = trials_frame(sweep, trials)
    for name in [name for name, kind in frame.dtypes.items() if kind == "object"]:
        frame[name] = [None if type(v).__name__ == "NAType" else json.dumps(encode(v)) for v in frame[name]]
    try:
        frame.to_parquet(path, index=False)
    except ImportError as error:
        raise SweepError("Parquet wants pyarrow: pip install 'jupyter-sweep[parquet]'") from error


def write_jsonl(path: Path, sweep: Sweep, trials: Sequence[Trial], reports: Sequence[Report]) -> None:
    """Write one object a trial; values as the store has them, so that types and what is missing are kept."""
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in objects(sweep, trials, reports))


def objects(sweep: Sweep, trials: Sequence[Trial], reports: Sequence[Report]) -> Iterator[dict[str, Any]]:
    """Give one object of plain JSON data a trial."""
    reported: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    for r in reports:
        reported[r.trial_id].append(
            {"attempt": r.attempt, "step": r.step, "metrics": numbers(r.metrics), "reported_at": r.reported_at}
        )
    for t in trials:
        yield {
            "name": sweep.name,
            "version": sweep.version,
            "number": t.number,
            "state": t.state.value,
            "reason": t.reason,
            "params": encode(t.params),
            "metrics": numbers(t.metrics),
            "duration_s": t.duration_s,
            "attempt": t.attempt,
            "repetition": t.repetition,
            "seed": t.seed,
            "worker": t.worker,
            "error": t.error,
            "started_at": t.started_at,
            "finished_at": t.finished_at,
            "reports": reported[t.trial_id],
        }


def numbers(metrics: Metrics) -> dict[str, float | str]:
    """Give metrics as JSON, which has no word for nan and inf: they become texts that `float` reads."""
    return {name: value if math.isfinite(value) else str(value) for name, value in metrics.items()}
