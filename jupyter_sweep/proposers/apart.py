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
from typing import Any, ClassVar

from .. import plugins
from ..errors import SweepError
from ..space.space import Space
from ..trial import Objective, Trial
from .base import Proposal

#: One choice may take so long, the start of the process included.
ANSWER_S = 120.0
#: How long a choice that nobody wants any more is waited for, so that its process can be used again.
CLOSE_S = 1.0


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
        self._is_asked = False
        self._chosen: list[Proposal] = []
        self._process = _Process.spare or _Process()
        _Process.spare = None
        self._process.send((name, space, tuple(objectives), seed, dict(options), list(told)))

    @property
    def is_ready(self) -> bool:
        """Tell whether the process has begun; raises Gone when it has ended instead."""
        if not self._is_ready and not self._is_asked and self._process.has_word():
            self._await_ready()
        return self._is_ready

    def tell(self, trial: Trial) -> None:
        """Learn of a trial in any state."""
        self._told.append(trial)
        self._exhausted = None

    def ask(self, n: int) -> list[Proposal]:
        """Give up to `n` proposals; fewer only when the space is exhausted.

        Who asks for several at once runs them faster than they are chosen: as many are then chosen ahead, while these
        run. They come next, whatever is told meanwhile.
        """
        self._receive_ahead()
        if len(self._chosen) < n:
            self._send(n - len(self._chosen))
            self._receive()
        proposals, self._chosen = self._chosen[:n], self._chosen[n:]
        if n > 1 and not self._exhausted:
            self._send(n)
        return proposals

    @property
    def exhausted(self) -> bool:
        """Tell whether no configuration is left to propose."""
        self._receive_ahead()
        if self._exhausted is None and not self._chosen:
            self._send(0)
            self._receive()
        return bool(self._exhausted) and not self._chosen

    def close(self) -> None:
        """Let go of the process: the next one that is made here takes it over. May be called twice."""
        if self._is_asked and self._process.has_word(CLOSE_S):
            with contextlib.suppress(Gone, SweepError):
                self._receive()
        if self._is_ready and _Process.spare is None:
            _Process.spare = self._process
        elif _Process.spare is not self._process:
            self._process.end()

    def _await_ready(self) -> None:
        if not self._is_ready:
            self._process.receive()
            self._is_ready = True

    def _send(self, n: int) -> None:
        self._await_ready()
        self._is_ready = False  # until it answers: one that is lost must not be taken over
        self._process.send((self._told, n))
        self._told, self._is_asked = [], True

    def _receive_ahead(self) -> None:
        if self._is_asked:
            self._receive()

    def _receive(self) -> None:
        """Take an answer; what was told since it was asked may make more of the space exhausted, or less."""
        proposals, exhausted, mistake = self._process.receive()
        self._is_asked, self._is_ready = False, True
        self._exhausted = None if self._told else exhausted
        if mistake is not None:
            raise SweepError(mistake)
        self._chosen += [Proposal(*proposal) for proposal in proposals]


class _Process:
    """The other process and the line to it; it ends with this one, whose end it reads from the line."""

    #: One that is free, with all that it has imported.
    spare: ClassVar[_Process | None] = None

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env={**os.environ, "PYTHONPATH": _import_path()},
                cwd="/",
            )
        self._line: Connection[Any, Any] = Connection(ours.detach())

    def has_word(self, limit_s: float = 0) -> bool:
        """Tell whether it has said something, or ended, waiting up to `limit_s` for that."""
        try:
            return self._line.poll(limit_s)
        except OSError:
            return True

    def send(self, message: Any) -> None:
        try:
            self._line.send(message)
        except OSError as error:
            raise Gone(f"the process that chooses configurations ended: {error}") from error

    def receive(self) -> Any:
        try:
            if self._line.poll(ANSWER_S):
                return self._line.recv()
        except (OSError, EOFError) as error:
            raise Gone(f"the process that chooses configurations ended: {error or type(error).__name__}") from error
        raise Gone(f"the process that chooses configurations gave no answer in {ANSWER_S:g} s")

    def end(self) -> None:
        """End it at once: it has nothing to lose."""
        self._line.close()
        self._popen.kill()
        self._popen.wait()


def _import_path() -> str:
    root = str(Path(__file__).resolve().parent.parent.parent)
    return os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))


def serve(fd: int) -> None:
    """Answer for one proposer after another until the other end is gone."""
    line: Connection[Any, Any] = Connection(fd)
    proposer: Any = None
    with contextlib.suppress(EOFError, OSError):
        while True:
            message = line.recv()
            if len(message) == 2:
                line.send(_choose(proposer, *message))
                continue
            name, space, objectives, seed, options, told = message
            make = plugins.load("proposer", name)
            _choose(make(space, objectives, seed=seed, **options), told, 1)
            line.send("ready")
            proposer = make(space, objectives, seed=seed, **options)


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
