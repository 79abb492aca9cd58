"""Runs a Python script in this process as ``python FILE`` would, with our options laid over its calls of `run(...)`."""

from __future__ import annotations

import runpy
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import live
from ..errors import SweepError
from ..handle import Handle
from ..notation import overrides
from ..notation.overrides import Piece
from .progress import Progress


class Manner:
    """How the script's calls of `run(...)` behave: what they are named, which options they get, how they wait."""

    def __init__(self, extra: Sequence[Piece], name: str, stem: str, progress: Progress) -> None:
        self._extra, self._name, self._stem, self._progress = extra, name, stem, progress
        self._unnamed = 0
        self.begun = 0

    def options(self, given: dict[str, Any]) -> dict[str, Any]:
        self.begun += 1
        if self._name and self.begun > 1:
            raise SweepError(f"--name {self._name} names one sweep, and the script calls run(...) again.")
        merged = overrides.over_keywords(given, self._extra)
        if self._name:
            merged["name"] = self._name
        elif merged.get("name") is None:
            self._unnamed += 1
            merged["name"] = self._stem if self._unnamed == 1 else f"{self._stem}-{self._unnamed}"
        return merged

    def wait(self, handle: Handle) -> None:
        if self._progress.wait(handle):
            raise KeyboardInterrupt

    def say(self, sentence: str) -> None:
        self._progress.say(sentence)


def run(path: Path, manner: Manner) -> BaseException | None:
    """Run the script; give the error that ended it."""
    live.run_in(live.Manner(options=manner.options, wait=manner.wait, say=manner.say))
    sys.argv = [str(path)]
    sys.path.insert(0, str(path.parent))
    try:
        runpy.run_path(str(path), run_name="__main__")
    except SystemExit as end:
        if not isinstance(end.code, (int, type(None))):  # as Python does: it is why the script has ended
            print(end.code, file=sys.stderr)
        return None if end.code in (None, 0) else end
    except SweepError as error:
        print(f"jupyter sweep: {error}", file=sys.stderr)
        return error
    except KeyboardInterrupt as error:
        return error
    except BaseException as error:
        _show_own_lines(error, str(path))
        return error
    finally:
        live.run_in(None)
    return None


def _show_own_lines(error: BaseException, file: str) -> None:
    """Print the traceback from the script's first line on."""
    frame = error.__traceback__
    while frame is not None and frame.tb_frame.f_code.co_filename != file:
        frame = frame.tb_next
    traceback.print_exception(type(error), error, frame or error.__traceback__)
