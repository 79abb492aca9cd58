"""A `%%sweep` cell as a form: its line as fields, its parameters as rows. The cell's text is the only truth.

A form is read from the text, and what is changed in it is written into the text; everything else of the cell stays as
it is. So form and cell are one document, and to read back what was written gives the same form.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import Mistakes
from ..space.codec import Opaque
from ..space.condition import Condition
from ..space.parameter import Parameter
from ..space.space import Space
from . import form_line, form_rows, form_tests
from .form_calls import Row
from .form_line import Fields
from .form_rows import Rows

#: The cell of a form that is drawn from nothing; it runs as it stands.
EMPTY = """\
%%sweep --min loss -n 20
x = uniform(-1.0, 1.0, default=0.5)

loss = (x - 0.3) ** 2
"""

_HEAD = re.compile(r"(\s*%%sweep(?![\w-]))([^\n]*)(?:\n|$)")


@dataclass(frozen=True)
class Form:
    """A cell, read.

    Parameters
    ----------
    head
        What stands before the options: ``%%sweep``.
    line
        The options, with the blank before them.
    """

    head: str
    line: str
    fields: Fields
    rows: Rows

    def written(self, fields: Fields, rows: Sequence[Row], namespace: Mapping[str, Any] | None = None) -> str:
        """Give the cell with these fields and rows; see `Rows.written`.

        Raises
        ------
        SweepError
            When a row can't be written, with all that is wrong.
        """
        line = form_line.write(self.line, fields)
        blank = " " if line and not line[0].isspace() else ""
        return f"{self.head}{blank}{line}\n{self.rows.written(rows, namespace)}"


def split(source: str) -> tuple[str, str, str]:
    """Give head, line and body of a cell; a cell without our magic is all body."""
    found = _HEAD.match(source)
    return (found[1], found[2], source[found.end() :]) if found else ("%%sweep", "", source)


def read(source: str, namespace: Mapping[str, Any], transform: Callable[[str], str] | None = None) -> Form:
    """Give the form of a cell.

    Parameters
    ----------
    namespace
        The notebook's variables; a range is one of our words by identity.
    transform
        Turns IPython's syntax into Python.

    Raises
    ------
    SweepError
        When its line or its body can't be read at all; mistakes of options and ranges are no hindrance.
    """
    head, line, body = split(source)
    return Form(head, line, form_line.read(line), form_rows.read(body, namespace, transform))


def of_space(space: Space, line: str = "") -> str:
    """Give the cell that declares the parameters of a space: constants, ranges, constraints; the job is to be added.

    Raises
    ------
    Mistakes
        For a name that no assignment can have.
    """
    constants = [f"{name} = {literal(value)}\n" for name, value in space.constants.items()]
    laws = [f"require({constraint.expression})\n" for constraint in space.constraints]
    rows = [row_of(parameter) for parameter in space.parameters.values() if parameter.kind != "fixed"]
    fixed = [f"{p.name} = {literal(p.value)}\n" for p in space.parameters.values() if p.kind == "fixed"]
    if mistakes := form_rows.mistakes(rows):
        raise Mistakes(mistakes)
    return f"%%sweep {line}".rstrip() + "\n" + "".join([*constants, *fixed, form_tests.block(rows), *laws])


def row_of(p: Parameter) -> Row:
    """Give the row that declares a parameter of a space."""
    marks = [f"{name}=True" for name in ("meta", "ignore_default") if getattr(p, name)]
    more = ", ".join([*([f"prior={literal(p.prior)}"] if p.prior is not None else []), *marks])
    when = form_tests.conditions([_condition(c) for c in p.when])
    if p.choices:
        default = "" if p.index(p.default) == p.index(p.middle()) else literal(p.default)
        kind = "ordinal" if p.ordered else "choice"
        choices = ", ".join(map(literal, p.choices))
        return Row(p.name, kind, choices=choices, default=default, when=when, more=more)
    low, high = (p.low, p.high) if p.bounded else (p.mean, p.sigma)
    step, default = ("" if value is None else literal(value) for value in (p.step, p.default))
    kind = p.kind if p.bounded else "normal"
    return Row(p.name, kind, literal(low), literal(high), p.log, step, "", default, when, more)


def _condition(condition: Condition) -> str:
    return condition.expression if condition.expected else f"not ({condition.expression})"


def literal(value: Any) -> str:
    """Give Python that evaluates to a value; an object stands under its own name."""
    if isinstance(value, Opaque):
        return value.label
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, dict):
        return "{" + ", ".join(f"{literal(k)}: {literal(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        inside = ", ".join(map(literal, value)) + ("," if isinstance(value, tuple) and len(value) == 1 else "")
        return f"[{inside}]" if isinstance(value, list) else f"({inside})"
    named = not isinstance(value, (bool, int, float, str, set, frozenset, type(None)))
    return str(getattr(value, "__qualname__", repr(value))) if named else repr(value)
