"""The one handle for all faces: start a sweep, find it again, steer it, read its results.

A handle reads the store and writes requests; it holds no state that could not be read again, so that any number of
kernels, the command line and the server may look at one sweep at once, also while it runs, also when the kernel that
started it is gone. It keeps a cache of the trials it has seen and asks the store only for what changed since.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .definition import Sweep
from .errors import StoreError, SweepError, suggest
from .jobs.base import Job
from .runner import inline, launch
from .snapshot import Snapshot
from .space.fingerprint import fingerprint
from .store import folder, leases
from .store.sqlite import Store
from .trial import Report, Trial, TrialState

if TYPE_CHECKING:
    import pandas

    from .results.best import Best
    from .results.plots import Plots

_ACTIVE = ("queued", "running")
_POLL_S = 0.05
#: A driver that dies so often without finishing a trial in between is not started again.
MAX_REVIVALS = 5
#: How long a driver that was just started may take to enter itself in the store.
START_GRACE_S = 10.0


def home(where: str | os.PathLike[str] | None = None) -> Path:
    """Give the folder that holds the sweeps: JUPYTER_SWEEP_HOME, else `sweeps` under `where` or the cwd."""
    named = os.environ.get("JUPYTER_SWEEP_HOME")
    return Path(named).expanduser().absolute() if named else Path(where or os.getcwd()).absolute() / "sweeps"


class Handle:
    """One version of a sweep, as `sweep(name)` gives it."""

    def __init__(self, store: Store, sweep_id: int) -> None:
        self._store = store
        self.sweep_id = sweep_id
        self._trials: dict[int, Trial] = {}
        self._change = 0
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
        return self.state not in _ACTIVE and not self._store.is_asked(self.sweep_id, "run")

    @property
    def counts(self) -> dict[str, int]:
        """Number of trials by state."""
        return self._store.counts(self.sweep_id)

    @property
    def folder(self) -> Path:
        """The folder that holds the trials' folders."""
        return self._store.home / self.name

    @property
    def driver(self) -> int | None:
        """Process id of the driver that owns the sweep, or None."""
        owner = leases.owner(self._store, self.sweep_id)
        return None if owner is None else owner.pid

    @property
    def dashboard(self) -> str:
        """Address of the Dask dashboard while the sweep runs, else ""."""
        owner = leases.owner(self._store, self.sweep_id)
        return "" if owner is None else owner.dashboard

    # -- results ------------------------------------------------------------------------------------------------------

    def trials(self) -> list[Trial]:
        """Give all trials of this version in order of number."""
        self._refresh()
        return sorted(self._trials.values(), key=lambda t: t.number)

    def reports(self) -> list[Report]:
        """Give all reports of this version in order of arrival."""
        return self._store.reports(self.sweep_id)

    @property
    def df(self) -> pandas.DataFrame:
        """One row a trial: number, version, state, reason, parameters, metrics, duration_s, attempt, repetition, ..."""
        from .results.frame import trials_frame

        return trials_frame(self.definition, self.trials())

    @property
    def curves(self) -> pandas.DataFrame:
        """One row a report: number, step, reported_at (UTC seconds) and the metrics."""
        from .results.frame import curves_frame

        return curves_frame(self.trials(), self.reports())

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

        return Plots(lambda: (self.definition, self.trials()), self.reports)

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
        """Give what is to be known of a trial that went wrong: error, traceback, the end of its log."""
        trial = self.trial(number)
        tail = folder.read_log(self._store.home / trial.folder / "log.txt", 4000)
        return {"error": trial.error, "traceback": trial.traceback, "log_tail": tail}

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

    def snapshot(self, since: int = 0) -> dict[str, Any]:
        """Give plain data for a view: the whole state, and the trials that changed after `since`."""
        self._refresh()
        return Snapshot(self._store, self.definition, self._trials, self._change).data(since)

    def _refresh(self) -> None:
        change = self._store.change()
        for trial in self._store.trials(self.sweep_id, since=self._change):
            self._trials[trial.number] = trial
        self._change = change

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

    def resume(self) -> None:
        """Go on with a sweep that is paused, stopped, interrupted or whose driver died; returns at once."""
        run(self._store, self.definition, cwd=os.getcwd())

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
        """Start the driver of an unfinished sweep again if it died; give a sentence when it did.

        Raises
        ------
        StoreError
            When it died MAX_REVIVALS times without finishing a trial in between; with the end of its log.
        """
        sweep = self.definition
        if sweep.state not in _ACTIVE or sweep.executor.name == "inline" or not self._is_orphan(sweep):
            return ""
        finals = self._store.final_count(self.sweep_id)
        self._revivals = 1 if finals > self._finals_then else self._revivals + 1
        self._finals_then = finals
        if self._revivals > MAX_REVIVALS:
            log = launch.log_path(self._store.home, launch.driver_key(sweep.executor))
            raise StoreError(
                f"The driver of {sweep.name!r} died {MAX_REVIVALS} times in a row. Its log, {log}, ends with:\n"
                f"{folder.read_log(log, 2000)}"
            )
        run(self._store, sweep, cwd=os.getcwd())
        return "The driver of this sweep had died; another one goes on."

    def _is_orphan(self, sweep: Sweep) -> bool:
        """Tell whether nobody owns the sweep and nobody is about to: a new driver has START_GRACE_S to register."""
        now = time.monotonic()
        asked = self._store.is_asked(self.sweep_id, "run")
        on_its_way = asked and leases.live_driver(self._store, launch.driver_key(sweep.executor)) is not None
        if on_its_way or leases.owner(self._store, self.sweep_id) is not None:
            self._alone_since = None
            return False
        if self._alone_since is None:
            self._alone_since = now
        if now - self._alone_since < (START_GRACE_S if asked else 0.2):
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
        if sweep.state not in _ACTIVE and not (verb == "stop" and sweep.state == "paused"):
            return
        key = driver_key(self._store, sweep)
        if leases.live_driver(self._store, key) is None:
            self._store.set_state(self.sweep_id, state)
        else:
            self._store.request(self.sweep_id, key, verb)


# -- starting and finding ---------------------------------------------------------------------------------------------


def start(
    sweep: Sweep, job: Job, *, home: Path, cwd: str, added: bool = False, fresh: bool = False, adopt: bool = False
) -> Handle:
    """Write a sweep into the store and have its driver run what is missing.

    Parameters
    ----------
    sweep
        The definition; `job` in it is replaced by what `job.write` gives.
    home
        The folder of the store.
    cwd
        Working directory of the trials.
    added
        `budget.max_trials` is to be added to what there is (`-n +N`).
    fresh
        Begin a new version in any case (`--fresh`).
    adopt
        Keep the rows of the newest version although the code differs (`--code ignore`).

    Returns
    -------
    Handle
        At once; with `--on inline` after the last trial.
    """
    store = Store(home)
    sweep = dataclasses.replace(sweep, job=job.write(str(home / folder.DATA)))
    old = _same_version(store, sweep, adopt=adopt) if not fresh else None
    if added:
        sweep = _with_total(store, sweep, old)
    stored = store.create_sweep(sweep, fresh=fresh, adopt=adopt)
    if adopt:
        _rename_adopted(store, stored)
    if old is None or not _is_complete(store, old, stored):
        run(store, stored, cwd=cwd)
    return Handle(store, stored.sweep_id)


def run(store: Store, sweep: Sweep, *, cwd: str) -> None:
    """Ask a driver for a stored sweep, starting one if there is none; `--on inline` runs it here and now."""
    path = launch.write_launch(store.home, sweep.sweep_id, cwd)
    if sweep.executor.name == "inline":
        inline.run(store, sweep, path)
        return
    key = driver_key(store, sweep)
    with store.batch():
        if leases.owner(store, sweep.sweep_id) is None:
            store.set_state(sweep.sweep_id, "queued")
        store.request(sweep.sweep_id, key, "run", launch=path)
    launch.ensure_driver(store, key, sweep.executor, slots=sweep.budget.parallel)


def driver_key(store: Store, sweep: Sweep) -> str:
    """Name the driver to ask: the one that owns the sweep, else the one that this process would start."""
    owner = leases.owner(store, sweep.sweep_id)
    return launch.driver_key(sweep.executor) if owner is None else owner.key


def sweep(
    name: str | None = None, *, version: int | None = None, folder: str | os.PathLike[str] | None = None
) -> Handle:
    """Give the handle of a sweep: its newest version, or `version`; without a name the one started last.

    Parameters
    ----------
    folder
        The folder that holds `sweeps/`; default: the working directory, or JUPYTER_SWEEP_HOME.

    Raises
    ------
    SweepError
        For an unknown name (with the nearest ones) or version.
    """
    store = Store(home(folder), create=False)
    everything = store.sweeps()
    if not everything:
        raise SweepError(f"There are no sweeps in {store.home}.")
    wanted = everything[-1].name if name is None else name
    found = [s for s in everything if s.name == wanted and version in (None, s.version)]
    if not found and version is not None and any(s.name == wanted for s in everything):
        raise SweepError(f"Sweep {wanted!r} has no version {version}.")
    if not found:
        raise SweepError(
            f"There is no sweep {wanted!r} in {store.home}.{suggest(wanted, {s.name for s in everything})}"
        )
    return Handle(store, _newest(store, found).sweep_id)


def sweeps(where: str | os.PathLike[str] | None = None) -> list[Handle]:
    """Give handles of the newest version of every sweep of a folder, oldest name first; none when there is no store."""
    try:
        store = Store(home(where), create=False)
    except StoreError:
        if (home(where) / "sweeps.db").exists():
            raise
        return []
    newest = {s.name: s.sweep_id for s in store.sweeps()}
    return [Handle(store, sweep_id) for sweep_id in newest.values()]


def _newest(store: Store, found: list[Sweep]) -> Sweep:
    """The version that was run last: re-executing an older cell takes up its version again."""
    return max(found, key=lambda s: (store.times(s.sweep_id)[0] or 0.0, s.version))


def _same_version(store: Store, sweep: Sweep, *, adopt: bool) -> Sweep | None:
    known = [s for s in store.sweeps(sweep.name) if adopt or s.job.fingerprint == sweep.job.fingerprint]
    return known[-1] if known else None


def _with_total(store: Store, sweep: Sweep, old: Sweep | None) -> Sweep:
    """Turn `-n +N` into a total: N more than wanted on a running sweep, N more than there are on one at rest."""
    there = 0
    if old is not None:
        running = old.state in _ACTIVE and old.budget.max_trials is not None
        there = (old.budget.max_trials or 0) if running else store.final_count(old.sweep_id) // old.budget.repetitions
    total = there + (sweep.budget.max_trials or 0)
    return dataclasses.replace(sweep, budget=dataclasses.replace(sweep.budget, max_trials=total))


def _is_complete(store: Store, old: Sweep, new: Sweep) -> bool:
    """Tell whether a sweep that ended needs nothing more: its count is reached, or nothing that limits it changed."""
    if (
        old.state not in ("finished", "failed", "stopped", "interrupted")
        or new.budget.repetitions > old.budget.repetitions
    ):
        return False
    wanted = new.budget.max_trials
    if wanted is not None and store.final_count(new.sweep_id) >= wanted * new.budget.repetitions:
        unfinished = set(store.counts(new.sweep_id)) & {TrialState.WAITING.value, TrialState.RUNNING.value}
        if not unfinished:
            store.set_state(new.sweep_id, "finished")
            return True
    same = old.space == new.space and old.budget == new.budget and old.proposer == new.proposer and old.seed == new.seed
    return same and old.state == "finished" and old.budget.max_seconds is None


def _rename_adopted(store: Store, sweep: Sweep) -> None:
    """Give the rows of the earlier version the identity that they have under the new code.

    A parameter that they lack, because it was added since, counts as being at its default.
    """
    names = {
        t.trial_id: fingerprint(
            sweep.space,
            sweep.space.complete(lambda p, t=t: t.params.get(p.name, p.start)),  # type: ignore[misc]
            t.repetition,
            sweep.job.fingerprint,
        )
        for t in store.trials(sweep.sweep_id)
    }
    store.rename_fingerprints(names)
