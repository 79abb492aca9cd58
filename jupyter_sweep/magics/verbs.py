"""The table of `%sweep` verbs: what help, completion and the messages know of them."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import SweepError, suggest


@dataclass(frozen=True)
class Verb:
    """One verb: its arguments as the help shows them (in brackets what may be left out), its flags, what it does."""

    name: str
    usage: str
    help: str
    flags: tuple[str, ...] = ()


VERBS = (
    Verb("show", "NAME", "the table of a sweep, as its cell shows it"),
    Verb("log", "NAME NUMBER", "what a trial printed"),
    Verb("best", "NAME", "a cell of plain assignments with the best configuration, inserted below"),
    Verb("stop", "NAME", "start no more trials and cancel those that run"),
    Verb("pause", "NAME", "start no more trials; those that run go on to their end"),
    Verb("resume", "NAME", "go on with a paused, stopped or interrupted sweep"),
    Verb("wait", "NAME [SECONDS]", "wait for the end of a sweep, as long as you say"),
    Verb("replay", "NAME NUMBER", "run a trial's body in this kernel, with its parameters and its seed"),
    Verb("dry-run", "NAME", "what resuming a sweep would run; nothing is started"),
    Verb("drop", "NAME [--yes]", "forget a sweep and delete its folder; asks first, unless --yes", ("--yes",)),
)
#: Verbs of the public contract that this release has not.
PLANNED = (
    "compare", "debug", "export", "load", "form", "check", "config", "rename",
    "clusters", "workers", "scale", "why", "enter", "init", "clean",
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
    flags = {word for word in given if word.startswith("--")}
    words = [word for word in given if word not in flags]
    wanted = [word for word in verb.usage.split() if word.strip("[]") not in verb.flags]
    needed = [word for word in wanted if not word.startswith("[")]
    usage = f"Usage: %sweep {verb.name} {verb.usage}"
    if unknown := flags - set(verb.flags):
        raise SweepError(f"%sweep {verb.name} has no flag {', '.join(sorted(unknown))}. {usage}")
    if len(words) < len(needed):
        raise SweepError(f"%sweep {verb.name} needs {' and '.join(needed[len(words) :])}. {usage}")
    if len(words) > len(wanted):
        raise SweepError(f"%sweep {verb.name} can't place {' '.join(map(repr, words[len(wanted) :]))}. {usage}")
    return words, flags


def help_text() -> str:
    """Give the documentation that `%sweep?` shows."""
    width = max(len(f"{v.name} {v.usage}") for v in VERBS)
    rows = [f"    %sweep {f'{v.name} {v.usage}'.ljust(width)}  {v.help}" for v in VERBS]
    every = f"    %sweep {' ' * width}  all sweeps of this folder"
    return "\n".join(["Look at sweeps and steer them. `%%sweep?` explains the cell.", "", every, *rows])
