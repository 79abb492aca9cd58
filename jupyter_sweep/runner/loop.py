"""The loop of one sweep: ask, submit, record, prune, tell. Proposer, pruner, executor and store meet only here.

**Store first, then act.** Every event is written, in one transaction with those that came with it, before the
proposer or the pruner hears of it; every trial is written before it is submitted. A process killed between any two
lines leaves a store from which `resume.rebuild` goes on. The loop itself never waits: whoever drives it (the driver
process, or the kernel with `--on inline`) fetches the events and calls `handle`, `obey`, `submit` and `settle` in turn.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ..definition import Sweep
from ..errors import SweepError, count
from ..executors.base import Event, Executor, Finished, Lost, Reported, Started, Task
from ..space.codec import encode, flat
from ..space.fingerprint import as_of_today
from ..store import folder
from ..store.sqlite import NewTrial, Store
from ..trial import Report, Trial, TrialState
from . import beside, limits
from .choosing import Chooser
from .resume import missing_repetitions, new_trials, note_final, rebuild, tell

#: The canary runs alone for so long at most; then the others start beside it.
CANARY_ALONE_S = 2.0


class Loop:
    """Drive one version of a sweep on an executor that other loops may share.

    Parameters
    ----------
    store
        Where everything is recorded; only this loop writes the sweep's trials.
    sweep
        The definition as stored. Unfinished trials of the store must be waiting (`resume.release_orphans`).
    executor
        Where trials run.
    launch
        Path of the file with environment and working directory for the trials.
    """

    def __init__(self, store: Store, sweep: Sweep, executor: Executor, launch: str) -> None:
        self.store, self.sweep, self.executor, self.launch = store, sweep, executor, launch
        self.flying: dict[int, Trial] = {}
        self._batch_of: dict[int, set[int]] = {}  # by trial: those of its batch that have not ended
        self._batches = 0  # that are out
        self._unfinished = 0  # configurations, by their first repetition: counted along, for there may be thousands
        self._shunned: dict[int, tuple[int, list[str]]] = {}  # by trial: its attempt, workers of the earlier ones
        self.paused = False
        self.ending = ""  # the state that the sweep takes once nothing runs
        self.message = ""
        self.ended = False
        self._deadline: float | None = None
        self._canary: tuple[int, float] | None = None
        self._take_up(sweep)
        store.set_state(sweep.sweep_id, "running")
        beside.follow(store, sweep, launch)

    def redefine(self, sweep: Sweep) -> None:
        """Take up a changed definition (more trials, other ranges, another algorithm); what runs goes on."""
        self._chooser.close()
        self._take_up(sweep)
        self.recall_excess()
        beside.follow(self.store, sweep, self.launch)

    def _take_up(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.history = rebuild(self.store, sweep)
        self._chooser = Chooser(self.store, sweep, self.history, self.executor.slots)
        self.history.waiting = deque(t for t in self.history.waiting if t.trial_id not in self.flying)
        self._unfinished = sum(t.repetition == 0 for t in (*self.flying.values(), *self.history.waiting))
        self.paused, self.ending, self.message = False, "", ""
        seconds = sweep.budget.max_seconds
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self._add(missing_repetitions(sweep, self.history))
        if not self.history.configurations and sweep.canary:
            self._add_canary()
        excess = limits.excess_of_failures(sweep, self.history.tally)
        if excess:
            self.end("failed", f"{excess}: {self.history.last_error}")

    def resize(self, parallel: int) -> None:
        """Run so many trials at once from now on; what runs goes on."""
        self.sweep = replace(self.sweep, budget=replace(self.sweep.budget, parallel=parallel))
        self.recall_excess()

    def recall_excess(self) -> None:
        """Have trials come back that have not begun, where more are out than may be now."""
        if self._batches > self.width:
            self._recall()

    def _recall(self) -> None:
        self.executor.recall([i for i, trial in self.flying.items() if trial.state is TrialState.WAITING])

    # -- what came back -----------------------------------------------------------------------------------------------

    def handle(self, events: Sequence[Event]) -> None:
        """Record events in one transaction, then let pruner and proposer act on them."""
        actions: list[Callable[[], None]] = []
        with self.store.batch():
            for event in events:
                if event.trial_id in self.flying:
                    actions += self._record(event)
        for action in actions:
            action()

    def _record(self, event: Event) -> list[Callable[[], None]]:
        trial = self.flying[event.trial_id]
        if isinstance(event, Started):
            worker, pid, device = event.worker, event.pid, event.device
            self.store.start_trial(trial.trial_id, worker=worker, pid=pid, at=event.at, device=device)
            self.flying[trial.trial_id] = trial.with_(
                state=TrialState.RUNNING, worker=worker, pid=pid, device=device, started_at=event.at
            )
            return []
        if isinstance(event, Reported):
            report = Report(trial.trial_id, event.step, event.metrics, event.at, trial.attempt)
            self.store.add_reports([report])
            return [lambda: self._judge(report)]
        return self._record_end(trial, event)

    def _judge(self, report: Report) -> None:
        reason = self.history.pruner.observe(report)
        if reason and report.trial_id in self.flying:
            self.executor.stop(report.trial_id, "pruned")

    def _record_end(self, trial: Trial, event: Finished | Lost) -> list[Callable[[], None]]:
        ended = _ended(trial, event)
        self._leave(trial)
        if ended.state is TrialState.CANCELLED and trial.state is TrialState.WAITING:  # it had not begun: it still can
            self.history.waiting.append(trial)
            self._unfinished += trial.repetition == 0
            return []
        if ended.state is TrialState.FAILED and self._may_follow(event) and not _names_no_metric(event):
            earlier = [reason for _, reason, _, _ in self.store.attempts(trial.trial_id)]
            reason = "walltime" if self._got_on(trial, event) else ended.reason
            if limits.may_retry(self.sweep, reason, earlier):
                again = self.store.requeue(ended, reason=reason, error=ended.error, at=event.at)
                if again is not None:
                    self.history.waiting.appendleft(again)
                    self._unfinished += again.repetition == 0
                    self.history.enter(again)
                return []
        folder.write_numbers(self._folder(ended) / "metrics.json", ended.metrics)
        self.store.finish_trial(ended)
        return [lambda: self._learn(ended, event)]

    def _may_follow(self, event: Finished | Lost) -> bool:
        """Tell whether another attempt would be wanted, be it when the sweep is resumed.

        In an interrupted sweep what runs goes on for as long as it takes, hours perhaps, and its worker may go
        meanwhile; and whatever ends a sweep, a worker's death is no result of the trial.
        """
        return self.ending in ("", "interrupted") or isinstance(event, Lost)

    def _got_on(self, trial: Trial, event: Finished | Lost) -> bool:
        """Tell whether an attempt that had to end kept a state for the next one to go on from."""
        planned = isinstance(event, Lost) and event.planned
        return planned and folder.checkpointed_at(self._folder(trial)) > (trial.started_at or 0.0)

    def _learn(self, trial: Trial, event: Finished | Lost) -> None:
        note_final(self.history, trial)
        tell(self.history, self.sweep, self.history.enter(trial))
        if self._canary is not None and trial.trial_id == self._canary[0]:
            self._canary = None
        if _names_no_metric(event) and self.history.completed == 0:
            self.end("failed", trial.error)
        verdict = limits.verdict_on_failures(self.sweep, self.history.tally) or limits.verdict_on_refusals(
            self.sweep, self.history.tally
        )
        if verdict and not self.ending:
            self.end("failed", f"{verdict}: {self.history.last_error}")

    def _leave(self, trial: Trial) -> None:
        del self.flying[trial.trial_id]
        self._unfinished -= trial.repetition == 0
        batch = self._batch_of.pop(trial.trial_id)
        batch.remove(trial.trial_id)
        self._batches -= not batch

    # -- what is asked of the sweep -----------------------------------------------------------------------------------

    def obey(self, verb: str) -> None:
        """Follow a request: pause or interrupt (no new trials), stop or kill (end what runs, too)."""
        if verb == "pause" and not self.ending:
            self.paused = True
            self._recall()
        elif verb == "interrupt" and not self.ending:
            self.ending, self.message = "interrupted", ""
            self._recall()
        elif verb == "stop":
            self.end("stopped", "")
        elif verb == "kill":
            self.end("interrupted", "")

    def end(self, state: str, message: str) -> None:
        """Start no more trials, cancel those that run, and take `state` once they are gone."""
        self.ending, self.message = state, message
        for trial_id in list(self.flying):
            self.executor.stop(trial_id, "cancelled")

    # -- what goes out ------------------------------------------------------------------------------------------------

    @property
    def width(self) -> int:
        """Batches that may be out at once.

        Where results decide what comes next, few or none are in reserve, and none with a single slot: several make the
        order of results a matter of chance anyway. The others keep one batch a slot in reserve. None have one when
        `--jobs` holds them below the slots, or where trials have devices: Dask decides at once which worker such a
        batch waits for.
        """
        slots: int = min(self.sweep.budget.parallel or self.executor.slots, self.executor.slots)
        if slots < self.executor.slots or self.sweep.resources.gpus:
            return slots
        if not self._looks_before_it_leaps:
            return 2 * slots
        if slots == 1 or self.sweep.budget.max_failures is not None:
            return slots
        return slots + limits.reserve(self.history.durations, slots)

    @property
    def _looks_before_it_leaps(self) -> bool:
        """Tell whether a result may change what comes next, so that nothing is sent ahead of the slots."""
        decides = self.history.proposer.adaptive or self.sweep.pruner.name != "none"
        return decides or self.sweep.budget.max_failures is not None

    def submit(self) -> bool:
        """Send one batch out if one may go and there is work for it; tell whether one went."""
        if self.paused or self.ending or self._batches >= self.width or self._canary_runs_alone():
            return False
        batch = self._take(self._batch_size())
        if not batch:
            return False
        self.flying.update((trial.trial_id, trial) for trial in batch)
        together = {trial.trial_id for trial in batch}
        self._batch_of.update(dict.fromkeys(together, together))
        self._batches += 1
        self.executor.submit([self._task(trial) for trial in batch])
        return True

    def _canary_runs_alone(self) -> bool:
        return self._canary is not None and bool(self.flying) and time.monotonic() < self._canary[1]

    def _batch_size(self) -> int:
        slots, width = self.executor.slots, self.width
        if self._looks_before_it_leaps:
            known = self.history.tally.final
            return limits.asked_together(self.history.durations, known, self._left(), slots) if width > slots else 1
        if width > slots > self._batches:  # slots are idle: each gets what goes quickest
            return 1
        return limits.batch_size(self.history.durations, self._left(), slots)

    def _left(self) -> int | None:
        return limits.configurations_left(self.sweep, self.history.tally, self._unfinished)

    def _take(self, n: int) -> list[Trial]:
        """Take up to `n` trials, new ones if there are not so many.

        A trial that failed stands back while only the worker that it failed on is free, and goes there last of all.
        """
        waiting = self.history.waiting
        failed_on = self._failed_on(waiting[0]) if waiting else []
        stands_back = bool(failed_on) and not self.executor.reaches_beyond(failed_on)
        there = len(waiting) - stands_back
        if (there < n and self._canary is None) or not waiting:
            self._propose(n - there)
        if stands_back:
            waiting.rotate(-1)
        return [waiting.popleft() for _ in range(min(n, max(1, len(waiting) - stands_back), len(waiting)))]

    def _failed_on(self, trial: Trial) -> list[str]:
        """Give the workers that earlier attempts of a trial failed on or were lost with."""
        if trial.attempt == 1:
            return []
        if self._shunned.get(trial.trial_id, (0, []))[0] != trial.attempt:
            attempts = self.store.attempts(trial.trial_id)
            workers = [worker for _, reason, _, worker in attempts if worker and reason not in ("driver", "walltime")]
            self._shunned[trial.trial_id] = trial.attempt, list(dict.fromkeys(workers))
        return self._shunned[trial.trial_id][1]

    def _propose(self, n: int) -> None:
        left = self._left()
        wanted = n if left is None else min(n, left)
        if wanted <= 0:
            return
        new = {
            trial.fingerprint: trial
            for proposal in self._chooser.ask(wanted)
            for trial in new_trials(self.sweep, proposal.params, proposal.index)
        }
        self._add([trial for name, trial in new.items() if not self.store.holds(self.sweep.sweep_id, name)])

    def _add(self, new: Sequence[NewTrial]) -> list[Trial]:
        if not new:
            return []
        added = self.store.add_trials(self.sweep, new)
        for trial in added:
            self.history.enter(trial)
        self.history.waiting.extend(added)
        self._unfinished += sum(trial.repetition == 0 for trial in added)
        return added

    def _add_canary(self) -> None:
        """Queue the trial of the defaults: it is told to the proposer as running, so that none proposes it again."""
        defaults = self.sweep.space.defaults()
        if not self.sweep.space.allows(defaults) or self.sweep.budget.max_trials == 0:
            return
        added = self._add(new_trials(self.sweep, defaults, -1))
        tell(self.history, self.sweep, self.history.enter(added[0]))
        self._canary = (added[0].trial_id, time.monotonic() + CANARY_ALONE_S)

    def _folder(self, trial: Trial) -> Any:
        return self.store.home / trial.folder

    def _task(self, trial: Trial) -> Task:
        path = folder.make_trial_folder(self.store.home, trial.folder)
        params = as_of_today(self.sweep.space, trial.params)  # it may wait since before a parameter was added
        folder.write_json(path / "params.json", flat(params))
        cancelled = self.history.cancelled.pop(trial.fingerprint, None)
        if cancelled is not None:
            folder.hand_over_checkpoint(self.store.home, cancelled, trial.folder)
        budget = self.sweep.budget
        return Task(
            trial.trial_id,
            {
                "trial_id": trial.trial_id,
                "number": trial.number,
                "attempt": trial.attempt,
                "title": self.sweep.name,
                "data": str(self.store.home / folder.DATA),
                "job": self.sweep.job.file,
                "launch": self.launch,
                "params": encode(params),
                "seed": trial.seed,
                "repetition": trial.repetition,
                "folder": str(path),
                "timeout_s": budget.timeout_s,
                "memory_gb": budget.memory_gb,
                "cpus": self.sweep.resources.cpus,
                "isolation": self.sweep.resources.runs_in,
                "grace_s": budget.grace_s,
                "avoid": self._failed_on(trial),
                "stage_dir": str(self.store.home / folder.STAGES),
            },
        )

    # -- the end ------------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Note the end of the sweep, or of its pause, once nothing runs and nothing may start."""
        if self._deadline is not None and time.monotonic() > self._deadline and not self.ending:
            self.end("finished", "the time given with --time is used up")
        if self.flying:
            return
        if self.paused:
            self._set_state("paused", "")
        elif self.ending:
            self._set_state(self.ending, self.message)
        elif not self.history.waiting and self._is_done():
            excess = limits.excess_of_failures(self.sweep, self.history.tally)
            self._set_state("failed" if excess else "finished", excess or self._closing_sentence())

    def _is_done(self) -> bool:
        return self._left() == 0 or self._chooser.exhausted

    def _closing_sentence(self) -> str:
        wanted = self.sweep.budget.max_trials
        if (wanted is None or self._left() != 0) and self._chooser.exhausted:
            return f"the space is exhausted: {count(self.history.configurations, 'configuration')}"
        return ""

    def close(self) -> None:
        """End what the loop keeps running for itself."""
        self._chooser.close()

    def _set_state(self, state: str, message: str) -> None:
        self.ended = True
        self.store.set_state(self.sweep.sweep_id, state, message)
        self.close()
        beside.follow(self.store, self.sweep, self.launch)  # where the one from the beginning died
        if state != "paused":
            beside.notify(self.store, self.sweep, self.launch)


def _names_no_metric(event: Event) -> bool:
    return isinstance(event, Finished) and event.numbers is not None


def _ended(trial: Trial, event: Finished | Lost) -> Trial:
    """Give the trial as it ended."""
    if isinstance(event, Lost):
        return trial.with_(state=TrialState.FAILED, reason="lost", error=event.why, finished_at=event.at)
    try:
        state = TrialState(event.state)
    except ValueError as error:
        raise SweepError(f"The executor gave the unknown state {event.state!r}.") from error
    return trial.with_(
        state=state,
        reason=event.reason,
        metrics=event.metrics,
        error=event.error,
        traceback=event.traceback,
        duration_s=event.duration_s,
        peak_memory_gb=event.peak_memory_gb,
        peak_gpu_memory_gb=event.peak_gpu_memory_gb,
        finished_at=event.at,
    )
