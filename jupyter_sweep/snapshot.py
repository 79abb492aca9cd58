"""Plain data for the views: one dictionary with the state of a sweep and the rows that changed.

It is what a widget, the sidebar and the command line draw from, so that they show the same. Its cost grows with the
rows that changed, not with the sweep: the running totals come from the store's indexes and the handle's cache.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

from .definition import Sweep
from .results.best import find_best
from .space.codec import encode
from .store import leases
from .store.sqlite import Store
from .trial import Trial, TrialState

_RECENT = 30


class Snapshot:
    """Look at one sweep: its definition, all its trials by number, and the change up to which they were read."""

    def __init__(self, store: Store, sweep: Sweep, trials: dict[int, Trial], change: int) -> None:
        self.store, self.sweep, self.trials, self.change = store, sweep, trials, change
        self.owner = leases.owner(store, sweep.sweep_id)

    def data(self, since: int) -> dict[str, Any]:
        """Give the whole state and the rows that changed after `since`, as JSON data."""
        changed = [t for t in self.trials.values() if t.change > since]
        return {
            "change": self.change,
            "sweep": self._header(),
            "columns": {"params": self.sweep.space.names, "metrics": self._metrics()},
            "counts": self.store.counts(self.sweep.sweep_id),
            "progress": self._progress(),
            "best": self._best(),
            "baseline": self._baseline(),
            "rows": [_row(t) for t in sorted(changed, key=lambda t: t.number)],
        }

    def _header(self) -> dict[str, Any]:
        sweep = self.sweep
        started_at, finished_at = self.store.times(sweep.sweep_id)
        return {
            "name": sweep.name,
            "version": sweep.version,
            "versions": len(self.store.sweeps(sweep.name)),
            "state": sweep.state,
            "message": sweep.message,
            "where": self.owner.where_text if self.owner else str(sweep.executor),
            "slots": self.owner.slots if self.owner else None,
            "driver": self.owner.pid if self.owner else None,
            "dashboard": self.owner.dashboard if self.owner else "",
            "objectives": [{"metric": o.metric, "direction": o.direction} for o in sweep.objectives],
            "wanted": self._wanted(),
            "repetitions": sweep.budget.repetitions,
            "started_at": started_at,
            "finished_at": finished_at,
            "captures": [{k: c[k] for k in ("name", "kind", "nbytes")} for c in sweep.job.captures],
            "warnings": [*sweep.job.warnings, *([self.store.notice] if self.store.notice else [])],
            "algorithm": str(sweep.proposer),
            "pruner": str(sweep.pruner),
            "folder": str(self.store.home / sweep.name),
            "note": sweep.note,
            "tags": list(sweep.tags),
        }

    def _wanted(self) -> int | None:
        configurations = self.sweep.budget.max_trials
        size = self.sweep.space.size if configurations is None else None
        total = configurations if configurations is not None else size
        return None if total is None else total * self.sweep.budget.repetitions

    def _metrics(self) -> list[str]:
        names = [o.metric for o in self.sweep.objectives]
        newest = max(self.trials.values(), key=lambda t: (bool(t.metrics), t.change), default=None)
        return [*names, *(m for m in (newest.metrics if newest else {}) if m not in names)]

    def _progress(self) -> dict[str, Any]:
        started_at, finished_at = self.store.times(self.sweep.sweep_id)
        final = self.store.final_count(self.sweep.sweep_id)
        wanted = self._wanted()
        left = None if wanted is None else max(0, wanted - final)
        elapsed = 0.0 if started_at is None else (finished_at or time.time()) - started_at
        return {
            "final": final,
            "wanted": wanted,
            "running": self.store.counts(self.sweep.sweep_id).get(TrialState.RUNNING.value, 0),
            "total": len(self.trials),
            "elapsed_s": elapsed,
            "eta_s": self._eta(left),
        }

    def _eta(self, left: int | None) -> float | None:
        """Give the seconds to go: what is left times the recent mean duration, over the trials that run at once."""
        recent = sorted((t for t in self.trials.values() if t.duration_s is not None), key=lambda t: -t.change)[
            :_RECENT
        ]
        if not left or not recent or self.owner is None:
            return None
        at_once = min(self.sweep.budget.parallel or self.owner.slots or 1, self.owner.slots or 1)
        return left * statistics.fmean(t.duration_s or 0.0 for t in recent) / max(1, at_once)

    def _best(self) -> dict[str, Any] | None:
        found = find_best(self.sweep, list(self.trials.values()))
        if found is None:
            return None
        return {
            "number": found.trial,
            "value": found.metrics.get(self.sweep.objective.metric),
            "params": encode(found.params),
            "metrics": found.metrics,
            "cell": found.cell,
        }

    def _baseline(self) -> dict[str, Any] | None:
        canary = self.trials.get(min(self.trials, default=0))
        if canary is None or canary.proposal != -1 or canary.state is not TrialState.COMPLETED:
            return None
        return {"number": canary.number, "value": canary.metrics.get(self.sweep.objective.metric)}


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
    }
