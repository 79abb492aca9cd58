"""The `%%sweep` cell from its text to its end: prepare, start, show, and what the cell says when it is over.

Mistakes end the cell before anything is started or written. Afterwards the sweep belongs to its driver and the cell
only looks: what ends the cell early (an interrupt, a restart of the kernel) leaves a sweep that can be resumed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import asdict
from pathlib import Path

from IPython.core.interactiveshell import InteractiveShell

from .. import interrupts, live
from ..errors import SweepError, count
from ..handle import Handle
from ..notation.options import Options
from ..results import failures
from ..trial import TrialState
from . import awaited, dry_run, enter, frontend
from .errors import told
from .prepare import Prepared, prepare
from .view import Seen, View

#: How long a cell that was interrupted while starting waits for the trials that run.
CALLED_OFF_S = 5.0


def run(shell: InteractiveShell, view: View, folder: Path, line: str, body: str) -> None:
    """Run a cell and block until it is over."""
    with told():
        handle = _begin(shell, view, folder, line, body)
        if handle is not None:
            with interrupts.counted() as early:
                watcher = _Watcher(shell, handle, early)
                seen = awaited.block_on(watcher.watch(view))
            _close(shell, handle, seen, watcher)


async def run_awaited(shell: InteractiveShell, view: View, folder: Path, line: str, body: str) -> None:
    """Run a cell while the kernel serves other messages."""
    with told():
        handle = _begin(shell, view, folder, line, body)
        if handle is not None:
            watcher = _Watcher(shell, handle)
            try:
                seen = await watcher.watch(view)
            except (KeyboardInterrupt, asyncio.CancelledError):  # before the view listened for it
                watcher.interrupted(1)
                seen = await watcher.watch(view)
            _close(shell, handle, seen, watcher)


class _Watcher:
    """Acts for a waiting cell: on an interrupt, and when the driver of its sweep has died.

    What is true only while the cell waits is said by the view. The death of a driver is printed in a notebook, where it
    stays in the saved file; in a terminal the view says it, because it writes over the last line.
    """

    def __init__(self, shell: InteractiveShell, handle: Handle, early: list[float] | None = None) -> None:
        self._shell = shell
        self._handle = handle
        self._early = [] if early is None else early  # interrupts from before the view listened for them
        self._unsaid: list[str] = []
        self.was_interrupted = False

    async def watch(self, view: View) -> Seen:
        """Show the sweep until it is over or waiting for it was given up."""
        return await view.watch(self._handle, on_interrupt=self.interrupted, each=self.news)

    def interrupted(self, times: int) -> bool:
        """Let what runs end at the first interrupt, end it at the second, give up waiting at the third.

        The interrupt that comes with a restart of the kernel takes the viewer away, and not the sweep.
        """
        self.was_interrupted = True
        if times == 1 and frontend.is_ending(self._shell):
            return False
        if times == 1:
            self._unsaid.append("Interrupted: waiting for what runs. Interrupt again to end it now.")
            self._handle.interrupt()
        elif times == 2:
            self._handle.kill()
        return times < 3

    def news(self) -> str:
        """Start a dead driver again, and give what there is to say."""
        if self._early:
            self._early.clear()
            self.interrupted(1)
        revived = self._handle.revive()
        if revived and frontend.in_kernel(self._shell):
            print(revived)
        elif revived:
            self._unsaid.append(revived)
        said, self._unsaid = "\n".join(self._unsaid), []
        return said


def _begin(shell: InteractiveShell, view: View, folder: Path, line: str, body: str) -> Handle | None:
    """Start the sweep and give its handle; None when there is nothing to wait for."""
    prepared = prepare(shell, line, body, folder=folder)
    options, sweep, job = prepared.options, prepared.sweep, prepared.job
    if options.dry_run:
        captures = [asdict(captured) for captured in job.captures]
        sweep, known = live.foreseen(sweep, live.home(folder), **_manner(options))
        print(dry_run.describe(sweep, captures, job.warnings, known=known))
        return None
    handle = _start(prepared, folder)
    if options.output:
        shell.user_ns[options.output] = handle
    if sweep.is_passive:
        view.show(handle)
        print(enter.waiting([handle]))
        return None
    if options.bg:
        print(f"{handle.name} runs in the background. See it with: %sweep show {handle.name}")
        return None
    return handle


def begin_from_form(shell: InteractiveShell, folder: Path, line: str, body: str) -> Handle:
    """Start the sweep of a cell that stands in no notebook, and give its handle.

    Raises
    ------
    SweepError
        For mistakes, and for options that only a cell of its own can follow.
    """
    prepared = prepare(shell, line, body, folder=folder)
    if prepared.options.dry_run or prepared.sweep.executor.name == "inline":
        option = "--dry-run" if prepared.options.dry_run else "--on inline"
        raise SweepError(f"{option} needs a cell to run in: insert the cell and run it")
    handle = _start(prepared, folder)
    if prepared.options.output:
        shell.user_ns[prepared.options.output] = handle
    return handle


def _start(prepared: Prepared, folder: Path) -> Handle:
    options, sweep = prepared.options, prepared.sweep
    try:
        with interrupts.raised():
            return live.start(
                sweep,
                prepared.job,
                home=live.home(folder),
                cwd=os.getcwd(),
                **_manner(options),
            )
    except KeyboardInterrupt:
        _call_off(sweep.name, folder)
        raise SweepError(f"Interrupted. Run the cell again to go on with {sweep.name!r}.") from None


def _manner(options: Options) -> dict[str, bool]:
    """Give how what the store holds already is taken up."""
    return {"added": options.added, "fresh": options.fresh, "adopt": options.code == "ignore"}


def _call_off(name: str, folder: Path) -> None:
    """Start no trials of a sweep that was interrupted while it was being started, if it came so far.

    Short trials that run already are waited for, so that what the next cell sees is at rest.
    """
    with contextlib.suppress(SweepError):
        handle = live.find(name, live.home(folder))
        handle.interrupt()
        handle.wait(CALLED_OFF_S)


def _close(shell: InteractiveShell, handle: Handle, seen: Seen, watcher: _Watcher) -> None:
    """Say how many failed, and end the cell with an error where it should not pass for done."""
    state, message, best = handle.state, handle.definition.message, handle.best
    if seen.wants_cell and best is not None:
        frontend.insert_cell(shell, best.cell)
    if watcher.was_interrupted:
        done = count(handle.counts.get(TrialState.COMPLETED.value, 0), "completed trial")
        now = "" if state == "interrupted" else f" and is {state}"
        raise SweepError(f"Interrupted: {handle.name!r} has {done}{now}. Run the cell again to go on.")
    if state == "failed":
        raise SweepError(f"Sweep {handle.name!r} failed: {message}")
    if said := failures.told(handle.trials()):
        print(said)
