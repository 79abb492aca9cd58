"""Rebuild what a driver keeps in memory from the store, for every algorithm alike: nothing is ever unpickled.

A fresh proposer is told every trial in order of number (unfinished ones as running), a fresh pruner is shown every
report in order of arrival. Both are functions of what they were told, so a sweep that was killed goes on as if it had
not been.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import plugins
from ..definition import Sweep
from ..space.codec import key
from ..space.fingerprint import as_of_today, fingerprint, seed_for
from ..space.space import Space
from ..store import leases
from ..store.sqlite import NewTrial, Store
from ..trial import Metrics, Params, Report, Trial, TrialState
from .limits import Tally

#: How the labels of workers begin whose trials are processes of this host.
_HERE = ("local", "threads", leases.HOST)
#: In the command line of every driver.
_DRIVER = b"jupyter_sweep.runner.driver"


@dataclass
class History:
    """What is known of one version of a sweep: the proposer and pruner that saw it, and what stands open."""

    space: Space
    proposer: Any
    pruner: Any
    tally: Tally = field(default_factory=Tally)
    waiting: deque[Trial] = field(default_factory=deque)
    durations: deque[float] = field(default_factory=lambda: deque(maxlen=50))
    #: Trials of each configuration by repetition, until all are final and told: a driver does not grow with history.
    groups: dict[str, dict[int, Trial]] = field(default_factory=dict)
    configurations: int = 0
    cancelled: dict[str, str] = field(default_factory=dict)  # folders by fingerprint, for their checkpoints
    completed: int = 0
    last_error: str = ""

    def enter(self, trial: Trial) -> str:
        """Put a trial into the group of its configuration, and give the group's name."""
        name = self.configuration(trial)
        self.configurations += name not in self.groups
        self.groups.setdefault(name, {})[trial.repetition] = trial
        return name

    def configuration(self, trial: Trial) -> str:
        """Name the configuration of a trial, the same for all its repetitions."""
        return key(as_of_today(self.space, trial.params))


def rebuild(store: Store, sweep: Sweep) -> History:
    """Give the history of a sweep whose unfinished trials are all waiting (see `release_orphans`)."""
    return recalled(sweep, lambda: store.each_trial(sweep.sweep_id), store.each_report(sweep.sweep_id))


def recalled(sweep: Sweep, trials: Callable[[], Iterable[Trial]], reports: Iterable[Report] = ()) -> History:
    """Give the history that these trials and reports make; without the reports its pruner knows next to nothing.

    The trials are gone through twice, so that a configuration can be let go of with the last trial of it: a driver
    that has run ten thousand does not hold them all once more whenever somebody asks for ten others.
    """
    history = History(
        space=sweep.space,
        proposer=new_proposer(sweep),
        pruner=plugins.load("pruner", sweep.pruner.name)(sweep.objective, **sweep.pruner.options),
    )
    for report in reports:
        history.pruner.observe(report)
    to_come = Counter(history.configuration(trial) for trial in trials() if trial.state is not TrialState.CANCELLED)
    for trial in trials():
        if trial.is_final:
            note_final(history, trial)
        else:
            history.waiting.append(trial)
        if trial.state is TrialState.CANCELLED:  # that point may be proposed again
            history.cancelled[trial.fingerprint] = trial.folder
            continue
        name = history.enter(trial)
        to_come[name] -= 1
        if not to_come[name]:
            tell(history, sweep, name)
    return history


def new_proposer(sweep: Sweep) -> Any:
    """Give the sweep's proposer, which knows nothing yet."""
    make = plugins.load("proposer", sweep.proposer.name)
    return make(sweep.space, sweep.objectives, seed=sweep.seed, **sweep.proposer.options)


def told(store: Store, sweep: Sweep) -> list[Trial]:
    """Give what a proposer must be told to go on from what the store holds."""
    groups: dict[str, dict[int, Trial]] = {}
    for trial in store.each_trial(sweep.sweep_id):
        if trial.state is not TrialState.CANCELLED:
            groups.setdefault(key(as_of_today(sweep.space, trial.params)), {})[trial.repetition] = trial
    return [_standing_for(sweep, group) for group in groups.values()]


def note_final(history: History, trial: Trial) -> None:
    """Enter one final trial into the counts; telling the proposer is separate."""
    history.tally.add(trial)
    history.pruner.finished(trial)
    history.completed += trial.state is TrialState.COMPLETED
    if trial.state is TrialState.FAILED:
        history.last_error = trial.error or trial.reason
    if trial.duration_s is not None and trial.state is TrialState.COMPLETED:
        history.durations.append(trial.duration_s)


def tell(history: History, sweep: Sweep, name: str) -> None:
    """Tell the proposer of one configuration, and let go of it if there is nothing more to be told of it."""
    group = history.groups[name]
    history.proposer.tell(_standing_for(sweep, group))
    if _is_settled(sweep, group):
        del history.groups[name]


def _standing_for(sweep: Sweep, group: dict[int, Trial]) -> Trial:
    """Give one trial for a configuration: its mean over the repetitions once all are final, else that it runs."""
    first = group[min(group)]
    if not _is_settled(sweep, group):
        trial = first.with_(state=TrialState.RUNNING)
    elif len(group) == 1:
        trial = first
    else:
        trial = _mean(list(group.values()))
    return trial.with_(params=as_of_today(sweep.space, trial.params))


def _is_settled(sweep: Sweep, group: dict[int, Trial]) -> bool:
    return len(group) >= sweep.budget.repetitions and all(trial.is_final for trial in group.values())


def _mean(trials: list[Trial]) -> Trial:
    """Give one trial that stands for all repetitions: the mean of those that completed, else the first as it ended."""
    completed = [t for t in trials if t.state is TrialState.COMPLETED]
    if not completed:
        return trials[0]
    names = set.intersection(*(set(t.metrics) for t in completed))
    metrics: Metrics = {name: sum(t.metrics[name] for t in completed) / len(completed) for name in sorted(names)}
    return completed[0].with_(metrics=metrics)


def new_trials(sweep: Sweep, params: Params, proposal: int) -> list[NewTrial]:
    """Give the trials of one configuration, one a repetition."""
    return [
        NewTrial(
            params=params,
            fingerprint=fingerprint(sweep.space, params, repetition, sweep.job.fingerprint),
            repetition=repetition,
            seed=seed_for(sweep.seed, params, repetition),
            proposal=proposal,
        )
        for repetition in range(sweep.budget.repetitions)
    ]


def missing_repetitions(sweep: Sweep, history: History) -> list[NewTrial]:
    """Give the trials that are wanted because `--repeat` was raised: further repetitions of what was run before."""
    missing = []
    for group in history.groups.values():
        first = group[min(group)]
        if first.counts:
            params = as_of_today(sweep.space, first.params)
            missing += [t for t in new_trials(sweep, params, first.proposal) if t.repetition not in group]
    return missing


def release_orphans(store: Store, sweep: Sweep, *, at: float) -> int:
    """Put the trials of a dead driver back to waiting, after ending what is left of their processes."""
    for trial in store.trials(sweep.sweep_id, state=TrialState.RUNNING):
        if trial.pid is not None and trial.worker.partition("/")[0] in _HERE:  # elsewhere it is another's number
            _end_leftover(trial.pid)
    return requeue_running(store, sweep, why="the driver ended while this attempt ran", at=at)


def requeue_running(store: Store, sweep: Sweep, *, why: str, at: float) -> int:
    """Put the trials that run back to waiting, without their fault; give how many."""
    with store.batch():
        running = store.trials(sweep.sweep_id, state=TrialState.RUNNING)
        for trial in running:
            store.requeue(trial, reason="driver", error=why, at=at)
    return len(running)


def _end_leftover(pid: int) -> None:
    """Kill the process group of a trial whose driver is dead, if the pid is still that of one of our processes.

    Numbers are given again: a trial below a driver is that driver's, which lives, perhaps for another folder.
    """
    if b"sweep-trial" in _command(pid) and not any(_DRIVER in _command(above) for above in _ancestors(pid)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def _command(pid: int) -> bytes:
    with contextlib.suppress(OSError):  # it is gone
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def _ancestors(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        while pid > 1:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            yield pid
