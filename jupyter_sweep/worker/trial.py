"""One trial from its task to its end, in whatever process: the same function serves a child and `--on inline`."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from . import numerals
from .context import ConstraintRefused, Context, TrialStopped, installed
from .job import Job, Jobs, drawn
from .seeds import seeded

_FOLDER = os.path.dirname((lambda: None).__code__.co_filename)
#: Where frames that no user wants to see come from: this folder, also as source text.
_OURS = _FOLDER + os.sep
_MAX_ERROR, _MAX_TRACEBACK = 2_000, 100_000

Task = Mapping[str, Any]
End = dict[str, Any]


class Host(Protocol):
    """The process that a trial runs in."""

    #: Whether a KeyboardInterrupt is a person's, who wants the prompt back.
    interactive: bool

    def prepare(self, job: Job) -> None:
        """Make the job's own modules importable; called before anything is unpickled."""
        ...

    def send(self, step: int, metrics: numerals.Metrics, at: float) -> None:
        """Pass a report on; raise TrialStopped to end the trial."""
        ...

    def stoppable(self) -> AbstractContextManager[None]:
        """Give the block in which TrialStopped may be raised at any moment."""
        ...

    def around(self, namespace: dict[str, Any]) -> AbstractContextManager[None]:
        """Give the block that the body runs in."""
        ...

    def failed(self, error: BaseException) -> None:
        """Hear of an exception that ended the trial, before it is told."""
        ...


def run(task: Task, jobs: Jobs, host: Host) -> End:
    """Run one trial and tell how it ended.

    Returns
    -------
    dict
        `state` (a trial's final state, or "stopped" when TrialStopped ended it), `reason`, `metrics`, `error`,
        `traceback`, `duration_s`, and `numbers`: names of numbers seen when a target is missing, else None.
    """
    begun = time.perf_counter()
    context = Context(task, host.send)
    try:
        with host.stoppable():
            job = jobs.get(task["data"], task["job"])
            host.prepare(job)
            end = _run_body(task, job, context, host)
    except TrialStopped:
        end = ended("stopped")
    except ConstraintRefused as refusal:
        end = ended("pruned", "constraint", str(refusal))
    except BaseException as error:
        if host.interactive and isinstance(error, KeyboardInterrupt):
            raise
        host.failed(error)
        end = _failure(error, task)
    finally:
        context.close()
    end["metrics"] = {**context.metrics, **end["metrics"]}
    end["duration_s"] = time.perf_counter() - begun
    return end


def ended(
    state: str, reason: str = "", error: str = "", trace: str = "", metrics: numerals.Metrics | None = None
) -> End:
    """Give an end without duration."""
    return {
        "state": state,
        "reason": reason,
        "metrics": metrics or {},
        "error": clean(error),
        "traceback": clean(trace, _MAX_TRACEBACK),
        "numbers": None,
    }


def clean(text: str, limit: int = _MAX_ERROR) -> str:
    """Give text that any store takes: no half characters, of what is too long the beginning and the end."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= limit else f"{text[: limit // 2]}\n ... \n{text[-limit // 2 :]}"


def _run_body(task: Task, job: Job, context: Context, host: Host) -> End:
    context.targets = job.targets
    loaded = job.load()
    values = drawn(task["params"], loaded.choices)
    loaded.namespace.update(values)
    given = dict(loaded.namespace)
    with host.around(loaded.namespace), installed(context), seeded(task["seed"]):
        if loaded.function is not None:
            last, variables = loaded.function(**values), {}
        else:
            last, variables = job.body(task["title"]).run(loaded.namespace, values), loaded.namespace
    metrics = numerals.gather(job.targets, context.metrics, variables, last)
    own = {name: value for name, value in variables.items() if name not in given or given[name] is not value}
    return _judged(job.targets, metrics, own)


def _judged(targets: tuple[str, ...], metrics: numerals.Metrics, own: Mapping[str, Any]) -> End:
    missing = [target for target in targets if target not in metrics]
    if missing:
        numbers = numerals.numeric_names(metrics, own)
        end = ended("failed", "error", _missing_sentence(missing, numbers), metrics=metrics)
        end["numbers"] = numbers
        return end
    bad = [target for target in targets if metrics[target] != metrics[target]]
    if bad:
        return ended("failed", "nan", f"{', '.join(bad)} is not a number (NaN)", metrics=metrics)
    return ended("completed", metrics=metrics)


def _missing_sentence(missing: list[str], numbers: list[str]) -> str:
    name = missing[0]
    return (
        f"The trial ended without a value of {', '.join(missing)}. It must be reported, as in report({name}=...), be a "
        f"variable {name} at the end of the body, or be the value of the last expression. "
        f"Numbers seen: {', '.join(numbers) or 'none'}."
    )


def _failure(error: BaseException, task: Task) -> End:
    text, trace = told(error)
    print(trace, file=sys.stderr, end="")
    limit = task.get("memory_gb")
    if isinstance(error, MemoryError) and limit is not None:
        return ended("failed", "memory", f"{text} (limit {limit:g} GB)", trace)
    return ended("failed", "error", text, trace)


def told(error: BaseException) -> tuple[str, str]:
    """Give an exception in one line, and its traceback from the user's first line on."""
    found = traceback.TracebackException.from_exception(error)
    _trim(found)
    lines = "".join(found.format_exception_only()).splitlines()
    name = type(error).__name__
    line = next((line for line in lines if line.partition(":")[0].strip().endswith(name)), lines[-1])
    return line, "".join(found.format())


def _trim(found: traceback.TracebackException) -> None:
    package = getattr(sys.modules.get("jupyter_sweep"), "__file__", None)
    ours = (_OURS, os.path.dirname(package) + os.sep) if package else (_OURS,)
    frames = [frame for frame in found.stack if not frame.filename.startswith(ours)]
    found.stack = traceback.StackSummary.from_list(frames)
    for other in (found.__cause__, found.__context__, *(getattr(found, "exceptions", None) or ())):
        if other is not None:
            _trim(other)
