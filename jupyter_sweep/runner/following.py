"""The process that passes one sweep's trials on to one tracker, from where the one before it ended.

It reads the store as any viewer does, and writes down there what has arrived. The tracker is asked before anything is
given twice (see `trackers/base.py`), so that a process killed between the two costs a question and no value. While a
tracker can't be reached that is said among the sweep's warnings, and it is asked again, less and less often. It ends
when the sweep is at rest and all is passed on, or when it was in vain for PATIENCE_S after that; then the next start of
the sweep, also one that runs nothing, takes it up again.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import plugins
from ..definition import ACTIVE_STATES
from ..errors import StoreError, count
from ..store import folder, leases, tracking
from ..store.sqlite import Store
from ..store.tracking import Passed
from ..trackers.base import Run, Tracker
from ..trial import Report, Trial, TrialState
from ..worker.context import CHECKPOINT
from . import beside

EVERY_S = 0.5
#: Between two tries while the tracker can't be reached; doubled each time.
RETRY_S, RETRY_MOST_S = 1.0, 30.0
#: How long a sweep at rest, or one without a driver, is waited for.
PATIENCE_S = 60.0
#: Trials after which what has arrived is written down.
_TOGETHER = 50
#: Files of a trial's folder that are ours alone, or stand in the run already.
_NOT_PASSED = ("params.json", "metrics.json", CHECKPOINT)


class Follower:
    """Passes trials on.

    Parameters
    ----------
    store
        The store; only the cursor and the warning of this tracker are written.
    sweep_id
        The sweep; StoreError once it is dropped.
    name
        The tracker, a name of the plug-ins.
    """

    def __init__(self, store: Store, sweep_id: int, name: str) -> None:
        self._store, self._sweep_id, self._name = store, sweep_id, name
        self._tracker: Tracker | None = None
        self._runs: dict[int, Run] = {}
        self._passed = tracking.passed(store, sweep_id, name)
        self._news: dict[int, Passed] = {}
        self._todo: dict[int, Trial] = {}
        self._change = 0
        self._version = -1
        self._again_at = 0.0
        self._wait_s = RETRY_S
        self._since: float | None = None  # when the tracker was first in vain
        self._quiet_since: float | None = None

    def run(self) -> None:
        """Pass on what there is and what comes, until there is no more to wait for."""
        while self._store.path.exists():
            self._look()
            if self._todo and time.monotonic() >= self._again_at:
                self._try()
            if self._is_over():
                break
            time.sleep(EVERY_S)
        if self._tracker is not None:
            self._tracker.close()

    def _look(self) -> None:
        """Note the trials that changed and are not known to have ended over there."""
        version = self._store.data_version()
        if version == self._version:
            return
        self._version = version
        changed = self._store.trials(self._sweep_id, since=self._change)
        if any(self._passed.get(trial.trial_id, Passed()).ended for trial in changed):  # one may be to run again
            self._passed = {**tracking.passed(self._store, self._sweep_id, self._name), **self._news}
        for trial in changed:
            self._change = max(self._change, trial.change)
            if not self._passed.get(trial.trial_id, Passed()).ended and _has_something(trial):
                self._todo[trial.trial_id] = trial

    def _is_over(self) -> bool:
        """Tell whether nothing is left to do, or was waited for in vain: a driver, or the tracker."""
        sweep = self._store.sweep(self._sweep_id)
        if self._name not in sweep.log:
            return True
        if leases.owner(self._store, self._sweep_id) is not None:
            self._quiet_since = None
            return False
        self._look()  # what came between the last look and the end
        is_asked = self._store.asked_at(self._sweep_id, "run") is not None
        if not self._todo and not is_asked and sweep.state not in ACTIVE_STATES:
            return True
        self._quiet_since = self._quiet_since or time.monotonic()
        return time.monotonic() > self._quiet_since + PATIENCE_S

    def _try(self) -> None:
        """Pass on all there is; a trial that fails goes behind the others, should it be the only one to."""
        try:
            for trial_id in list(self._todo):
                trial = self._todo[trial_id] = self._todo.pop(trial_id)
                self._pass_on(trial)
                del self._todo[trial_id]
                if len(self._news) >= _TOGETHER:
                    self._note()
        except StoreError:
            raise
        except Exception as error:  # whatever a tracker's package raises: it is told, and tried again
            self._note()
            self._in_vain(error)
        else:
            self._note()
            self._succeeded()

    def _pass_on(self, trial: Trial) -> None:
        there = self._passed.get(trial.trial_id, Passed())
        run = self._runs.get(trial.trial_id)
        if run is None:
            run = self._runs[trial.trial_id] = self._connected().open(trial, there.run)
            there = Passed(run.name, 0 if run.is_new else there.report_id)
            self._passed[trial.trial_id] = self._news[trial.trial_id] = there
        new = tracking.reports_of(self._store, trial.trial_id, there.report_id)
        reports = [report for _, report in new]
        if trial.is_final:
            reports += self._unreported(trial)
        if reports:
            run.add(reports)
        if trial.is_final:
            run.end(trial, _files(self._store.home / trial.folder))
            del self._runs[trial.trial_id]
        arrived = Passed(run.name, new[-1][0] if new else there.report_id, trial.is_final)
        self._passed[trial.trial_id] = self._news[trial.trial_id] = arrived

    def _connected(self) -> Tracker:
        if self._tracker is None:
            made: Tracker = plugins.load("tracker", self._name)(self._store.sweep(self._sweep_id), self._store.home)
            self._tracker = made
        return self._tracker

    def _unreported(self, trial: Trial) -> list[Report]:
        """Give the metrics that no report held, such as a variable of the target's name, as one more report."""
        reports = [report for _, report in tracking.reports_of(self._store, trial.trial_id, 0)]
        held = {name for report in reports for name in report.metrics}
        metrics = {name: value for name, value in trial.metrics.items() if name not in held}
        step = max((report.step for report in reports), default=0)
        at = trial.finished_at or time.time()
        return [Report(trial.trial_id, step, metrics, at, trial.attempt)] if metrics else []

    def _note(self) -> None:
        if self._news:
            tracking.note(self._store, self._name, self._news)
            self._news = {}

    def _in_vain(self, error: Exception) -> None:
        traceback.print_exc()
        self._let_go()
        if self._since is None:
            self._since = time.time()
            why = f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
            self._warn(
                f"--log {self._name}: not passed on since {time.strftime('%H:%M:%S')} ({why}). The sweep goes on; "
                "it is tried again, and what is missing then is passed on."
            )
        self._again_at = time.monotonic() + self._wait_s
        self._wait_s = min(RETRY_MOST_S, 2 * self._wait_s)

    def _let_go(self) -> None:
        """Forget what was open over there: it is opened again, and asked what it has."""
        tracker, self._tracker, self._runs = self._tracker, None, {}
        try:
            if tracker is not None:
                tracker.close()
        except Exception:  # it is broken, which was told
            traceback.print_exc()

    def _succeeded(self) -> None:
        self._wait_s, self._again_at = RETRY_S, 0.0
        if self._since is not None:
            self._since = None
            self._warn("")

    def _warn(self, text: str) -> None:
        tracking.warn(self._store, self._sweep_id, f"log {self._name}", text)

    def give_up(self) -> None:
        """Say what is missing over there, where something is."""
        missing = [trial for trial in self._todo.values() if trial.is_final]
        if missing and self._since is not None:
            self._warn(
                f"--log {self._name}: {count(len(missing), 'trial')} could not be passed on (see {folder.DRIVER} in "
                f"{self._store.home}). Run the cell again to try it once more: no trial runs for that."
            )


def _has_something(trial: Trial) -> bool:
    """Tell whether there is something to pass on: it has begun, or a person has entered its end."""
    return trial.started_at is not None or (trial.is_final and trial.state is not TrialState.CANCELLED)


def _files(place: Path) -> dict[str, Path]:
    """Give the files that a trial left, its log and what it saved, by their path in its folder."""
    found = {path.relative_to(place).as_posix(): path for path in sorted(place.rglob("*")) if path.is_file()}
    return {name: path for name, path in found.items() if name not in _NOT_PASSED and not path.is_symlink()}


def main(options: Mapping[str, Any]) -> int:
    """Follow one sweep; another process that does so already is waited for.

    The hold is let go before the last look, so that whoever asks for a follower meanwhile either gets one or is heard.
    """
    home, sweep_id, name = Path(options["home"]), int(options["sweep_id"]), str(options["tracker"])
    while (home / "sweeps.db").exists():
        held = beside.hold(home, sweep_id, name)
        if held is None:
            return 0
        with held:
            store = Store(home, create=False)
            follower = Follower(store, sweep_id, name)
            follower.run()
            follower.give_up()
        if not _is_begun_again(store, sweep_id):
            return 0
    return 0


def _is_begun_again(store: Store, sweep_id: int) -> bool:
    sweep = store.sweep(sweep_id)
    return sweep.state in ACTIVE_STATES and leases.owner(store, sweep_id) is not None


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
