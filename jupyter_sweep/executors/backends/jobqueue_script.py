"""The job script of a batch system, drawn by dask-jobqueue, and the job that it makes.

What dask-jobqueue knows of a site (`jobqueue.yaml`) holds where nothing else is said. Two things are ours. A worker has
as many threads as trials may run in its job, whatever its cores: it only looks after them. And a submission or a
cancellation that fails is noted on the job, where dask-jobqueue raises it into nowhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import math
import os
import shlex
import signal
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import MissingExtra, SweepError
from ...worker.process import HOST_VARIABLES
from ..clusters import Where
from .jobqueue_words import Shape, clock

_PLACES = {
    "slurm": ("slurm", "SLURMJob"),
    "pbs": ("pbs", "PBSJob"),
    "sge": ("sge", "SGEJob"),
    "lsf": ("lsf", "LSFJob"),
}
#: A worker that finds no scheduler, or whose scheduler died, ends its job so soon.
DEATH_S = 45
#: How long `sbatch` and its like may take.
_CALL_S = 60
#: A worker leaves so long before its job's time is up: a twentieth of it, within these bounds; half as much is chance.
_MARGIN_S = (15.0, 120.0)
#: What the job script runs before the worker: prints the variables that the submitting process did not have, those of
#: Slurm and of the prescript. Trials get them over the variables of the notebook.
_PRINT_ENV = """\
import json, os, sys
before = json.load(open(sys.argv[1]))
own = ("DASK_", "JUPYTER_SWEEP_", "BASH_FUNC_")
told = {k: v for k, v in os.environ.items() if before.get(k) != v and not k.startswith(own)}
print(json.dumps({k: v for k, v in told.items() if k not in ("_", "PWD", "OLDPWD", "SHLVL")}))"""
_WORKER_ENV = {
    # Threads are limited for each trial.
    "DASK_DISTRIBUTED__NANNY__PRE_SPAWN_ENVIRON": "{}",
    # A node that vanishes is noticed in 10 s; Dask refuses less.
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "11s",
}


@dataclass(frozen=True)
class Script:
    """What scripts of one cluster have in common.

    Parameters
    ----------
    name
        The jobs' name.
    log_folder
        Where the output of jobs goes.
    base
        File with the environment that jobs were submitted from; trials get what differs from it on their node.
    """

    kind: str
    settings: Mapping[str, Any]
    shape: Shape
    share: Mapping[str, Any]
    name: str
    log_folder: str
    base: str

    @classmethod
    def of(cls, where: Where, shape: Shape, name: str, log_folder: str, base: str) -> Script:
        """Give the script of a place; a `log_folder` of its profile goes before ours."""
        own = os.path.expanduser(where.options.get("log_folder", log_folder))
        return cls(where.kind, where.options, shape, where.share, name, own, base)


def load(kind: str) -> Any:
    """Give dask-jobqueue's module for a batch system.

    Raises
    ------
    MissingExtra
        Where it, or what encrypts the connections, is not installed.
    """
    try:
        import cryptography  # noqa: F401

        with _same_interrupt():
            import dask_jobqueue  # noqa: F401
    except ImportError as error:
        raise MissingExtra(f"--on {kind}", "slurm", error) from error
    return importlib.import_module(f"dask_jobqueue.{_PLACES[kind][0]}")


@contextlib.contextmanager
def _same_interrupt() -> Iterator[None]:
    """Keep what an interrupt does: where dask-jobqueue 0.9 is imported it ends the process, a notebook's kernel too."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is not before:
            signal.signal(signal.SIGINT, before)


def lifetime(walltime_s: float) -> tuple[float, float]:
    """Give the lifetime of a worker and its stagger: it ends between lifetime - stagger and lifetime + stagger.

    >>> lifetime(3600)
    (3480.0, 60.0)
    """
    low, high = _MARGIN_S
    margin = min(max(walltime_s / 20, low), high, walltime_s / 2)
    return walltime_s - margin, margin / 2


def job_class(script: Script) -> Any:
    """Give the class of the jobs: dask-jobqueue's, with what is ours."""
    base: Any = getattr(load(script.kind), _PLACES[script.kind][1])
    running, closed = _states()

    class SweepJob(base):  # type: ignore[misc]
        """One job. `error` says why it could not be submitted."""

        worker_process_threads = script.shape.slots
        worker_process_memory = "0"  # a worker that pauses for memory would hold its trials back
        error = ""

        def job_script(self) -> str:
            after = "\n".join(script.settings.get("postscript", ()))
            text: str = super().job_script()
            return f"{text}{after}\n" if after else text

        async def start(self) -> None:
            try:
                await super().start()
            except Exception as error:
                self.error = _told(error)
                self.status = running  # what is not running would be an error of the cluster's

        async def close(self) -> None:
            await super().close()
            self.status = closed

        @staticmethod
        async def _call(cmd: Any, **options: Any) -> str:
            text: str = await asyncio.wait_for(base._call(cmd, **options), _CALL_S)
            return text

    return SweepJob


def _states() -> tuple[Any, Any]:
    from distributed.core import Status

    return Status.running, Status.closed


def _told(error: Exception) -> str:
    """Give what the batch system printed, out of the text that dask-jobqueue wraps it in."""
    if isinstance(error, asyncio.TimeoutError):
        return f"it did not answer within {_CALL_S} s"
    return str(error).partition("stderr:\n")[2].strip() or f"{type(error).__name__}: {error}"


def arguments(script: Script) -> dict[str, Any]:
    """Give the keywords of a job."""
    settings, shape = script.settings, script.shape
    lives_s, stagger_s = lifetime(settings["walltime"])
    ends = ["--lifetime", f"{lives_s:g}s", "--lifetime-stagger", f"{stagger_s:g}s"]
    memory = None if shape.memory_gb is None else math.ceil(shape.memory_gb * 1024)
    common = {
        "cores": shape.cores,
        "memory": f"{memory or 1024}MiB",
        "processes": 1,
        "nanny": True,
        "death_timeout": DEATH_S,
        "interface": settings.get("interface"),
        "python": shlex.quote(settings["python"]),
        "job_name": script.name,
        "queue": settings.get("partition") or settings.get("queue"),
        "walltime": _walltime(script.kind, settings["walltime"]),
        "worker_extra_args": [*ends, "--dashboard-address", "127.0.0.1:0"],
        "job_script_prologue": [*_of_the_site(script.kind, "job-script-prologue"), *_prologue(script)],
        "job_extra_directives": [*_of_the_site(script.kind, "job-extra-directives"), *_directives(script)],
    }
    return {**common, **_own(script, memory)}


def _walltime(kind: str, seconds: float) -> str:
    text = clock(math.ceil(seconds / 60) * 60 if kind == "lsf" else seconds)
    return text.rpartition(":")[0] if kind == "lsf" else text


def _own(script: Script, memory_mib: int | None) -> dict[str, Any]:
    """Give what only this batch system has."""
    account, gpus = script.settings.get("account"), _gpus(script)
    if script.kind == "slurm":
        return {"account": account, "job_directives_skip": [] if memory_mib else ["--mem="]}
    if script.kind == "pbs":
        more = (f":ngpus={gpus}" if gpus else "") + (f":mem={memory_mib}MB" if memory_mib else "")
        return {"account": account, "resource_spec": f"select=1:ncpus={script.shape.cores}{more}"}
    return {"project": account, **({} if memory_mib or script.kind == "sge" else {"job_directives_skip": ["-M "]})}


def _of_the_site(kind: str, name: str) -> list[str]:
    import dask

    return list(dask.config.get(f"jobqueue.{kind}.{name}", None) or [])


def _prologue(script: Script) -> list[str]:
    """Give the lines before the worker: settings of Dask, the variables of the profile, its prescript."""
    env = {**_WORKER_ENV, **script.settings.get("env", {})}
    lines = [f"export {name}={shlex.quote(text)}" for name, text in env.items()]
    told = shlex.join([script.settings["python"], "-c", _PRINT_ENV, script.base])
    return [*lines, *script.settings.get("prescript", ()), f'export {HOST_VARIABLES}="$({told})"']


def _directives(script: Script) -> list[str]:
    log, settings = script.log_folder, script.settings
    own = {
        "slurm": [f"-o {_quoted(log + '/%j.log')}"],
        "pbs": [f"-o {_quoted(log + '/')}", "-j oe"],
        "sge": [f"-o {_quoted(log + '/')}"],
        "lsf": [f"-o {_quoted(log + '/%J.log')}"],
    }[script.kind]
    gpus = _gpus(script)
    if script.kind == "slurm":
        own += [f"--qos={settings['qos']}"] if "qos" in settings else []
        own += [f"--gres=gpu:{gpus}"] if gpus else []
    if script.kind == "lsf" and gpus:
        own.append(f'-gpu "num={gpus}"')
    if script.kind == "sge" and gpus:
        raise SweepError(f"--on sge: devices need your site's resource, as in extra=-l gpu={gpus}")
    return [*own, *settings.get("extra", ())]


def _gpus(script: Script) -> int:
    """Count the devices to ask for; none where `extra` does."""
    wanted = math.ceil(script.share.get("gpus", 0) * script.shape.slots - 1e-9)
    return 0 if "gpu" in " ".join(script.settings.get("extra", ())) else wanted


def _quoted(path: str) -> str:
    return f'"{path}"' if " " in path else path
