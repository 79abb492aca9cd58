"""What a passive sweep waits for, as lines of text."""

from __future__ import annotations

from collections.abc import Iterable

from ..definition import Sweep
from ..trial import Trial, TrialState


def told(sweeps: Iterable[tuple[Sweep, list[Trial]]], command: str) -> str:
    """Give the trials of passive sweeps that wait for their results, and how to enter them.

    Parameters
    ----------
    command
        What stands before the name: "%sweep enter".
    """
    blocks = [_block(sweep, trials, command) for sweep, trials in sweeps if sweep.is_passive]
    return "\n\n".join(block for block in blocks if block) or "No trial waits for a person to enter its result."


def _block(sweep: Sweep, trials: list[Trial], command: str) -> str:
    waiting = [trial for trial in trials if trial.state is TrialState.WAITING]
    if not waiting or sweep.state != "running":
        return ""
    rows = [f"{t.number:6d}  {', '.join(f'{k}={_short(v)}' for k, v in t.params.items())}" for t in waiting]
    how = f"{command} {sweep.name} NUMBER {sweep.blank_result}"
    return "\n".join([f"{sweep.name} waits for the results of", *rows, how])


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else repr(value)
