"""The words of the command line, all but those of `run`, which are mostly the options of a `%%sweep` line."""

from __future__ import annotations

import argparse
import itertools
import sys
import textwrap
from collections.abc import Sequence
from typing import NoReturn

from ..errors import SweepError, suggest
from ..notation import table
from ..results import export

#: Verb -> its arguments, what it does. An argument in brackets may be left out.
VERBS: dict[str, tuple[str, str]] = {
    "run": ("FILE", "run the sweeps of a notebook, of a text file with %%sweep cells, or of a script that calls run()"),
    "list": ("", "all sweeps of the folder"),
    "show": ("NAME", "one sweep with its trials"),
    "best": ("NAME", "the best configuration, as a cell of plain assignments"),
    "log": ("NAME NUMBER", "what a trial printed"),
    "why": ("NAME [NUMBER]", "why the last run began a new version or ran nothing; why a trial is what it is"),
    "export": ("NAME [PATH]", "write the sweep to a file; without PATH and --to as CSV on stdout"),
    "stop": ("NAME", "start no more trials and cancel those that run"),
    "pause": ("NAME", "start no more trials; those that run go on to their end"),
    "resume": ("NAME", "go on with a paused, stopped or interrupted sweep"),
    "wait": ("NAME [SECONDS]", "wait for the end of a sweep, as long as you say"),
    "enter": (
        "[NAME] [NUMBER] [METRIC=VALUE] ...",
        "the result of a trial of a passive sweep; without arguments: the trials that wait for theirs",
    ),
    "scale": ("NAME JOBS", "run so many trials at once from now on"),
    "drop": ("NAME", "forget a sweep and delete its folder; asks first, unless --yes"),
    "clean": ("", "idle clusters and files that no sweep needs: what would go; --yes has it go"),
    "clusters": ("", "where sweeps can run; with --needs which profile has what is needed"),
    "workers": ("[NAME]", "what each slot of the clusters does"),
}
_FLAGS = {
    "--json": ("list", "show", "best", "clusters", "workers"),
    "--follow": ("log",),
    "--yes": ("drop", "clean"),
}
#: Options with a value: the verbs that take them, the value's name, what it says.
_VALUES = {
    "--version": (("show", "best", "export", "why"), "V", "an older version (default: the newest)"),
    "--to": (("export",), "KIND", f"{', '.join(export.KINDS)}; default: as the ending of PATH says"),
    "--failed": (("enter",), "WHY", "there is no result, and why"),
    "--needs": (("clusters",), "REQ", "a requirement, as in 'cuda(mem=16G) * 2 | cpu(cores=8)'"),
}
_PROG = "jupyter sweep"
_WIDTH, _INDENT = 78, 24


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SweepError(f"{message}\n{self.format_usage().strip()}")


def parse(argv: Sequence[str]) -> argparse.Namespace | None:
    """Give what the words ask for; None when help was asked for, and given.

    Raises
    ------
    SweepError
        For an unknown verb or option, and a missing argument.
    """
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(help_text())
        return None
    if argv[0] == "--version":
        print(_release())
        return None
    if argv[0] not in VERBS:
        raise SweepError(f"{argv[0]!r} is no verb.{suggest(argv[0], VERBS)}")
    if {"-h", "--help"} & set(argv[1:]):
        print(_verb_help(argv[0]))
        return None
    found = _parser(argv[0]).parse_args(list(argv[1:]))
    found.verb = argv[0]
    return found


def _parser(verb: str) -> _Parser:
    parser = _Parser(prog=f"{_PROG} {verb}", description=VERBS[verb][1], add_help=False, allow_abbrev=False)
    words = VERBS[verb][0].split()
    for word, following in itertools.zip_longest(words, words[1:]):
        kind = int if word.strip("[]") in ("NUMBER", "JOBS") else str
        if word == "...":
            continue
        if following == "...":
            parser.add_argument("rest", nargs="*", metavar=word.strip("[]"))
        elif word.startswith("["):
            parser.add_argument(word.strip("[]").lower(), type=kind, nargs="?", default=None, metavar=word.strip("[]"))
        else:
            parser.add_argument(word.lower(), type=kind, metavar=word)
    parser.add_argument("--folder", metavar="DIR", help="the folder of the store (default: sweeps/ here)")
    for flag, verbs in _FLAGS.items():
        if verb in verbs:
            parser.add_argument(flag, action="store_true")
    for option, (verbs, metavar, told) in _VALUES.items():
        if verb in verbs:
            parser.add_argument(option, type=int if metavar == "V" else str, metavar=metavar, help=told)
    return parser


def _verb_help(verb: str) -> str:
    if verb != "run":
        return _parser(verb).format_help().strip()
    return "\n".join(
        [
            f"usage: {_PROG} run FILE [--name NAME] [--folder DIR]",
            "                         [options of the %%sweep line] [name=value ...]",
            "",
            "Run the sweeps of FILE: the cells of an .ipynb or of a text file with %%sweep",
            "lines (percent format), in order, or a .py script that calls",
            "run(job, space, ...). Options given here take the place of the file's:",
            "",
            f"    {_PROG} run digits.ipynb --max acc --trials 100",
            "",
            "Ctrl-C once starts no more trials and leaves the sweep to be resumed, twice",
            "ends what runs. Exit status: 0 all well, 1 more trials failed than may, 2 a",
            "mistake and nothing ran, 130 interrupted.",
            "",
            *(f"  {row}" for row in _option_rows()),
        ]
    )


def help_text() -> str:
    """Give what `jupyter sweep --help` prints."""
    rows = _rows([(f"{verb} {usage}".strip(), told) for verb, (usage, told) in VERBS.items()])
    return "\n".join(
        [
            f"usage: {_PROG} VERB ...",
            "",
            *rows,
            "",
            "--folder DIR names the folder of sweeps; else JUPYTER_SWEEP_HOME, else sweeps/",
            f"here. {', '.join(_FLAGS['--json'][:-1])} and {_FLAGS['--json'][-1]} take --json.",
            f"`{_PROG} VERB --help` says more.",
        ]
    )


def _option_rows() -> list[str]:
    """Give the options of the `%%sweep` line, each with what it does."""
    return _rows([(f"{', '.join(o.spellings)}{' ' + o.metavar if o.metavar else ''}", o.help) for o in table.OPTIONS])


def _rows(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Give words with what they mean beside them, or below where they are long."""
    found = []
    for words, told in pairs:
        lines = textwrap.wrap(told, _WIDTH - _INDENT)
        first = f"  {words}".ljust(_INDENT)
        found += [first + lines[0]] if len(first) == _INDENT else [first, " " * _INDENT + lines[0]]
        found += [" " * _INDENT + line for line in lines[1:]]
    return found


def _release() -> str:
    return str(getattr(sys.modules["jupyter_sweep"], "__version__", ""))
