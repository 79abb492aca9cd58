"""Tab on a `%%sweep` or `%sweep` line: options and their words, metrics and parameters of the body, verbs, sweep names.

Within ``--algo tpe(`` and ``--stop asha(`` it gives the options of that plug-in, after ``opt=`` the items of a choice.

IPython asks a matcher with the whole cell, so that the names of the body below the line are at hand; they are read with
a pattern, because a cell that is being written seldom parses. Where Python is written on the line (`--space`, the value
of `name=`), IPython's own completion is left alone.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher

from .. import live, plugins
from ..errors import StoreError
from ..notation import table
from . import verbs

_LINE = re.compile(r"\s*(%%?)sweep\s(.*)", re.DOTALL)
_ASSIGNED = re.compile(r"^[ \t]*([^\W\d]\w*)[ \t]*=(?!=)", re.MULTILINE)
_INSIDE = re.compile(r"--(algo|stop)(?:=|\s+)[\"']?([\w-]+)\(([^()]*)$")
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
        fragment = re.split(r"[\s,(\"']", found[2])[-1]
        fragment = fragment.rpartition("=")[2] if re.match(r"--|[^\W\d]\w*=", fragment) else fragment
        matching = [SimpleCompletion(word, type="sweep") for word in words if word.startswith(fragment)]
        return {"completions": matching, "matched_fragment": fragment, "suppress": True, "ordered": True}

    return sweep_matcher  # type: ignore[no-any-return]


def _on_cell_line(text: str, body: str) -> Iterable[str] | None:
    """Give the words that may stand at the end of what follows `%%sweep`; None where Python is written."""
    inside = _INSIDE.search(text)
    if inside is not None:
        return _of_plugin({"algo": "proposer", "stop": "pruner"}[inside[1]], inside[2], inside[3])
    *before, word = re.split(r"\s+", text)
    spelled, equals, _ = word.partition("=")
    option = table.BY_SPELLING.get(spelled if equals else before[-1] if before else "")
    if option is not None and not option.is_flag:
        return _values(option, body)
    if equals:
        return _items(spelled, body)
    options = [f"--{o.name}" for o in table.OPTIONS if o.several or not set(o.spellings) & set(before)]
    return options if word.startswith("-") else [*options, *(f"{name}=" for name in _ASSIGNED.findall(body))]


def _of_plugin(kind: str, name: str, given: str) -> Iterable[str] | None:
    """Give the options of a plug-in that are not given yet; None behind the sign of equality."""
    if re.search(r"=\s*[^,\s]*$", given):
        return None
    if name not in plugins.names(kind):
        return []
    named = inspect.signature(plugins.load(kind, name)).parameters.values()
    there = re.findall(r"(\w+)\s*=", given)
    return [f"{p.name}=" for p in named if p.kind is p.KEYWORD_ONLY and p.name not in ("seed", *there)]


def _items(name: str, body: str) -> list[str] | None:
    """Give what a choice of the body may be pinned to, as the line takes it; None where that can't be read."""
    found = re.search(rf"^[ \t]*{re.escape(name)}[ \t]*=[ \t]*(?:choice|ordinal)(\([^()\n]*\))", body, re.MULTILINE)
    try:
        call = ast.parse(f"f{found[1]}", mode="eval").body if found else None
        values = [ast.literal_eval(item) for item in call.args] if isinstance(call, ast.Call) else []
    except (SyntaxError, ValueError):
        return None
    return [text for text in (str(value) for value in values) if not re.search(r"[\s\"'\\]", text)] or None


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
    if before[-1] == "--to" or re.search(r"\s--to=\S*$", text):
        from ..results import export

        return list(export.KINDS)
    places = verbs.BY_NAME[before[0]].usage.split() if named else []
    is_name = len(before) <= len(places) and places[len(before) - 1].strip("[]") == "NAME"
    return _names(folder) if is_name else verbs.flags(before[0])


def _names(folder: Path) -> list[str]:
    try:
        return [handle.name for handle in live.sweeps(folder)]
    except StoreError:
        return []  # a store that can't be read is told by the command, not by the Tab key
