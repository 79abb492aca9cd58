"""Which options do not go together. Data first: a row names the option, those that it excludes, and why."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from ..executors import gpus

_EXCLUDES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("keep-going", ("fail-fast", "max-failures"), "one goes on whatever fails, the other does not"),
    ("fail-fast", ("max-failures",), "ending at the first failure is a limit already"),
    ("fresh", ("code",), "a new version from nothing adopts no trials"),
)
_NOT_INLINE = {
    "timeout": "nothing can end a trial of this process",
    "mem": "nothing can end a trial of this process",
    "jobs": "it runs one trial at a time",
    "bg": "it runs in this process",
    "grace": "nothing can end a trial of this process",
    "isolation": "all trials run in this process",
    "gpus": "the libraries of this process know its devices already",
    "devices": "the libraries of this process know its devices already",
}
_NOT_PASSIVE = dict.fromkeys(
    ("on", "needs", "cpus", "gpus", "devices", "mem", "timeout", "grace", "isolation", "retry"), "no machine runs it"
) | {
    "stop": "its results come whole, so there is nothing to prune by",
    "time": "a person's time is not limited",
}


def clashes(given: Collection[str], values: Mapping[str, Any], spell: Callable[[str], str]) -> Iterator[str]:
    """Give a sentence for each pair of options that can't stand together.

    Parameters
    ----------
    given
        Fields of `Options` that were given, rightly or not.
    values
        Those that were given rightly.
    spell
        Gives an option's name as the user wrote it.
    """
    for name, others, why in _EXCLUDES:
        for other in others:
            if {_field(name), _field(other)} <= set(given):
                yield f"{spell(name)} and {spell(other)} exclude each other: {why}"
    if values.get("grid") and "algo" in values and values["algo"].name != "grid":
        yield f"{spell('grid')} is an algorithm, and {spell('algo')} names another: {values['algo']}"
    if values.get("fresh") and values.get("added"):
        yield f"{spell('fresh')} begins with no trials, so there are none to add to: give the number without '+'"
    if "gpus" not in given or "gpus" in values:
        yield from gpus.mistakes(values.get("gpus", 1), values.get("devices", ()))
    yield from _in_the_worker(given, values, spell)
    if "algo" in values and values["algo"].name == "passive":
        for name, why in _NOT_PASSIVE.items():
            if name in given:
                yield f"{spell('algo')} passive refuses {spell(name)}: {why}"
    elif "on" in values and values["on"].name == "inline":
        for name, why in _NOT_INLINE.items():
            if _field(name) in given:
                yield f"{spell('on')} inline refuses {spell(name)}: {why}"


#: Why these do not go with `--isolation inline`.
_NOT_IN_THE_WORKER = {
    "timeout": "only a report() of its own can end such a trial",
    "mem": "only a report() of its own can end such a trial",
    "grace": "only a report() of its own can end such a trial",
    "gpus": "devices are a matter of the process",
    "devices": "devices are a matter of the process",
}


def _in_the_worker(given: Collection[str], values: Mapping[str, Any], spell: Callable[[str], str]) -> Iterator[str]:
    if values.get("isolation") != "inline":
        return
    for name, why in _NOT_IN_THE_WORKER.items():
        if _field(name) in given:
            yield f"{spell('isolation')} inline refuses {spell(name)}: {why}"
    if "on" in values and values["on"].name == "threads":
        yield f"{spell('isolation')} inline refuses {spell('on')} threads: trials would run in the driver itself"
    if "on" in values and values["on"].name == "gpu":
        yield f"{spell('isolation')} inline refuses {spell('on')} gpu: {_NOT_IN_THE_WORKER['gpus']}"


def _field(name: str) -> str:
    return name.replace("-", "_")
