"""From the tree of a body to its space: ranges, the conditions they stand under, and constraints.

One walk in order of execution, through the branches of `if` but into nothing else: a range in a loop or a function has
no single value a trial. The walk never stops at a mistake; a parameter with a wrong range still counts as declared, so
that one slip gives one message.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .. import vocabulary
from ..errors import Mistake, SweepError, suggest
from ..space import codec
from ..space.condition import Condition, Constraint
from ..space.parameter import Parameter
from ..space.space import Space
from . import arguments, misplaced, scopes
from .body import LINE_OFFSET, Body
from .lookup import Lookup, Range
from .pins import Pin
from .statements import assignment, follow, is_literal, root
from .symbols import Symbols, Unknown, inlined


@dataclass
class Sites:
    """What the walk found.

    Parameters
    ----------
    parameters
        In order of declaration, those of `--space` first.
    sites
        Expressions that a drawn value replaces, with the parameter's name.
    decided
        `require(...)` statements that became constraints.
    literals
        Top-level literal assignments that stay as they are: name -> value nodes.
    lines
        Parameter -> line of the body that declares it first; 0 for `--space`.
    branches
        Parameters declared only in branches.
    undecided
        Mistakes of conditions that read a name that is not defined, by that name: told unless the name is told.
    """

    parameters: list[Parameter] = field(default_factory=list)
    sites: list[tuple[ast.expr, str]] = field(default_factory=list)
    constraints: list[Constraint] = field(default_factory=list)
    decided: list[ast.Expr] = field(default_factory=list)
    literals: dict[str, list[ast.expr]] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    branches: set[str] = field(default_factory=set)
    constants: dict[str, Any] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)
    undecided: dict[str, list[Mistake]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Place:
    """Where in the branches of the body a statement stands."""

    path: tuple[tuple[int, bool], ...] = ()  # (identity of the `if`, branch)
    when: tuple[Condition, ...] = ()
    unknown: Unknown | None = None  # why a condition around it can't be decided before the start

    def under(self, node: ast.AST, test: ast.expr | Unknown, branch: bool) -> _Place:
        path = (*self.path, (id(node), branch))
        if isinstance(test, Unknown):
            return _Place(path, self.when, self.unknown or test)
        return _Place(path, (*self.when, Condition(ast.unparse(test), branch)), self.unknown)

    def excludes(self, other: _Place) -> bool:
        return any((node, not branch) in other.path for node, branch in self.path)


def find_sites(body: Body, namespace: Mapping[str, Any], pins: Mapping[str, str], space: Space | None) -> Sites:
    """Read the space of a body. Mistakes are collected in the result."""
    walk = _Walk(body, Lookup(namespace), {n: Pin.read(n, t, namespace) for n, t in pins.items()}, space)
    walk.run()
    return walk.found


class _Walk:
    def __init__(self, body: Body, lookup: Lookup, pins: Mapping[str, Pin], space: Space | None) -> None:
        self.found = Sites()
        self._body, self._lookup, self._pins = body, lookup, pins
        self._space = space
        self._given = set(space.names) if space else set()
        self._loads = set(map(id, scopes.names_of(body.tree).loads))
        self._places: dict[str, list[tuple[_Place, int]]] = {}
        self._assigned: dict[str, int] = {}  # names that the body assigns: line
        self._told: list[Unknown] = []  # conditions that were refused
        self._ranged = self._names_with_ranges(body.tree.body)
        self._symbols = Symbols(lookup, self._ranged | self._given | set(pins))

    def run(self) -> None:
        if self._space is not None:
            self._take_space(self._space)
        self._block(self._body.tree.body, _Place(), self._symbols)
        for name, pin in self._pins.items():
            if name not in self.found.lines:
                self._mistake(*self._unknown_pin(pin))
        self._collect_constants()

    # statements

    def _block(self, statements: Sequence[ast.stmt], place: _Place, symbols: Symbols) -> None:
        for statement in statements:
            if isinstance(statement, ast.If):
                self._if(statement, place, symbols)
                continue
            handled = self._statement(statement, place, symbols)
            self._refuse_elsewhere(statement, handled)
            for name, node in scopes.bound_in([statement]).items():
                self._lookup.bind(name, node)
            if isinstance(statement, ast.ImportFrom) and any(a.name == "*" for a in statement.names):
                self._lookup.star(statement)

    def _if(self, node: ast.If, place: _Place, symbols: Symbols) -> None:
        self._refuse_elsewhere(node.test, set())
        test = inlined(node.test, symbols)
        yes, no = symbols.branch(), symbols.branch()
        self._block(node.body, place.under(node, test, True), yes)
        self._block(node.orelse, place.under(node, test, False), no)
        symbols.join(None if isinstance(test, Unknown) else test, yes, no)

    def _statement(self, node: ast.stmt, place: _Place, symbols: Symbols) -> set[int]:
        """Take in one statement; give the identities of the range calls that stand where they may."""
        name, value = assignment(node)
        if name and value is not None:
            return self._assign(name, value, node, place, symbols)
        if isinstance(node, ast.Expr) and self._lookup.calls(node.value, vocabulary.require):
            self._require(node, place, symbols)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for bound in scopes.bound_in([node]):
                symbols.release(bound)
        else:
            follow(node, symbols)
        self._assigned.update(dict.fromkeys(scopes.bound_in([node]), node.lineno))
        return set()

    def _assign(self, name: str, value: ast.expr, node: ast.stmt, place: _Place, symbols: Symbols) -> set[int]:
        if self._has_range(value):
            handled: set[int] = set()
            meaning = self._alternatives(name, value, place, symbols, handled)
            symbols.mean(name, meaning)
            return handled
        self._assigned[name] = node.lineno
        if not place.path and is_literal(value):
            self._literal(name, value, symbols)
        else:
            symbols.assign(name, value)
        return set()

    def _alternatives(
        self, name: str, value: ast.expr, place: _Place, symbols: Symbols, handled: set[int]
    ) -> ast.expr | str:
        """Take in a range, or a conditional expression with ranges; give what the name stands for afterwards."""
        if isinstance(value, ast.IfExp) and self._has_range(value):
            test = inlined(value.test, symbols)
            yes = self._alternatives(name, value.body, place.under(value, test, True), symbols, handled)
            no = self._alternatives(name, value.orelse, place.under(value, test, False), symbols, handled)
            if isinstance(yes, str) or isinstance(no, str) or isinstance(test, Unknown):
                return f"is computed in line {value.lineno + 1}"
            return yes if ast.dump(yes) == ast.dump(no) else ast.IfExp(test, yes, no)
        make = self._lookup.range(value)
        if make is not None and isinstance(value, ast.Call):
            handled.add(id(value))
            self._declare(name, value, self._evaluated(name, value, make, symbols), place, symbols)
            return ast.Name(name, ast.Load())
        shadow = self._lookup.shadow(value)
        if shadow is not None and isinstance(value, ast.Call):
            self._refuse_shadow(value, shadow)
        found = inlined(value, symbols)
        return f"is computed in line {value.lineno + 1}" if isinstance(found, Unknown) else found

    def _literal(self, name: str, value: ast.expr, symbols: Symbols) -> None:
        """Take in a top-level literal assignment, which the line or a given space may replace."""
        pin = self._pins.get(name)
        if name in self._given:
            self.found.sites.append((value, name))
            symbols.declare(name)
        elif pin is not None and name not in self._ranged:
            try:
                parameter: Parameter | None = replace(pin.override(ast.literal_eval(value)), name=name)
            except SweepError as error:
                parameter = None
                self._mistake(str(error), 0)
            self._declare(name, value, parameter, _Place(), symbols, pinned=True)
        else:
            self.found.literals.setdefault(name, []).append(value)
            symbols.assign(name, value)

    def _require(self, node: ast.Expr, place: _Place, symbols: Symbols) -> None:
        """Make a `require` a constraint where it can be decided before the start; else it stays in the body."""
        call = node.value
        assert isinstance(call, ast.Call)
        law = inlined(call.args[0], symbols) if len(call.args) == 1 and not call.keywords else Unknown("")
        if isinstance(law, Unknown) or place.unknown:
            return
        tests = [ast.parse(str(condition), mode="eval").body for condition in place.when]
        if tests:
            law = ast.IfExp(ast.BoolOp(ast.And(), tests) if len(tests) > 1 else tests[0], law, ast.Constant(True))
        constraint = Constraint(ast.unparse(law), node.lineno + LINE_OFFSET)
        self.found.decided.append(node)
        if symbols.parameters_in(law):
            self.found.constraints.append(constraint)
            return
        try:
            if not constraint.holds(symbols.constants):
                self._mistake("this never holds: it reads no parameter, and is false in the notebook", node)
        except SweepError as error:
            self._mistake(str(error), node)

    # parameters

    def _take_space(self, space: Space) -> None:
        for parameter in space.parameters.values():
            self.found.lines[parameter.name] = 0
            self.found.parameters.append(self._pinned(parameter))
            self._symbols.declare(parameter.name)
            if any(_is_object(c) for c in parameter.choices):
                self._symbols.objects.add(parameter.name)
        self.found.constraints += space.constraints
        self._symbols.constants.update(space.constants)

    def _declare(
        self,
        name: str,
        node: ast.expr,
        parameter: Parameter | None,
        place: _Place,
        symbols: Symbols,
        *,
        pinned: bool = False,
    ) -> None:
        """Add a parameter; None stands for one whose range is wrong."""
        self.found.lines.setdefault(name, node.lineno)
        earlier = self._places.setdefault(name, [])
        clash = next((line for other, line in earlier if not place.excludes(other)), None)
        if name in self._given:
            self._mistake(f"`{name}` is a parameter of --space already", node, "declare it in one of the two places")
        elif clash is not None and pinned:
            why = f"the body assigns `{name}` in lines {clash + 1} and {node.lineno + 1}, and only one can be replaced"
            self._mistake(f"{self._pins[name]} on the line: {why}", 0)
        elif clash is not None:
            fix = "give one of them another name, or put them into different branches of an if"
            self._mistake(f"the parameter `{name}` is declared in line {clash + 1} already", node, fix)
        elif place.unknown is not None:
            self._refuse_condition(name, node, place.unknown)
        elif parameter is not None:
            parameter = replace(parameter, name=name, when=place.when)
            self.found.parameters.append(parameter if pinned else self._pinned(parameter))
        earlier.append((place, node.lineno))
        self.found.sites.append((node, name))
        if all(other.path for other, _ in earlier):
            self.found.branches.add(name)
        symbols.declare(name)
        if parameter is not None and any(_is_object(c) for c in parameter.choices):
            symbols.objects.add(name)

    def _pinned(self, parameter: Parameter) -> Parameter:
        pin = self._pins.get(parameter.name)
        if pin is None:
            return parameter
        try:
            return pin.apply(parameter)
        except SweepError as error:
            self._mistake(str(error), 0)
            return parameter

    def _evaluated(self, name: str, call: ast.Call, make: Range, symbols: Symbols) -> Parameter | None:
        """Evaluate a range in the notebook; None after a mistake."""
        parts = [*call.args, *(keyword.value for keyword in call.keywords)]
        if any(self._lookup.range(inner) is not None for part in parts for inner in ast.walk(part)):
            return None  # told as a range in the wrong place
        try:
            return arguments.parameter(name, call, make, self._lookup, symbols)
        except arguments.Wrong as wrong:
            self._mistake(str(wrong), call, wrong.fix)
            return None

    # mistakes

    def _refuse_elsewhere(self, node: ast.AST, handled: set[int]) -> None:
        told: set[int] = set()
        for call, where in misplaced.calls(node):
            name = root(call.func)
            if id(call) in handled or name is None or id(name) not in self._loads or call.lineno in told:
                continue
            if self._lookup.range(call) is not None:
                told.add(call.lineno)
                word = ast.unparse(call.func)
                fix = f"write `name = {word}(...)` on its own, at the top level or in a branch of an if; use the name"
                self._mistake(f"{word}(...) stands {where}, where a trial has no single value for it", call, fix)

    def _refuse_condition(self, name: str, node: ast.expr, why: Unknown) -> None:
        if why in self._told:
            return  # another parameter stands under the same condition
        self._told.append(why)
        mistake = self._body.mistake(
            f"the condition of `{name}` can't be decided before the start: {why}",
            node,
            "let it read parameters declared above and plain values of the notebook (numbers, text, lists of them)",
        )
        if why.name:
            self.found.undecided.setdefault(why.name, []).append(mistake)
        else:
            self.found.mistakes.append(mistake)

    def _refuse_shadow(self, call: ast.Call, shadow: str) -> None:
        assert isinstance(call.func, ast.Name)
        word = call.func.id
        fix = f"`from jupyter_sweep import {word}` after it, or `import jupyter_sweep as js` and `js.{word}(...)`"
        self._mistake(f"`{word}` is not the range of jupyter_sweep here: {shadow}", call, fix)

    def _unknown_pin(self, pin: Pin) -> tuple[str, int]:
        allowed = {*self.found.lines, *self.found.literals}
        line = self._assigned.get(pin.name)
        why = f"line {line + 1} computes it" if line else "the body declares no parameter and no literal of that name"
        return f"{pin} on the line: {why}.{suggest(pin.name, allowed)}", 0

    def _mistake(self, message: str, node: ast.AST | int, fix: str = "") -> None:
        self.found.mistakes.append(self._body.mistake(message, node, fix))

    # helpers

    def _has_range(self, node: ast.expr) -> bool:
        """Tell whether a value is a range, one under a shadowed name, or a conditional expression with either."""
        if isinstance(node, ast.IfExp):
            return self._has_range(node.body) or self._has_range(node.orelse)
        return self._lookup.range(node) is not None or self._lookup.shadow(node) is not None

    def _names_with_ranges(self, statements: Sequence[ast.stmt]) -> set[str]:
        """Give the names that a range is assigned to anywhere, by the imports of the whole body."""
        whole = Lookup(self._lookup.namespace)
        for name, node in scopes.bound_in(self._body.tree.body).items():
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                whole.bind(name, node)
        found: set[str] = set()
        for node in (n for statement in statements for n in ast.walk(statement)):
            name, value = assignment(node)
            if name and value is not None and any(whole.range(n) for n in ast.walk(value)):
                found.add(name)
        return found

    def _collect_constants(self) -> None:
        """Keep the notebook values that a condition or constraint reads."""
        laws = [c for p in self.found.parameters for c in p.when] + list(self.found.constraints)
        read = {name for law in laws for name in law.names}
        constants = self._symbols.constants
        self.found.constants = {n: v for n, v in constants.items() if n in read and n not in self.found.lines}


def _is_object(value: Any) -> bool:
    return not isinstance(value, (bool, int, float, str, list, tuple, dict, type(None))) or codec.poses(value)
