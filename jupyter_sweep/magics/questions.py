"""`%sweep init`: the questions of Auptimizer's `aup.init`, and at their end a cell instead of a file of JSON.

Each answer is read by what reads the option or the range itself; a wrong one is told and asked for again. An empty
answer takes what stands in brackets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .. import plugins, vocabulary
from ..errors import SweepError
from ..jobs.cell import check_cell
from ..notation import form_calls, form_line, form_tests, table
from ..notation.form_calls import Row
from ..notation.form_line import Fields
from ..notation.form_rows import mistakes
from . import frontend

if TYPE_CHECKING:
    from .line import Tools

Ask = Callable[[str], str]
#: Word that ends the questions for parameters, as in Auptimizer.
END = "stop"


def ask(tools: Tools, given: list[str], flags: set[str]) -> None:
    """Ask, and insert the cell below."""
    if frontend.is_headless(tools.shell):
        raise SweepError(
            "%sweep init asks questions, and nobody can be asked here. %%sweep? explains how to write the cell."
        )
    try:
        source = cell(input, print)
    except EOFError:
        raise SweepError("Nobody answered: no cell was made.") from None
    frontend.insert_cell(tools.shell, source)


def cell(ask: Ask, tell: Callable[[str], None]) -> str:
    """Give the cell that the answers make.

    Parameters
    ----------
    ask
        Puts a question and gives the answer.
    tell
        Says what is wrong with an answer.
    """
    talk = _Talk(ask, tell)
    name = talk.option("name", "Name of the sweep", "")
    way = talk.one_of("Is the target to be made small or large", ("min", "max"), "min")
    metric = talk.text("Target: what the cell computes or reports", "loss")
    algorithms = ", ".join(plugins.names("proposer"))
    options = {
        "algo": talk.option("algo", f"Algorithm, with options as in tpe(n_startup=20) ({algorithms})", "tpe"),
        "trials": talk.option("trials", "How many trials", "20"),
        "stop": talk.option("stop", f"Stop rule ({', '.join(plugins.names('pruner'))})", "none"),
        "on": talk.option("on", "Where trials run (local, gpu, ssh:HOST, slurm, a profile)", "local"),
        "jobs": talk.option("jobs", "Trials at once; empty for as many as the cores allow", ""),
        "cpus": talk.option("cpus", "Cores of one trial", "1"),
        "gpus": talk.option("gpus", "Devices of one trial; empty for none", ""),
    }
    usual = {"algo": "tpe", "trials": "20", "stop": "none", "on": "local", "cpus": "1"}
    script = talk.text("What a trial runs: an expression or a function of the notebook; empty to write it later", "")
    rows = talk.parameters()
    given = {key: text for key, text in options.items() if text and usual.get(key) != text}
    line = form_line.write("", Fields(name, ((way, metric),), given))
    words = sorted({row.word for row in rows})
    imports = f"from jupyter_sweep import {', '.join(words)}\n" if words else ""
    return f"%%sweep {line}\n{imports}{form_tests.block(rows)}\n{_job(script, metric, rows)}"


def _job(script: str, metric: str, rows: list[Row]) -> str:
    """Give the line that computes the target."""
    target = metric if metric.isidentifier() else "result"
    names = list(dict.fromkeys(row.name for row in rows))
    if not script:
        return f"{target} = ...  # your code; it reads {', '.join(names) or 'the parameters'}\n"
    call = f"{script}({', '.join(f'{name}={name}' for name in names)})" if _is_name(script) else script
    return f"{target} = {call}\n"


def _is_name(script: str) -> bool:
    return all(part.isidentifier() for part in script.split("."))


class _Talk:
    """Questions and answers."""

    def __init__(self, ask: Ask, tell: Callable[[str], None]) -> None:
        self._ask, self._tell = ask, tell

    def text(self, question: str, usual: str, check: Callable[[str], object] = str) -> str:
        """Ask until the answer passes; an empty one is the usual."""
        while True:
            answer = self._ask(f"{question}{f' [{usual}]' if usual else ''}: ").strip() or usual
            if not answer:
                return ""
            try:
                check(answer)
            except SweepError as error:
                self._tell(str(error))
                continue
            return answer

    def option(self, name: str, question: str, usual: str) -> str:
        """Ask for the value of an option of the line."""
        return self.text(question, usual, table.name if name == "name" else table.BY_FIELD[name].parser)

    def one_of(self, question: str, words: tuple[str, ...], usual: str) -> str:
        def check(answer: str) -> None:
            if answer not in words:
                raise SweepError(f"wanted is {' or '.join(words)}, got {answer!r}")

        return self.text(f"{question} ({', '.join(words)})", usual, check)

    def parameters(self) -> list[Row]:
        """Ask for parameters until the answer is the word that ends them."""
        rows: list[Row] = []
        while True:
            name = self.text(f"Name of a parameter, or {END}", END, table.identifier)
            if name == END:
                return rows
            kind = self.one_of("Kind", form_calls.KINDS, "float")
            row = self._range(Row(name, kind))
            try:
                _check([*rows, row])
            except SweepError as error:
                self._tell(str(error))
                continue
            rows.append(row)

    def _range(self, row: Row) -> Row:
        if row.kind in ("choice", "ordinal"):
            return Row(row.name, row.kind, choices=self.text('Values with commas, as in 64, 128 or "sgd", "adam"', ""))
        bounds = ("Mean", "Standard deviation") if row.kind == "normal" else ("From", "To")
        usual = ("1", "10") if row.kind == "int" else ("0.0", "1.0")
        low, high = self.text(bounds[0], usual[0]), self.text(bounds[1], usual[1])
        log = self.one_of("Even in the logarithm", ("yes", "no"), "no") == "yes"
        return Row(row.name, row.kind, low, high, log)


def _check(rows: list[Row]) -> None:
    """Raise SweepError unless these rows make a space, with the messages of a cell."""
    if wrong := mistakes(rows):
        raise SweepError("\n".join(map(str, wrong)))
    check_cell(form_tests.block(rows), dict(vocabulary.RANGES), allow_unused=True)
