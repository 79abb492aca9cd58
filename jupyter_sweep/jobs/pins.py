"""`name=value` and `name=range` of the `%%sweep` line: pin, narrow or override what the body declares.

The text arrives without the quotes that the shell's rules took away, so that `opt="sgd"` and `opt=sgd` look the same:
text that gives no fitting value is taken as it stands where the parameter holds strings and this is one of them. So is
a name that is one of them, whatever the notebook calls by it.
"""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .. import vocabulary
from ..errors import SweepError
from ..space import codec
from ..space.parameter import Parameter
from .lookup import MISSING, Lookup
from .symbols import evaluate

#: What makes a range of numbers, by the kind of a parameter or the type of a literal.
_RANGES = {"float": "uniform", "int": "randint"}
#: Two numbers as other languages write a range: 0.2..0.4, 1:5.
_NUMBER = r"([-+]?(?:\d+\.)?\d+(?:e[-+]?\d+)?)"
_ENDS = re.compile(rf"\s*{_NUMBER}\s*(?:\.{{2,3}}|:)\s*{_NUMBER}\s*", re.I)


@dataclass(frozen=True)
class Pin:
    """One `name=text`: a value, or a range, or an error where the text is no expression that can be evaluated."""

    name: str
    text: str
    value: Any = MISSING
    range: Parameter | None = None
    error: str = ""

    @classmethod
    def read(cls, name: str, text: str, namespace: Mapping[str, Any]) -> Pin:
        """Evaluate the text in the notebook; our ranges are known also when they are not imported."""
        lookup = Lookup({**namespace, **vocabulary.RANGES})
        try:
            node = ast.parse(text.strip(), mode="eval").body
        except SyntaxError as error:
            return cls(name, text, error=f"is no Python expression: {error.msg}")
        try:
            make = lookup.range(node)
            if make is None or not isinstance(node, ast.Call):
                return cls(name, text, value=codec.plain(evaluate(node, lookup.namespace)))
            call = ast.Call(ast.Name("__range__", ast.Load()), node.args, node.keywords)
            return cls(name, text, range=evaluate(call, {**lookup.namespace, "__range__": make}))
        except SweepError as error:
            return cls(name, text, error=str(error))
        except Exception as error:
            return cls(name, text, error=f"can't be evaluated: {type(error).__name__}: {error}")

    def apply(self, parameter: Parameter) -> Parameter:
        """Give a declared parameter pinned or narrowed.

        Raises
        ------
        SweepError
            When the value does not fit the parameter's type.
        """
        if self.range is not None:
            return parameter.narrow(self.range)
        is_choice = self.text in [c for c in parameter.choices if isinstance(c, str)]
        if is_choice and self.text.isidentifier() and not keyword.iskeyword(self.text):
            return parameter.pinned(self.text)
        if self.error:
            if not is_choice:
                raise SweepError(f"{self} {self.error}{self._way_out(parameter.kind, log=parameter.log)}")
            return parameter.pinned(self.text)
        try:
            return parameter.pinned(self.value)
        except SweepError as error:
            if not is_choice:
                raise SweepError(f"{error}{self._way_out()}") from None
            return parameter.pinned(self.text)

    def override(self, literal: Any) -> Parameter:
        """Give the parameter that takes the place of a literal assignment.

        Raises
        ------
        SweepError
            When the value does not fit the literal's type.
        """
        if self.range is not None:
            return self.range
        if isinstance(literal, str) and not isinstance(self.value, str):
            return Parameter(self.name, "fixed", choices=(self.text,))
        if self.error:
            raise SweepError(f"{self} {self.error}{self._way_out(type(literal).__name__)}")
        numbers = all(type(v) in (int, float) for v in (self.value, literal))
        if literal is not None and not numbers and type(self.value) is not type(literal):
            raise SweepError(f"{self.value!r} does not fit the type of {self.name} = {literal!r}.{self._way_out()}")
        value = float(self.value) if type(literal) is float and numbers else self.value
        return Parameter(self.name, "fixed", choices=(value,))

    def _way_out(self, kind: str = "", *, log: bool = False) -> str:
        """Give how to write what seems to be meant: some of the values, or a range of numbers of this kind."""
        if isinstance(self.value, list | tuple) and self.value:
            return f" Write {self.name}=choice({', '.join(map(repr, self.value))})."
        ends = _ENDS.fullmatch(self.text)
        if ends is None or kind not in _RANGES:
            return ""
        return f". Write {self.name}={'log' if log else ''}{_RANGES[kind]}({ends[1]}, {ends[2]})."

    def __str__(self) -> str:
        return f"{self.name}={self.text}"
