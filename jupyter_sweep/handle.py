"""`Handle`: one version of a sweep, to look at and to steer.

A handle reads the store and writes requests; it holds no state that could not be read again, so that any number of
kernels, the command line and the server may look at one sweep at once, also while it runs, also when the kernel that
started it is gone. It keeps a cache of the trials it has seen and asks the store only for what changed since.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .definition import ACTIVE_STATES, Sweep
from .errors import StoreError, SweepError
from .ledger import Ledger
from .runner import again, elastic, entering, launch
from .snapshot import Snapshot
from .store import folder, leases, looking
from .store.sqlite import Store
from .trial import Attempt, Report, Trial

if TYPE_CHECKING:
    import pandas

    from .results.best import Best
    from .results.plots import Plots

_POLL_S = 0.02
#: A driver that dies so often without finishing a trial in between is not started again.
MAX_REVIVALS = 5
#: How long a driver that was just started may take to enter itself in the store; each further one twice as long as the
#: one before, up to the most: one that has not come yet need not have died, from a slow disk it takes half a minute.
START_GRACE_S, MOST_START_GRACE_S = 3.0, 12.0


class Handle:
    """One version of a sweep, as `sweep(name)` gives it."""

    def __init__(self, store: Store, sweep_id: int) -> None:
        self._store = store
        self.sweep_id = sweep_id
        self._ledger = Ledger()
        self._revivals = 0
        self._finals_then = 0
        self._alone_since: float | None = None

    def __repr__(self) -> str:
        counts = ", ".join(f"{n} {state}" for state, n in self.counts.items())
        return f"<sweep {self.name!r} version {self.version}: {self.state}; {counts or 'no trials'}>"

    # -- what it is ---------------------------------------------------------------------------------------------------

    @property
    def definition(self) -> Sweep:
        """The definition as the store holds it now."""
        return self._store.sweep(self.sweep_id)

    def definition_of(self, trial: Trial) -> Sweep:
        """Give the definition of a trial's own version, which need not be the one that this handle shows."""
        return self._store.sweep(trial.sweep_id)

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def version(self) -> int:
        return self.definition.version

    @property
    def versions(self) -> list[Handle]:
        """Handles of all versions of this name, oldest first."""
        return [Handle(self._store, s.sweep_id) for s in self._store.sweeps(self.name)]

    @property
    def state(self) -> str:
        """One of queued, running, paused, stopped, interrupted, failed, finished."""
        return self.definition.state

    @property
    def ended(self) -> bool:
        """True when nothing runs and nothing was asked of a driver that it hasn't answered."""
        # In this order: a driver that takes a request up says that the sweep runs before it closes the request.
        return self._store.asked_at(self.sweep_id, "run") is None and self.state not in ACTIVE_STATES

    @property
    def counts(self) -> dict[str, int]:
        """Number of trials by state."""
        return self._store.counts(self.sweep_id)

    @property
    def folder(self) -> Path:
        """The folder that holds the trials' folders."""
        return self._store.home / self.name

    @property
    def home(self) -> Path:
        """The folder of the store."""
        return self._store.home

    @property
    def owner(self) -> leases.Driver | None:
        """The driver that owns the sweep and lives, or None."""
        return leases.owner(self._store, self.sweep_id)

    @property
    def driver(self) -> int | None:
        """Process id of the driver that owns the sweep, or None."""
        owner = self.owner
        return None if owner is None else owner.pid

    @property
    def dashboard(self) -> str:
        """Address of the Dask dashboard while the sweep runs, else ""."""
        owner = self.owner
        return "" if owner is None else owner.dashboard

    @property
    def times(self) -> tuple[float | None, float | None]:
        """When it last began to run and when it came to rest after that, UTC seconds."""
        return self._store.times(self.sweep_id)

    # -- results ------------------------------------------------------------------------------------------------------

    def trials(self) -> list[Trial]:
        """Give all trials of this version in order of number."""
        self._refresh()
        return sorted(self._ledger.trials.values(), key=lambda t: t.number)

    def reports(self) -> list[Report]:
        """Give all reports of this version in order of arrival."""
        return list(self._store.each_report(self.sweep_id))

    def attempts(self) -> list[Attempt]:
        """Give the attempts that were followed by another one, in order of their ends."""
        return looking.attempts(self._store, self.sweep_id)

    @property
    def df(self) -> pandas.DataFrame:
        """One row a trial: number, version, state, reason, parameters, metrics, duration_s, attempt, repetition, ..."""
        from .results.frame import trials_frame

        return trials_frame(self.definition, self.trials())

    @property
    def curves(self) -> pandas.DataFrame:
        """One row a report: number, step, reported_at (UTC seconds) and the metrics."""
        from .results.frame import curves_frame

        return curves_frame(self.trials(), self.reports(), self.definition.objectives)

    @property
    def configs(self) -> pandas.DataFrame:
        """One row a configuration: its parameters and mean, sd, n, ci_low, ci_high of the first target."""
        from .results.frame import configs_frame

        return configs_frame(self.definition, self.trials())

    @property
    def best(self) -> Best | None:
        """The best configuration: .params, .metrics, .trial, .cell; None before a completed trial."""
        from .results.best import find_best

        return find_best(self.definition, self.trials())

    @property
    def tied(self) -> pandas.DataFrame:
        """What can't be told from the best at 95 %; always holds the best."""
        from .results.best import tied

        return tied(self.definition, self.trials())

    @property
    def plot(self) -> Plots:
        """Plots that give matplotlib Axes: .history() .parallel() .curves() .importance() .slice() ..."""
        from .results.plots import Plots

        return Plots(lambda: (self.definition, self.trials()), self.reports, self.attempts)

    def trial(self, number: int) -> Trial:
        """Give one trial by its number.

        Raises
        ------
        SweepError
            When this name has no such trial.
        """
        found = self._store.trial(self.name, int(number))
        if found is None:
            raise SweepError(
                f"Sweep {self.name!r} has no trial {number}; it has {sum(self.counts.values())} in this version."
            )
        return found

    def log(self, number: int) -> str:
        """Give what a trial printed: the last 1 MB, saying so."""
        return folder.read_log(self._store.home / self.trial(number).folder / "log.txt")

    def failure(self, number: int) -> dict[str, str]:
        """Give what is to be known of a trial that went wrong: error, traceback, the end of its log before that."""
        trial = self.trial(number)
        tail = folder.read_log(self._store.home / trial.folder / "log.txt", 4000 + len(trial.traceback))
        printed = tail.rstrip().removesuffix(trial.traceback.rstrip())
        return {"error": trial.error, "traceback": trial.traceback, "log_tail": printed}

    def trial_curves(self, number: int) -> list[dict[str, Any]]:
        """Give what stands of one trial's reports, as plain data: by metric pairs of step and value."""
        from .results import plotdata

        trial = self.trial(number)
        return plotdata.trial_curves(trial, looking.reports_of(self._store, trial.trial_id))

    def artifacts(self, number: int) -> list[dict[str, Any]]:
        """Give the files that a trial saved, by name with their size in bytes."""
        found = folder.saved(self._store.home / self.trial(number).folder)
        return [{"name": name, "size": size} for name, size in found]

    def about(self, number: int) -> dict[str, Any]:
        """Give plain data for the open row of a view: as `failure`, with curves, artifacts and earlier attempts."""
        earlier = self._store.attempts(self.trial(number).trial_id)
        keys = ("attempt", "reason", "error", "worker")
        return {
            **self.failure(number),
            "curves": self.trial_curves(number),
            "artifacts": self.artifacts(number),
            "attempts": [dict(zip(keys, one, strict=True)) for one in earlier],
        }

    def pictures(self, metric: str = "") -> dict[str, Any]:
        """Give plain data of the plots of a metric or of the first target; see `results.plotdata`."""
        from .results import plotdata

        return plotdata.plots(self.definition, self.trials(), self.reports(), metric)

    def load(self, name: str, *, trial: int | None = None) -> Any:
        """Load what a trial saved with `save(name, ...)`: of the best trial, or of the one given by its number."""
        from .jobs.artifacts import load

        winner = self.best
        number = trial if trial is not None else (None if winner is None else winner.trial)
        if number is None:
            raise SweepError(
                f"Sweep {self.name!r} has no completed trial yet; load(name, trial=NUMBER) takes another one."
            )
        return load(self._store.home / self.trial(number).folder, name)

    def export(self, path: str | os.PathLike[str]) -> None:
        """Write the sweep to a file whose ending says what it is; the kinds are those of `results.export.KINDS`.

        .csv and .parquet hold `.df`, .jsonl one object a trial, .html a page for people, .yaml the whole sweep, .py
        what runs it again, .db an Optuna study.

        Raises
        ------
        SweepError
            For another kind of file, or one that can't be written.
        """
        from .results.export import write

        write(Path(path), self.definition, self.trials(), self.reports())

    def why(self, number: int | None = None) -> str:
        """Explain why this version began and what ran last; with a number, why that trial is what it is."""
        from .results import why

        sweep = self.definition
        if number is None:
            older = [s for s in self._store.sweeps(sweep.name) if s.version < sweep.version]
            before = older[-1] if older else None
            jobs = tuple(folder.read_job(self._store.home, s.job.file) if s else {} for s in (before, sweep))
            return why.why_sweep(sweep, self.trials(), before, (jobs[0], jobs[1]))
        trial = self.trial(number)
        sweep = self.definition_of(trial)
        attempts = [a for a in looking.attempts(self._store, trial.sweep_id) if a.number == trial.number]
        reports = [r for r in self._store.each_report(trial.sweep_id) if r.trial_id == trial.trial_id]
        return why.why_trial(sweep, trial, attempts, reports, elastic.hold_up(self._store, sweep))

    def snapshot(self, since: int = 0) -> dict[str, Any]:
        """Give plain data for a view: the whole state, and the trials that changed after `since`."""
        changed = self._refresh() if since == self._ledger.change else None
        if changed is None:
            self._refresh()
            changed = [t for t in self._ledger.trials.values() if t.change > since]
        return Snapshot(self._store, self.definition, self._ledger).data(changed)

    def _refresh(self) -> list[Trial]:
        """Read what changed in the store since the last time, and give it."""
        change = self._store.change()
        changed = self._store.trials(self.sweep_id, since=self._ledger.change)
        self._ledger.enter(changed, change)
        return changed

    # -- steering -----------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Start no more trials and cancel those that run; returns at once. The sweep can be resumed."""
        self._ask("stop", "stopped")

    def pause(self) -> None:
        """Start no more trials; those that run go on to their end."""
        self._ask("pause", "paused")

    def interrupt(self) -> None:
        """Start no more trials, as an interrupted cell does; those that run go on to their end."""
        self._ask("interrupt", "interrupted")

    def kill(self) -> None:
        """Cancel what runs, as a cell does that is interrupted twice."""
        self._ask("kill", "interrupted")

    def scale(self, n: int) -> None:
        """Run `n` trials at once from now on: workers are added, or go when what they run has ended.

        A sweep that doesn't run takes it up when it is resumed.

        Raises
        ------
        SweepError
            Where the cluster can't have so many; nothing has changed then.
        """
        elastic.scale(self._store, self.definition, n)

    @property
    def workers(self) -> pandas.DataFrame:
        """One row a slot of the cluster that runs the sweep, or waits for the next one: what it runs and holds.

        Columns: worker, host, pid, state, sweep, number, since (UTC seconds), memory_gb, peak_gb, device, and job,
        job_state where a queue gives the workers. As of the last second; what trials hold as of the last two.
        """
        from .results.frame import workers_frame

        return workers_frame(elastic.seen(self._store, self.definition).workers)

    def cluster(self) -> dict[str, Any]:
        """Give plain data for a view: trials at once, the slots as `workers` has them, since when they are idle."""
        return elastic.cluster(self._store, self.definition)

    def resume(self) -> None:
        """Go on with a sweep that is paused, stopped, interrupted or whose driver died; returns at once."""
        self._revivals = 0
        launch.begin(self._store, self.definition, cwd=os.getcwd())

    def retry(self, number: int) -> bool:
        """Have a failed trial run again, under its number; False where that waits for the sweep to be resumed.

        Raises
        ------
        SweepError
            For a trial that has not failed, and for a sweep that ran in a kernel.
        """
        if self.definition.executor.name == "inline":
            raise SweepError(f"{self.name} ran --on inline, in its kernel: run its cell again to go on.")
        return again.retry(self._store, self.definition, number)

    def enter(self, number: int, /, *, failed: str = "", **metrics: float | str) -> Trial:
        """Enter the result of a trial of a passive sweep, as ``enter(3, acc=0.91)``; give the trial as it is now.

        Parameters
        ----------
        failed
            Why there is no result, where there is none; then without metrics.

        Raises
        ------
        SweepError
            For a sweep that isn't passive, a trial that doesn't wait, and metrics that are wrong or missing.
        """
        return entering.enter(self._store, self.definition, number, metrics, failed=failed)

    def wait(self, timeout_s: float | None = None, *, on_revival: Callable[[str], None] | None = None) -> bool:
        """Wait for the end or pause of the sweep; False when `timeout_s` was over first. A dead driver is replaced."""
        limit = None if timeout_s is None else time.monotonic() + timeout_s
        while not self.ended:
            if limit is not None and time.monotonic() > limit:
                return False
            said = self.revive()
            if said and on_revival is not None:
                on_revival(said)
            time.sleep(_POLL_S)
        return True

    def revive(self) -> str:
        """Start the driver of a sweep again that died before its work was done; give a sentence when it did.

        A sweep that ran inline has no driver: where its process died it is interrupted. One that was asked to pause, to
        stop or to be interrupted before its driver died is so now.

        Raises
        ------
        StoreError
            When it died MAX_REVIVALS times without finishing a trial in between; with the end of its log.
        """
        sweep = self.definition
        if sweep.is_passive or self.ended or not self._is_orphan(sweep):
            return ""
        if sweep.executor.name == "inline":
            self._store.set_state(self.sweep_id, "interrupted", "the process that ran it has ended")
            return "The process that ran this sweep has ended. Run the cell again to go on."
        held = launch.RESTING.get(self._store.asked_last(self.sweep_id))
        if held is not None:
            self._store.set_state(self.sweep_id, held)
            return f"The driver of this sweep had died before it was {held}, as it was asked to be."
        finals = self._store.final_count(self.sweep_id)
        self._revivals = 1 if finals > self._finals_then else self._revivals + 1
        self._finals_then = finals
        if self._revivals > MAX_REVIVALS:
            log = launch.log_path(self._store.home, launch.driver_key(sweep.executor))
            raise StoreError(
                f"The driver of {sweep.name!r} died {MAX_REVIVALS} times in a row. Its log, {log}, ends with:\n"
                f"{folder.read_log(log, 2000)}"
            )
        launch.begin(self._store, sweep, cwd=os.getcwd())
        return (
            "The driver of this sweep had died; another one goes on."
            if leases.was_owned(self._store, self.sweep_id)
            else ""
        )

    def _is_orphan(self, sweep: Sweep) -> bool:
        """Tell whether nobody owns the sweep and nobody is about to.

        A driver that was just started has a while to enter itself; starting a second one meanwhile does no harm,
        it finds the first and ends.
        """
        key = launch.driver_key(sweep.executor)
        asked_at = self._store.asked_at(self.sweep_id, "run")
        alive = leases.owner(self._store, self.sweep_id) or (asked_at and leases.live_driver(self._store, key))
        if alive:
            self._alone_since = None
            return False
        now = time.monotonic()
        self._alone_since = now if self._alone_since is None else self._alone_since
        is_starting = asked_at is not None and not leases.has_registered(self._store, key, since=asked_at)
        grace_s = min(START_GRACE_S * 2**self._revivals, MOST_START_GRACE_S) if is_starting else 0.2
        if now - self._alone_since < grace_s:
            return False
        self._alone_since = None
        return True

    def drop(self) -> None:
        """Forget all versions of this sweep and delete their folders.

        Raises
        ------
        SweepError
            While it runs.
        """
        if any(not handle.ended for handle in self.versions):
            raise SweepError(f"Sweep {self.name!r} runs; stop it first: %sweep stop {self.name}")
        name = self.name
        self._store.drop_sweep(name)
        folder.remove_tree(self._store.home / name)
        folder.remove_unused_data(self._store.home, [s.job.file for s in self._store.sweeps()])

    def _ask(self, verb: str, state: str) -> None:
        sweep = self.definition
        if sweep.state not in ACTIVE_STATES and (sweep.state != "paused" or verb == "pause"):
            return
        key = launch.key_to_ask(self._store, sweep)
        is_starting = self._store.asked_at(self.sweep_id, "run") is not None
        if leases.live_driver(self._store, key) is None and not is_starting:
            self._store.set_state(self.sweep_id, state)
        else:  # a driver that is only starting finds this behind the request to run
            self._store.request(self.sweep_id, key, verb)
