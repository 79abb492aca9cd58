"""The table of routes: what is asked by which path, with which parameters, and which function answers.

Handlers read parameters by it and `openapi` describes them by it, so that neither can promise what the other doesn't
hold. A question is a blocking function that runs in the desk's threads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..notation import table
from . import asking, listing, one, pictures, wire
from .desk import Desk
from .listing import Scans
from .refused import Refused

#: A page may send these with any question: Jupyter reads them.
JUPYTERS = ("no_track_activity", "token", "_")
_WHOLE = 2**53 - 1


@dataclass(frozen=True)
class Param:
    """One parameter of a path or a query.

    Parameters
    ----------
    kind
        "text", "whole", "truth" or "texts" (may be given several times).
    default
        Its value where it is not given; `...` where it must be.
    least, most
        Bounds of a whole number; `most` of the characters of a text.
    pattern
        What a text must match as a whole.
    shape
        For the description alone: a pattern of the texts that can name something.
    """

    kind: str
    help: str
    default: Any = ...
    least: int = 0
    most: int = _WHOLE
    pattern: str = ""
    shape: str = ""

    def read(self, name: str, given: list[str]) -> Any:
        """Give the value of the texts that were given.

        Raises
        ------
        Refused
            400, saying what is wanted.
        """
        if self.kind == "texts":
            return [self._one(name, text) for text in given]
        if not given:
            if self.default is ...:
                raise Refused(400, f"{name} is missing: {self.help}")
            return self.default
        if len(given) > 1:
            raise Refused(400, f"{name} is given {len(given)} times.")
        return self._one(name, given[0])

    def _one(self, name: str, text: str) -> Any:
        if self.kind == "whole":
            if not re.fullmatch(r"-?[0-9]{1,16}", text) or not self.least <= int(text) <= self.most:
                raise Refused(400, f"{name} wants a whole number from {self.least} to {self.most}, got {text[:80]!r}.")
            return int(text)
        if self.kind == "truth":
            if text not in ("0", "1", "true", "false"):
                raise Refused(400, f"{name} wants true or false, got {text[:80]!r}.")
            return text in ("1", "true")
        if len(text) > self.most or (self.pattern and not re.fullmatch(self.pattern, text, re.ASCII)):
            raise Refused(400, f"{name} can't be {text[:80]!r}: {self.help}")
        return text


@dataclass(frozen=True)
class Route:
    """One question.

    Parameters
    ----------
    path
        Below the base, with ``{name}`` for parts that are parameters.
    answer
        The type of `wire` that comes back.
    ask
        The function, called with the desk, the scans if `wants_scans`, and the parameters as keywords.
    body
        The type of `wire` of a POST's body.
    """

    method: str
    path: str
    summary: str
    params: Mapping[str, Param]
    answer: type
    ask: Callable[..., dict[str, Any]]
    wants_scans: bool = False
    body: type | None = None
    status: int = 200

    def run(self, desk: Desk, scans: Scans, given: Mapping[str, Any]) -> dict[str, Any]:
        """Give the answer; blocks."""
        first = (desk, scans) if self.wants_scans else (desk,)
        return self.ask(*first, **given)


_PART = r"[^/\\\x00.][^/\\\x00]*"
_PATH = rf"(?:{_PART}(?:/{_PART})*)?"
STORE = Param("text", "the path of the store's folder from the server's root", most=4096, shape=_PATH)
ANY_STORE = Param(
    "text", "one store alone, by the path of its folder from the server's root", None, most=4096, shape=_PATH
)
NAME = Param("text", "the name of the sweep", most=64, pattern=table.NAME.pattern)
NUMBER = Param("whole", "the number of the trial", most=2**31)
VERSION = Param("whole", "the version of the sweep; default: the newest", None, least=1, most=2**31)
#: A sweep by one text: the store's path, the name, the version.
_ONE = rf"([^/.\\@\x00][^/\\@\x00]*/)*{table.NAME.pattern}(@[1-9][0-9]{{0,8}})?"
_SWEEP = {"name": NAME, "store": STORE, "version": VERSION}
_TRIAL = {"name": NAME, "number": NUMBER, "store": STORE}

ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        "/sweeps",
        "All sweeps of all stores below the server's root, the one asked for last first",
        {"store": ANY_STORE, "scan": Param("truth", "look for new stores now", False)},
        wire.Sweeps,
        listing.sweeps,
        wants_scans=True,
    ),
    Route(
        "GET",
        "/where",
        "The store of a folder of the server's machine, if it is below the server's root",
        {"folder": Param("text", "the folder's whole path", most=4096)},
        wire.Place,
        listing.where,
    ),
    Route("GET", "/sweeps/{name}", "One sweep without its trials", _SWEEP, wire.Detail, one.detail),
    Route(
        "GET",
        "/sweeps/{name}/changes",
        "The trials that changed, with the head: the message that the notebook's view gets",
        {
            **_SWEEP,
            "epoch": Param("text", "of the last message; another one gives all rows", "", most=64),
            "since": Param("whole", "change of the last message", 0),
            "after": Param("whole", "after of the last message", -1, least=-1),
            "limit": Param("whole", "most rows of this message", 2000, least=1, most=10_000),
        },
        wire.Changes,
        one.changes,
    ),
    Route(
        "GET",
        "/sweeps/{name}/reports",
        "The reports of all trials, in order of arrival",
        {
            **_SWEEP,
            "since": Param("whole", "last of the previous answer", 0),
            "limit": Param("whole", "most reports", 2000, least=1, most=10_000),
        },
        wire.Reports,
        one.reports,
    ),
    Route(
        "GET",
        "/sweeps/{name}/plots",
        "The data of the plots",
        {**_SWEEP, "metric": Param("text", "the metric; default: the first target", "", most=256)},
        wire.Plots,
        pictures.plots,
    ),
    Route("GET", "/sweeps/{name}/best", "The best configuration and its cell", _SWEEP, wire.BestCell, one.best),
    Route("GET", "/sweeps/{name}/code", "What a version runs", _SWEEP, wire.Code, one.code),
    Route("GET", "/sweeps/{name}/trials/{number}", "One trial", _TRIAL, wire.Trial, one.trial),
    Route(
        "GET",
        "/sweeps/{name}/trials/{number}/log",
        "What a trial printed, by range of bytes",
        {
            **_TRIAL,
            "start": Param("whole", "first byte; below 0: counted from the end", 0, least=-_WHOLE),
            "limit": Param("whole", "most bytes", 64_000, least=1, most=1_000_000),
        },
        wire.Log,
        one.log,
    ),
    Route(
        "POST",
        "/sweeps/{name}/requests",
        "Ask for something: pause, stop, interrupt, kill, resume, retry, scale, enter",
        {"name": NAME, "store": STORE},
        wire.Asked,
        asking.request,
        body=wire.Request,
        status=202,
    ),
    Route(
        "GET",
        "/compare",
        "Several sweeps side by side",
        {
            "sweep": Param(
                "texts", "STORE/NAME or STORE/NAME@VERSION, for each of 1 to 8 sweeps", most=4200, pattern=_ONE
            )
        },
        wire.Comparison,
        pictures.compare,
    ),
    Route("GET", "/sweeps/{name}/cluster", "The slots that a sweep runs on", _SWEEP, wire.Cluster, asking.cluster),
    Route(
        "GET",
        "/workers",
        "The drivers that live, and what their workers run",
        {"store": ANY_STORE},
        wire.Workers,
        asking.workers,
        wants_scans=True,
    ),
)
