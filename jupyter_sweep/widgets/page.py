"""The widget on the page: sends what changed, takes commands.

**Protocol.** To the page: `full` and `delta` (rows that changed, parts of the head that changed), `detail` (the texts
of one row), `said` (a sentence), `keep` (put this into the document). From the page: `ready` (send everything), `see`
(in sight or not), `workers` (looked at or not: only while they are does the head have them, as `cluster`), `detail`,
`plots` (with `view` and `metric`; what rows alone don't give, answered under the same kind with the data of the plots,
as the server gives them), `retry`, `stop`, `pause`, `resume`, `scale`, `cell` (it could not insert one and shows the
code), `kept`. A delta names the change it builds on; a page that missed one asks for everything. A page that draws the
sweep from the server says `drawn`, by a comm of its own: then nothing is sent.

**Commands.** While a loop draws, a click only puts a command into a queue and wakes it, because ipykernel runs
callbacks in whatever thread has a free shell. ipykernel 7.4 prefers the shell that last sent on the comm, which a cell
that is not awaited keeps busy: see `unroute`.

**Cost.** An update is the rows that changed: for 8 of them 2.2 KB, 1 ms here and 3 to 10 ms in the page, with
100 as with 10,000 trials. All 10,000 rows for a page that asks: 1.8 MB, 23 ms here, 0.2 s in the page.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import traitlets

from ..errors import SweepError
from . import text
from .mirror import Mirror, wire_head, wire_row

HERE = Path(__file__).parent
#: The parts of the page's module, in the order in which they are joined.
PARTS = (
    "view_words.js",
    "view_store.js",
    "view_page.js",
    "view_axes.js",
    "view_chart.js",
    "view_history.js",
    "view_params.js",
    "view_parallel.js",
    "view_told.js",
    "view_plots.js",
    "view_columns.js",
    "view_details.js",
    "view_table.js",
    "view_workers.js",
    "view.js",
)
#: A message goes out at least so often, so that the page can tell a quiet sweep from a dead kernel.
HEARTBEAT_S = 5.0
#: Characters of a value in the details of a row.
DETAIL_TEXT = 20_000
#: Rows that go out while no page has asked for any: on ipykernel 6 none can ask before the cell has ended.
UNASKED = 100


class SweepView(anywidget.AnyWidget):
    """The widget. `update()` sends what changed since it was last called; commands wait until `obey()`.

    One thread at a time sends and obeys; only the callback of a click may run in another.

    Parameters
    ----------
    mirror
        The sweep.
    cell_id
        Id of the cell that shows it, as the front end gave it; "" when unknown.
    on_command
        Called when a command came in, in whatever thread: it, or somebody it wakes, calls `obey()`.
    """

    _esm = "\n".join((HERE / part).read_text("utf-8") for part in PARTS)
    _css = (HERE / "view.css").read_text("utf-8")

    #: The first picture, in the widget's state: it is drawn before the kernel can answer anything.
    start = traitlets.Dict().tag(sync=True)
    #: How the page finds the output that holds it.
    own_id = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        mirror: Mirror,
        *,
        cell_id: str = "",
        on_command: Callable[[], None] = lambda: None,
    ) -> None:
        self.mirror = mirror
        #: True when a page could not insert the best-config cell itself.
        self.wants_cell = False
        #: Whether a page put the static form into its document; None before it was asked and has answered.
        self.kept: bool | None = None
        #: True once a page is there that listens.
        self.asked = False
        #: True when a page draws the sweep from the server: then this widget has nothing to send.
        self.drawn = False
        self._on_command = on_command
        self._commands: deque[dict[str, Any]] = deque()
        self._seeing: dict[str, bool] = {}
        self._looking: set[str] = set()
        self._unsent: set[int] = set()
        self._sent: dict[str, Any] = {}
        self._sent_change, self._sent_at = mirror.change, 0.0
        self._ended = False
        super().__init__(start={**wire_head(mirror), "cell_id": cell_id})
        self.own_id = self.model_id
        unroute(self.comm)
        self.on_msg(self._received)

    @property
    def watched(self) -> bool:
        """False when every page that shows the view has it hidden or out of sight."""
        return any(self._seeing.values()) or not self._seeing

    # -- sending

    def update(self) -> bool:
        """Read the sweep and send what changed, or a heartbeat when it is due; give whether a row changed."""
        changed = self.mirror.poll()
        self._unsent.update(changed)
        head = self._head()
        news = {k: v for k, v in head.items() if k not in ("now", "progress") and self._sent.get(k) != v}
        if self.drawn and not self.asked:
            return bool(changed)
        if self._unsent or news or time.monotonic() - self._sent_at > HEARTBEAT_S:
            if self.asked:
                self._publish("delta", head, news, sorted(self._unsent))
            else:
                self._publish("full", head, head, sorted(self.mirror.rows)[-UNASKED:])
        return bool(changed)

    def send_all(self) -> None:
        """Send every row, to a page that was not there before."""
        head = self._head()
        self._publish("full", head, head, sorted(self.mirror.rows))

    def _head(self) -> dict[str, Any]:
        """Give all that is not a row; of the workers only while somebody looks, for they change all the time."""
        head = wire_head(self.mirror)
        return {**head, "cluster": self.mirror.handle.cluster()} if self._looking else head

    def _publish(self, kind: str, head: dict[str, Any], news: dict[str, Any], numbers: list[int]) -> None:
        rows = [wire_row(self.mirror.rows[n], self.mirror.columns) for n in numbers]
        always = {k: head[k] for k in ("now", "progress")}
        message = {"kind": kind, "since": self._sent_change, "change": self.mirror.change, "rows": rows}
        self.send({**message, "head": {**news, **always}})
        self._sent, self._sent_change, self._sent_at = head, self.mirror.change, time.monotonic()
        self._unsent.clear()

    def say(self, sentence: str) -> None:
        """Show a sentence in the view's line of notes."""
        self.send({"kind": "said", "text": sentence})

    def keep(self) -> None:
        """Ask the pages to put the static form into their documents; `kept` tells what they answered."""
        self._ended = True
        self.send({"kind": "keep", "data": self.mirror.static()})

    # -- obeying

    def queue(self, command: dict[str, Any]) -> None:
        """Take a command that came in another way than the widget's, in any thread."""
        self._received(self, command, None)

    def _received(self, _widget: object, content: dict[str, Any], _buffers: object) -> None:
        """Take a message from a page, in any thread: queue it and say so."""
        self._commands.append(content)
        self._on_command()

    def obey(self) -> None:
        """Do what the pages asked for since the last call; what can't be done is said in the view."""
        while self._commands:
            command = self._commands.popleft()
            try:
                self._acts[command["kind"]](self, command)
            except SweepError as error:
                self.say(str(error))

    def _ready(self, _command: Mapping[str, Any]) -> None:
        self.asked = True
        self.send_all()
        if self._ended:
            self.keep()

    def _note_drawn(self, _command: Mapping[str, Any]) -> None:
        self.drawn = True

    def _see(self, command: Mapping[str, Any]) -> None:
        self._seeing[command["view"]] = command["visible"]

    def _look(self, command: Mapping[str, Any]) -> None:
        if command["open"]:
            self._looking.add(command["view"])
            self.update()
        else:
            self._looking.discard(command["view"])

    def _scale(self, command: Mapping[str, Any]) -> None:
        n = int(command["n"])
        self.mirror.handle.scale(n)
        goes_on = "when the sweep goes on" if self.mirror.ended else "from now on; what runs goes on to its end"
        self.update()
        self.say(f"{n} at once {goes_on}")

    def _detail(self, command: Mapping[str, Any]) -> None:
        row = self.mirror.rows[command["number"]]
        found = self.mirror.handle.about(row["number"])
        params = [[name, text.shorten(text.value(v), DETAIL_TEXT)] for name, v in row["params"].items()]
        texts = {key: found[key][-DETAIL_TEXT:] for key in ("error", "traceback", "log_tail")}
        more = {key: found[key] for key in ("curves", "artifacts", "attempts")}
        self.send({"kind": "detail", "number": row["number"], "params": params, **texts, **more})

    def _plots(self, command: Mapping[str, Any]) -> None:
        asked = {key: command[key] for key in ("view", "metric")}
        self.send({"kind": "plots", **asked, "data": self.mirror.handle.pictures(command["metric"])})

    def _retry(self, command: Mapping[str, Any]) -> None:
        number = int(command["number"])
        begun = self.mirror.handle.retry(number)
        self.update()
        self.say(f"trial {number} runs again{'' if begun else ' when the sweep goes on'}")

    def _enter(self, command: Mapping[str, Any]) -> None:
        number = int(command["number"])
        trial = self.mirror.handle.enter(number, failed=str(command["failed"]), **command["metrics"])
        self.update()
        self.say(f"trial {number} is {trial.state}")

    def _steer(self, command: Mapping[str, Any]) -> None:
        {"stop": self.mirror.handle.stop, "pause": self.mirror.handle.pause, "resume": self.mirror.handle.resume}[
            command["kind"]
        ]()

    def _shown_cell(self, _command: Mapping[str, Any]) -> None:
        self.wants_cell = True

    def _note_kept(self, command: Mapping[str, Any]) -> None:
        self.kept = command["ok"] or bool(self.kept)

    _acts: ClassVar[dict[str, Callable[[SweepView, Mapping[str, Any]], None]]] = {
        "ready": _ready,
        "drawn": _note_drawn,
        "see": _see,
        "workers": _look,
        "scale": _scale,
        "detail": _detail,
        "plots": _plots,
        "retry": _retry,
        "enter": _enter,
        "stop": _steer,
        "pause": _steer,
        "resume": _steer,
        "cell": _shown_cell,
        "kept": _note_kept,
    }


def unroute(comm: Any) -> None:
    """Let clicks run in the shell the front end sent them to.

    ipykernel 7.4 routes them to the shell that last sent on the comm: the one that the cell blocks (ipykernel#1565).
    """
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda _data, default: default
