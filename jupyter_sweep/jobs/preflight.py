"""What can be known to be wrong before anything is launched. All of it is told at once, each with its line.

A doubt counts for the user: after `from x import *`, `exec` or a magic a name may come from anywhere, and code that
can't be looked into may report. What is certain is refused: the alternative is the same error from every trial.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from .. import vocabulary
from ..errors import Mistake, suggest
from ..vocabulary import STEP_NAMES
from . import reach
from .arguments import way_to
from .body import Body
from .lookup import Lookup
from .scopes import Names, bound_in
from .sites import Sites
from .statements import root

#: Columns of every results table, which no parameter may be called.
BASE_COLUMNS = frozenset(
    ["number", "version", "state", "reason", "duration_s", "attempt", "repetition", "worker", "error"]
)

#: Names that a worker provides, as IPython does in a notebook, and those of any module.
PROVIDED = frozenset({"get_ipython", "display", "__name__", "__doc__", "__builtins__", "__class__", "__annotations__"})
_DYNAMIC = frozenset({"exec", "eval", "globals", "locals", "vars"})

#: Line magics that assign no variable; any other might.
_QUIET_MAGICS = frozenset(
    ["autoreload", "cd", "conda", "config", "env", "load_ext", "matplotlib", "pinfo", "pinfo2", "pip", "pwd", "timeit"]
)


class Checks:
    """The checks of one body.

    Parameters
    ----------
    names
        Names of the body without its ranges and decided constraints: what a trial executes.
    """

    def __init__(self, body: Body, sites: Sites, names: Names, namespace: Mapping[str, Any]) -> None:
        self._body, self._sites, self._names, self._namespace = body, sites, names, namespace
        self._lookup = Lookup(namespace)
        for name, node in bound_in(body.tree.body).items():
            self._lookup.bind(name, node)
        for node in ast.walk(body.tree):
            if isinstance(node, ast.ImportFrom) and any(a.name == "*" for a in node.names):
                self._lookup.star(node)
        self._loads = set(map(id, names.loads))

    def run(self, targets: Sequence[str], *, allow_unused: bool) -> Iterator[Mistake]:
        """Give all mistakes."""
        yield from self._undefined()
        yield from self._columns()
        yield from self._no_parameter()
        yield from self._keyboard()
        if not allow_unused:
            yield from self._orphans()
        yield from self._metrics(targets)

    def unused_in_branches(self) -> list[str]:
        """Give the parameters of a branch that nothing reads: declared for symmetry, they are only warned about."""
        return [name for name in self._unread() if name in self._sites.branches]

    # names

    def _undefined(self) -> Iterator[Mistake]:
        names = [] if self._may_bind_anything() else list(self._names.reads)
        unknown = [n for n in names if not self._is_known(n)]
        for name in unknown:
            yield self._mistake(f"`{name}` is not defined", self._names.reads[name][0], way_to(name, self._lookup))
        for name, mistakes in self._sites.undecided.items():
            if name not in unknown:
                yield from mistakes
        for name in names:
            if name in self._names.early and name in self._names.bound and not self._is_outside(name):
                why = f"`{name}` is read here, and first assigned in line {self._names.bound[name] + 1}"
                yield self._mistake(why, self._names.early[name], "assign it first")

    def _is_known(self, name: str) -> bool:
        return name in self._names.bound or self._is_outside(name)

    def _is_outside(self, name: str) -> bool:
        """Tell whether a name has a value before the body begins."""
        from_space = self._sites.lines.get(name) == 0
        return from_space or name in self._namespace or hasattr(builtins, name) or name in PROVIDED

    def _may_bind_anything(self) -> bool:
        return self._names.star or self._is_dynamic() or any(self._assigns(call) for call in self._calls())

    def _columns(self) -> Iterator[Mistake]:
        for name in sorted(BASE_COLUMNS & self._sites.lines.keys()):
            why = f"a parameter can't be called `{name}`: every table of results has a column of that name"
            yield self._mistake(why, self._sites.lines[name], "choose another name")

    def _no_parameter(self) -> Iterator[Mistake]:
        if self._sites.lines or self._sites.mistakes or self._names_like_ranges():
            return
        why = "the body declares no parameter, so there is nothing to vary"
        fix = "write a range at the top level, such as `lr = loguniform(1e-5, 1e-1)`, or give --space"
        if any(isinstance(c.func, ast.Attribute) and c.func.attr == "run_cell_magic" for c in self._calls()):
            fix = "another cell magic stands above the code and hides it: remove that line"
        yield self._mistake(why, 0, fix)

    def _names_like_ranges(self) -> bool:
        """Tell whether a range is called under a name that is not defined, which is told already."""
        return any(name in vocabulary.RANGES and name not in self._lookup for name in self._names.reads)

    def _keyboard(self) -> Iterator[Mistake]:
        for call in self._calls():
            is_input = isinstance(call.func, ast.Name) and call.func.id == "input" and "input" not in self._names.bound
            if is_input and id(call.func) in self._loads and "input" not in self._namespace:
                fix = "read the value in another cell"
                yield self._mistake("input() waits for a keyboard, and a trial has none", call.lineno, fix)

    # parameters that nothing reads

    def _orphans(self) -> Iterator[Mistake]:
        for name in self._unread():
            if name not in self._sites.branches:
                yield self._mistake(
                    f"the parameter `{name}` is never read, so it can change nothing",
                    self._sites.lines[name],
                    "use it, or remove it; --allow-unused lets it stand",
                )

    def _unread(self) -> list[str]:
        if self._is_dynamic():
            return []
        read = {name for constraint in self._sites.constraints for name in constraint.names}
        read |= {name for p in self._sites.parameters for condition in p.when for name in condition.names}
        read |= {name for name, lines in self._names.reads.items() if max(lines) > self._sites.lines.get(name, 0)}
        read |= self._names.inside | {n.id for n in self._names.loads if self._reads_on_its_line(n)}
        read |= {n.id for site, _ in self._sites.sites for n in ast.walk(site) if isinstance(n, ast.Name)}
        read |= reach.globals_read(self._names.reads, self._namespace)
        read |= {name for name in self._sites.lines if name not in read and self._is_mentioned(name)}
        return [name for name in self._sites.lines if name not in read]

    def _is_mentioned(self, name: str) -> bool:
        """Tell whether text names a parameter: in a template or query as {lr} or @lr, in a magic's text anyhow."""
        template = re.compile(rf"[@$]{name}\b|\{{\s*{name}\b")
        word = re.compile(rf"\b{name}\b")
        magics = [c for c in self._calls() if isinstance(c.func, ast.Attribute) and c.func.attr.startswith("run_")]
        in_magics = {id(part) for call in magics for part in ast.walk(call)}
        return any(
            (word if id(node) in in_magics else template).search(node.value)
            for node in ast.walk(self._body.tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        )

    def _reads_on_its_line(self, node: ast.Name) -> bool:
        """Tell whether a parameter is read on the line that declares it, after a semicolon."""
        for site, name in self._sites.sites:
            if name == node.id and site.lineno == node.lineno:
                return node.col_offset > site.col_offset
        return False

    # metrics

    def _metrics(self, targets: Sequence[str]) -> Iterator[Mistake]:
        if not targets or self._anything_may_be_a_metric():
            return
        reported = {k.arg for call in self._reports() for k in call.keywords if k.arg}
        known = {*self._names.bound, *reported} - {"step"}
        for target in targets:
            if target not in known:
                names = known - set(STEP_NAMES) - self._sites.lines.keys()
                yield self._mistake(
                    f"the metric {target!r} is set nowhere: no report({target}=...), no variable of that name, no "
                    f"number as last expression.{suggest(target, names)}",
                    0,
                )

    def _anything_may_be_a_metric(self) -> bool:
        last = self._body.tree.body[-1] if self._body.tree.body else None
        if isinstance(last, ast.Expr) and not self._gives_nothing(last.value):
            return True
        if self._names.star or self._is_dynamic() or "get_ipython" in self._names.reads:
            return True
        if any(k.arg is None for c in self._reports() for k in c.keywords):
            return True
        reports = {id(root(call.func)) for call in self._reports()}
        others = [n.id for n in self._names.loads if id(n) not in reports]
        if any(self._lookup.find(n) is vocabulary.report for n in self._names.loads if id(n) not in reports):
            return True  # handed on to other code
        return reach.may_report(set(others) - self._own_modules(), self._namespace)

    def _own_modules(self) -> set[str]:
        """Give the names under which our package is used for calls that the body itself shows."""
        roots = [root(call.func) for call in self._calls() if isinstance(call.func, ast.Attribute)]
        package = vocabulary.__name__.partition(".")[0]
        return {r.id for r in roots if r is not None and getattr(self._lookup.find(r), "__name__", "") == package}

    def _gives_nothing(self, node: ast.expr) -> bool:
        """Tell whether an expression is certain to be no metric."""
        if isinstance(node, ast.Constant):
            return not isinstance(node.value, (int, float))
        if not isinstance(node, ast.Call):
            return False
        value = self._lookup.find(node.func)
        return any(value is known for known in (print, vocabulary.report, vocabulary.save, vocabulary.require))

    def _reports(self) -> list[ast.Call]:
        return [call for call in self._calls() if self._lookup.calls(call, vocabulary.report)]

    # helpers

    def _calls(self) -> list[ast.Call]:
        return [node for node in ast.walk(self._body.tree) if isinstance(node, ast.Call)]

    def _is_dynamic(self) -> bool:
        """Tell whether the body runs code that can't be seen here."""
        return any(name in self._names.reads for name in _DYNAMIC if name not in self._names.bound)

    def _assigns(self, call: ast.Call) -> bool:
        """Tell whether a call is a magic that might assign variables."""
        if not isinstance(call.func, ast.Attribute) or call.func.attr not in ("run_line_magic", "run_cell_magic"):
            return False
        magic = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else None
        return call.func.attr == "run_cell_magic" or magic not in _QUIET_MAGICS

    def _mistake(self, message: str, line: int, fix: str = "") -> Mistake:
        return self._body.mistake(message, line, fix)


def ignored(names: Iterable[str], known: Collection[str], body: Body) -> Iterator[Mistake]:
    """Give a mistake for each name of `--ignore` that the body has nothing to do with."""
    for name in names:
        if name not in known:
            yield body.mistake(f"--ignore {name}: the body neither reads nor assigns it.{suggest(name, known)}", 0)
