"""Why a sweep has its version and state, and why a trial has its own: in sentences, from what was recorded."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from ..definition import ACTIVE_STATES, Sweep
from ..errors import count
from ..jobs import changes
from ..trial import Attempt, Report, Trial, TrialState

Job = Mapping[str, Any]


def why_sweep(sweep: Sweep, trials: Sequence[Trial], before: Sweep | None, jobs: tuple[Job, Job]) -> str:
    """Say why the newest version began and what came of the last time it was asked for.

    Parameters
    ----------
    before
        The version before, or None.
    jobs
        The job files of `before` and of `sweep`; {} for one that is gone.
    """
    return "\n".join([*_why_version(sweep, before, jobs), _why_ran(sweep, trials), *_why_state(sweep)])


def _why_version(sweep: Sweep, before: Sweep | None, jobs: tuple[Job, Job]) -> list[str]:
    began = f"Version {sweep.version} of {sweep.name} began {_at(sweep.created_at)}"
    if before is None:
        return [f"{began}; it is the first."]
    if before.job.fingerprint == sweep.job.fingerprint:
        return [f"{began} because of --fresh: code and data are those of version {before.version}."]
    reasons, lines = _differences(before, sweep, jobs)
    if not reasons:
        reasons = ["something that the body imports, or --version, is not as it was"]
    head = f"{began} because this is not as in version {before.version}:"
    return [head, *(f"  - {reason}" for reason in reasons), *(f"      {line}" for line in lines)]


def _differences(before: Sweep, sweep: Sweep, jobs: tuple[Job, Job]) -> tuple[list[str], list[str]]:
    """Give what differs, and the lines of the body that do."""
    reasons = []
    if before.job.kind != sweep.job.kind:
        reasons.append(f"the job was a {before.job.kind} and is a {sweep.job.kind}")
    lines: list[str] = []
    if all(jobs):
        lines = changes.body_lines(*jobs)
        reasons += [f"the local module {name} changed" for name in changes.modules(*jobs)]
    elif before.job.source != sweep.job.source:
        reasons.append("perhaps the body: its text differs, and the files of the earlier job are gone")
    reasons += changes.captures(before.job.captures, sweep.job.captures)
    return ([*reasons, "the body changed:"] if lines else reasons), lines


def _why_ran(sweep: Sweep, trials: Sequence[Trial]) -> str:
    asked = f"It was asked for last {_at(sweep.taken_up_at)}"
    ran = [t for t in trials if t.started_at is not None and t.started_at >= sweep.taken_up_at]
    if ran:
        return f"{asked}; since then {count(len(ran), 'trial')} ran."
    if sweep.state in ACTIVE_STATES:
        return f"{asked}; no trial has started since."
    done = sum(t.is_final and t.counts and t.repetition == 0 for t in trials)
    wanted = sweep.budget.max_trials
    if wanted is not None and done >= wanted:
        return f"{asked}, and nothing ran: the {wanted} wanted with -n are there ({done} done). -n +10 adds to them."
    if sweep.state == "finished":
        return f"{asked}, and nothing ran: {sweep.message or 'the space is exhausted'} ({count(done, 'trial')} done)."
    return f"{asked}, and nothing ran since."


def _why_state(sweep: Sweep) -> list[str]:
    said = f": {sweep.message}" if sweep.message else ""
    resume = f" Go on with: %sweep resume {sweep.name}"
    if sweep.state in ACTIVE_STATES or (sweep.state == "finished" and not said):
        return []
    return [f"It is {sweep.state}{said}.{resume if sweep.state != 'finished' else ''}".replace("..", ".")]


# -- one trial --------------------------------------------------------------------------------------------------------


def why_trial(sweep: Sweep, trial: Trial, attempts: Sequence[Attempt], reports: Sequence[Report], busy: str) -> str:
    """Say why a trial is what it is: its end, its attempts, the limits that hold for it.

    Parameters
    ----------
    attempts
        The earlier attempts of this trial.
    reports
        The reports of this trial.
    busy
        What keeps it waiting, if it does, as far as it is known.
    """
    reason = f" ({trial.reason})" if trial.reason else ""
    lines = [f"Trial {trial.number} of {sweep.name} is {trial.state}{reason}: {_end(sweep, trial, reports, busy)}"]
    lines += [_attempt(a.attempt, a.worker, a.started_at, a.ended_at, f"{a.reason}: {a.error}") for a in attempts]
    if trial.started_at is not None and (attempts or trial.state is not TrialState.RUNNING):
        end = f"{trial.reason or trial.state}"
        lines.append(_attempt(trial.attempt, trial.worker, trial.started_at, trial.finished_at, end))
    lines.append(f"It was {_origin(trial)}.")
    lines.append(_limits(sweep, trial))
    return "\n".join(lines)


def _end(sweep: Sweep, trial: Trial, reports: Sequence[Report], busy: str) -> str:
    if trial.state is TrialState.WAITING:
        return f"{busy}."
    if trial.state is TrialState.RUNNING:
        return f"on {trial.worker} since {_at(trial.started_at)}, attempt {trial.attempt}."
    if trial.state is TrialState.COMPLETED:
        values = ", ".join(f"{name}={value:.6g}" for name, value in trial.metrics.items())
        return f"its body ran to the end with {values}."
    if trial.reason == "constraint":
        return f"a require(...) of the body did not hold, so it is not counted. {trial.error}".rstrip()
    if trial.state is TrialState.PRUNED:
        return f"{_pruned(sweep, reports)}."
    if trial.state is TrialState.CANCELLED:
        return _cancelled(sweep, trial)
    return f"{trial.error or trial.reason}."


def _pruned(sweep: Sweep, reports: Sequence[Report]) -> str:
    rule = f"--stop {sweep.pruner} ended it"
    if not reports:
        return rule
    last, metric = reports[-1], sweep.objective.metric
    value = f" with {metric}={last.metrics[metric]:.6g}" if metric in last.metrics else ""
    return f"{rule} after its report of step {last.step}{value}"


def _cancelled(sweep: Sweep, trial: Trial) -> str:
    if trial.reason == "upstream":
        return f"the trial that it builds on did not complete. {trial.error}".rstrip()
    where = "while it ran" if trial.started_at is not None else "before it began"
    because = f" ({sweep.message})" if sweep.message else ""
    return f"the sweep came to rest {where}{because}; the point may be drawn again."


def _attempt(number: int, worker: str, started_at: float | None, ended_at: float | None, end: str) -> str:
    where = f" on {worker}" if worker else ""
    if started_at is None:
        return f"  attempt {number}{where}: never began; {end}"
    took = "" if ended_at is None else f" for {ended_at - started_at:.3g} s"
    return f"  attempt {number}{where}, {_at(started_at)}{took}: {end}"


def _origin(trial: Trial) -> str:
    if trial.proposal < 0:
        return "not drawn: it is the trial of the defaults, or was entered by hand"
    repetition = f", repetition {trial.repetition}" if trial.repetition else ""
    return f"draw {trial.proposal} of the algorithm{repetition}, queued {_at(trial.queued_at)}"


def _limits(sweep: Sweep, trial: Trial) -> str:
    budget = sweep.budget
    limits = [f"--timeout {budget.timeout_s:g} s" if budget.timeout_s else "no timeout"]
    limits.append(f"--mem {budget.memory_gb:g} GB" if budget.memory_gb else "no memory limit")
    tries = f"{count(budget.attempts, 'attempt')} (--retry {budget.attempts - 1})"
    limits.append(f"{tries}, beside those lost with a worker")
    peak = "" if trial.peak_memory_gb is None else f" It held {trial.peak_memory_gb:.3g} GB at most."
    return f"Its limits: {', '.join(limits)}.{peak}"


def _at(seconds: float | None) -> str:
    """Give a time as the user's clock showed it; with the date when it was not today."""
    if seconds is None:
        return "at an unknown time"
    then, now = time.localtime(seconds), time.localtime()
    return time.strftime("at %H:%M:%S" if then[:3] == now[:3] else "on %Y-%m-%d at %H:%M:%S", then)
