"""`%sweep replay`: one trial's body once more, in this kernel and in the user's namespace.

The same code as in a trial compiles the body, puts the recorded values in the place of its ranges and seeds the
generators, so that a metric of deterministic code comes out bit for bit. The body is that of the trial's own version,
whatever the cell was changed to since. The namespace is the notebook's, not the captured copy: that is what makes it a
tool for looking into a trial; the last sentence tells when the numbers differ. Numerical libraries get the trial's
number of threads, because sums depend on how they are split.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from ..definition import Sweep
from ..handle import Handle
from ..space.codec import encode
from ..space.fingerprint import as_of_today
from ..trial import Metrics, Trial
from ..worker import numerals
from ..worker.body import VALUES
from ..worker.context import Context, installed
from ..worker.job import Job, drawn
from ..worker.seeds import seeded
from ..worker.threads import limited


def replay(shell: InteractiveShell, handle: Handle, number: int, home: Path) -> str:
    """Run trial `number` again; give a sentence that compares its metrics with the recorded ones.

    An error of the body is raised as it is, with the traceback from the user's first line on. What the body saves goes
    to a folder that is removed afterwards: the trial's own artifacts stay as they are.
    """
    trial = handle.trial(number)
    sweep = handle.definition_of(trial)
    job = Job(str(home / ".data"), sweep.job.file)
    with tempfile.TemporaryDirectory(prefix="sweep-replay-") as folder:
        task = {"seed": trial.seed, "folder": folder, "stage_dir": str(home / ".stages")}
        context = Context(task, lambda step, metrics, at: None)
        context.targets = job.targets
        with installed(context), seeded(trial.seed), limited(sweep.resources.cpus):
            _forget(shell.user_ns, job.targets, [str(c["name"]) for c in sweep.job.captures])
            metrics = _run(shell, sweep, job, trial, context)
    return _compared(sweep.name, trial, metrics)


def _run(shell: InteractiveShell, sweep: Sweep, job: Job, trial: Trial, context: Context) -> Metrics:
    title = f"{sweep.name} trial {trial.number}"
    today = as_of_today(sweep.space, trial.params)  # rows kept by `--code ignore` lack the parameters added since
    params = {name: encode(value) for name, value in today.items()}
    loaded = job.load() if sweep.job.kind == "function" or "__object__" in repr(params) else None
    values = drawn(params, loaded.choices if loaded else {})
    namespace = shell.user_ns
    namespace.update(values)
    try:
        if loaded is not None and loaded.function is not None:
            last, variables = loaded.function(**values), {}
        else:
            last, variables = job.body(title).run(namespace, values), namespace
    except Exception as error:
        _show_from(shell, error, f"<sweep {title}>")
        raise
    finally:
        namespace.pop(VALUES, None)
    return numerals.gather(job.targets, context.metrics, variables, last)


def _forget(namespace: dict[str, Any], targets: Sequence[str], captured: Sequence[str]) -> None:
    """Remove variables that bear a target's name, unless the body reads them: a stale one would pass for the metric."""
    for target in targets:
        if target not in captured:
            namespace.pop(target, None)


def _show_from(shell: InteractiveShell, error: Exception, filename: str) -> None:
    """Have IPython show the traceback from the first frame of the body on."""
    frame: TracebackType | None = error.__traceback__
    while frame is not None and frame.tb_frame.f_code.co_filename != filename:
        frame = frame.tb_next
    text = shell.InteractiveTB.structured_traceback(type(error), error, frame or error.__traceback__)
    error._render_traceback_ = lambda: text  # type: ignore[attr-defined]


def _compared(name: str, trial: Trial, metrics: Metrics) -> str:
    head = f"Trial {trial.number} of {name}, {trial.state}"
    if not trial.metrics:
        return f"{head}: {_shown(metrics) or 'no metrics'}; none were recorded."
    if all(metrics.get(metric) == value for metric, value in trial.metrics.items()):
        return f"{head}: {_shown(metrics)}, as recorded."
    recorded = f"{_shown(trial.metrics)} was recorded"
    return f"{head}: {_shown(metrics)}; {recorded}. Code or data of the notebook may have changed."


def _shown(metrics: Metrics) -> str:
    return ", ".join(f"{metric}={value!r}" for metric, value in metrics.items())
