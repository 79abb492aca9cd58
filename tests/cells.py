"""Cells as a notebook has them: text that is run into a namespace, and bodies that are parsed in it."""

from __future__ import annotations

import itertools
import linecache
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jupyter_sweep.jobs.cell import CellJob, parse_cell
from jupyter_sweep.jobs.function import FunctionJob
from jupyter_sweep.space.codec import encode
from jupyter_sweep.worker.context import Context, installed
from jupyter_sweep.worker.job import Job, drawn

WORDS = (
    "from jupyter_sweep import uniform, loguniform, randint, lograndint, choice, ordinal, normal, lognormal\n"
    "from jupyter_sweep import require, report, seed, folds, stage, save, checkpoint\n"
)
_numbers = itertools.count()


def run_cell(source: str, namespace: dict[str, Any]) -> None:
    """Run a cell; its text is kept where IPython keeps it."""
    name = f"<cell {next(_numbers)}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    exec(compile(source, name, "exec"), namespace)


def notebook(*cells: str, words: bool = True) -> dict[str, Any]:
    """Give the namespace of a notebook that ran some cells, after one that imports all words."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for source in [*([WORDS] if words else []), *cells]:
        run_cell(source, namespace)
    return namespace


def parse(body: str, namespace: dict[str, Any] | None = None, **options: Any) -> CellJob:
    """Parse a body, in a notebook that knows our words unless another is given."""
    pins: Mapping[str, str] = options.pop("pins", {})
    folder = options.pop("folder", tempfile.gettempdir())
    return parse_cell(body, notebook() if namespace is None else namespace, folder=folder, pins=pins, **options)


def run_trial(job: CellJob | FunctionJob, folder: Path, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Run a job as a worker would, from its files; give the names at its end, with `reports` and `result`.

    `params` defaults to those of a plain cell. Only the process is this one.
    """
    ref = job.write(str(folder))
    params = job.space.defaults() if params is None else params
    loaded = (held := Job(str(folder), ref.file)).load()
    values = drawn({name: encode(value) for name, value in params.items()}, loaded.choices)
    loaded.namespace.update(values)
    reports: list[tuple[int, dict[str, float]]] = []
    task = {"seed": 7, "folder": str(folder), "stage_dir": str(folder / "stages")}
    with installed(Context(task, lambda step, metrics, at: reports.append((step, dict(metrics))))):
        if loaded.function is not None:
            result = loaded.function(**values)
        else:
            result = held.body("test").run(loaded.namespace, values)
    return {**loaded.namespace, "reports": reports, "result": result}
