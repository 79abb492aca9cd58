"""TensorBoard: event files under NAME/tb in the store's folder, a folder for each trial, for ``tensorboard --logdir``.

Event files can only be added to. One that a process left unfinished is removed and written again from the store, so
that no value stands there twice. There are no artifacts: an event file has no place for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..definition import Sweep
from ..errors import MissingExtra
from ..trial import Report, Trial, TrialState
from .base import flat, key

FOLDER = "tb"


class TensorBoard:
    """Passes trials on to event files."""

    package = "tensorboard"
    extra = "tb"

    def __init__(self, sweep: Sweep, home: Path) -> None:
        try:
            from tensorboard.summary.writer import event_file_writer
        except ImportError as error:
            raise MissingExtra("--log tb", self.extra, error) from error
        self._make = event_file_writer.EventFileWriter
        self._sweep, self._home = sweep, home
        self._open: list[TensorBoardRun] = []

    def open(self, trial: Trial, name: str) -> TensorBoardRun:
        """Begin the run of a trial anew."""
        folder = self._home / self._sweep.name / FOLDER / Path(trial.folder).name
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        run = TensorBoardRun(self._make(str(folder), flush_secs=5), self._sweep, trial, folder.name)
        self._open.append(run)
        return run

    def close(self) -> None:
        """Close the files."""
        for run in self._open:
            run.close()


class TensorBoardRun:
    """One folder of event files; see `base.Run`."""

    is_new = True

    def __init__(self, writer: Any, sweep: Sweep, trial: Trial, name: str) -> None:
        from tensorboard.plugins.hparams import summary_v2

        self.name = name
        self._writer: Any = writer
        began = trial.started_at or 0.0
        pb = summary_v2.hparams_pb(flat(trial.params), trial_id=key(sweep, trial), start_time_secs=began)
        self._put(pb, at=began)

    def _put(self, summary: Any, *, at: float, step: int = 0) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self._writer.add_event(Event(wall_time=at, step=step, summary=summary))

    def add(self, reports: Sequence[Report]) -> None:
        """Pass on reports as scalars."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        for report in reports:
            values = [Summary.Value(tag=name, simple_value=value) for name, value in report.metrics.items()]
            self._put(Summary(value=values), at=report.reported_at, step=report.step)
        self._writer.flush()

    def end(self, trial: Trial, files: Mapping[str, Path]) -> None:
        """Pass on how the trial ended, for the table of parameters, and close the file."""
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

        status = api_pb2.STATUS_FAILURE if trial.state is TrialState.FAILED else api_pb2.STATUS_SUCCESS
        end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=trial.finished_at or 0.0)
        about = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(session_end_info=end))
        value = Summary.Value(tag=metadata.SESSION_END_INFO_TAG, metadata=about, tensor=metadata.NULL_TENSOR)
        self._put(Summary(value=[value]), at=trial.finished_at or 0.0)
        self.close()

    def close(self) -> None:
        """Close the file; again, nothing happens."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
