"""The table of `%sweep` verbs: what help, completion and the messages know of them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import SweepError, suggest


@dataclass(frozen=True)
class Verb:
    """One verb: its arguments as the help shows them (in brackets what may be left out), its flags, what it does.

    A flag that ends in "=" takes a value, and an argument before "..." may be given several times.
    """

    name: str
    usage: str
    help: str
    flags: tuple[str, ...] = ()


VERBS = (
    Verb("show", "NAME", "the table of a sweep, as its cell shows it"),
    Verb("log", "NAME NUMBER", "what a trial printed"),
    Verb("best", "NAME", "a cell of plain assignments with the best configuration, inserted below"),
    Verb("form", "[NAME]", "a form of a sweep, of the sweep above, or a new one: parameters, options, the cell itself"),
    Verb("config", "", "an editor of sweeps.toml: defaults of the options, places to run"),
    Verb("init", "", "questions, one after another, that end in a cell: target, parameters, algorithm, where"),
    Verb("stop", "NAME", "start no more trials and cancel those that run"),
    Verb("pause", "NAME", "start no more trials; those that run go on to their end"),
    Verb("resume", "NAME", "go on with a paused, stopped or interrupted sweep"),
    Verb("wait", "NAME [SECONDS]", "wait for the end of a sweep, as long as you say"),
    Verb(
        "export",
        "NAME [PATH] [--to=KIND]",
        "write a sweep to a file; KIND is csv, parquet, jsonl, html, yaml, py or optuna (default: as PATH ends)",
        ("--to=",),
    ),
    Verb(
        "compare",
        "NAME [NAME]",
        "two sweeps side by side, or the last two versions of one: results, settings, code; NAME@2 is version 2",
    ),
    Verb(
        "check",
        "[NOTEBOOK]",
        "the mistakes of all %%sweep cells of a saved notebook, as they would run here and now; starts nothing",
    ),
    Verb("replay", "NAME NUMBER", "run a trial's body in this kernel, with its parameters and its seed"),
    Verb("dry-run", "NAME", "what resuming a sweep would run; nothing is started"),
    Verb("why", "NAME [NUMBER]", "why the last run began a new version or ran nothing; why a trial is what it is"),
    Verb(
        "clusters",
        "[REQ]",
        "where sweeps can run: slots, versions, health; which profile has what --needs REQ asks for",
    ),
    Verb("workers", "[NAME]", "what each slot of the cluster does, and how long an idle cluster stays"),
    Verb(
        "enter",
        "[NAME] [NUMBER] [METRIC=VALUE] ... [--failed=WHY]",
        "the result of a trial of a passive sweep; without arguments: the trials that wait for theirs",
        ("--failed=",),
    ),
    Verb("scale", "NAME JOBS", "run so many trials at once from now on, with more or fewer workers"),
    Verb(
        "clean", "[--yes]", "idle clusters, and files that no sweep needs: what would go; --yes has it go", ("--yes",)
    ),
    Verb("drop", "NAME [--yes]", "forget a sweep and delete its folder; asks first, unless --yes", ("--yes",)),
)
#: Verbs of the public contract that this release has not.
PLANNED = (
    "debug", "load", "rename",
)  # fmt: skip

BY_NAME = {verb.name: verb for verb in VERBS}
NAMES = tuple(BY_NAME)


def find(word: str) -> Verb:
    """Give a verb by its name.

    Raises
    ------
    SweepError
        With the nearest verb, or saying that it comes in a later release.
    """
    if word in PLANNED:
        raise SweepError(f"%sweep {word} is not in this release.{suggest(word, NAMES)}")
    if word.startswith("-"):
        raise SweepError(f"%sweep takes a verb, got {word!r}. A cell is swept with two percent signs: %%sweep.")
    if word not in BY_NAME:
        raise SweepError(f"{word!r} is no verb of %sweep.{suggest(word, NAMES)}")
    return BY_NAME[word]


def flags(word: str) -> tuple[str, ...]:
    """Give the flags of a verb; none of an unknown one."""
    return BY_NAME[word].flags if word in BY_NAME else ()


def arguments(verb: Verb, given: list[str]) -> tuple[list[str], set[str]]:
    """Give a verb's arguments and flags.

    Raises
    ------
    SweepError
        When one is missing, too many or unknown.
    """
    given = _joined(verb, given)
    flags = {word for word in given if word.startswith("--")}
    words = [word for word in given if word not in flags]
    wanted = [word for word in verb.usage.split() if not word.startswith("[--")]
    has_end = wanted[-1:] != ["..."]
    needed = [word for word in wanted if not word.startswith(("[", "..."))]
    usage = f"Usage: %sweep {verb.name} {verb.usage}"
    if unknown := {flag for flag in flags if re.sub("=.*", "=", flag) not in verb.flags}:
        raise SweepError(f"%sweep {verb.name} has no flag {', '.join(sorted(unknown))}. {usage}")
    if len(words) < len(needed):
        raise SweepError(f"%sweep {verb.name} needs {' and '.join(needed[len(words) :])}. {usage}")
    if has_end and len(words) > len(wanted):
        raise SweepError(f"%sweep {verb.name} can't place {' '.join(map(repr, words[len(wanted) :]))}. {usage}")
    return words, flags


def _joined(verb: Verb, given: list[str]) -> list[str]:
    """Give the words with ``--to html`` as the one word ``--to=html``."""
    found: list[str] = []
    for word in given:
        if found and f"{found[-1]}=" in verb.flags:
            found[-1] += f"={word}"
        else:
            found.append(word)
    return found


def help_text() -> str:
    """Give the documentation that `%sweep?` shows."""
    width = max(len(f"{v.name} {v.usage}") for v in VERBS)
    rows = [f"    %sweep {f'{v.name} {v.usage}'.ljust(width)}  {v.help}" for v in VERBS]
    every = f"    %sweep {' ' * width}  all sweeps of this folder"
    return "\n".join(["Look at sweeps and steer them. `%%sweep?` explains the cell.", "", every, *rows])
