"""The one table of options: what the line, the keywords of `run(...)`, `%%sweep?` and completion know.

A new option is one row here. What the public contract names but this release lacks stands in `PLANNED`, so that it is
told apart from a typing error and is never read and ignored.
"""

from __future__ import annotations

import keyword
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .. import plugins, units
from ..definition import Spec
from ..errors import SweepError
from ..executors import gpus
from . import specs

NAME = re.compile(r"[A-Za-z][\w.-]{0,63}")


@dataclass(frozen=True)
class Option:
    """One option.

    Parameters
    ----------
    name
        The long spelling without dashes; a keyword of `run(...)` has `_` for `-`.
    metavar
        What stands for its value in the help; empty for a flag.
    help
        One or two sentences for `%%sweep?`.
    group
        Its heading in the help.
    parser
        Gives the value of a text or raises SweepError with the rest of the sentence "--name ...".
    short
        The one-letter twin without its dash.
    several
        Whether it may be given more than once; its value is then a tuple.
    allowed
        The words to complete with, as a function because plug-ins are looked up late.
    on_line_only
        Whether `run(...)` has no such keyword.
    """

    name: str
    metavar: str
    help: str
    group: str
    parser: Callable[[str], Any] = str
    short: str = ""
    several: bool = False
    allowed: Callable[[], Sequence[str]] = tuple
    on_line_only: bool = False

    @property
    def field(self) -> str:
        """The attribute of `Options` and the keyword of `run(...)`."""
        return self.name.replace("-", "_")

    @property
    def is_flag(self) -> bool:
        return not self.metavar

    @property
    def spellings(self) -> tuple[str, ...]:
        """The words of the line that mean this option, the short one first."""
        return (f"-{self.short}", f"--{self.name}") if self.short else (f"--{self.name}",)


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """Give a parser of whole numbers from `least` to `most`, both allowed."""
    limits = f"a whole number from {least}" + (f" to {most}" if most is not None else "")

    def parse(text: str) -> int:
        if not re.fullmatch(r"-?\d+", text) or int(text) < least or (most is not None and int(text) > most):
            raise SweepError(f"wants {limits}, got {text!r}")
        return int(text)

    return parse


def trials(text: str) -> tuple[int, bool]:
    """Give the number of trials and whether they come on top of those that are there."""
    try:
        return whole(1)(text.removeprefix("+")), text.startswith("+")
    except SweepError:
        raise SweepError(f"wants a whole number from 1 (60: so many in all, +10: so many more), got {text!r}") from None


def positive(text: str) -> float:
    """Give a number above zero."""
    if not re.fullmatch(r"\d*\.?\d+", text) or not float(text) > 0:
        raise SweepError(f"wants a number above 0, got {text!r}")
    return float(text)


def filled(text: str) -> str:
    """Give a text that is not empty."""
    if not text.strip():
        raise SweepError("wants a text, got an empty one")
    return text


def metric(text: str) -> str:
    """Give the name of a metric; a number alone is no name but somebody's idea of a value to reach."""
    if re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", text.strip(), re.IGNORECASE):
        raise SweepError(f"wants the name of a metric such as loss, got the number {text}")
    return filled(text)


def identifier(text: str) -> str:
    """Give a name that Python can assign to."""
    if not text.isidentifier() or keyword.iskeyword(text):
        raise SweepError(f"wants a name of a Python variable, got {text!r}")
    return text


def identifiers(text: str) -> tuple[str, ...]:
    """Give the names of a list with commas."""
    return tuple(identifier(name.strip()) for name in text.split(","))


def name(text: str) -> str:
    """Give the name of a sweep."""
    if not NAME.fullmatch(text):
        raise SweepError(
            f"{text!r} can't name a sweep: wanted is a letter, then letters, digits, '_', '.' or '-', at most 64"
        )
    return text


def default_name(stem: str, target: str) -> str:
    """Name a sweep that has no name after what holds it and its first target; "sweep-loss" where that gives none."""
    tail = "-" + re.sub(r"[^\w.-]+", "_", target)[:24]
    text = re.sub(r"[^\w.-]+", "_", stem)[: 64 - len(tail)] + tail
    return text if NAME.fullmatch(text) else ("sweep-" + text.lstrip("_.-"))[:64]


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise SweepError(f"wants {' or '.join(words)}, got {text!r}")
        return text

    return parse


def _algo(text: str) -> Spec:
    return specs.parse("proposer", text)


def _stop(text: str) -> Spec:
    return specs.parse("pruner", text)


def _known(kind: str) -> Callable[[], list[str]]:
    return lambda: plugins.names(kind)


#: What a trial can run in; `worker/supervisor.py` says what each means.
ISOLATIONS = ("warm", "fork", "fresh", "inline")

WHAT, HOW_MANY, HOW, WHERE, ONE, FAILURES, IDENTITY, OUTCOME = (
    "What is wanted",
    "How much",
    "How it is searched",
    "Where it runs",
    "One trial",
    "Failures",
    "What counts as the same",
    "The cell",
)

OPTIONS: tuple[Option, ...] = (
    Option("min", "METRIC", "Make METRIC small. Several targets give a Pareto set.", WHAT, metric, several=True),
    Option("max", "METRIC", "Make METRIC large. Nothing is guessed: one of --min and --max is needed.", WHAT, metric,
           several=True),
    Option("trials", "N", "So many final trials in all (default 20); +N: so many more than there are. With --repeat, so"
           " many configurations.", HOW_MANY, trials, short="n"),
    Option("grid", "", "Every point of a finite space, once; -n cuts it. The same as --algo grid.", HOW_MANY),
    Option("time", "T", "End after this time on the clock: 30s, 20m, 2h, 1d or seconds.", HOW_MANY, units.duration,
           short="t"),
    Option("repeat", "R", "Run each configuration R times, with different seeds.", HOW_MANY, whole(1)),
    Option("algo", "NAME", "How points are chosen: random, grid, sobol, tpe or auto (default tpe), with options as in"
           ' "tpe(n_startup=20)". passive, or passive:NAME: nothing runs, and results are entered by hand.',
           HOW, _algo, allowed=_known("proposer")),
    Option("stop", "RULE", "Which trials are ended early, from what they report: asha, median or none (default none),"
           ' with options as in "asha(eta=4)".', HOW, _stop, allowed=_known("pruner")),
    Option("seed", "S", "Seed of the search and of every trial (default 0).", HOW, whole(0, 2**32 - 1)),
    Option("space", "EXPR", "A Space of the notebook, in place of or beside the ranges of the body.", HOW, filled,
           on_line_only=True),
    Option("on", "WHERE", "local: processes of this machine (default); threads: one worker with threads; inline: in"
           " this kernel, one at a time, for the debugger; gpu: local with --gpus 1; ssh:HOST,HOST; slurm, pbs, sge,"
           " lsf with options as in slurm:partition=gpu,walltime=2h; tcp://HOST:PORT, tls://HOST:PORT or HOST:PORT: a"
           " Dask scheduler; {client}: a Dask client or cluster of the notebook; class:module.Class; or a profile of"
           " sweeps.toml.", WHERE, specs.where, allowed=specs.places),
    Option("needs", "REQ", "What the place must have: the first alternative that a profile of sweeps.toml meets is"
           ' taken, as in "duration=2 days & cuda(mem=16G) * 4 | cpu(mem=400M, cores=4)".', WHERE, specs.needs),
    Option("jobs", "J", "Trials at once (default: as many as the cores allow).", WHERE, whole(1)),
    Option("devices", "LIST", "The devices to use, as nvidia-smi counts or names them: 0,1. One that is repeated is"
           " shared: 0,0,1 is three slots. Believed without a look at them.", WHERE, gpus.read_devices),
    Option("cpus", "C", "Cores of one trial; its numerical libraries use so many threads (default 1). Slots of this"
           " machine are its cores divided by this.", ONE, positive),
    Option("gpus", "F", "Devices of one trial, set before anything is imported: 1, 2; a part such as 0.5 packs two"
           " trials onto each. The slots are the devices' shares.", ONE, gpus.read_gpus),
    Option("mem", "SIZE", "Memory limit of one trial: 500M, 8G (2**30 bytes each).", ONE, units.size),
    Option("timeout", "T", "Time limit of one trial, also of C code: 30s, 20m, 2h or seconds.", ONE, units.duration),
    Option("grace", "T", "How long a trial that is stopped, or over its time, has for its finally blocks (default 1.5"
           " s, 0.5 s when over its time); then it is killed.", ONE, units.duration),
    Option("isolation", "HOW", "warm: one process for trial after trial while it stays clean (default); fork: a copy of"
           " a process with all imports for each; fresh: a new interpreter for each (default with --gpus); inline: in"
           " the worker itself, for trials of milliseconds.", ONE, _one_of(*ISOLATIONS), allowed=lambda: ISOLATIONS),
    Option("retry", "R", "Run a failed trial again up to R times (default 0), on another worker if one is free.",
           FAILURES, whole(0)),
    Option("keep-going", "", "Go on whatever fails (the default).", FAILURES),
    Option("fail-fast", "", "End at the first failed trial, and fail the cell.", FAILURES),
    Option("max-failures", "K", "End, and fail the cell, when more than K trials failed.", FAILURES, whole(0)),
    Option("ignore", "NAMES", "Captured names that do not count in the identity: n_workers,verbose.", IDENTITY,
           identifiers, several=True),
    Option("version", "V", "A word of yours that counts in the identity.", IDENTITY, filled),
    Option("code", "ignore", "Adopt the finished trials of the earlier version although the code changed.", IDENTITY,
           _one_of("ignore"), allowed=lambda: ("ignore",)),
    Option("fresh", "", "Start a new version from nothing.", IDENTITY),
    Option("allow-unused", "", "Let the body declare a parameter that it never reads.", IDENTITY, on_line_only=True),
    Option("no-canary", "", "Don't run the defaults first.", OUTCOME),
    Option("bg", "", "Return at once; the sweep goes on in a process of its own.", OUTCOME),
    Option("output", "VAR", "Bind the handle of the sweep to VAR.", OUTCOME, identifier, short="o", on_line_only=True),
    Option("tag", "T", "A tag; may be given again.", OUTCOME, filled, several=True),
    Option("note", "TEXT", "A sentence to remember.", OUTCOME, filled),
    Option("log", "LIST", "Pass each trial on to mlflow, tb (TensorBoard) or wandb (Weights & Biases), as a run with"
           " its parameters, metrics and files: mlflow,tb.", OUTCOME, specs.trackers, several=True,
           allowed=_known("tracker")),
    Option("notify", "WHOM", "At the end run a command, with a summary as JSON on its input and in $SWEEP_NAME,"
           " $SWEEP_STATE, $SWEEP_BEST, or POST it to an http(s) address.", OUTCOME, specs.hearer),
    Option("dry-run", "", "Show what would run; start and write nothing.", OUTCOME, on_line_only=True),
)  # fmt: skip

#: Options of the public contract that this release has not; they are refused by name.
PLANNED = ("shell", "parse", "budget", "eta", "after")

BY_FIELD = {option.field: option for option in OPTIONS}
BY_SPELLING = {spelling: option for option in OPTIONS for spelling in option.spellings}

USAGE = """\
%%sweep [NAME] --min METRIC | --max METRIC [options] [name=value | name=range ...]

Run the cell's body once for each configuration of its ranges and keep every result.

A top-level `lr = loguniform(1e-5, 1e-1)` declares a parameter; the body is the job. Delete the first line and the body
runs as an ordinary cell with the defaults. `name=value` pins a parameter that the body declares, `name=range` narrows
it; both also override a top-level literal assignment. Words follow the shell's rules: quote what holds spaces.
Nothing is run twice: the same cell again shows what is there, a larger -n runs the rest.

    %%sweep digits --max acc -n 60 --stop asha --timeout 10m
    lr    = loguniform(1e-5, 1e-1, default=3e-4)
    width = choice(64, 128, 256)
    acc   = train(width, lr)
"""


def help_text() -> str:
    """Give the documentation that `%%sweep?` shows."""
    lines = [USAGE]
    for group in dict.fromkeys(option.group for option in OPTIONS):
        lines += [group, "-" * len(group)]
        for option in OPTIONS:
            if option.group == group:
                spelled = ", ".join(option.spellings) + (f" {option.metavar}" if option.metavar else "")
                lines += [spelled, textwrap.fill(option.help, 100, initial_indent="    ", subsequent_indent="    ")]
        lines.append("")
    return "\n".join(lines)
