"""Passive sweeps: a person evaluates what is proposed, and enters the results.

Nothing runs between two entries, which may be days apart, so there is no driver. Whoever begins such a sweep or enters
a result owns it for that moment and turns the loop once: the result is recorded, the next trials are proposed, and
stand as waiting in the store.
"""

from __future__ import annotations

import contextlib
import math
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from .. import plugins
from ..definition import Sweep
from ..errors import SweepError
from ..executors.base import Finished
from ..store import folder, leases
from ..store.sqlite import Store
from ..trial import Metrics, Trial, TrialState
from ..worker.trial import clean
from .loop import Loop

#: Trials that wait at once without --jobs: so many where results don't decide what comes next, else one.
STANDING = 20
#: How long somebody else's entry may take.
_TURN_S = 10.0
_POLL_S = 0.02


def begin(store: Store, sweep: Sweep, launch: str) -> None:
    """Propose the first trials of a sweep, or those that are missing."""
    with _owned(store, sweep):
        _turn(store, store.sweep(sweep.sweep_id), launch, None)


def enter(store: Store, sweep: Sweep, number: int, metrics: Mapping[str, Any], *, failed: str = "") -> Trial:
    """Record the result of a waiting trial and propose the next; give the trial as it is now.

    Parameters
    ----------
    metrics
        Numbers by name; all targets are among them. A target that is NaN makes a failed trial.
    failed
        Why there is no result, where there is none.

    Raises
    ------
    SweepError
        For a sweep that is not passive or has been stopped, a trial that doesn't wait, and metrics that are wrong.
    """
    _refuse_active(sweep)
    end = _end(sweep, number, metrics, failed)
    with _owned(store, sweep):
        sweep = store.sweep(sweep.sweep_id)
        trial = _waiting(store, sweep, number)
        if sweep.state != "running":
            raise SweepError(
                f"{sweep.name} is {sweep.state}; to enter results go on with it: %sweep resume {sweep.name}"
            )
        at = time.time()
        event = replace(end, trial_id=trial.trial_id, at=at, duration_s=at - (trial.queued_at or at))
        _turn(store, sweep, str(folder.launch_path(store.home, sweep.sweep_id)), event)
    entered = store.trial(sweep.name, number)
    assert entered is not None
    return entered


def _refuse_active(sweep: Sweep) -> None:
    """Raise SweepError for a sweep whose trials are run by machines."""
    if not sweep.is_passive:
        raise SweepError(
            f"The trials of {sweep.name} are run, not entered. Results are entered into a sweep with --algo passive."
        )


def _all_waiting(store: Store, sweep: Sweep) -> list[Trial]:
    """Give the trials that wait for their results, in order of number."""
    return store.trials(sweep.sweep_id, state=TrialState.WAITING)


def _waiting(store: Store, sweep: Sweep, number: int) -> Trial:
    trial = store.trial(sweep.name, number)
    if trial is None or trial.sweep_id != sweep.sweep_id:
        raise SweepError(f"Version {sweep.version} of {sweep.name} has no trial {number}.{_those(store, sweep)}")
    if trial.state is not TrialState.WAITING:
        raise SweepError(f"Trial {number} is {trial.state} and does not change any more.{_those(store, sweep)}")
    return trial


def _those(store: Store, sweep: Sweep) -> str:
    numbers = ", ".join(str(trial.number) for trial in _all_waiting(store, sweep))
    return f" These wait for their results: {numbers}." if numbers else " None waits for its result."


def _end(sweep: Sweep, number: int, metrics: Mapping[str, Any], failed: str) -> Finished:
    """Give the end of a trial as it was entered; SweepError with all that is wrong with it."""
    targets = [objective.metric for objective in sweep.objectives]
    if failed:
        if metrics:
            raise SweepError(f"Trial {number} has failed or has a result, not both.")
        return Finished(0, "failed", "error", error=clean(failed))
    numbers, wrong = _numbers(metrics)
    missing = [target for target in targets if target not in metrics]
    if missing:
        wrong.append(f"{' and '.join(missing)} is missing: write {sweep.blank_result}")
    if wrong:
        raise SweepError(f"The result of trial {number} can't be entered. {'; '.join(wrong)}.")
    bad = [target for target in targets if math.isnan(numbers[target])]
    if bad:
        return Finished(0, "failed", "nan", numbers, error=f"{', '.join(bad)} is not a number (NaN)")
    return Finished(0, "completed", metrics=numbers)


def _numbers(metrics: Mapping[str, Any]) -> tuple[Metrics, list[str]]:
    numbers, wrong = {}, []
    for name, value in metrics.items():
        if not name.isidentifier():
            wrong.append(f"{name!r} is no name of a metric")
            continue
        try:
            numbers[name] = float(value)
        except (TypeError, ValueError, OverflowError):
            wrong.append(f"{name} wants a number, got {value!r:.80}")
    return numbers, wrong


@contextlib.contextmanager
def _owned(store: Store, sweep: Sweep) -> Iterator[None]:
    """Own the sweep for a moment; waits for others who do."""
    leases.refuse_second_host(store)
    driver_id = leases.register(store, f"person-{uuid.uuid4().hex[:12]}")
    assert driver_id is not None  # nobody else has that key
    limit = time.monotonic() + _TURN_S
    try:
        while not leases.claim(store, sweep.sweep_id, driver_id):
            if time.monotonic() > limit:
                raise SweepError(f"Sweep {sweep.name!r} is held by another process; wait for it or stop it first.")
            time.sleep(_POLL_S)
        try:
            yield
        finally:
            leases.release(store, sweep.sweep_id)
    finally:
        leases.sign_off(store, driver_id)


def _turn(store: Store, sweep: Sweep, launch: str, event: Finished | None) -> None:
    person = plugins.load("executor", "person")()
    loop = Loop(store, _with_width(sweep), person, launch)
    try:
        _propose(loop)
        if event is not None and person.enter(event):
            loop.handle(person.events(0))
            _propose(loop)
        loop.settle()
        if loop.ending:  # too many have failed: what still waits does so in vain
            loop.handle(person.events(0))
            loop.settle()
    finally:
        loop.close()


def _propose(loop: Loop) -> None:
    while loop.submit():
        pass


def _with_width(sweep: Sweep) -> Sweep:
    """Say how many trials wait at once where the definition doesn't."""
    adaptive = plugins.load("proposer", sweep.proposer.options.get("algo", "random")).adaptive
    standing = sweep.budget.parallel or (1 if adaptive else STANDING)
    return replace(sweep, budget=replace(sweep.budget, parallel=standing))
