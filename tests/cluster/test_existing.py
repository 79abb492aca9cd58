"""Schedulers that are somebody else's, for real: reached, lost, found again, and those that are none."""

from __future__ import annotations

import copy
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import distributed
import pytest
from cluster.outside import Outside, http, outside, stranger, until, write_tls
from IPython.core.interactiveshell import InteractiveShell

from jupyter_sweep import Float, Space, run, sweep
from jupyter_sweep.errors import SweepError
from jupyter_sweep.executors import clusters, remote
from jupyter_sweep.executors.backends import probe, reached
from jupyter_sweep.executors.dask import DaskExecutor
from jupyter_sweep.notation.options import parse_line
from jupyter_sweep.runner import outage

SPACE = Space(x=Float(0, 2))


def parabola(x: float) -> float:
    return (x - 1) ** 2


def slow(x: float) -> float:
    import time

    time.sleep(0.5)
    return x


def place(**options: Any) -> dict[str, Any]:
    return {"name": "a", "min": "loss", "algo": "random", "n": 4, **options}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Outside]:
    with outside() as made:
        yield made


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    with outside(tls=write_tls(tmp_path_factory.mktemp("tls"))) as made:
        yield made


def profile(folder: Path, on: str, tls: Path | None = None) -> None:
    """Write a profile "lab" beside the notebook."""
    names = ("tls_ca_file", "tls_client_cert", "tls_client_key") if tls else ()
    lines = [f'{name} = "{tls}/{name}.pem"' for name in names]
    (folder / "sweeps.toml").write_text("\n".join(["[profiles.lab]", f'on = "{on}"', *lines]))


# -- reached ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", ["tcp://{}", "{}"])
def test_a_sweep_runs_on_the_threads_of_somebody_elses_workers(
    spelling: str, cluster: Outside, home: Path, nothing_left: None
) -> None:
    handle = run(parabola, SPACE, **place(on=spelling.format(cluster.address.removeprefix("tcp://"))))
    assert handle.counts == {"completed": 4}
    assert handle.definition.executor.name == cluster.address
    assert {worker.rpartition(".")[2] for worker in handle.df["worker"]} <= {"0", "1"}
    assert all(process.poll() is None for process in cluster.processes)


@pytest.mark.parametrize("text", ["{client}", "$client.scheduler.address", "{client.scheduler.address}"])
def test_a_client_of_the_notebook_stands_for_its_scheduler(text: str, cluster: Outside) -> None:
    with distributed.Client(cluster.address, set_as_default=False) as client:
        options = parse_line(f"--min loss --on {text}", namespace={"client": client})
        assert options.on.name == cluster.address


def test_a_live_client_is_taken_by_a_call_and_a_live_cluster_by_a_cell(home: Path) -> None:
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as made,
        distributed.Client(made, set_as_default=False) as client,
    ):
        assert run(parabola, SPACE, **place(on=client)).counts == {"completed": 4}
        shell = InteractiveShell.instance(history_length=0)
        shell.run_line_magic("load_ext", "jupyter_sweep")
        try:
            shell.user_ns["made"] = made
            said = shell.run_cell("%%sweep b --min loss -n 2 --on {made}\nx = uniform(0, 1)\nloss = x")
            assert not said.success  # `uniform` is not there: the cell was read to its end all the same
            shell.run_cell("from jupyter_sweep import uniform")
            assert shell.run_cell("%%sweep b --min loss -n 2 --on {made}\nx = uniform(0, 1)\nloss = x").success
        finally:
            shell.run_line_magic("unload_ext", "jupyter_sweep")
            InteractiveShell.clear_instance()
    assert sweep("b").definition.executor.name.startswith("tcp://127.0.0.1:")


def left_at(cluster: Outside) -> dict[str, Any]:
    """Give what a scheduler keeps of us: plug-ins for workers, and topics with events."""

    def look(dask_scheduler: Any) -> dict[str, Any]:
        topics = [name for name in dask_scheduler.get_events() if name.startswith("sweep-")]
        return {"plugins": [name for name in dask_scheduler.worker_plugins if "sweep" in name], "topics": topics}

    with distributed.Client(cluster.address, set_as_default=False) as client:
        found: dict[str, Any] = client.run_on_scheduler(look)
        return found


def test_nothing_is_laid_on_somebody_elses_workers_before_its_end_is_seen_to(
    cluster: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise RuntimeError("as if killed here")

    monkeypatch.setattr(remote, "end_with", killed)
    with pytest.raises(RuntimeError):
        DaskExecutor(cluster.address)
    assert left_at(cluster)["plugins"] == []


def test_somebody_elses_scheduler_keeps_nothing_of_a_driver_that_is_gone(cluster: Outside) -> None:
    executor = DaskExecutor(cluster.address)
    executor._client.log_event(executor._topic, "what a trial printed")
    until(lambda: left_at(cluster)["topics"] == [executor._topic])
    executor.close()
    until(lambda: left_at(cluster) == {"plugins": [], "topics": []})


def test_more_trials_at_once_than_the_cluster_has_threads_is_refused(cluster: Outside, home: Path) -> None:
    with pytest.raises(SweepError, match="--jobs 3: the cluster has 2 slots"):
        run(parabola, SPACE, **place(on=cluster.address, jobs=3))


def test_a_dry_run_says_where_without_asking_there() -> None:
    said = clusters.describe(clusters.parse("tcp://192.0.2.1:8786"))
    assert "tcp://192.0.2.1:8786" in said


# -- TLS --------------------------------------------------------------------------------------------------------------


def test_a_profile_brings_the_certificates_of_tls(secure: Outside, home: Path, nothing_left: None) -> None:
    profile(home.parent, secure.address, secure.tls)
    assert run(parabola, SPACE, **place(on="lab")).counts == {"completed": 4}


def test_dasks_own_configuration_brings_them_too(secure: Outside, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert secure.tls is not None
    for side in ("client", "scheduler", "worker"):
        monkeypatch.setenv(
            f"DASK_DISTRIBUTED__COMM__TLS__{side.upper()}__CERT", str(secure.tls / "tls_client_cert.pem")
        )
        monkeypatch.setenv(f"DASK_DISTRIBUTED__COMM__TLS__{side.upper()}__KEY", str(secure.tls / "tls_client_key.pem"))
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TLS__CA_FILE", str(secure.tls / "tls_ca_file.pem"))
    known = copy.deepcopy(dask.config.config)
    try:
        dask.config.update(dask.config.config, dask.config.collect(paths=[]))  # read long ago, without the variables
        assert run(parabola, SPACE, **place(on=secure.address)).counts == {"completed": 4}
    finally:
        dask.config.config.clear()
        dask.config.config.update(known)


def test_a_stranger_without_a_certificate_is_refused(secure: Outside, home: Path) -> None:
    with pytest.raises(SweepError, match=r"needs certificates.*tls_ca_file"):
        run(parabola, SPACE, **place(on=secure.address))
    assert not home.exists()


def test_a_stranger_with_a_certificate_of_his_own_is_refused(secure: Outside, home: Path, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    profile(home.parent, secure.address, write_tls(tmp_path / "own"))
    with pytest.raises(SweepError, match=r"no Dask scheduler can be spoken with there \(.*(certificate|CERTIFICATE)"):
        run(parabola, SPACE, **place(on="lab"))


def test_a_scheduler_with_tls_is_not_spoken_with_in_the_clear(secure: Outside, home: Path) -> None:
    with pytest.raises(SweepError, match=f"hangs up.*{secure.address}"):
        run(parabola, SPACE, **place(on=secure.address.replace("tls:", "tcp:")))
    assert not home.exists()


# -- what is no scheduler ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH_9.2\r\n", b"220 hi\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_who_greets_in_another_tongue_is_refused_before_anything_is_written(greeting: bytes, home: Path) -> None:
    with stranger(greeting) as address, pytest.raises(SweepError, match="is no Dask scheduler; its first bytes are"):
        run(parabola, SPACE, **place(on=address))
    assert not home.exists()


def test_a_web_server_which_waits_to_be_spoken_to_is_told_from_a_scheduler(home: Path) -> None:
    with http() as address, pytest.raises(SweepError, match="is no Dask scheduler; its first bytes are"):
        run(parabola, SPACE, **place(on=address))
    assert not home.exists()


def test_who_says_nothing_is_given_up_in_bounded_time(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "GREETING_S", 3.0)
    with stranger(b"") as address, pytest.raises(SweepError, match="no Dask scheduler: it says nothing for 3 s"):
        run(parabola, SPACE, **place(on=address))
    assert not home.exists()


def test_a_scheduler_that_is_busy_for_a_while_is_waited_for_and_forgets_the_nudge(cluster: Outside, home: Path) -> None:
    os.kill(cluster.processes[0].pid, signal.SIGSTOP)
    waking = threading.Timer(2 * probe.NUDGE_S, os.kill, (cluster.processes[0].pid, signal.SIGCONT))
    waking.start()
    try:
        assert run(parabola, SPACE, **place(on=cluster.address)).counts == {"completed": 4}
    finally:
        waking.join()


def test_a_scheduler_of_another_release_is_refused_with_both(
    cluster: Outside, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reached, "_own_dask", lambda: "2001.1.0")
    theirs = ".".join(distributed.__version__.split(".")[:2])
    said = rf"this process, Python 3\.\d+ with distributed 2001\.1, .*2 of 2 Python .* distributed {theirs}"
    with pytest.raises(SweepError, match=said):
        run(parabola, SPACE, **place(on=cluster.address))
    assert not home.exists()


def test_where_nobody_listens_nothing_is_written(home: Path) -> None:
    with pytest.raises(SweepError, match=r"nobody answers there.*Connection refused"):
        run(parabola, SPACE, **place(on="tcp://127.0.0.1:1"))
    assert not home.exists()


def test_a_scheduler_without_workers_says_how_to_start_some(home: Path) -> None:
    made = Outside()
    try:
        made.start(workers=False)
        with pytest.raises(SweepError, match=rf"no workers.*dask worker {made.address}"):
            run(parabola, SPACE, **place(on=made.address))
        assert not home.exists()
    finally:
        made.end()


# -- lost and found ---------------------------------------------------------------------------------------------------


def test_what_is_done_is_shown_when_its_cluster_is_long_gone(home: Path) -> None:
    with outside() as made:
        run(parabola, SPACE, **place(on=made.address))
    assert run(parabola, SPACE, **place(on=made.address)).counts == {"completed": 4}


@pytest.mark.faults
def test_a_scheduler_that_comes_back_finds_its_sweep_waiting(home: Path, nothing_left: None) -> None:
    with outside() as made:
        handle = run(slow, SPACE, **place(on=made.address, n=8, bg=True))
        until(lambda: handle.counts.get("completed", 0) >= 2)
        driver = handle.driver
        made.kill_scheduler()
        until(lambda: not handle.counts.get("running"))
        made.end()
        made.start()
        assert handle.wait(60)
        assert handle.counts == {"completed": 8}
        assert (handle.state, handle.driver is None or handle.driver == driver) == ("finished", True)


@pytest.mark.faults
def test_a_scheduler_that_stays_away_is_one_error_and_everything_is_kept(home: Path, nothing_left: None) -> None:
    with outside() as made:
        handle = run(slow, SPACE, **place(on=made.address, n=8, bg=True))
        until(lambda: handle.counts.get("completed", 0) >= 2)
        made.kill_scheduler()
        assert handle.wait(outage.GONE_S + 60)
        assert handle.state == "failed"
        assert f"The scheduler has been gone for {outage.GONE_S:.0f} s" in handle.definition.message
        assert "%sweep resume a" in handle.definition.message
        assert set(handle.counts) == {"completed", "waiting"}
        done = handle.df.set_index("number").query("state == 'completed'")["loss"]
        made.end()
        made.start()
        handle.resume()
        assert handle.wait(60)
        assert handle.counts == {"completed": 8}
        assert handle.df.set_index("number")["loss"].loc[done.index].equals(done)
