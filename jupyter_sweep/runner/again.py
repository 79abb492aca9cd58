"""Running a failed trial again because a person asks for it: under its number, as another attempt.

That final trials never change has this one exception, and it is made in the store alone: the row goes back to waiting,
and whoever runs the sweep rebuilds what it knows from there, as after any restart (see `resume.rebuild`). Proposer and
pruner then never heard of the failure.
"""

from __future__ import annotations

import time

from ..definition import Sweep
from ..errors import SweepError
from ..store import reopening
from ..store.sqlite import Store
from ..trial import TrialState
from . import launch

#: States in which a person has said that nothing more is to run for now.
_HELD = ("paused", "stopped", "interrupted")


def retry(store: Store, sweep: Sweep, number: int) -> bool:
    """Have a failed trial run again; False where that waits for the sweep to be resumed.

    It runs in the environment of whoever started or resumed the sweep last.

    Raises
    ------
    SweepError
        For a trial that isn't there, belongs to another version, or has not failed.
    """
    trial = store.trial(sweep.name, number)
    if trial is None or trial.sweep_id != sweep.sweep_id:
        raise SweepError(f"Version {sweep.version} of {sweep.name} has no trial {number}.")
    if trial.state is not TrialState.FAILED or not reopening.reopen(store, trial, at=time.time()):
        raise SweepError(f"Trial {number} is {trial.state}; what can run again is a failed one.")
    if sweep.state in _HELD:
        return False
    launch.begin_as_before(store, sweep)
    return True
