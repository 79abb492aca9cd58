"""A proposer in a process of its own, for sweeps whose trials are shorter than the choice of the next one.

A model takes some milliseconds a choice, and pure Python at that: beside Dask's scheduler in one process they would
wait for each other. Nothing but speed hangs on it: a proposer is a function of what it was told, so one that is told
everything anew, here or there, goes on where the other left off.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from .. import plugins
from ..errors import SweepError
from ..space.space import Space
from ..trial import Objective, Trial
from .base import Proposal

#: One choice may take so long, the start of the process included.
ANSWER_S = 120.0


class Gone(Exception):
    """The process ended or gave no answer. What it was told must be told to another proposer."""


class Apart:
    """A proposer like any other; what it is told waits here until something is asked.

    It can be asked at once, but answers only when `is_ready`: a third of a second later, with what it imports.

    Parameters
    ----------
    name, space, objectives, seed, options
        Of the proposer that the process makes.
    told
        Trials to try it on, so that all is imported when it is ready. They must be told again.

    Raises
    ------
    Gone
        By `ask` and `exhausted`, as soon as the process doesn't answer.
    """

    adaptive = True

    def __init__(
        self,
        name: str,
        space: Space,
        objectives: Sequence[Objective],
        *,
        seed: int,
        options: Mapping[str, Any],
        told: Iterable[Trial] = (),
    ) -> None:
        self.name = name
        self._told: list[Trial] = []
        self._is_ready = False
        self._exhausted: bool | None = None
        ours, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env={**os.environ, "PYTHONPATH": _import_path()},
                cwd="/",
            )
        finally:
            theirs.close()
        self._line: Connection[Any, Any] = Connection(ours.detach())
        self._line.send((name, space, tuple(objectives), seed, dict(options), list(told)))

    @property
    def is_ready(self) -> bool:
        """Tell whether the process has begun; raises Gone when it has ended instead."""
        if not self._is_ready and self._line.poll(0):
            self._await_ready()
        return self._is_ready

    def tell(self, trial: Trial) -> None:
        """Learn of a trial in any state."""
        self._told.append(trial)
        self._exhausted = None

    def ask(self, n: int) -> list[Proposal]:
        """Give up to `n` proposals; fewer only when the space is exhausted."""
        return self._answer(n)

    @property
    def exhausted(self) -> bool:
        """Tell whether no configuration is left to propose."""
        if self._exhausted is None:
            self._answer(0)
        return bool(self._exhausted)

    def close(self) -> None:
        """End the process, which has nothing to lose; may be called twice."""
        self._line.close()
        self._process.kill()
        self._process.wait()

    def _await_ready(self) -> None:
        if not self._is_ready:
            self._receive()
            self._is_ready = True

    def _receive(self) -> Any:
        try:
            if self._line.poll(ANSWER_S):
                return self._line.recv()
        except (OSError, EOFError) as error:
            raise Gone(f"the process that chooses configurations ended: {error or type(error).__name__}") from error
        raise Gone(f"the process that chooses configurations gave no answer in {ANSWER_S:g} s")

    def _answer(self, n: int) -> list[Proposal]:
        self._await_ready()
        try:
            self._line.send((self._told, n))
        except OSError as error:
            raise Gone(f"the process that chooses configurations ended: {error}") from error
        proposals, self._exhausted, mistake = self._receive()
        self._told = []
        if mistake is not None:
            raise SweepError(mistake)
        return [Proposal(*proposal) for proposal in proposals]


def _import_path() -> str:
    root = str(Path(__file__).resolve().parent.parent.parent)
    return os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))


def serve(fd: int) -> None:
    """Make the proposer and answer until the other end is gone."""
    line: Connection[Any, Any] = Connection(fd)
    with contextlib.suppress(EOFError, OSError):
        name, space, objectives, seed, options, told = line.recv()
        make = plugins.load("proposer", name)
        _choose(make(space, objectives, seed=seed, **options), told, 1)
        line.send("ready")
        proposer = make(space, objectives, seed=seed, **options)
        while True:
            told, n = line.recv()
            line.send(_choose(proposer, told, n))


def _choose(proposer: Any, told: Iterable[Trial], n: int) -> tuple[list[tuple[Any, int]], bool | None, str | None]:
    try:
        for trial in told:
            proposer.tell(trial)
        proposals = [tuple(proposal) for proposal in proposer.ask(n)] if n else []
        return proposals, None if n and len(proposals) == n else proposer.exhausted, None
    except SweepError as error:
        return [], None, str(error)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
