"""Plain data for the views: one dictionary with the state of a sweep and the rows that changed.

It is what a widget, the sidebar and the command line draw from, so that they show the same. Its cost grows with the
rows that changed, not with the sweep: the running totals are the ledger's.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from .definition import Sweep
from .errors import count
from .executors import clusters
from .ledger import Ledger
from .space.codec import encode
from .store import leases, looking, tracking
from .store.sqlite import Store
from .trial import Trial, TrialState


class Snapshot:
    """Look at one sweep: its definition, and what is known of its trials."""

    def __init__(self, store: Store, sweep: Sweep, ledger: Ledger) -> None:
        self.store, self.sweep, self.ledger = store, sweep, ledger
        self.owner = leases.owner(store, sweep.sweep_id)
        self.started_at, self.finished_at = store.times(sweep.sweep_id)

    def data(self, changed: Iterable[Trial]) -> dict[str, Any]:
        """Give the whole state, and rows for the trials that `changed`, as JSON data."""
        return {
            "change": self.ledger.change,
            "sweep": self._header(),
            "columns": {"params": self.sweep.space.names, "metrics": self._metrics(), "log": self._log()},
            "counts": {state: n for state, n in self.ledger.counts.items() if n},
            "progress": self._progress(),
            "best": self._best(),
            "baseline": self._baseline(),
            "rows": [_row(t) for t in sorted(changed, key=lambda t: t.number)],
        }

    def _header(self) -> dict[str, Any]:
        sweep = self.sweep
        return {
            "name": sweep.name,
            "version": sweep.version,
            "versions": len(self.store.sweeps(sweep.name)),
            "state": sweep.state,
            "message": sweep.message,
            "where": self._where(),
            "slots": self.owner.slots if self.owner else None,
            "driver": self.owner.pid if self.owner else None,
            "dashboard": self.owner.dashboard if self.owner else "",
            "objectives": [{"metric": o.metric, "direction": o.direction} for o in sweep.objectives],
            "wanted": self._wanted(),
            "repetitions": sweep.budget.repetitions,
            "started_at": self.started_at,
            "finished_at": self.finished_at,
            "captures": [{k: c[k] for k in ("name", "kind", "nbytes")} for c in sweep.job.captures],
            "warnings": self._warnings(),
            "algorithm": str(sweep.proposer),
            "pruner": str(sweep.pruner),
            "folder": str(self.store.home / sweep.name),
            "passive": sweep.is_passive,
            "note": sweep.note,
            "tags": list(sweep.tags),
        }

    def _warnings(self) -> list[str]:
        notice = [self.store.notice] if self.store.notice else []
        tracked = tracking.warnings(self.store, self.sweep.sweep_id)
        return [*self.sweep.job.warnings, *_adopted(self.sweep), *notice, *tracked]

    def _where(self) -> str:
        if self.sweep.is_passive:
            return "results are entered by hand"
        at_once = self._at_once()
        where = self.owner.where_text if self.owner else self.sweep.executor.name
        parts = [where, *([f"{at_once} at once"] if at_once else []), *self._queue()]
        return " · ".join(parts)

    def _queue(self) -> list[str]:
        """Say how many jobs of a batch system wait in its queue, and what for; nothing elsewhere."""
        executor = self.sweep.executor
        if self.owner is None or not clusters.is_queued(str(executor.options.get("on", executor.name))):
            return []
        rows = looking.shown(self.store, self.owner.driver_id).workers
        waiting = [row for row in rows if row["state"] == "queued"]
        reasons = sorted({row["reason"] for row in waiting} - {""})
        because = f" ({', '.join(reasons)})" if reasons else ""
        return [f"{count(len(waiting), 'job waits', 'jobs wait')} in the queue{because}"] if waiting else []

    def _at_once(self) -> int:
        """Give how many trials run at once; 0 while there is no driver that could say."""
        slots = self.owner.slots if self.owner else 0
        return min(self.sweep.budget.parallel or slots, slots)

    def _wanted(self) -> int | None:
        """Give how many trials it will be in the end; a finite space has no more than its size."""
        configurations = self.ledger.configurations(self.sweep.space, self.sweep.budget.max_trials)
        return None if configurations is None else configurations * self.sweep.budget.repetitions

    def _metrics(self) -> list[str]:
        names = [o.metric for o in self.sweep.objectives]
        return [*names, *(m for m in self.ledger.metrics if m not in names)]

    def _log(self) -> list[str]:
        """Give the parameters that are drawn on a log axis."""
        return [p.name for p in self.sweep.space.parameters.values() if p.log]

    def _progress(self) -> dict[str, Any]:
        wanted = self._wanted()
        return {
            "final": self.ledger.final,
            "wanted": wanted,
            "running": self.ledger.counts[TrialState.RUNNING.value],
            "total": len(self.ledger.trials),
            "elapsed_s": self._elapsed(),
            "eta_s": self._eta(None if wanted is None else max(0, wanted - self.ledger.final)),
        }

    def _elapsed(self) -> float:
        """Give the seconds since the sweep began, without those in which it was paused, stopped or left alone."""
        if self.started_at is None:
            return 0.0
        if self.sweep.state == "queued":
            return self.ledger.worked_before(time.time())
        return self.ledger.worked_before(self.started_at) + (self.finished_at or time.time()) - self.started_at

    def _eta(self, left: int | None) -> float | None:
        """Give the seconds to go: what is left times the recent mean duration, over the trials that run at once."""
        recent = self.ledger.recent_s
        if not left or recent is None or self.owner is None:
            return None
        return left * recent / max(1, self._at_once())

    def _best(self) -> dict[str, Any] | None:
        found = self.ledger.best(self.sweep)
        if found is None:
            return None
        return {
            "number": found.trial,
            "value": found.value,
            "params": encode(found.params),
            "metrics": found.metrics,
            "cell": found.cell,
        }

    def _baseline(self) -> dict[str, Any] | None:
        canary = self.ledger.trials.get(min(self.ledger.trials, default=0))
        if canary is None or canary.proposal != -1 or canary.state is not TrialState.COMPLETED:
            return None
        return {"number": canary.number, "value": canary.metrics.get(self.sweep.objective.metric)}


def _adopted(sweep: Sweep) -> list[str]:
    """Say which trials of the table are not of the code of their version."""
    n, codes = sum(sweep.adopted.values()), ", ".join(code[:6] for code in sweep.adopted)
    are = "is" if n == 1 else "are"
    return [f"{count(n, 'trial')} {are} of other code ({codes}), adopted by --code ignore"] if n else []


def _row(trial: Trial) -> dict[str, Any]:
    return {
        "number": trial.number,
        "state": trial.state.value,
        "reason": trial.reason,
        "params": encode(trial.params),
        "metrics": trial.metrics,
        "duration_s": trial.duration_s,
        "attempt": trial.attempt,
        "repetition": trial.repetition,
        "worker": trial.worker,
        "error": trial.error,
        "started_at": trial.started_at,
        "device": trial.device,
        "peak_gpu_memory_gb": trial.peak_gpu_memory_gb,
        "change": trial.change,
    }
