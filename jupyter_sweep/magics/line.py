"""What the `%sweep` verbs do. Each is a short function of the shell's tools and its arguments."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from IPython.core.interactiveshell import InteractiveShell

from .. import live, units
from ..errors import SweepError, count, suggest
from ..handle import Handle
from ..notation import words
from ..results import export
from ..store.sqlite import Store
from . import check, clean, clusters, compare, dry_run, enter, forms, frontend, questions, replay, verbs, workers
from .view import View


@dataclass(frozen=True)
class Tools:
    """What the verbs work with. `folder` holds `sweeps/`."""

    shell: InteractiveShell
    view: View
    folder: Path

    def handle(self, name: str) -> Handle:
        return live.find(name, live.home(self.folder))

    def store(self) -> Store:
        """Give the store of the folder; StoreError where there is none yet."""
        return Store(live.home(self.folder), create=False)


def run(tools: Tools, line: str) -> None:
    """Do what follows `%sweep`.

    Raises
    ------
    SweepError
        For an unknown verb or sweep, and what the verb itself refuses.
    """
    given = words.split(line)
    if not given:
        print(table(live.sweeps(tools.folder), live.home(tools.folder)))
        return
    try:
        verb = verbs.find(given[0])
    except SweepError:
        _name_for_verb(tools, given[0])
        raise
    arguments, flags = verbs.arguments(verb, given[1:])
    _DO[verb.name](tools, arguments, flags)


def table(handles: list[Handle], home: Path) -> str:
    """Give one row a sweep: name, version, state, trials by state, the best value."""
    if not handles:
        return f"No sweeps in {home}."
    rows = [("name", "version", "state", "trials", "best")]
    for handle in handles:
        counts = ", ".join(f"{n} {state}" for state, n in handle.counts.items())
        rows.append((handle.name, str(handle.version), handle.state, counts or "none", _best(handle)))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(text.ljust(w) for text, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def _best(handle: Handle) -> str:
    best, objective = handle.best, handle.definition.objective
    way = "min" if objective.direction == "minimize" else "max"
    return "" if best is None else f"{way} {objective.metric} {best.metrics[objective.metric]:.6g} (trial {best.trial})"


def _name_for_verb(tools: Tools, word: str) -> None:
    """Raise for ``%sweep digits``, where `digits` is a sweep: the verb is missing."""
    if word in [handle.name for handle in live.sweeps(tools.folder)]:
        raise SweepError(f"{word!r} is a sweep, and the verb is missing: %sweep show {word}.{suggest('', verbs.NAMES)}")


def _number(text: str) -> int:
    if not text.isdecimal():
        raise SweepError(f"A trial is named by its number, got {text!r}.")
    return int(text)


def _show(tools: Tools, given: list[str], flags: set[str]) -> None:
    tools.view.show(tools.handle(given[0]))


def _log(tools: Tools, given: list[str], flags: set[str]) -> None:
    text = tools.handle(given[0]).log(_number(given[1]))
    print(text or f"Trial {given[1]} of {given[0]!r} has printed nothing.")


def _insert_best(tools: Tools, given: list[str], flags: set[str]) -> None:
    best = tools.handle(given[0]).best
    if best is None:
        raise SweepError(f"Sweep {given[0]!r} has no completed trial yet.")
    frontend.insert_cell(tools.shell, best.cell)


def _stop(tools: Tools, given: list[str], flags: set[str]) -> None:
    handle = tools.handle(given[0])
    if handle.ended and handle.state != "paused":
        print(f"{handle.name} is {handle.state} already.")
        return
    handle.stop()
    print(f"Stopping {handle.name}: what runs is cancelled within 5 s. Go on with: %sweep resume {handle.name}")


def _pause(tools: Tools, given: list[str], flags: set[str]) -> None:
    handle = tools.handle(given[0])
    if handle.ended:
        print(f"{handle.name} is {handle.state} already.")
        return
    handle.pause()
    print(f"Pausing {handle.name}: what runs goes on to its end. Go on with: %sweep resume {handle.name}")


def _resume(tools: Tools, given: list[str], flags: set[str]) -> None:
    handle = tools.handle(given[0])
    if over := live.nothing_left(handle):
        print(over)
        return
    handle.resume()
    print(f"{handle.name} goes on. See it with: %sweep show {handle.name}")


def _wait(tools: Tools, given: list[str], flags: set[str]) -> None:
    handle = tools.handle(given[0])
    try:
        limit = units.duration(given[1]) if len(given) > 1 else None
    except SweepError as error:
        raise SweepError(f"%sweep wait {handle.name} SECONDS {error}") from None
    try:
        ended = handle.wait(limit, on_revival=print)
    except KeyboardInterrupt:
        raise SweepError(f"Stopped waiting; {handle.name} goes on.") from None
    print(f"{handle.name} is {handle.state}." if ended else f"{handle.name} still runs after {given[1]}.")


def _why(tools: Tools, given: list[str], flags: set[str]) -> None:
    print(tools.handle(given[0]).why(_number(given[1]) if len(given) > 1 else None))


def _export(tools: Tools, given: list[str], flags: set[str]) -> None:
    handle = tools.handle(given[0])
    kind = next((flag.partition("=")[2] for flag in flags), None)
    path = export.target(handle.name, given[1] if len(given) > 1 else None, kind)
    handle.export(path)
    print(f"{path}: {count(len(handle.trials()), 'trial')} of {handle.name!r}, version {handle.version}.")


def _replay(tools: Tools, given: list[str], flags: set[str]) -> None:
    handle = tools.handle(given[0])
    print(replay.replay(tools.shell, handle, _number(given[1]), live.home(tools.folder)))


def _dry_run(tools: Tools, given: list[str], flags: set[str]) -> None:
    handle = tools.handle(given[0])
    sweep = handle.definition
    print(dry_run.describe(sweep, sweep.job.captures, sweep.job.warnings, known=handle))


def _drop(tools: Tools, given: list[str], flags: set[str]) -> None:
    handle = tools.handle(given[0])
    if "--yes" not in flags:
        trials = sum(sum(version.counts.values()) for version in handle.versions)
        question = f"Forget {handle.name}, {trials} trials, and delete {handle.folder}{os.sep}?"
        if frontend.is_headless(tools.shell):
            raise SweepError(f"{question} Nobody can be asked here: %sweep drop {handle.name} --yes")
        if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
            print("Nothing was dropped.")
            return
    handle.drop()
    print(f"{given[0]} is dropped.")


_DO: dict[str, Callable[[Tools, list[str], set[str]], None]] = {
    "show": _show,
    "log": _log,
    "best": _insert_best,
    "stop": _stop,
    "pause": _pause,
    "resume": _resume,
    "wait": _wait,
    "export": _export,
    "compare": compare.show,
    "check": check.check,
    "replay": _replay,
    "dry-run": _dry_run,
    "drop": _drop,
    "form": forms.show,
    "config": forms.config,
    "init": questions.ask,
    "clusters": clusters.show,
    "workers": workers.show,
    "scale": workers.scale,
    "enter": enter.enter,
    "why": _why,
    "clean": clean.clean,
}
