"""Sweeps on real ssh hosts that share no disk with who drives them: each has a view of the file system of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import away, netns
from cluster.away import wait_until
from cluster.desk import WAIT_S, sent, start_kernel
from conftest import end_processes_of

from jupyter_sweep.handle import Handle

ROOT = Path(__file__).parents[2]
_WHY = netns.missing() or away.missing()
pytestmark = [pytest.mark.skipif(bool(_WHY), reason=_WHY), pytest.mark.timeout(600)]
#: What a host calls its Python: it hides the desk first.
_PYTHON = """#!/bin/sh
exec unshare --mount sh -c 'mount -t tmpfs none "$0" && exec "$@"' {hidden} {python} "$@"
"""


@pytest.fixture(scope="module")
def hosts() -> Iterator[netns.Hosts]:
    made = netns.Hosts(2)
    yield made
    made.close()


@pytest.fixture
def desk(hosts: netns.Hosts, tmp_path: Path) -> Iterator[Path]:
    """A folder that the hosts don't see, with a profile "hosts" that names them."""
    desk = tmp_path / "home" / "desk"
    desk.mkdir(parents=True)
    python = tmp_path / "python"
    python.write_text(_PYTHON.format(hidden=desk.parent, python=sys.executable))
    python.chmod(0o755)
    tables = [f'{{host = "{n}", slots = 2, python = "{python}", env = {{HOST_OF_TEST = "{n}"}}}}' for n in hosts.names]
    (desk / "sweeps.toml").write_text(f'[profiles.hosts]\non = "ssh"\nhosts = [{", ".join(tables)}]\n')
    before = _on_disk()
    yield desk
    for name in hosts.names:
        hosts.plug(name)
    end_processes_of(desk / "sweeps")
    wait_until(lambda: not any(hosts.processes(name) for name in hosts.names))
    wait_until(lambda: _on_disk() <= before)


def _on_disk() -> set[str]:
    """Give what of ours lies in the hosts' folder for temporary files."""
    own = f"jupyter-sweep-{os.getuid()}"
    return {name for name in os.listdir("/tmp") if name.startswith("sweep-host-") or name == own}


def start(hosts: netns.Hosts, desk: Path, *, n: int, steps: int, pause: float) -> Handle:
    env = hosts.environment(PYTHONPATH=str(ROOT))
    return start_kernel(desk, "hosts", n=n, steps=steps, pause=pause, inside=hosts.inside([]), **env)


def test_everything_travels_there_and_back_once_a_host(hosts: netns.Hosts, desk: Path) -> None:
    handle = start(hosts, desk, n=12, steps=3, pause=0.2)
    assert handle.wait(WAIT_S)
    assert (handle.state, handle.counts) == ("finished", {"completed": 12}), handle.df
    assert {worker.partition("/")[0] for worker in handle.df["worker"]} == {"h1", "h2"}
    for trial in handle.trials():
        model = handle.load("model.joblib", trial=trial.number)
        assert (model["x"], model["told"], model["own"], model["sum"]) == (trial.params["x"], "yes", None, 0.0)
        assert handle.log(trial.number) == f"x is {trial.params['x']} and data has 300000\n"
        assert {p.name for p in (handle.folder.parent / trial.folder / "parts").iterdir()} == {
            "0.txt",
            "1.txt",
            "2.txt",
        }
    log = "".join(path.read_text() for path in (handle.folder.parent / ".driver").glob("*.log"))
    assert len([name for name in sent(log) if name.endswith(".bin")]) == 2, log  # one array, two hosts


def test_a_trial_whose_host_is_cut_off_goes_on_from_its_checkpoint_elsewhere(hosts: netns.Hosts, desk: Path) -> None:
    handle = start(hosts, desk, n=4, steps=60, pause=0.1)
    wait_until(lambda: len([*handle.folder.glob("*/checkpoint.joblib")]) == 4)
    hosts.cut("h2")
    assert handle.wait(WAIT_S)
    assert (handle.state, handle.counts) == ("finished", {"completed": 4}), handle.df
    trails = sorted(handle.load("model.joblib", trial=n)["trail"] for n in range(4))
    assert trails == [["h1"], ["h1"], ["h2", "h1"], ["h2", "h1"]]
