"""The editor of `sweeps.toml`: defaults as fields, places to run as a table, the file itself as text.

As in the form, the text is the truth: fields are read from it and written into it, comments stay, and it is checked as
a sweep checks it, while one types. Nothing is written before Save.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from ..errors import SweepError
from ..notation import defaults, profiles, table, toml_text
from .form_page import LABELS, words_of
from .page import HERE, unroute

PARTS = ("view_words.js", "config.js")
#: What a new profile begins with, by the kind of place.
TEMPLATES: dict[str, list[str]] = {
    "this machine": ['on = "local"', "adapt = {minimum = 0, maximum = 8}  # as many slots as there is work for"],
    "hosts by ssh": ['on = "ssh:alpha,beta*4"', 'prescript = "module load python"'],
    "Slurm": ['on = "slurm"', 'partition = "gpu"', 'walltime = "8h"', "cores = 8", 'memory = "32G"', "max_jobs = 20"],
    "a Dask scheduler": ['on = "tcp://HOST:8786"'],
}
_LABELS = {**LABELS, "grace": "Grace", "isolation": "Isolation", "max-failures": "Failures allowed", "tag": "Tag"}


class ConfigForm(anywidget.AnyWidget):
    """The editor of one file.

    Parameters
    ----------
    path
        The file; it need not be there.
    """

    _esm = "\n".join((HERE / part).read_text("utf-8") for part in PARTS)
    _css = (HERE / "form.css").read_text("utf-8")

    state = traitlets.Dict().tag(sync=True)
    start = traitlets.Dict().tag(sync=True)

    def __init__(self, path: Path) -> None:
        self._path = path
        self._text = self._saved = path.read_text(encoding="utf-8") if path.exists() else ""
        fields = [
            {
                "name": name,
                "label": _LABELS[name],
                "help": table.BY_FIELD[name.replace("-", "_")].help,
                "words": words_of(name),
            }
            for name in defaults.ALLOWED
        ]
        super().__init__(start={"fields": fields, "path": str(path), "templates": list(TEMPLATES)})
        self._tell(0, "")
        unroute(self.comm)
        self.on_msg(self._received)

    @property
    def text(self) -> str:
        """The file as it would be saved."""
        return self._text

    def _received(self, _widget: object, message: Mapping[str, Any], _buffers: object) -> None:
        do: dict[str, Callable[[Mapping[str, Any]], str]] = {
            "text": self._take, "default": self._default, "add": self._add, "save": self._save,
        }  # fmt: skip
        try:
            said = do[message["kind"]](message)
        except (SweepError, OSError) as error:
            said = str(error)
        self._tell(int(message.get("rev", 0)), said)

    def _take(self, message: Mapping[str, Any]) -> str:
        self._text = str(message["text"])
        return ""

    def _default(self, message: Mapping[str, Any]) -> str:
        given = str(message["value"]).strip()
        value: str | int | float | None = int(given) if given.isdecimal() else given or None
        self._text = toml_text.with_value(self._text, "defaults", message["name"], value)
        return ""

    def _add(self, message: Mapping[str, Any]) -> str:
        taken, base = set(self._profiles()), "place"
        name = next(f"{base}{n or ''}" for n in range(len(taken) + 1) if f"{base}{n or ''}" not in taken)
        self._text = toml_text.with_table(self._text, f"profiles.{name}", TEMPLATES[message["template"]])
        return f"[profiles.{name}] stands at the end of the file: give it a name, change what is wrong for you"

    def _save(self, _message: Mapping[str, Any]) -> str:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        aside = self._path.with_name(f".{self._path.name}.new")
        aside.write_text(self._text, encoding="utf-8")
        aside.replace(self._path)
        self._saved = self._text
        return f"saved: {self._path}"

    def _profiles(self) -> dict[str, profiles.Profile]:
        return profiles.check(self._text, self._path)[0]

    def _tell(self, rev: int, said: str) -> None:
        found, mistakes = profiles.check(self._text, self._path)
        try:
            given = profiles.parsed(self._text).get("defaults", {})
        except ValueError:  # told by the check above
            given = {}
        texts, wrong = defaults.read(self._path, given)
        self.state = {
            "rev": rev,
            "text": self._text,
            "saved": self._text == self._saved,
            "defaults": texts,
            "profiles": [
                {"name": p.name, "on": p.on, "more": ", ".join(f"{k} = {v!r}" for k, v in p.options.items())}
                for p in found.values()
            ],
            "mistakes": [str(mistake).removeprefix(f"{self._path}").lstrip(", ") for mistake in [*mistakes, *wrong]],
            "said": said,
        }
