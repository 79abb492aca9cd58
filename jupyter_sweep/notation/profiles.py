"""Profiles: places to run under names of the user's own, in a file `sweeps.toml`.

    [profiles.lab]
    on = "ssh:alpha,beta*4"                     # any word of --on
    tls = false                                 # options of that kind of place
    duration = "2 days"                         # what there is, for --needs
    cpu = {mem = "64G", cores = 16}
    gpus = [{kind = "cuda", mem = "24G"}]

The file lies beside the notebook or in Jupyter's folder of settings; a name that stands in both is the former's. It is
read when a word of `--on` is no kind of place, or `--needs` is given, and then it is checked whole: all mistakes of all
profiles at once, so that the one that is wanted tomorrow works tomorrow. A profile travels with its sweep into the
store and to the driver, as plain data. That is why it may hold no secrets.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import plugins
from ..definition import Spec
from ..errors import Mistake, Mistakes, SweepError, suggest
from ..executors import clusters
from .needs import FACTS, Facts, facts

FILE = "sweeps.toml"
#: What the file may hold; `defaults` is the other module's.
TABLES = ("profiles", "defaults")
#: The executor that `--algo passive` brings along: a word of ours, and no place that anybody asks for.
PERSON = "person"
_NAME = re.compile(r"[A-Za-z][\w-]*")
_SECRET = re.compile(r"(^|_)(password|passwd|passphrase|secret|token|credentials|api_?key|access_?key)($|_)", re.I)

_beside: Callable[[], Path] = Path.cwd


def look_beside(notebook: Callable[[], Path] | None) -> None:
    """Have profiles be looked for in the folder that `notebook` gives; None: in the working directory."""
    global _beside
    _beside = notebook or Path.cwd


@dataclass(frozen=True)
class Profile:
    """One profile: the word that it stands for, the options of that kind of place, what the place has."""

    name: str
    on: str
    options: dict[str, Any] = field(default_factory=dict)
    facts: Facts = field(default_factory=Facts)
    file: Path = field(default_factory=Path)

    @property
    def spec(self) -> Spec:
        """The executor that it stands for, as a sweep's definition holds it."""
        return Spec(self.name, clusters.settled(self.name, {"on": self.on, **self.options}))


def files() -> list[Path]:
    """Give the files that are there, those that count most first."""
    from jupyter_core.paths import jupyter_config_dir

    found = [Path(folder) / FILE for folder in (_beside(), jupyter_config_dir())]
    return [path for path in dict.fromkeys(found) if path.is_file()]


def load() -> dict[str, Profile]:
    """Give all profiles by name, in the order of the files.

    Raises
    ------
    Mistakes
        All of all files, each with its file, line and table.
    """
    found: dict[str, Profile] = {}
    mistakes: list[Mistake] = []
    for path in files():
        profiles, wrong = read(path)
        found = {**found, **{name: p for name, p in profiles.items() if name not in found}}
        mistakes += wrong
    if mistakes:
        raise Mistakes(mistakes)
    return found


def read(path: Path) -> tuple[dict[str, Profile], list[Mistake]]:
    """Give the profiles of a file and all mistakes in it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # ValueError: no UTF-8
        return {}, [Mistake(f"{path} can't be read: {error}")]
    return check(text, path)


def check(text: str, path: Path) -> tuple[dict[str, Profile], list[Mistake]]:
    """Give the profiles of a file's text and all mistakes in it."""
    try:
        data = parsed(text)
    except ValueError as error:
        return {}, [Mistake(f"{path} can't be read: {error}")]
    tables = data.get("profiles", {})
    if not isinstance(tables, Mapping) or not all(isinstance(table, Mapping) for table in tables.values()):
        return {}, [Mistake(f"{path}: profiles are tables of their own", fix='write [profiles.lab], then on = "..."')]
    unknown = [
        f"has [profiles.NAME] and [defaults] only, got {key!r}.{suggest(key, TABLES)}"
        for key in data
        if key not in TABLES
    ]
    mistakes = [Mistake(f"{path} {said}") for said in unknown]
    found = {}
    for name, table in tables.items():
        profile, wrong = _profile(path, name, table)
        found[name] = profile
        mistakes += [Mistake(f"{path}{_line(text, name)}, [profiles.{name}]: {said}") for said in wrong]
    return found, mistakes


def tables(path: Path) -> Mapping[str, Any]:
    """Give a file as it is parsed; nothing of one that can't be read, which `load` tells."""
    try:
        return parsed(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def parsed(text: str) -> dict[str, Any]:
    name = "tomllib" if sys.version_info >= (3, 11) else "tomli"
    loads: Callable[[str], dict[str, Any]] = importlib.import_module(name).loads
    return loads(text)


def _line(text: str, name: str) -> str:
    """Name the line of a profile's heading, where it has one."""
    found = re.search(rf"""^[ \t]*\[[ \t]*profiles[ \t]*\.[ \t]*["']?{re.escape(name)}["']?[ \t]*\]""", text, re.M)
    return "" if found is None else f", line {text.count(chr(10), 0, found.start()) + 1}"


def _profile(path: Path, name: str, table: Mapping[str, Any]) -> tuple[Profile, list[str]]:
    has, wrong = facts(table)
    if not _NAME.fullmatch(name):
        wrong.append(f"{name!r} can't name a profile: wanted is a letter, then letters, digits, '_' or '-'")
    elif name in (*known_words(), PERSON):
        wrong.append(f"{name!r} is a kind of place of its own; give the profile another name")
    options = {key: value for key, value in table.items() if key not in ("on", *FACTS)}
    plain = True
    for where, value in _leaves(options):
        if not isinstance(value, str | int | float | bool):
            wrong.append(f"{where} wants a text, a number, true or false, got {value!r}")
            plain = False
    wrong += [
        f"{where} looks like a secret, and a profile is written into the store; leave it to the environment of the "
        "process that starts the sweep, or to the provider's own file"
        for where, _ in _leaves(options)
        if any(_SECRET.search(part) for part in where.split("."))
    ]
    on = table.get("on")
    wrong += _wrong_place(name, on, options) if plain else []
    return Profile(name, str(on), options, has, path), wrong


def _wrong_place(name: str, on: Any, options: Mapping[str, Any]) -> Iterator[str]:
    """Say what is wrong with the word of a profile and the options of its kind."""
    if not isinstance(on, str):
        got = f", got {on!r}" if on is not None else ""
        yield f'on, the word of --on that it stands for, is missing: on = "local"{got}'
        return
    kind = clusters.word_for(on).partition(":")[0]
    if kind == "inline":
        yield "inline runs in the kernel itself and needs no profile; write --on inline"
    elif kind not in known_words():
        yield f"on = {on!r} is no place to run.{suggest(kind, known_words())}"
    elif kind in clusters.KINDS:
        try:
            clusters.parse(name, {**options, "on": clusters.word_for(on)})
        except Mistakes as error:
            yield from (str(mistake) for mistake in error.mistakes)
        except SweepError as error:
            yield str(error)


def known_words() -> list[str]:
    """Give the words that need no profile."""
    return sorted({*plugins.names("executor"), *clusters.KINDS} - {PERSON})


def _leaves(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Give every plain value with its dotted name; texts of a list bear the list's name."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, where)
    else:
        yield where, value
