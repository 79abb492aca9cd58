"""Job files as a cell leaves them, written by hand, and slots to run them: for tests of what lies below a notebook."""

from __future__ import annotations

import ast
import hashlib
import itertools
import json
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

import cloudpickle
import psutil

from jupyter_sweep import worker
from jupyter_sweep.worker.process import boot_data
from jupyter_sweep.worker.supervisor import Slot

#: Functions that any body may call, as if an earlier cell had defined them.
_PRELUDE = """
def anchor():
    pass

def trial():
    import sys
    return sys.modules["_sweep_trial"].context

def report(step=None, **metrics):
    trial().report(step, metrics)

def mark(*pids):
    import os
    with open("mark.tmp", "w") as file:
        file.write(" ".join(map(str, pids)))
    os.rename("mark.tmp", "mark")
"""
_WORDS = ("trial", "report", "mark")
_RANGES = {"uniform", "loguniform", "randint", "choice"}
_OUT_OF_BAND = 1 << 16
_numbers = itertools.count()
_boot: list[bytes] = []


def boot() -> bytes:
    """What children are started with; compiled once."""
    if not _boot:
        _boot.append(boot_data(worker.sources()))
    return _boot[0]


class JobFolder:
    """A store's folder with jobs in it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.data = home / ".data"
        self.data.mkdir(parents=True)
        self.launch = home / "launch.json"
        self.write_launch()

    def write_launch(self, cwd: Path | None = None, **env: str) -> None:
        """Write environment, working directory and import path of the trials."""
        text = {"env": {**os.environ, **env}, "cwd": str(cwd or self.home), "path": [p for p in sys.path if p]}
        self.launch.write_text(json.dumps(text))

    def write(
        self,
        source: str,
        *,
        setup: str = "",
        names: Sequence[str] = (),
        values: Mapping[str, Any] | None = None,
        targets: Sequence[str] = ("loss",),
        modules: Mapping[str, Mapping[str, Any]] | None = None,
        choices: Mapping[str, Any] | None = None,
        function: str = "",
    ) -> str:
        """Write a job; give its file's name.

        `source` and `setup` (code of earlier cells) may be indented as a whole. `names` are those of `setup` that the
        body reads, `values` further captured objects; `function` names the function of `setup` that is the job. Calls
        of range functions are sites. `report`, `trial()` (the context) and `mark` are there without being named.
        """
        source = dedent(source).lstrip("\n")
        notebook: dict[str, Any] = {"__name__": "__main__"}
        exec(compile(_PRELUDE + dedent(setup), "<cell 1>", "exec"), notebook)
        notebook.update(values or {})
        words = [word for word in _WORDS if f"{word}(" in source]
        captured = {
            "names": {**{name: notebook[name] for name in [*words, *names]}, **(values or {})},
            "anchor": notebook["anchor"],
            "choices": choices or {},
            "job": notebook[function] if function else None,
        }
        main = sys.modules["__main__"]
        sys.modules["__main__"] = type(main)("__main__")
        sys.modules["__main__"].__dict__.update(notebook)
        try:
            buffers: list[Any] = []
            pickled = cloudpickle.dumps(captured, protocol=5, buffer_callback=lambda b: _take(b, buffers))
        finally:
            sys.modules["__main__"] = main
        return self._write(source, pickled, buffers, targets=list(targets), modules=modules or {}, function=function)

    def _write(self, source: str, pickled: bytes, buffers: list[Any], **parts: Any) -> str:
        number = next(_numbers)
        named = [(f"{number}-{i}.bin", buffer.raw()) for i, buffer in enumerate(buffers)]
        for name, raw in named:
            (self.data / name).write_bytes(raw)
        (self.data / f"job-{number}.pkl").write_bytes(pickled)
        job = {
            "kind": "function" if parts["function"] else "cell",
            "source": source,
            "sites": list(_sites(source)),
            "line_offset": 1,
            "targets": parts["targets"],
            "namespace": f"job-{number}.pkl",
            "buffers": [[name, raw.nbytes] for name, raw in named],
            "modules": parts["modules"],
            "modules_digest": hashlib.sha256(json.dumps(parts["modules"]).encode()).hexdigest(),
            "path": [str(self.home)],
            "parameters": [],
        }
        (self.data / f"job-{number}.json").write_text(json.dumps(job))
        return f"job-{number}.json"

    def task(self, job: str, params: Mapping[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
        """Give the payload of a new trial."""
        number = next(_numbers)
        folder = self.home / f"{number:04d}"
        folder.mkdir()
        return {
            "trial_id": number,
            "ticket": f"t{number}",
            "number": number,
            "attempt": 1,
            "title": "digits",
            "data": str(self.data),
            "job": job,
            "launch": str(self.launch),
            "params": dict(params or {}),
            "seed": 7,
            "repetition": 0,
            "folder": str(folder),
            "timeout_s": None,
            "memory_gb": None,
            "cpus": 1,
            "stage_dir": str(self.home / ".stages"),
            **changes,
        }


def _take(buffer: Any, buffers: list[Any]) -> bool:
    if buffer.raw().nbytes < _OUT_OF_BAND:
        return True
    buffers.append(buffer)
    return False


def _sites(source: str) -> Any:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            call, target = node.value, node.targets[0]
            if isinstance(call.func, ast.Name) and call.func.id in _RANGES and isinstance(target, ast.Name):
                yield [call.lineno, call.col_offset, call.end_lineno, call.end_col_offset, target.id]


class Runner:
    """A slot with the events of its trials."""

    def __init__(self, folder: JobFolder) -> None:
        self.folder = folder
        self.slot = Slot(boot(), "local/0")
        self.stops: dict[str, str] = {}
        self.events: list[dict[str, Any]] = []

    def run(self, job: str, params: Mapping[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
        """Run one trial; give its last event, with its `log`, its `folder` and its `reports`."""
        return self.run_task(self.folder.task(job, params, **changes))

    def run_task(self, task: dict[str, Any]) -> dict[str, Any]:
        self.events.clear()
        self.slot.run(task, self.events.append, self.stops)
        log = Path(task["folder"], "log.txt")
        return {
            **self.events[-1],
            "log": log.read_text() if log.exists() else "",
            "folder": Path(task["folder"]),
            "reports": [event for event in self.events if event["kind"] == "reported"],
            "pid": next((event["pid"] for event in self.events if event["kind"] == "started"), None),
        }

    def body(self, source: str, params: Mapping[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        """Write a job with this body and run it once."""
        task = {name: options.pop(name) for name in list(options) if name in _TASK_KEYS}
        return self.run(self.folder.write(source, **options), params, **task)

    def start(self, source: str, **options: Any) -> tuple[threading.Thread, dict[str, Any], dict[str, Any]]:
        """Begin a trial in a thread; give the thread, the task, and a dict that holds its end afterwards."""
        changes = {name: options.pop(name) for name in list(options) if name in _TASK_KEYS}
        task = self.folder.task(self.folder.write(source, **options), **changes)
        end: dict[str, Any] = {}
        thread = threading.Thread(target=lambda: end.update(self.run_task(task)), daemon=True)
        thread.start()
        return thread, task, end

    def stop(self, task: Mapping[str, Any], why: str) -> None:
        self.stops[task["ticket"]] = why
        self.slot.wake()


_TASK_KEYS = {"timeout_s", "memory_gb", "cpus", "seed", "title", "folder", "isolation", "grace_s"}


def is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def told(end: dict[str, Any]) -> tuple[str, str, str]:
    return end["state"], end["reason"], end["error"]
