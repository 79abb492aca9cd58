"""The arguments of a range, evaluated in the notebook before anything is started.

They may be any expression of notebook values (`randint(1, n_max)`, `choice(*np.linspace(0, 1, 5))`) and of names
that the body assigns in a plain way above; never of another parameter, because a range is the same for all trials.
"""

from __future__ import annotations

import ast
import builtins
import difflib
import inspect
from collections.abc import Iterable
from typing import Any

from .. import vocabulary
from ..errors import SweepError
from ..space.condition import free_names
from ..space.parameter import Parameter
from .lookup import Lookup, Range
from .symbols import Symbols, evaluate


class Wrong(Exception):
    """A range that gives no parameter; the text says why, `fix` what to do."""

    def __init__(self, message: str, fix: str = "") -> None:
        self.fix = fix
        super().__init__(message)


def parameter(name: str, call: ast.Call, make: Range, lookup: Lookup, symbols: Symbols) -> Parameter:
    """Give the parameter that a call of a range declares.

    Raises
    ------
    Wrong
        When an argument can't be evaluated, or the range is not possible.
    """
    scope = _scope(name, [*call.args, *(keyword.value for keyword in call.keywords)], lookup, symbols)
    collect = ast.Call(ast.Name("__range__", ast.Load()), call.args, call.keywords)
    try:
        args, kwargs = evaluate(collect, {**scope, "__range__": lambda *args, **kwargs: (args, kwargs)})
    except NameError as error:
        raise Wrong(str(error), way_to(str(getattr(error, "name", "")), lookup)) from None
    except Exception as error:
        raise Wrong(f"the range of `{name}` can't be evaluated: {type(error).__name__}: {error}") from None
    try:
        return make(*args, **kwargs)
    except SweepError as error:
        raise Wrong(f"the range of `{name}`: {error}") from None
    except TypeError as error:
        raise Wrong(str(error), f"write {make.__name__}{_signature(make)}") from None


def way_to(name: str, lookup: Lookup) -> str:
    """Say how to get at a name that is not defined."""
    if name in vocabulary.WORDS:
        return f"from jupyter_sweep import {name}"
    near = difflib.get_close_matches(name, [*lookup.namespace, *lookup.bound, *dir(builtins)], n=1)
    return f"did you mean `{near[0]}`?" if near else f"define `{name}` in another cell, or here before its use"


def _scope(name: str, parts: Iterable[ast.expr], lookup: Lookup, symbols: Symbols) -> dict[str, Any]:
    """Give the names that the arguments see: the notebook, and what the body assigned in a plain way."""
    scope = dict(lookup.namespace)
    for read in sorted({n for part in parts for n in free_names(part)}):
        known = symbols.assigned(read)
        if known is None and read in lookup.bound:
            scope[read] = _fetched(read, lookup)
        elif isinstance(known, str):
            why = f"the range of `{name}` reads `{read}`, which {known}, and a range must be known before the start"
            raise Wrong(why, f"compute `{read}` in another cell")
        elif known is not None and symbols.parameters_in(known):
            other = symbols.parameters_in(known)[0]
            why = f"the range of `{name}` reads the parameter `{other}`, and a range must be known before the start"
            raise Wrong(why, "draw a fraction here and multiply below, or use require(...)")
        elif known is not None:
            scope[read] = evaluate(known, lookup.namespace)
    return scope


def _fetched(name: str, lookup: Lookup) -> Any:
    try:
        return lookup.fetch(name)
    except Exception as error:
        raise Wrong(f"`{name}` can't be imported: {type(error).__name__}: {error}") from None


def _signature(make: Range) -> str:
    parameters = inspect.signature(make).parameters.values()
    return f"({', '.join(str(p.replace(annotation=p.empty)) for p in parameters)})"
