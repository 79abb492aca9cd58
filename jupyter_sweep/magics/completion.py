"""Tab on a `%%sweep` or `%sweep` line: options and their words, metrics and parameters of the body, verbs, sweep names.

IPython asks a matcher with the whole cell, so that the names of the body below the line are at hand; they are read with
a pattern, because a cell that is being written seldom parses. Where Python is written on the line (`--space`, the value
of `name=`), IPython's own completion is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher

from .. import live
from ..errors import StoreError
from ..notation import table
from . import verbs

_LINE = re.compile(r"\s*(%%?)sweep\s(.*)", re.DOTALL)
_ASSIGNED = re.compile(r"^[ \t]*([^\W\d]\w*)[ \t]*=(?!=)", re.MULTILINE)
_REPORTED = re.compile(r"\breport\(([^)]*)\)")

Matcher = Callable[[CompletionContext], SimpleMatcherResult]


def matcher(folder: Callable[[], Path]) -> Matcher:
    """Give the matcher for `shell.Completer.custom_matchers`; `folder` holds `sweeps/`, for the names of sweeps."""

    @context_matcher(identifier="jupyter_sweep.matcher")  # type: ignore[untyped-decorator]
    def sweep_matcher(context: CompletionContext) -> SimpleMatcherResult:
        lines = context.full_text.split("\n")
        found = _LINE.match(lines[context.cursor_line][: context.cursor_position])
        is_cell = found is not None and found[1] == "%%"
        above = [line for line in lines[: context.cursor_line] if not re.match(r"\s*(%%|$)", line)]
        if found is None or (is_cell and above):
            return {"completions": []}
        body = "\n".join(lines[context.cursor_line + 1 :])
        words = _on_cell_line(found[2], body) if is_cell else _on_line(found[2], folder())
        if words is None:
            return {"completions": []}
        fragment = re.split(r"[\s,]", found[2])[-1]
        fragment = fragment.rpartition("=")[2] if fragment.startswith("--") else fragment
        matching = [SimpleCompletion(word, type="sweep") for word in words if word.startswith(fragment)]
        return {"completions": matching, "matched_fragment": fragment, "suppress": True, "ordered": True}

    return sweep_matcher  # type: ignore[no-any-return]


def _on_cell_line(text: str, body: str) -> Iterable[str] | None:
    """Give the words that may stand at the end of what follows `%%sweep`; None where Python is written."""
    *before, word = re.split(r"\s+", text)
    spelled, equals, _ = word.partition("=")
    option = table.BY_SPELLING.get(spelled if equals else before[-1] if before else "")
    if option is not None and not option.is_flag:
        return _values(option, body)
    if equals:
        return None
    options = [f"--{o.name}" for o in table.OPTIONS if o.several or not set(o.spellings) & set(before)]
    return options if word.startswith("-") else [*options, *(f"{name}=" for name in _ASSIGNED.findall(body))]


def _values(option: table.Option, body: str) -> Iterable[str] | None:
    if option.name in ("min", "max"):
        reported = [name for inside in _REPORTED.findall(body) for name in re.findall(r"(\w+)\s*=(?!=)", inside)]
        return dict.fromkeys([*reported, *reversed(_ASSIGNED.findall(body))])
    return None if option.name == "space" else option.allowed()


def _on_line(text: str, folder: Path) -> Iterable[str]:
    """Give the verbs of `%sweep`, after one the names of the folder's sweeps, after both the verb's flags."""
    before = text.split()[:-1] if text and not text[-1].isspace() else text.split()
    if not before:
        return verbs.NAMES
    named = before[0] in verbs.BY_NAME and "NAME" in verbs.BY_NAME[before[0]].usage
    return _names(folder) if len(before) == 1 and named else verbs.flags(before[0])


def _names(folder: Path) -> list[str]:
    try:
        return [handle.name for handle in live.sweeps(folder)]
    except StoreError:
        return []  # a store that can't be read is told by the command, not by the Tab key
