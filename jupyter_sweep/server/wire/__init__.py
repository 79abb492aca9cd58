"""The API for the page: every type that goes over the wire, in one room.

Base: ``{server}/jupyter-sweep/api``. All routes want the server's login, and authorization for the resource
"jupyter-sweep": `read` for GET, `write` for POST, `execute` besides to resume and to retry, which start processes. XSRF
is Jupyter's; a foreign Origin is refused (404), also with a token, unless the server's settings allow it. The routes,
their parameters and these types are described, with an example each, by ``GET /openapi`` (OpenAPI 3.1), made from these
files and from `routes.py`: what isn't described there is not answered. An error is ``{"message": sentence}`` with a
status of 4xx.

**Nouns.** A *store* is named by the path of its folder from the server's root ("project/sweeps"); a sweep by its store
and its name, and a version (the newest if none is given); a trial by its number, which is unique over all versions.
Times are UTC seconds, durations end in `_s`. A number that JSON has no word for is "nan", "inf" or "-inf".

**How a page keeps up.** ``GET /sweeps`` gives a summary of each sweep, newest first. For one sweep, ``GET
/sweeps/NAME/changes`` gives the message that the notebook's view gets from the kernel (`Changes`: `full`, then
`delta`), so that one model serves both: put `head` over the known head; on `full` forget all rows; put each row in by
its number. Ask again with the `epoch`, `change` and `after` of the last message: what comes is a `delta` that builds on
it, or a `full` one where the server can't tell (it was restarted). `more` says that there is more to fetch at once: a
message has at most `limit` rows. Rows may come twice; putting a row in twice changes nothing. A row is a list, its
`params` and `metrics` in the order of `head.columns`, which only grows within an epoch: an older row may be shorter.

**When to ask.** On an event: of the server's event bus (`jupyterlab` `serviceManager.events`, schema
`SCHEMA_ID`) or of ``GET /events`` (server-sent events, the same data), each naming store, name, version and change.
And every ten seconds or so, because the death of a driver changes no row. Requests that nobody clicked should carry
``no_track_activity=1``, as all of Jupyter's do, or the server never looks idle.

**Buttons.** ``POST /sweeps/NAME/requests`` with a `Request`. It answers 202 once the request is written down; its
effect comes as a change of state. What makes no sense now is 409 with a sentence to show.
`pause` and `interrupt` start no more trials, `stop` and `kill` end those that run too; after each of them `resume` goes
on. `retry` runs one failed trial again, under its number, as another attempt. `scale` sets how many run at once.
"""

from __future__ import annotations

from .common import SCHEMA_ID, Leader, Message, Objective, Progress, SweepState, Text, TrialState
from .plots import Compared, Comparison, Curve, Difference, Plots, Point, Share, Span
from .steering import Asked, Cluster, Driver, Event, Request, Slot, Worker, Workers
from .sweeps import (
    Baseline,
    Best,
    BestCell,
    Capture,
    Changes,
    Code,
    Columns,
    Detail,
    Head,
    Header,
    Place,
    Summary,
    Sweeps,
    Version,
)
from .trials import Artifact, Attempt, Log, Report, Reported, Reports, Trial

__all__ = [
    "SCHEMA_ID",
    "Artifact",
    "Asked",
    "Attempt",
    "Baseline",
    "Best",
    "BestCell",
    "Capture",
    "Changes",
    "Cluster",
    "Code",
    "Columns",
    "Compared",
    "Comparison",
    "Curve",
    "Detail",
    "Difference",
    "Driver",
    "Event",
    "Head",
    "Header",
    "Leader",
    "Log",
    "Message",
    "Objective",
    "Place",
    "Plots",
    "Point",
    "Progress",
    "Report",
    "Reported",
    "Reports",
    "Request",
    "Share",
    "Slot",
    "Span",
    "Summary",
    "SweepState",
    "Sweeps",
    "Text",
    "Trial",
    "TrialState",
    "Version",
    "Worker",
    "Workers",
]
