"""Plug-ins as words of the line: ``tpe``, ``asha(eta=4)``, ``local``.

The name is checked against the plug-ins and the options by the plug-in itself, so that ``asha(etta=4)`` is a mistake of
the line and not of a process that starts later.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

from .. import plugins
from ..definition import Spec
from ..errors import SweepError, suggest
from ..executors import clusters
from ..space.parameter import Choice
from ..space.space import Space
from ..trackers import base
from ..trial import Objective
from . import demands, profiles
from . import needs as requirements

#: Plug-ins of the public contract that this release has not.
PLANNED: dict[str, tuple[str, ...]] = {
    "proposer": ("gp", "cmaes", "nsga2", "bohb", "hyperband", "eas"),
    "pruner": ("hyperband", "bandit", "truncation", "curve", "patience", "threshold"),
}
_WORDS = {"proposer": "algorithm", "pruner": "stop rule"}


def parse(kind: str, text: str) -> Spec:
    """Give name and options of a proposer or a pruner.

    >>> parse("proposer", "tpe").name
    'tpe'

    Raises
    ------
    SweepError
        For an unknown name, an unknown option or an option that is not a literal.
    """
    match = re.fullmatch(r"([\w-]+)(?::([\w.-]+))?(\(.*\))?", text.strip(), re.DOTALL)
    if match is None:
        raise SweepError(f"wants a name, or a name with options such as 'asha(eta=4)', got {text!r}")
    name = match[1]
    known = plugins.names(kind)
    if name not in known:
        if name in PLANNED[kind]:
            raise SweepError(f"{name}: this {_WORDS[kind]} is not in this release. Allowed: {', '.join(known)}.")
        raise SweepError(f"{name!r} is no {_WORDS[kind]}.{suggest(name, known)}")
    if match[2] is not None and name != "passive":
        raise SweepError(f"wants one of {', '.join(known)}, got {text!r}")
    options = {} if match[3] is None else _options(name, match[3])
    if match[2] is not None:
        options = {"algo": match[2], **options}
    if options:
        _check(kind, name, options)
    return Spec(name, options)


def trackers(text: str) -> tuple[str, ...]:
    """Give the trackers of a list with commas.

    Raises
    ------
    SweepError
        For all unknown names and all missing packages of the list.
    """
    known, found, wrong = plugins.names("tracker"), [name.strip() for name in text.split(",")], []
    for name in found:
        if name not in known:
            wrong.append(f"{name!r} is no tracker.{suggest(name, known)}")
            continue
        try:
            base.refuse_missing(name)
        except SweepError as error:
            wrong.append(str(error).removeprefix("--log "))
    if wrong:
        raise SweepError(" ".join(wrong))
    return tuple(found)


def hearer(text: str) -> str:
    """Give the command or the address of `--notify`.

    Raises
    ------
    SweepError
        For an address that no request can be sent to, and a command that no shell could read.
    """
    if re.match(r"[a-z]+://", text):
        if not _is_web_address(text):
            raise SweepError("wants a command, or an address such as https://HOST/PATH, with no blanks in it")
        return text
    try:
        given = shlex.split(text)
    except ValueError as error:
        raise SweepError(f"can't read the command {text!r}: {error}") from None
    if not given:
        raise SweepError("wants a command or an http(s) address, got an empty text")
    return text


def _is_web_address(text: str) -> bool:
    """Tell whether a text is an http(s) address as it is sent: a host, a port that is a number, plain characters."""
    try:
        found = urlsplit(text)
        is_whole = bool(found.hostname) and found.port != 0
    except ValueError:  # a port that is no number, a bracket that is not closed
        return False
    return is_whole and found.scheme in ("http", "https") and text.isascii() and text.isprintable() and " " not in text


def where(text: str) -> Spec:
    """Give the executor of an `--on` word: a kind of place, an address, or a profile.

    Raises
    ------
    SweepError
        With the nearest words and names of profiles; with all mistakes of the files of profiles, if they are read.
    """
    word = clusters.word_for(text.strip())
    kind, known = word.partition(":")[0], profiles.known_words()
    if kind in clusters.KINDS:
        clusters.parse(word)
        return Spec(word, clusters.settled(word, {}))
    if kind in known:
        return Spec(word)
    if kind == profiles.PERSON:
        raise SweepError(
            f"{text} is no place to run: a sweep whose results a person enters is asked for by --algo passive"
        )
    if word.startswith("inproc:"):
        raise SweepError(
            f"{text}: a cluster of threads in another process can't be reached; make it with processes=True, or leave "
            "the threads to --on threads"
        )
    found = profiles.load()
    if word not in found:
        raise SweepError(_no_place(text, found))
    return found[word].spec


def _no_place(text: str, found: Collection[str]) -> str:
    """Say what may stand behind `--on`, the nearest first."""
    others = [word for word in profiles.known_words() if word not in clusters.KINDS]
    words = [*clusters.FORMS, *others]
    near = suggest(text, [*profiles.known_words(), *found]).partition(" Allowed:")[0]
    if not near and re.fullmatch(r"[\w-]+(\.[\w-]+)+|\[[0-9A-Fa-f:]+\]", text):
        near = f" The address of a scheduler has a port: {text}:8786. A host that is reached by ssh: ssh:{text}."
    named = f"profiles: {', '.join(found)}" if found else f"no profiles, which {profiles.FILE} would hold"
    return f"{text!r} is no place to run.{near} Allowed: {', '.join(words)}; {named}."


def place(needs: str, on: Spec | None) -> Spec:
    """Give the profile that has what is needed: the one that is named, or the first one that meets an alternative.

    Raises
    ------
    SweepError
        With what each profile lacks.
    """
    found = profiles.load()
    if on is not None and on.name not in found:
        raise SweepError(f"{needs!r} picks a profile, and --on {on} says already where to run: leave one of them away")
    told = matching(needs, None if on is None else on.name)
    if told["profile"] is None:
        raise SweepError(f"is not met by any profile:\n{requirements.explain(told)}")
    return found[told["profile"]].spec


def matching(needs: str, name: str | None = None) -> dict[str, Any]:
    """Say which profile has what is needed, and what the others lack: plain data, as `needs.report` gives it.

    Parameters
    ----------
    name
        The only profile to look at.

    Raises
    ------
    SweepError
        For a requirement that can't be read, and where there are no profiles.
    """
    found = profiles.load()
    if not found:
        raise SweepError(
            f"{needs!r} picks among profiles, and there are none: write [profiles.NAME] with `on` and what it has "
            f"(duration, cpu, gpus) into {profiles.FILE} beside the notebook"
        )
    return requirements.report(needs, {n: p.facts for n, p in found.items() if name in (None, n)})


def needs(text: str) -> str:
    """Give a requirement that can be read, as it was written."""
    demands.parse(text)
    return text


def places() -> list[str]:
    """Give the words and profiles that may stand behind `--on`; a file that can't be read is told by the command."""
    try:
        named = list(profiles.load())
    except SweepError:
        named = []
    return [*profiles.known_words(), *named]


def address_of(value: Any) -> str | None:
    """Give the scheduler's address of a Dask cluster or client of the notebook; None of anything else."""
    address = getattr(value, "scheduler_address", None) or getattr(getattr(value, "scheduler", None), "address", None)
    return address if isinstance(address, str) else None


def _options(name: str, brackets: str) -> dict[str, Any]:
    """Read ``(eta=4, min=1)``: keywords with literal values."""
    try:
        call = ast.parse(f"f{brackets}", mode="eval").body
    except SyntaxError:
        raise SweepError(f"can't read the options in {name + brackets!r}; write them as {name}(option=value)") from None
    if not isinstance(call, ast.Call) or call.args or any(k.arg is None for k in call.keywords):
        raise SweepError(f"wants options by name, as in {name}(option=value), got {name + brackets!r}")
    return {str(k.arg): _literal(name, k) for k in call.keywords}


def _literal(name: str, keyword: ast.keyword) -> Any:
    try:
        return ast.literal_eval(keyword.value)
    except ValueError:
        given = ast.unparse(keyword.value)
        raise SweepError(f"{name}: {keyword.arg} wants a plain value (a number, a text), got {given}") from None


def _check(kind: str, name: str, options: dict[str, Any]) -> None:
    """Make the plug-in once, for a space and a target that suit any: it raises SweepError for options it has not."""
    plugin = plugins.load(kind, name)
    target = Objective("value", "minimize")
    if kind == "pruner":
        plugin(target, **options)
    else:
        plugin(Space(x=Choice(0, 1)), (target,), seed=0, **options)
