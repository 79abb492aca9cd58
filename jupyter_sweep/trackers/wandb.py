"""Weights & Biases: a run for each trial, in the project WANDB_PROJECT or one that is named after the sweep.

WANDB_MODE=offline needs no account: the runs lie under NAME/wandb in the store's folder, for ``wandb sync``. A trial's
reports are counted, and the count is W&B's own step: of a run that is resumed the server says how far it came. Offline
nobody can say; what a killed process left of a run is removed there, and the run is written again from the store.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..definition import Sweep
from ..errors import MissingExtra
from ..trial import Report, Trial, TrialState
from .base import facts, flat, key, title


class Wandb:
    """Passes trials on to W&B."""

    package = "wandb"
    extra = "wandb"

    def __init__(self, sweep: Sweep, home: Path) -> None:
        try:
            import wandb
        except ImportError as error:
            raise MissingExtra("--log wandb", self.extra, error) from error
        self._wandb: Any = wandb
        self._sweep = sweep
        self._folder = Path(os.environ.get("WANDB_DIR") or home / sweep.name)
        self._settings = wandb.Settings(silent=True, console="off", disable_git=True, save_code=False)

    def open(self, trial: Trial, name: str) -> WandbRun:
        """Give the run of a trial, whose name is its key."""
        own = key(self._sweep, trial)
        for old in (self._folder / "wandb").glob(f"offline-run-*-{own}"):
            shutil.rmtree(old)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        run = self._wandb.init(
            id=own,
            name=title(self._sweep, trial),
            project=os.environ.get("WANDB_PROJECT") or self._sweep.name,
            group=f"{self._sweep.name}-v{self._sweep.version}",
            tags=list(self._sweep.tags),
            config=flat(trial.params),
            resume="allow",
            reinit="create_new",
            dir=str(self._folder),
            settings=self._settings,
        )
        return WandbRun(run, self._sweep, own)

    def close(self) -> None:
        """End W&B's own process."""
        self._wandb.teardown()


class WandbRun:
    """One run; see `base.Run`. It is always given all reports, and leaves out those that the server has."""

    is_new = True

    def __init__(self, run: Any, sweep: Sweep, name: str) -> None:
        self._run, self._sweep, self.name = run, sweep, name
        self._there: int = run.step
        self._count = 0
        run.define_metric("step", hidden=True)
        run.define_metric("*", step_metric="step")

    def add(self, reports: Sequence[Report]) -> None:
        """Pass on reports, each with its own step and time."""
        for report in reports:
            if self._count >= self._there:
                row = {**report.metrics, "step": report.step, "_timestamp": report.reported_at}
                self._run.log(row, step=self._count)
            self._count += 1

    def end(self, trial: Trial, files: Mapping[str, Path]) -> None:
        """Pass on how the trial ended, and its files."""
        self._run.summary.update({**trial.metrics, **facts(self._sweep, trial)})
        for path, file in files.items():
            self._run.save(str(file), base_path=str(file).removesuffix(path), policy="now")
        self._run.finish(exit_code=int(trial.state is TrialState.FAILED))
