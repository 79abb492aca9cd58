"""MLflow: a run for each trial, in the experiment MLFLOW_EXPERIMENT_NAME or one that is named after the sweep.

Where the server is says MLFLOW_TRACKING_URI; without it MLflow keeps a file in the working directory. The run of a
trial is found again by a tag. What a killed process had passed on of it is asked once, and left out: MLflow's own
database refuses a value it has, but a server may not.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..definition import Sweep
from ..errors import MissingExtra
from ..trial import Report, Trial, TrialState
from .base import facts, flat, key, title

_PREFIX = "jupyter_sweep."
_KEY = f"{_PREFIX}key"
#: Most metrics, and most parameters, that MLflow takes in one request.
_METRICS, _PARAMS = 1000, 100
_ENDS = {TrialState.FAILED: "FAILED", TrialState.CANCELLED: "KILLED"}
#: MLflow itself tries for minutes before it says that a server is down; we ask again later anyway.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}


class Mlflow:
    """Passes trials on to MLflow."""

    package = "mlflow"
    extra = "mlflow"

    def __init__(self, sweep: Sweep, home: Path) -> None:
        for name, value in _PATIENCE.items():
            os.environ.setdefault(name, value)
        try:
            import mlflow
        except ImportError as error:
            raise MissingExtra("--log mlflow", self.extra, error) from error
        self._sweep = sweep
        self._client: Any = mlflow.MlflowClient()
        self._experiment = self._experiment_id(os.environ.get("MLFLOW_EXPERIMENT_NAME") or sweep.name)

    def _experiment_id(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        return str(self._client.create_experiment(name) if found is None else found.experiment_id)

    def open(self, trial: Trial, name: str) -> MlflowRun:
        """Give the run of a trial: the one of that name, else the one with its tag, else a new one."""
        own = key(self._sweep, trial)
        if not name:
            found = self._client.search_runs([self._experiment], f"tags.`{_KEY}` = '{own}'", max_results=1)
            name = found[0].info.run_id if found else ""
        is_new = not name
        if is_new:
            made = self._client.create_run(
                self._experiment,
                start_time=_ms(trial.started_at),
                tags={_KEY: own, **_tags(self._sweep, trial)},
                run_name=title(self._sweep, trial),
            )
            name = made.info.run_id
        self._write_params(name, trial)  # again is no harm
        return MlflowRun(self._client, self._sweep, name, is_new=is_new)

    def _write_params(self, name: str, trial: Trial) -> None:
        from mlflow.entities import Param

        params = [Param(_name(param), str(value)) for param, value in flat(trial.params).items()]
        for first in range(0, len(params), _PARAMS):
            self._client.log_batch(name, params=params[first : first + _PARAMS])

    def close(self) -> None:
        """Nothing is held."""


class MlflowRun:
    """One run; see `base.Run`."""

    def __init__(self, client: Any, sweep: Sweep, name: str, *, is_new: bool) -> None:
        self._client, self._sweep = client, sweep
        self.name, self.is_new = name, is_new
        self._there: set[tuple[str, int, int]] = set()
        self._asked: set[str] = set()

    def add(self, reports: Sequence[Report]) -> None:
        """Pass on the values that are not there yet."""
        from mlflow.entities import Metric

        values = [
            (_name(metric), report.step, round(report.reported_at * 1000), value)
            for report in reports
            for metric, value in report.metrics.items()
        ]
        if not self.is_new:
            self._ask({metric for metric, *_ in values})
        new = [Metric(m, value, at, step) for m, step, at, value in values if (m, step, at) not in self._there]
        for first in range(0, len(new), _METRICS):
            self._client.log_batch(self.name, metrics=new[first : first + _METRICS])

    def _ask(self, metrics: set[str]) -> None:
        """Ask once for each metric what was passed on before this process."""
        for metric in metrics - self._asked:
            history = self._client.get_metric_history(self.name, metric)
            self._there |= {(metric, point.step, point.timestamp) for point in history}
            self._asked.add(metric)

    def end(self, trial: Trial, files: Mapping[str, Path]) -> None:
        """Pass on how the trial ended, and its files."""
        from mlflow.entities import RunTag

        tags = _tags(self._sweep, trial)
        if not self.is_new:
            self._forget_tags(tags)
        self._client.log_batch(self.name, tags=[RunTag(name, value) for name, value in tags.items()])
        for path, file in files.items():
            self._client.log_artifact(self.name, str(file), path.rpartition("/")[0] or None)
        self._client.set_terminated(self.name, _ENDS.get(trial.state, "FINISHED"), _ms(trial.finished_at))

    def _forget_tags(self, but: Mapping[str, str]) -> None:
        """Take back what was said of an earlier end, such as the error of a trial that was run again."""
        for name in self._client.get_run(self.name).data.tags.keys() - but.keys() - {_KEY}:
            if name.startswith(_PREFIX):
                self._client.delete_tag(self.name, name)


def _tags(sweep: Sweep, trial: Trial) -> dict[str, str]:
    return {f"{_PREFIX}{name}": str(value) for name, value in facts(sweep, trial).items()}


def _name(text: str) -> str:
    """Give a name with the characters that MLflow allows."""
    return re.sub(r"[^\w.\- /:]", "_", text)


def _ms(at: float | None) -> int | None:
    return None if at is None else round(at * 1000)
