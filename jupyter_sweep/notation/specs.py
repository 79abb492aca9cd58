"""Plug-ins as words of the line: ``tpe``, ``asha(eta=4)``, ``local``.

The name is checked against the plug-ins and the options by the plug-in itself, so that ``asha(etta=4)`` is a mistake of
the line and not of a process that starts later.
"""

from __future__ import annotations

import ast
import re
from typing import Any

from .. import plugins
from ..definition import Spec
from ..errors import SweepError, suggest
from ..executors import clusters
from ..space.parameter import Choice
from ..space.space import Space
from ..trial import Objective

#: Plug-ins of the public contract that this release has not.
PLANNED: dict[str, tuple[str, ...]] = {
    "proposer": ("gp", "cmaes", "nsga2", "bohb", "hyperband", "eas", "passive"),
    "pruner": ("hyperband", "bandit", "truncation", "curve", "patience", "threshold"),
    "executor": ("gpu", "ssh", "slurm"),
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
    match = re.fullmatch(r"([\w-]+)(?::[\w.-]+)?(\(.*\))?", text.strip(), re.DOTALL)
    if match is None:
        raise SweepError(f"wants a name, or a name with options such as 'asha(eta=4)', got {text!r}")
    name = match[1]
    known = plugins.names(kind)
    if name not in known:
        if name in PLANNED[kind]:
            raise SweepError(f"{name}: this {_WORDS[kind]} is not in this release. Allowed: {', '.join(known)}.")
        raise SweepError(f"{name!r} is no {_WORDS[kind]}.{suggest(name, known)}")
    if match[2] is None:
        if name != text.strip():
            raise SweepError(f"wants one of {', '.join(known)}, got {text!r}")
        return Spec(name)
    options = _options(name, match[2])
    _check(kind, name, options)
    return Spec(name, options)


def where(text: str) -> Spec:
    """Give the executor of an ``--on`` word."""
    kind, known = text.partition(":")[0], plugins.names("executor")
    if kind in PLANNED["executor"]:
        raise SweepError(f"{text}: not in this release. Allowed: {', '.join(known)}.")
    if kind not in known:
        raise SweepError(f"{text!r} is no place to run.{suggest(text, known)}")
    if kind in clusters.KINDS:
        clusters.parse(text)
    return Spec(text)


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
