"""What the tests share: a folder of sweeps of their own, the end of all they started, the order they run in."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import psutil
import pytest

#: Quick tests first, so that a plain mistake is told in seconds.
ORDER = ("contracts", "faults", "test_notebooks.py", "faces", "cluster")


def pytest_configure() -> None:
    """Hear Ctrl-C also where a shell that runs this in the background has it ignored: children inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    _let_examples_take_their_time()


def _let_examples_take_their_time() -> None:
    """Have Hypothesis judge what a function gives, not how long it, or the making of an example, takes.

    One pause of a busy machine is longer than the 0.2 s that it grants an example.
    """
    slow = [hypothesis.HealthCheck.too_slow]
    hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=slow)
    hypothesis.settings.load_profile("patient")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests of faces/ and faults/ by their folder, and put the slow folders last.

    Of several processes (`-n`) they come first, so that none of these goes on alone in the end.
    """
    items.sort(key=rank, reverse=hasattr(config, "workerinput"))
    for item in items:
        for folder in ("faces", "faults"):
            if folder in item.path.parts:
                item.add_marker(folder)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each of several processes a whole file at a time, for the sake of what its tests share.

    All that needs the machine to itself (networks, Slurm) goes to one of them.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "cluster" if nodeid.startswith("tests/cluster/") else nodeid.partition("::")[0]

    config.option.loadscopereorder = False
    return ByFile(config, log)


def rank(item: pytest.Item) -> int:
    return max((i for i, part in enumerate(ORDER, 1) if part in item.path.parts), default=0)


def processes_of(home: Path) -> list[psutil.Process]:
    """Give the living processes that serve the sweeps folder `home`: its driver, their workers and trials.

    The driver names the folder on its command line; all that it starts inherit `JUPYTER_SWEEP_HOME`.
    """
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            driver = "jupyter_sweep.runner.driver" in process.cmdline() and str(home) in " ".join(process.cmdline())
            if driver or process.environ().get("JUPYTER_SWEEP_HOME") == str(home):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def command_of(process: psutil.Process) -> str:
    """Give the command line of a process as one text: empty where it has ended, as each of a list may have by now."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # or a zombie, which is one to psutil
        return ""


def end_processes_of(home: Path) -> None:
    """End what `processes_of` finds: asked first, killed after three seconds."""
    processes = processes_of(home)
    for process in processes:
        _tell(process.terminate)
    psutil.wait_procs(processes, timeout=3)
    while left := processes_of(home):  # a driver that is asked for work while it ends starts another
        for process in left:
            _tell(process.kill)
        psutil.wait_procs(left, timeout=3)


def _tell(verb: object) -> None:
    try:
        verb()  # type: ignore[operator]
    except psutil.NoSuchProcess:
        return


@contextlib.contextmanager
def shared_home(folder: Path, idle_s: int = 30) -> Iterator[Path]:
    """Work in a folder whose sweeps share a warm driver; all that it started ends with it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_SWEEP_HOME", str(folder / "sweeps"))
        patch.setenv("JUPYTER_SWEEP_IDLE_S", str(idle_s))
        patch.chdir(folder)
        yield folder
    end_processes_of(folder / "sweeps")


@pytest.fixture(scope="module", autouse=True)
def own_main() -> Iterator[None]:
    """Put `__main__` back after a module: an IPython shell takes its place, and Dask starts no worker from there."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture(autouse=True)
def _main_module() -> Iterator[None]:
    """Put the main module back that a shell made by the test has replaced: processes spawned later read it."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A sweeps folder of the test's own, in a working directory of its own; its processes are ended afterwards."""
    folder = tmp_path / "sweeps"
    monkeypatch.setenv("JUPYTER_SWEEP_HOME", str(folder))
    monkeypatch.setenv("JUPYTER_SWEEP_IDLE_S", "1")
    monkeypatch.chdir(tmp_path)
    yield folder
    end_processes_of(folder)


@pytest.fixture
def nothing_left(home: Path) -> Iterator[None]:
    """Fail the test when a process of its sweeps is still alive well after the driver's idle time."""
    yield
    _, alive = psutil.wait_procs(processes_of(home), timeout=60)
    assert not alive, f"still running: {[(p.pid, command_of(p)) for p in alive]}"
