"""Ends of trials as their worker wrote them down before it told them: for one that dies between the two.

What a worker has to tell waits for up to 20 ms, and longer on a busy machine. A trial whose end is written down is not
run again when its worker is killed in that time. Only where the worker writes to the store's own disk; over a network
it would cost more than it is worth, and there `ferry` brings what a trial made home in any case. An end counts only
where all reports before it were heard: a trial that is done has all of them.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any

from .base import Event, Finished, Task, event_from

_NAME = ".end.json"


class LastWords:
    """What the workers of one executor, known by its topic, wrote; nothing unless they are `here`."""

    def __init__(self, topic: str, *, here: bool) -> None:
        self._topic, self._here = topic, here
        self._paths: dict[str, str] = {}
        self._heard: dict[str, int] = {}

    def ask(self, task: Task, ticket: str) -> dict[str, Any]:
        """Give what a payload needs so that its worker writes the end down."""
        if not self._here:
            return {}
        self._heard[ticket] = 0
        path = self._paths[ticket] = os.path.join(task.payload["folder"], _NAME)
        return {"end": [path, f"{self._topic}/{ticket}"]}

    def hear(self, ticket: str) -> None:
        """Count a report of a trial."""
        if ticket in self._heard:
            self._heard[ticket] += 1

    def read(self, ticket: str, *, begun: bool) -> list[Event]:
        """Give the end of a trial whose worker is gone, after its start unless that was heard; or nothing.

        That it was cancelled, or crashed, may be the end of its worker itself.
        """
        if ticket not in self._paths:
            return []
        try:
            with open(self._paths[ticket], encoding="utf-8") as file:
                whose, reports, told = json.load(file)
        except (OSError, ValueError):  # it was not over, or its worker was writing
            return []
        events = [event_from(event) for event in told if not (begun and event["kind"] == "started")]
        end = events[-1]
        is_its_own = isinstance(end, Finished) and end.state != "cancelled" and end.reason != "crash"
        is_whole = whose == f"{self._topic}/{ticket}" and reports == self._heard[ticket]
        return events if is_whole and is_its_own else []

    def forget(self, ticket: str) -> None:
        self._heard.pop(ticket, None)
        path = self._paths.pop(ticket, "")
        if path:
            with contextlib.suppress(OSError):
                os.unlink(path)
