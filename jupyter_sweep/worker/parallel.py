"""What `joblib.parallel_config("sweep")` means within a trial: processes beside it, never more than its own cpus.

A trial has its cpus and no more, so it is not sent back to the cluster. Also with joblib's own processes `n_jobs=-1` is
the trial's cpus, by LOKY_MAX_CPU_COUNT. This back end holds a larger `n_jobs` to them, too, and shares the threads of
numerical libraries out among the processes, where joblib would give all of them to each.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

NAME = "sweep"


def offer() -> None:
    """Register the back end, where there is joblib."""
    try:
        joblib: Any = importlib.import_module("joblib")
    except ImportError:
        return
    joblib.register_parallel_backend(NAME, within_cpus)


def within_cpus(nesting_level: int | None = None, **_: Any) -> Any:
    """Give a back end; options that say where and how tasks run on a cluster mean nothing here."""
    return _kind()(nesting_level=nesting_level)


@functools.lru_cache(maxsize=1)
def _kind() -> Any:
    joblib: Any = importlib.import_module("joblib")
    base: Any = importlib.import_module("joblib._parallel_backends").LokyBackend

    class WithinCpus(base):  # type: ignore[misc]
        default_n_jobs = -1

        def effective_n_jobs(self, n_jobs: int | None) -> int:
            return min(int(super().effective_n_jobs(n_jobs)), int(joblib.cpu_count()))

        def _prepare_worker_env(self, n_jobs: int) -> dict[str, str]:
            threads = str(max(1, joblib.cpu_count() // n_jobs))
            return {**super()._prepare_worker_env(n_jobs), **dict.fromkeys(base.MAX_NUM_THREADS_VARS, threads)}

    return WithinCpus
