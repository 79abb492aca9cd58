"""What `report`, `seed`, `save`, `checkpoint`, `stage` and `require` reach in a trial.

That is `sys.modules["_sweep_trial"].context`. The functions that users write find the context by that name, so that
neither side imports the other and a body runs unchanged as a plain cell.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

from . import stages
from .numerals import Metrics, as_number

#: Keywords of `report` that give the step when `step=` does not.
STEP_NAMES = ("epoch", "iter", "round", "fold")
_MODULE = "_sweep_trial"
#: What `checkpoint(state)` writes in the trial's folder.
CHECKPOINT = "checkpoint.joblib"
_RESERVED = ("params.json", "metrics.json", "log.txt", CHECKPOINT)


class TrialStopped(BaseException):
    """The trial is to end now. Not an Exception, so that `except Exception` in a body lets it through."""


class ConstraintRefused(BaseException):
    """`require(...)` did not hold."""


class Context:
    """One trial as its body sees it.

    Parameters
    ----------
    task
        The trial's payload.
    send
        Called with (step, metrics, time) for each report; raises TrialStopped when the trial is to end.
    """

    def __init__(self, task: Mapping[str, Any], send: Callable[[int, Metrics, float], None]) -> None:
        self.metrics: Metrics = {}
        #: Metrics that the sweep optimises; one that is also a step keyword stays a metric.
        self.targets: tuple[str, ...] = ()
        self._task, self._send = task, send
        self._reports = 0
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._over = self._kept = False

    def close(self) -> None:
        """Refuse reports from now on: a thread that the trial left behind must not speak for the next one."""
        with self._lock:
            self._over = True

    def seed(self) -> int:
        """Give the trial's seed."""
        seed: int = self._task["seed"]
        return seed

    def report(self, step: int | None, metrics: Mapping[str, Any]) -> None:
        """Send metrics. The step is `step`, else the first int among epoch, iter, round and fold, else the count."""
        if os.getpid() != self._pid:
            raise RuntimeError(
                "report() was called in another process than the trial's; give the value back and report it there"
            )
        values = dict(metrics)
        with self._lock:
            if self._over:
                raise RuntimeError("report() was called after the end of its trial")
            step = int(self._own_step(values) if step is None else step)
            if step.bit_length() > 63:
                raise ValueError(f"report(step={step}): a step is a whole number of at most 64 bits")
            numbers = {name: _number(name, value) for name, value in values.items()}
            self._reports += 1
            self.metrics.update(numbers)
            self._send(step, numbers, time.time())

    def _own_step(self, values: dict[str, Any]) -> int:
        for name in STEP_NAMES:
            step = values.get(name)
            item = getattr(step, "item", None)
            step = item() if callable(item) else step
            if isinstance(step, int) and not isinstance(step, bool):
                if name not in self.targets:
                    del values[name]
                return step
        return self._reports

    def save(self, name: str, value: Any) -> str:
        """Write an object into the trial's folder; give its path."""
        path = self._inside(name)
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        stages.dump(value, path)
        return path

    def _inside(self, name: str) -> str:
        folder = os.path.realpath(self._task["folder"])
        path = os.path.realpath(os.path.join(folder, name))
        if not path.startswith(folder + os.sep) or ".." in name.split("/") or os.path.isabs(name):
            raise ValueError(f"save({name!r}) leads out of the trial's folder; give a name such as 'model.joblib'")
        if os.path.relpath(path, folder) in _RESERVED:
            raise ValueError(f"save({name!r}): the trial's own {name} has that name; give another")
        return path

    def checkpoint(self, *state: Any) -> Any:
        """With a state: keep it in place of the last one. Without: give the last one, or None.

        It lies in the trial's folder, which all attempts of a trial share, and is on the disk when this returns. So the
        next attempt finds the last state that was kept completely, however the last attempt ended.
        """
        path = os.path.join(self._task["folder"], CHECKPOINT)
        if not self._kept:
            stages.forget_halves(path)
            self._kept = True
        if state:
            stages.dump(state[0], path, durably=True)
            return None
        return stages.load(path) if os.path.exists(path) else None

    def stage(self, function: Callable[..., Any], args: tuple[Any, ...] = ()) -> Any:
        """Give `function(*args)`, computed once for all trials."""
        return stages.call(self._task["stage_dir"], function, args)

    def require(self, holds: Any, message: str = "") -> None:
        """End the trial as refused when a condition does not hold."""
        if not holds:
            raise ConstraintRefused(message)


def _number(name: str, value: Any) -> float:
    number = as_number(value)
    if number is None:
        raise TypeError(f"report({name}=...) takes a number, got {type(value).__name__} {value!r:.80}")
    return number


@contextlib.contextmanager
def installed(context: Context) -> Iterator[None]:
    """Make the context that of the running trial for the length of the block."""
    module = ModuleType(_MODULE)
    module.context = context  # type: ignore[attr-defined]
    sys.modules[_MODULE] = module
    try:
        yield
    finally:
        sys.modules.pop(_MODULE, None)
