"""Start a sweep and find it again: the door that all faces come in by. What they get is a `Handle`."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .definition import ACTIVE_STATES, Sweep
from .errors import Mistake, Mistakes, StoreError, SweepError, suggest
from .executors import clusters
from .handle import Handle
from .jobs.base import Job, JobRef
from .jobs.function import FunctionJob, function_job
from .notation import options as notation
from .notation import profiles, table
from .notation.options import Options
from .results import failures
from .runner import beside, foresight, inline, launch
from .space.fingerprint import as_of_today, fingerprint
from .space.space import Space
from .store import folder as layout
from .store import leases
from .store.sqlite import Store
from .trial import TrialState

_beside: Callable[[], Path] = Path.cwd


@dataclasses.dataclass(frozen=True)
class Manner:
    """How `run(...)` reads its options, waits and speaks in this process.

    Parameters
    ----------
    options
        Gives the options to use for those of a call.
    wait
        Waits for a sweep that was started.
    say
        Shows a sentence about a sweep that has ended.
    """

    options: Callable[[dict[str, Any]], dict[str, Any]] = dict
    wait: Callable[[Handle], object] = Handle.wait
    say: Callable[[str], object] = print


_manner = Manner()


def run_in(manner: Manner | None) -> None:
    """Have `run(...)` behave so: the command line lays its own options over a script's and shows how far it is."""
    global _manner
    _manner = manner or Manner()


def look_beside(notebook: Callable[[], Path] | None) -> None:
    """Have `sweep(name)` and `run(...)` look for `sweeps/` in the folder that `notebook` gives; None: in the cwd.

    A notebook that changes its working directory still finds its sweeps.
    """
    global _beside
    _beside = notebook or Path.cwd
    profiles.look_beside(notebook)


def from_notebook(folder: Path) -> str:
    """Give a folder's path from the notebook's folder, or its whole path where it is not below that."""
    try:
        return folder.resolve().relative_to(_beside().resolve()).as_posix()
    except ValueError:
        return str(folder.resolve())


def home(where: str | os.PathLike[str] | None = None) -> Path:
    """Give the folder of the store: JUPYTER_SWEEP_HOME, else `sweeps` under `where` or beside the notebook."""
    named = os.environ.get("JUPYTER_SWEEP_HOME")
    return Path(named).expanduser().absolute() if named else Path(where or _beside()).absolute() / "sweeps"


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
    _look_at_place(sweep, home)
    store = Store(home)
    leases.refuse_second_host(store)
    sweep = dataclasses.replace(sweep, job=_with_warnings(sweep, job.write(str(home / layout.DATA))))
    with store.batch():  # what two processes add at once is added twice
        old = _same_version(store, sweep, adopt=adopt) if not fresh else None
        if old is not None and not sweep.has_driver:
            inline.refuse_taken(store, old)
        if old is not None:
            _refuse_other_devices(store, old, sweep)
            sweep = dataclasses.replace(sweep, adopted=_adopted(store, old, sweep))
        if added:
            sweep = _with_total(store, sweep, old)
        stored = store.create_sweep(sweep, fresh=fresh, adopt=adopt)
        if adopt:
            _rename_adopted(store, stored)
        is_complete = old is not None and _is_complete(store, old, stored)
        asked = None if is_complete else launch.ask(store, stored, cwd=cwd)
    if asked is not None:
        launch.fulfil(store, stored, asked)
    elif stored.log:
        beside.follow(store, stored, launch.write_launch(store.home, stored.sweep_id, cwd))
    return Handle(store, stored.sweep_id)


def foreseen(
    sweep: Sweep, home: Path, *, added: bool = False, fresh: bool = False, adopt: bool = False
) -> tuple[Sweep, Handle | None]:
    """Give what `start` would write, and the version that it would take up, or None; nothing is written.

    The parameters are those of `start`.
    """
    if fresh or not (home / "sweeps.db").exists():
        return sweep, None
    store = Store(home, create=False)
    old = _same_version(store, sweep, adopt=adopt)
    sweep = _with_total(store, sweep, old) if added else sweep
    return sweep, None if old is None else Handle(store, old.sweep_id)


def run(job: Callable[..., Any], space: Space, **options: Any) -> Handle:
    """Sweep over a function: the `%%sweep` cell without a magic.

    Parameters
    ----------
    job
        Called with the parameters as keywords; gives the target as a number, or a dict that holds it, or reports it.
    space
        What may vary.
    **options
        The options of the `%%sweep` line by their long names with `_` for `-`: `name`, `min` or `max`, `n`, `algo`,
        `stop`, `time`, `repeat`, `on`, `jobs`, `timeout`, `retry`, `seed`, ... With `bg=True` the call returns at once.

    Returns
    -------
    Handle
        The same that `sweep(name)` gives; after the last trial unless `bg=True`, and if some failed after a printed
        sentence on why. A passive sweep only proposes its first trials: `handle.enter(NUMBER, metric=value)` takes
        their results.

    Raises
    ------
    SweepError
        For all mistakes in the options, the job and the space, before anything is started; and when the sweep fails.
    """
    given, made = _prepared(job, space, _manner.options(options))
    sweep = notation.build(
        given,
        name=given.name or _default_name(job, given.targets[0]),
        space=made.space,
        job=JobRef(made.kind, made.fingerprint, "", source=made.source),
    )
    handle = start(
        sweep, made, home=home(), cwd=os.getcwd(), added=given.added, fresh=given.fresh, adopt=given.code == "ignore"
    )
    if not given.bg and not sweep.is_passive:
        _manner.wait(handle)
        if handle.state == "failed":
            raise SweepError(f"Sweep {handle.name!r} failed: {handle.definition.message}")
        if said := failures.told(handle.trials()):
            _manner.say(said)
    return handle


def _default_name(job: Any, target: str) -> str:
    """Name a call after its function and the first target; a partial has its function's name, an object its class's."""
    while isinstance(job, functools.partial):
        job = job.func
    stem = str(getattr(job, "__name__", type(job).__name__)).strip("_<>")
    whole = f"{stem}-{target}"
    return whole if table.NAME.fullmatch(whole) else table.default_name(stem, target)


def _prepared(job: Callable[..., Any], space: Space, keywords: dict[str, Any]) -> tuple[Options, FunctionJob]:
    """Read a call of `run`; raise Mistakes with those of its options, its job and its space."""
    given, made = None, None
    mistakes: list[Mistake] = []
    try:
        given = notation.from_keywords(**keywords)
    except Mistakes as error:
        mistakes += error.mistakes
    asked = given or Options()  # of options that can't be read none changes what is wrong with the job
    try:
        made = function_job(
            job, space, folder=os.getcwd(), targets=asked.targets, ignore=asked.ignore, version_tag=asked.version
        )
    except Mistakes as error:
        mistakes += error.mistakes
    except SweepError as error:
        mistakes.append(Mistake(str(error)))
    if given is not None and isinstance(space, Space) and space.names:
        refused = notation.refusals(given, space if made is None else made.space)
        mistakes += [dataclasses.replace(m, line=None) for m in refused]  # a call is not a cell with lines
    if mistakes or given is None or made is None:
        raise Mistakes(dict.fromkeys(mistakes))
    return given, made


def sweep(
    name: str | None = None, *, version: int | None = None, folder: str | os.PathLike[str] | None = None
) -> Handle:
    """Give the handle of a sweep: its newest version, or `version`; without a name the one started last.

    Parameters
    ----------
    folder
        The folder that holds `sweeps/`, or that folder itself; default: JUPYTER_SWEEP_HOME, else beside the notebook.

    Raises
    ------
    SweepError
        For an unknown name (with the nearest ones) or version.
    """
    if folder is None:
        return find(name, home(), version=version)
    given = Path(folder).expanduser().absolute()
    return find(name, given if (given / "sweeps.db").exists() else given / "sweeps", version=version)


def find(name: str | None, home: Path, *, version: int | None = None) -> Handle:
    """Give the handle of a sweep of the store in `home`; otherwise as `sweep`."""
    store = Store(home, create=False)
    everything = store.sweeps()
    if not everything:
        raise SweepError(f"There are no sweeps in {store.home}.")
    wanted = _newest(everything).name if name is None else name
    found = [s for s in everything if s.name == wanted and version in (None, s.version)]
    if not found and version is not None and any(s.name == wanted for s in everything):
        raise SweepError(f"Sweep {wanted!r} has no version {version}.")
    if not found:
        raise SweepError(
            f"There is no sweep {wanted!r} in {store.home}.{suggest(wanted, {s.name for s in everything})}"
        )
    return Handle(store, _newest(found).sweep_id)


def sweeps(where: str | os.PathLike[str] | None = None) -> list[Handle]:
    """Give handles of the newest version of every sweep of a folder, oldest name first; none when there is no store."""
    try:
        store = Store(home(where), create=False)
    except StoreError:
        if (home(where) / "sweeps.db").exists():
            raise
        return []
    named: dict[str, list[Sweep]] = {}
    for found in store.sweeps():
        named.setdefault(found.name, []).append(found)
    return [Handle(store, _newest(versions).sweep_id) for versions in named.values()]


def nothing_left(handle: Handle) -> str:
    """Say that a sweep is finished, where resuming it would do nothing; else "". Trackers may still lack some of it."""
    sweep = handle.definition
    if sweep.state != "finished" or not handle.ended or sweep.log or foresight.coming(sweep, handle.trials(), 1):
        return ""
    return f"{sweep.name} is finished already{f': {sweep.message}' if sweep.message else '; -n +10 adds trials'}."


def _look_at_place(sweep: Sweep, home: Path) -> None:
    """Refuse a sweep whose cluster can't be had, before anything is written.

    Not one that has been here: what is done is shown when its cluster is long gone, and its driver says if more is
    wanted than there is.
    """
    if (home / "sweeps.db").exists() and _same_version(Store(home, create=False), sweep, adopt=False) is not None:
        return
    kind = str(sweep.executor.options.get("on", sweep.executor.name)).partition(":")[0]
    if kind in clusters.KINDS:
        clusters.check(clusters.parse(sweep.executor.name, sweep.executor.options))


def _newest(found: list[Sweep]) -> Sweep:
    """The one that was asked for last: running an older cell again takes up its version, even with nothing to do."""
    return max(found, key=lambda s: (s.taken_up_at, s.sweep_id))


def _with_warnings(sweep: Sweep, job: JobRef) -> JobRef:
    """Add what is to be said about the place: it is allowed, and asks for more than there is."""
    place = sweep.executor
    if not clusters.is_here(place.name, place.options):
        return job
    where = clusters.parse(place.name, place.options)
    said = clusters.warnings(where, sweep.budget.parallel, sweep.budget.memory_gb)
    return dataclasses.replace(job, warnings=(*job.warnings, *said))


def _refuse_other_devices(store: Store, old: Sweep, new: Sweep) -> None:
    """Raise SweepError when a sweep that runs is asked to have other devices: its driver's slots have theirs."""
    before, after = ((s.resources.gpus, s.resources.devices) for s in (old, new))
    if before != after and leases.owner(store, old.sweep_id) is not None:
        raise SweepError(
            f"Sweep {old.name!r} runs with --gpus {before[0]:g}, and its slots keep their devices while it does. "
            f"Wait for its end or stop it (%sweep stop {old.name}), then run this again."
        )


def _same_version(store: Store, sweep: Sweep, *, adopt: bool) -> Sweep | None:
    known = [s for s in store.sweeps(sweep.name) if adopt or s.job.fingerprint == sweep.job.fingerprint]
    return known[-1] if known else None


def _with_total(store: Store, sweep: Sweep, old: Sweep | None) -> Sweep:
    """Turn `-n +N` into a total: N more than wanted on a running sweep, N more than there are on one at rest."""
    there = 0
    if old is not None:
        active = old.state in ACTIVE_STATES or store.asked_at(old.sweep_id, "run") is not None
        running = active and old.budget.max_trials is not None
        there = (old.budget.max_trials or 0) if running else store.configuration_count(old.sweep_id)
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
    if wanted is not None and store.configuration_count(new.sweep_id) >= wanted:
        unfinished = set(store.counts(new.sweep_id)) & {TrialState.WAITING.value, TrialState.RUNNING.value}
        if not unfinished:
            if old.state != "failed":
                store.set_state(new.sweep_id, "finished")
            return True
    same = old.space == new.space and old.budget == new.budget and old.proposer == new.proposer and old.seed == new.seed
    return same and old.state == "finished" and old.budget.max_seconds is None


def _adopted(store: Store, old: Sweep, new: Sweep) -> dict[str, int]:
    """Count the finished trials that `new` takes over from other code than its own, now or before, by that code."""
    adopted = dict(old.adopted)
    if old.job.fingerprint != new.job.fingerprint:
        counts = store.counts(old.sweep_id)
        finished = counts.get(TrialState.COMPLETED.value, 0) + counts.get(TrialState.PRUNED.value, 0)
        adopted[old.job.fingerprint] = finished - sum(adopted.values())
        adopted.pop(new.job.fingerprint, None)  # code that is back again: they are its own
    return {code: n for code, n in adopted.items() if n > 0}


def _rename_adopted(store: Store, sweep: Sweep) -> None:
    """Give the rows of the earlier version the identity that they have under the new code.

    Rows that differ only in a parameter that is gone are now the same: the first one stands for them.
    """
    names: dict[str, int] = {}
    for t in store.trials(sweep.sweep_id):
        if t.state is not TrialState.CANCELLED:
            params = as_of_today(sweep.space, t.params)
            names.setdefault(fingerprint(sweep.space, params, t.repetition, sweep.job.fingerprint), t.trial_id)
    store.rename_fingerprints({trial_id: name for name, trial_id in names.items()})
