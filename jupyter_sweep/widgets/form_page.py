"""The form on the page: a sweep's cell as fields and rows, with its mistakes, a preview, and the cell itself as text.

The kernel holds the cell's text, the page the caret. **From the page**: `edit` (all fields and rows, as they are now;
`commit` when the person has left a field), `source` (the text was edited), `cell` (the text of the notebook's own
cell), `run`. **To the page**: one trait `state`; it bears the number of the edit that it answers, and the page takes no
text from an answer that is older than what was typed since.

An edit names the drawing that it was made in: the keys of its rows are of that one. One of a text that has been
replaced since is dropped. While a field is being typed into, the text is written from the form as it was last
committed: a name that is typed letter by letter is not renamed letter by letter. Checks are those of the cell itself
(`Hooks.check`); they evaluate the arguments of ranges, as the cell does. Cells are put into the document by the page,
because a kernel can't do that from a click.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol

import anywidget
import traitlets

from .. import plugins
from ..errors import Mistake, Mistakes, SweepError
from ..handle import Handle
from ..notation import form, form_preview, specs, table
from ..notation.form_calls import KINDS, Row
from ..notation.form_line import FIELDS, Fields
from ..notation.options import Options
from ..space.space import Space
from .mirror import Mirror
from .page import HERE, unroute
from .view import Live

#: Drawings that an edit under way may have been made in.
DRAWINGS = 20
PARTS = ("view_words.js", "view_page.js", "form_controls.js", "form_rows.js", "form.js")
#: What stands beside a field, by option.
LABELS = {
    "trials": "Trials", "time": "Time in all", "repeat": "Repetitions", "algo": "Algorithm", "stop": "Stop rule",
    "seed": "Seed", "on": "Where", "jobs": "At once", "cpus": "Cores each", "gpus": "GPUs each", "mem": "Memory each",
    "timeout": "Time each", "retry": "Retries", "note": "Note",
}  # fmt: skip
HINTS = {
    "trials": "20", "time": "no limit", "repeat": "1", "algo": "tpe", "stop": "none", "seed": "0", "on": "local",
    "jobs": "as cores allow", "cpus": "1", "gpus": "0", "mem": "no limit", "timeout": "no limit", "retry": "0",
}  # fmt: skip


class Checked(Protocol):
    """What is known of a cell that is not run."""

    @property
    def mistakes(self) -> tuple[Mistake, ...]: ...
    @property
    def space(self) -> Space | None: ...
    @property
    def options(self) -> Options: ...


class Hooks(Protocol):
    """What the form wants of the notebook that it stands in."""

    @property
    def namespace(self) -> Mapping[str, Any]:
        """The notebook's variables."""
        ...

    @property
    def cell(self) -> tuple[str, int]:
        """Id of the running cell, "" when unknown, and its execution count."""
        ...

    def transform(self, source: str) -> str:
        """Turn IPython's syntax into Python."""
        ...

    def check(self, line: str, body: str) -> Checked:
        """Check a cell as it is checked before a start."""
        ...

    def run(self, line: str, body: str) -> Handle:
        """Start the sweep of a cell, or raise SweepError."""
        ...


class SweepForm(anywidget.AnyWidget):
    """The form of one sweep. `source` is the cell that it stands for.

    Parameters
    ----------
    source
        The cell to draw it from.
    hooks
        The notebook.
    look
        A cell of the notebook to draw it from instead, if the page finds one: the name of its sweep; "" for the nearest
        sweep above the form; None for none.
    """

    _esm = "\n".join((HERE / part).read_text("utf-8") for part in PARTS)
    _css = (HERE / "form.css").read_text("utf-8")

    state = traitlets.Dict().tag(sync=True)
    #: Words for the page that never change, and where the form stands.
    start = traitlets.Dict().tag(sync=True)
    own_id = traitlets.Unicode().tag(sync=True)
    #: Id of the notebook's cell that the form writes back to; "" for none.
    bound = traitlets.Unicode().tag(sync=True)
    #: Model of the live view of the sweep that the form started; "" for none.
    view = traitlets.Unicode().tag(sync=True)

    def __init__(self, source: str, hooks: Hooks, *, look: str | None = None) -> None:
        self._hooks = hooks
        self._said = ""
        self._form: form.Form | None = None
        self._drawn = 0
        self._forms: dict[int, form.Form] = {}  # by drawing: what edits may be made in
        self._fields, self._rows = Fields(), list[Row]()
        self._cell = hooks.cell
        super().__init__(start={**_words(), "cell_id": self._cell[0], "look": look})
        self.own_id = self.model_id
        self._source = source
        self._draw()
        self._tell(0)
        unroute(self.comm)
        self.on_msg(self._received)

    @property
    def source(self) -> str:
        """The cell as it is now."""
        return self._source

    def _received(self, _widget: object, message: Mapping[str, Any], _buffers: object) -> None:
        self._said = ""
        do: dict[str, Callable[[Mapping[str, Any]], None]] = {
            "edit": self._edit, "source": self._take, "cell": self._take, "run": self._run,
        }  # fmt: skip
        do[message["kind"]](message)
        self._tell(int(message.get("rev", 0)))

    def _edit(self, message: Mapping[str, Any]) -> None:
        """Write fields and rows into the text."""
        drawn = self._forms.get(message["drawn"])
        if self._form is None or drawn is None:
            return  # of a text that is gone, or can't be read: the answer shows what there is
        self._fields, self._rows = _fields(message["fields"]), [Row(**row) for row in message["rows"]]
        try:
            self._source = drawn.written(self._fields, self._rows, self._hooks.namespace)
        except SweepError as error:
            self._said = str(error)
            return
        if message["commit"]:
            self._draw()

    def _take(self, message: Mapping[str, Any]) -> None:
        """Take a text as it is."""
        self._source = str(message["source"])
        self._forms.clear()
        self._draw()

    def _run(self, _message: Mapping[str, Any]) -> None:
        _, line, body = form.split(self._source)
        try:
            live = Live(Mirror(self._hooks.run(line, body)), *self._cell)
        except SweepError as error:
            self._said = str(error)
            return
        self.view = live.view.model_id
        live.follow()

    def _draw(self) -> None:
        """Read the form from the text; what was there stays while the text can't be read."""
        try:
            self._form = form.read(self._source, self._hooks.namespace, self._hooks.transform)
        except SweepError:  # told by the check of the cell
            self._form = None
            return
        self._fields, self._rows = self._form.fields, list(self._form.rows.rows)
        self._drawn += 1
        self._forms[self._drawn] = self._form
        self._forms.pop(self._drawn - DRAWINGS, None)

    def _tell(self, rev: int) -> None:
        _, line, body = form.split(self._source)
        checked = self._hooks.check(line, body)
        mistakes = [{"text": str(m), "line": m.line} for m in checked.mistakes]
        if self._said:
            mistakes.insert(0, {"text": self._said, "line": None})
        self.state = {
            "rev": rev,
            "source": self._source,
            "drawn": self._drawn,
            "readable": self._form is not None,
            "fields": {**asdict(self._fields), "tags": ", ".join(self._fields.tags)},
            "rows": [asdict(row) for row in self._rows],
            "mistakes": mistakes,
            "wrong": self._wrong(checked.mistakes),
            "preview": None if checked.space is None else form_preview.preview(checked.space, checked.options),
        }

    def _wrong(self, mistakes: tuple[Mistake, ...]) -> list[int]:
        """Give the places of the rows whose line of the cell has a mistake."""
        try:
            now = form.read(self._source, self._hooks.namespace, self._hooks.transform).rows
        except Mistakes:
            return []
        lines = {mistake.line for mistake in mistakes}
        names = {row.name for row, line in zip(now.rows, now.lines, strict=True) if line in lines}
        return [index for index, row in enumerate(self._rows) if row.name in names]


def _fields(data: Mapping[str, Any]) -> Fields:
    """Give the fields that the page sent."""
    options = {name: text.strip() for name, text in data["options"].items() if name in FIELDS and text.strip()}
    targets = tuple((way, metric.strip()) for way, metric in data["targets"] if metric.strip())
    tags = tuple(tag.strip() for tag in data["tags"].split(",") if tag.strip())
    return Fields(data["name"].strip(), targets, options, tags, data["more"].strip())


def words_of(name: str) -> list[str]:
    """Give the words to choose from for an option."""
    words: dict[str, Callable[[], Sequence[str]]] = {
        "algo": lambda: plugins.names("proposer"),
        "stop": lambda: [*plugins.names("pruner"), "none"],
        "on": specs.places,
        "isolation": lambda: table.ISOLATIONS,
    }
    return list(dict.fromkeys(words[name]())) if name in words else []


def _words() -> dict[str, Any]:
    fields = [
        {
            "name": name,
            "label": LABELS[name],
            "hint": HINTS.get(name, ""),
            "help": table.BY_FIELD[name].help,
            "words": words_of(name),
        }
        for name in FIELDS
    ]
    return {"fields": fields, "kinds": KINDS}
