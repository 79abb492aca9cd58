"""The one way back for a final trial: a failed one is asked for again by a person (see `runner/again.py`)."""

from __future__ import annotations

from ..trial import Trial
from .sqlite import Store


def reopen(store: Store, trial: Trial, *, at: float) -> bool:
    """Record a trial's failure as an attempt and put the trial back to waiting; False when it has not failed.

    What the attempt reported stays and is known to be an earlier attempt's. Trackers that had the trial's end have it
    no longer: another one will come.
    """
    with store.write() as (db, change):
        cursor = db.execute(
            "update trials set state = 'waiting', attempt = attempt + 1, reason = '', error = '', traceback = '', metrics = '{}', "
            "worker = '', pid = null, device = '', queued_at = ?, started_at = null, finished_at = null, duration_s = null, "
            "peak_memory_gb = null, peak_gpu_memory_gb = null, change = ? where trial_id = ? and state = 'failed' and attempt = ?",
            (at, change, trial.trial_id, trial.attempt),
        )
        if cursor.rowcount == 0:
            return False
        db.execute("update passed_on set ended = 0 where trial_id = ?", (trial.trial_id,))
        db.execute(
            "insert into attempts (trial_id, attempt, reason, error, worker, started_at, ended_at) values (?, ?, ?, ?, ?, ?, ?)",
            (
                *(trial.trial_id, trial.attempt, trial.reason, trial.error, trial.worker),
                trial.started_at,
                trial.finished_at or at,
            ),
        )
    return True
