"""Jobs of a batch system (Slurm, PBS, Grid Engine, LSF), each with one Dask worker, by way of dask-jobqueue.

There are as many jobs as there is work for: they come at once, and go when fewer have been enough for `idle` seconds,
down to none. The scheduler lives in the driver, on the network of the nodes; everything between it and the workers is
encrypted with certificates of this cluster's own. Jobs end with the driver, however it ends (`jobqueue_end`), and each
ends a while before its time is up, so that its trial can go on in another one.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...errors import SweepError
from ..clusters import Where
from . import jobqueue_script as scripts
from . import jobqueue_words as words
from . import slurm

if TYPE_CHECKING:
    from .jobqueue_cluster import Jobs

_COMMANDS = {"slurm": "sbatch", "pbs": "qsub", "sge": "qsub", "lsf": "bsub"}


def read(word: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Read "slurm:partition=gpu,walltime=2h" and a profile's options."""
    return words.read(word, options)


def plan(where: Where, slots: int | None) -> str:
    """Say how many jobs of which script; the batch system is not asked."""
    shape = words.shape(where.word, where.options, where.share, slots)
    text = _text(where, shape, "tls://HERE:PORT", "sweeps/.driver/job-logs", "sweeps/.driver/...")
    said = shape.in_words(where.kind, where.options["walltime"])
    limit = "" if slots or "max_jobs" in where.options else f" ({words.MAX_JOBS} unless --jobs or max_jobs says more)"
    return f"{said}{limit}, submitted as there is work. The script of each:\n\n{text.strip()}"


def check(where: Where) -> None:
    """Have the batch system judge the very script; only Slurm can."""
    shape = words.shape(where.word, where.options, where.share, None)
    text = _text(where, shape, "tls://127.0.0.1:1", "/tmp", "/tmp")
    command = _COMMANDS[where.kind]
    if shutil.which(command) is None:
        raise SweepError(
            f"--on {where.word}: there is no command {command} here. Start the sweep where jobs can be submitted (a "
            f"login node, or with the commands of {where.kind} in PATH), or leave --on away."
        )
    if where.kind == "slurm":
        slurm.judge(where.word, text, where.options.get("partition", ""), where.options["walltime"])


def start(where: Where, slots: int | None) -> Jobs:
    from .jobqueue_cluster import Jobs

    check(where)
    return Jobs(where, slots)


def _text(where: Where, shape: words.Shape, scheduler: str, log_folder: str, base: str) -> str:
    script = scripts.Script.of(where, shape, "sweep", log_folder, base)
    text: str = scripts.job_class(script)(scheduler, name="0", **scripts.arguments(script)).job_script()
    return text
