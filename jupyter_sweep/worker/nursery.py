"""A slot's preloaded process, from which one a trial is forked (`--isolation fork`).

What to preload is learnt: a trial says at its end which modules it was the first to import, and the zygote imports them
before the next fork. A module whose import starts a thread ends that: a process with threads can't be forked safely, so
a new zygote imports what comes before that module and no more. Whatever goes wrong here costs time, never a trial: the
slot then starts a new interpreter.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .process import Launch, Process
from .wire import Frame

_PRELOAD_S = 60.0
_ANSWER_S = 5.0
_PATIENCE_S = 0.2

Unwanted = Callable[[], object]


class Nursery:
    """One zygote and what it knows. Used by the thread of its slot only, but for `hang_up`."""

    def __init__(self, boot: bytes, env: Mapping[str, str], key: Any) -> None:
        self.key = key
        self._boot, self._env = boot, env
        self._names: list[str] = []
        self._tried: set[str] = set()
        self._zygote: Process | None = None

    @property
    def is_dead(self) -> bool:
        """True where somebody ended the zygote: what was forked from it follows a moment later."""
        return self._zygote is not None and not self._zygote.is_alive

    def fork(self, env: Mapping[str, str], unwanted: Unwanted) -> Process:
        """Give a new child: forked, or a new interpreter where that does not go."""
        zygote = self._ready(unwanted)
        if zygote is not None:
            try:
                return Process(self._boot, env, self.key, fork=lambda *ends: self._forked(zygote, ends))
            except (OSError, EOFError):  # it died, or does not answer
                self.close()
        return Process(self._boot, env, self.key)

    def learn(self, imported: Sequence[str], launch: Launch, task: Mapping[str, Any], unwanted: Unwanted) -> None:
        """Have the zygote import what a trial imported."""
        new = [name for name in imported if name not in self._tried]
        if not new:
            return
        self._tried.update(new)
        culprit = self._preload(new, launch, task, unwanted)
        if culprit == "":
            self._names += new
            return
        self.close()
        if culprit is not None:
            self._names += new[: new.index(culprit)]
        if self._names and self._preload(self._names, launch, task, unwanted) != "":
            self._names.clear()
            self.close()

    def hang_up(self) -> None:
        """Have the zygote end, and all that was forked from it; returns at once."""
        zygote = self._zygote
        if zygote is not None:
            zygote.hang_up()

    def close(self) -> None:
        zygote, self._zygote = self._zygote, None
        if zygote is not None:
            zygote.kill()
            zygote.close()

    def _ready(self, unwanted: Unwanted) -> Process | None:
        if self._zygote is None:
            self._zygote = Process(self._boot, self._env, self.key, role="zygote")
        if self._zygote.wait_until_ready(unwanted) and self._zygote.is_alive:
            return self._zygote
        self.close()
        return None

    def _preload(self, names: Sequence[str], launch: Launch, task: Mapping[str, Any], unwanted: Unwanted) -> str | None:
        """Give the module that ended it, "" when all are imported, None when there was no answer."""
        zygote = self._ready(unwanted)
        if zygote is None:
            return None
        words = {"names": list(names), "cwd": launch.cwd, "path": launch.path, "data": task["data"], "job": task["job"]}
        try:
            zygote.channel.send({"op": "preload", **words})
            answer = _answer(zygote, "preloaded", _PRELOAD_S, unwanted)
        except (OSError, EOFError):
            return None
        culprit: str = answer["culprit"]
        return culprit

    def _forked(self, zygote: Process, ends: tuple[int, int, int]) -> _Forked:
        zygote.channel.send({"op": "fork"})
        _answer(zygote, "go", _ANSWER_S)
        zygote.channel.send_fds(ends)
        return _Forked(_answer(zygote, "forked", _ANSWER_S)["pid"], zygote)


class _Forked:
    """A guard whose parent is a zygote."""

    def __init__(self, pid: int, zygote: Process) -> None:
        self.pid, self._zygote = pid, zygote

    def wait(self, timeout: float) -> int:
        try:
            self._zygote.channel.send({"op": "reap", "pid": self.pid})
            status = _answer(self._zygote, "reaped", timeout + _ANSWER_S)["status"]
        except (OSError, EOFError):
            status = None
        if status is None:
            raise subprocess.TimeoutExpired("guard", timeout)
        return int(status)


def _answer(zygote: Process, op: str, limit_s: float, unwanted: Unwanted = lambda: False) -> Frame:
    """Wait for one frame of the zygote; TimeoutError when it does not come."""
    limit = time.monotonic() + limit_s
    while time.monotonic() < limit and not unwanted():
        zygote.read_log()
        for frame in zygote.channel.wait(_PATIENCE_S):
            if frame["op"] == op:
                return frame
    raise TimeoutError(f"no word of {op!r} within {limit_s:g} s")
