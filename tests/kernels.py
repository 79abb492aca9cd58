"""A kernel without a front end: an IPython shell in a process of its own, so that a new one is a kernel restart."""

from __future__ import annotations

import base64
import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from jupyter_sweep.handle import Handle
from jupyter_sweep.live import sweep

_SERVE = """
import base64, json, os, pickle, sys
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
sys.path.insert(0, os.getcwd())  # as a kernel has it
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
shell = InteractiveShell.instance(history_length=0)
shell.history_manager.enabled = False
shell.run_line_magic("load_ext", "jupyter_sweep")
for line in sys.stdin:
    with capture_output(display=False) as captured:
        result = shell.run_cell(json.loads(line))
    error = result.error_before_exec or result.error_in_exec
    try:
        value = pickle.dumps(result.result)
    except Exception:
        value = pickle.dumps(repr(result.result))
    told = {"error": f"{type(error).__name__}: {error}" if error else "", "out": captured.stdout}
    print(json.dumps({**told, "value": base64.b64encode(value).decode()}), file=answers, flush=True)
"""
WORDS = """
import os, time, random
from jupyter_sweep import uniform, loguniform, randint, choice, ordinal, require, report, seed, folds, stage
from jupyter_sweep import save, checkpoint, sweep, run
"""


class Kernel:
    """A shell in `folder` that runs cells one after another. Its first cell imports our words."""

    def __init__(self, folder: Path, env: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVE],
            cwd=folder,
            env={**os.environ, **(env or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.cell(WORDS)

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def pid(self) -> int:
        return self._process.pid

    def begin(self, cell: str) -> None:
        """Have a cell run; `answer` gives how it ended."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(cell) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Wait for a cell: "error" (type and message, or empty), "out" (what it printed), "value"."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the kernel died"
        return dict(json.loads(line))

    def cell(self, text: str) -> str:
        """Run a cell that must succeed; give what it printed."""
        self.begin(text)
        told = self.answer()
        assert not told["error"], told["error"] + told["out"]
        return str(told["out"])

    def refused(self, text: str) -> str:
        """Run a cell that must end with one of our messages; give it."""
        self.begin(text)
        told = self.answer()
        assert told["error"].startswith("SweepError: "), told
        return str(told["error"])

    def value(self, expression: str) -> Any:
        """Give the value of an expression."""
        self.begin(expression)
        told = self.answer()
        assert not told["error"], told["error"]
        return pickle.loads(base64.b64decode(told["value"]))

    def interrupt(self) -> None:
        """Do what the interrupt button does."""
        self._process.send_signal(signal.SIGINT)

    def sweep(self, line: str, body: str) -> Handle:
        """Run a `%%sweep` cell to its end, without the pauses of the view; give the handle that its name has."""
        self.cell(f"%%sweep {line} --bg\n{body}")
        handle = sweep(line.split()[0])
        assert handle.wait(60), handle
        return handle
