"""The verbs that change something: `stop`, `pause`, `resume`, `wait`, `scale`, `drop`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

from .. import live, units
from ..errors import SweepError, count
from ..handle import Handle
from ..notation import entries
from ..results import standing
from .borrowed import Borrowed
from .look import find
from .output import wrapped


def _stop(given: argparse.Namespace, borrowed: Borrowed) -> int:
    handle = find(given)
    if handle.ended and handle.state != "paused":
        print(f"{handle.name} is {handle.state} already.")
        return 0
    handle.stop()
    told = f"Stopping {handle.name}: what runs is cancelled within 5 s. Go on with: jupyter sweep resume {handle.name}"
    print(wrapped(told))
    return 0


def _pause(given: argparse.Namespace, borrowed: Borrowed) -> int:
    handle = find(given)
    if handle.ended:
        print(f"{handle.name} is {handle.state} already.")
        return 0
    handle.pause()
    told = f"Pausing {handle.name}: what runs goes on to its end. Go on with: jupyter sweep resume {handle.name}"
    print(wrapped(told))
    return 0


def _resume(given: argparse.Namespace, borrowed: Borrowed) -> int:
    handle = find(given)
    if over := live.nothing_left(handle):
        print(wrapped(over))
        return 0
    handle.resume()
    print(wrapped(f"{handle.name} goes on. See it with: jupyter sweep show {handle.name}"))
    return 0


def _wait(given: argparse.Namespace, borrowed: Borrowed) -> int:
    handle = find(given)
    try:
        limit = None if given.seconds is None else units.duration(given.seconds)
    except SweepError as error:
        raise SweepError(f"wait {handle.name} SECONDS {error}") from None
    try:
        ended = handle.wait(limit, on_revival=lambda said: print(said, file=sys.stderr))
    except KeyboardInterrupt:
        print(f"Stopped waiting; {handle.name} goes on.", file=sys.stderr)
        raise
    if not ended:
        print(f"{handle.name} still runs after {given.seconds}.")
        return 1
    print(f"{handle.name} is {handle.state}.")
    return _status(handle)


def _status(handle: Handle) -> int:
    return {"finished": 0, "failed": 1}.get(handle.state, 130)


def _enter(given: argparse.Namespace, borrowed: Borrowed) -> int:
    if given.number is None and not given.failed:
        handles = live.sweeps() if given.name is None else [find(given)]
        print(_standing(handles))
        return 0
    if given.number is None:
        raise SweepError("Which trial? jupyter sweep enter NAME NUMBER METRIC=VALUE ...")
    handle = find(given)
    number, metrics = entries.read([str(given.number), *given.rest])
    trial = handle.enter(number, failed=given.failed or "", **metrics)
    print(f"Trial {number} of {handle.name} is {trial.state}.", file=sys.stderr)
    print(_standing([handle]))
    return 0


def _standing(handles: list[Handle]) -> str:
    return standing.told([(handle.definition, handle.trials()) for handle in handles], "jupyter sweep enter")


def _scale(given: argparse.Namespace, borrowed: Borrowed) -> int:
    handle = find(given)
    handle.scale(given.jobs)
    goes_on = "" if handle.driver else f", as soon as it goes on: jupyter sweep resume {handle.name}"
    print(wrapped(f"{handle.name} runs {count(given.jobs, 'trial')} at once{goes_on}."))
    return 0


def _drop(given: argparse.Namespace, borrowed: Borrowed) -> int:
    handle = find(given)
    if not given.yes:
        trials = sum(sum(version.counts.values()) for version in handle.versions)
        question = f"Forget {handle.name}, {trials} trials, and delete {handle.folder}{os.sep}?"
        if not sys.stdin.isatty():
            raise SweepError(f"{question} Nobody can be asked here: jupyter sweep drop {handle.name} --yes")
        if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
            print("Nothing was dropped.")
            return 0
    handle.drop()
    print(f"{given.name} is dropped.")
    return 0


ACTS: dict[str, Callable[[argparse.Namespace, Borrowed], int]] = {
    "stop": _stop,
    "pause": _pause,
    "resume": _resume,
    "wait": _wait,
    "enter": _enter,
    "scale": _scale,
    "drop": _drop,
}
