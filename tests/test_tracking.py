"""`--log`: each trial is one run in MLflow, TensorBoard and W&B, whatever dies meanwhile; all three are real."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import struct
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import command_of, processes_of
from waiting import wait_for

from jupyter_sweep import Float, Space, SweepError, report, run, save, sweep
from jupyter_sweep.handle import Handle
from jupyter_sweep.notation import options
from jupyter_sweep.runner import following
from jupyter_sweep.store.sqlite import Store
from jupyter_sweep.trackers import base

TRACKERS = ("mlflow", "tb", "wandb")
SPACE = Space(x=Float(0.0, 1.0))
#: By trial: what is to be found in a tracker, `loss` by step.
Found = dict[str, list[tuple[int, float]]]


def job(x: float) -> dict[str, float]:
    for epoch in range(4):
        report(loss=x * epoch, epoch=epoch)
    save("model.txt", "weights")
    save("parts/head.txt", "more weights")
    return {"loss": 3 * x, "size": 7.0}


def slow(x: float) -> float:

    for epoch in range(8):
        report(loss=x * epoch, epoch=epoch)
        time.sleep(0.1)
    return 7 * x


@pytest.fixture(autouse=True)
def servers(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trackers of the test's own; W&B without an account."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home.parent}/mlflow.db")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")


def followers(home: Path) -> list[psutil.Process]:
    """Give the processes that pass trials on."""
    return [p for p in processes_of(home) if "jupyter_sweep.runner.following" in command_of(p)]


def passed_on(handle: Handle, tracker: str) -> int:
    """Give how many trials have arrived with their end, as the cursor says."""
    with sqlite3.connect(handle.home / "sweeps.db") as db:
        (n,) = db.execute("select count(*) from passed_on where tracker = ? and ended", (tracker,)).fetchone()
    return int(n)


def all_passed(handle: Handle, tracker: str) -> bool:
    return passed_on(handle, tracker) == len(handle.trials())


def expected(handle: Handle) -> Found:
    numbers = {trial.trial_id: trial.number for trial in handle.trials()}
    found: Found = {}
    for one in handle.reports():
        found.setdefault(f"{handle.name}-{numbers[one.trial_id]:04d}", []).append((one.step, one.metrics["loss"]))
    return found


def arrived(tracker: str, handle: Handle) -> Found:
    """Read what a tracker holds, with the tracker's own package."""
    readers = {"mlflow": _in_mlflow, "tb": _in_event_files, "wandb": _in_wandb}
    found = readers[tracker](handle)
    return {name: [(step, pytest.approx(value)) for step, value in points] for name, points in found.items()}  # type: ignore[misc]


def mlflow_runs(handle: Handle) -> tuple[Any, list[Any]]:
    mlflow = pytest.importorskip("mlflow")
    client = mlflow.MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    experiment = client.get_experiment_by_name(handle.name)
    return client, client.search_runs([experiment.experiment_id])


def _in_mlflow(handle: Handle) -> Found:
    client, runs = mlflow_runs(handle)
    assert len({run.info.run_name for run in runs}) == len(runs), "a trial has two runs"
    histories = {run.info.run_name: client.get_metric_history(run.info.run_id, "loss") for run in runs}
    return {name: sorted((p.step, p.value) for p in points) for name, points in histories.items()}


def _in_event_files(handle: Handle) -> Found:
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_file_loader")
    found: Found = {}
    for path in sorted(handle.folder.glob("tb/*/events.out.tfevents.*")):
        points = found.setdefault(f"{handle.name}-{path.parent.name[:4]}", [])
        for event in reading.LegacyEventFileLoader(str(path)).Load():
            points += [(event.step, v.simple_value) for v in event.summary.value if v.tag == "loss"]
    return found


def _in_wandb(handle: Handle) -> Found:
    found: Found = {}
    for path in sorted(handle.folder.glob("wandb/offline-run-*/run-*.wandb")):
        name = ""
        for record in wandb_records(path):
            if record.WhichOneof("record_type") == "run" and not name:
                name = record.run.display_name
                assert name not in found, "a trial has two runs"
                found[name] = []
            row = {item.key or item.nested_key[0]: item.value_json for item in record.history.item}
            if "loss" in row:
                found[name].append((int(row["step"]), float(row["loss"])))
    return found


def wandb_records(path: Path) -> list[Any]:
    """Read W&B's file: seven bytes of its own, then the log format of LevelDB, in blocks of 32 KB."""
    wire = pytest.importorskip("wandb.proto.wandb_internal_pb2")
    data, at, parts, records = path.read_bytes(), 7, b"", []
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _, size, kind = struct.unpack("<IHB", data[at : at + 7])
        parts, at = parts + data[at + 7 : at + 7 + size], at + 7 + size
        if kind in (1, 4):  # whole, or the last part
            records.append(wire.Record.FromString(parts))
            parts = b""
    return records


@pytest.fixture(params=TRACKERS)
def tracker(request: pytest.FixtureRequest) -> str:
    pytest.importorskip({"tb": "tensorboard"}.get(request.param, request.param))
    return str(request.param)


def test_each_trial_is_a_run_with_every_report_at_its_step(tracker: str) -> None:
    handle = run(job, SPACE, name="digits", min="loss", n=4, algo="random", on="inline", log=tracker)
    wait_for(lambda: all_passed(handle, tracker))
    assert arrived(tracker, handle) == expected(handle)
    assert [len(points) for points in expected(handle).values()] == [4] * 4


def test_a_follower_that_is_killed_loses_nothing_and_doubles_nothing(tracker: str, home: Path) -> None:
    handle = run(slow, SPACE, name="cut", min="loss", n=6, jobs=2, algo="random", log=tracker, bg=True)
    wait_for(lambda: handle.counts.get("completed", 0) >= 2 and followers(home))
    for process in followers(home):
        os.kill(process.pid, signal.SIGKILL)
    assert handle.wait(60)
    wait_for(lambda: all_passed(handle, tracker))
    assert arrived(tracker, handle) == expected(handle)


def test_what_arrived_without_being_written_down_is_not_passed_on_twice(tracker: str, home: Path) -> None:
    handle = run(job, SPACE, name="doubt", min="loss", n=3, algo="random", on="inline", log=tracker)
    wait_for(lambda: all_passed(handle, tracker) and not followers(home))
    with sqlite3.connect(home / "sweeps.db") as db:
        db.execute("delete from passed_on")
    run(job, SPACE, name="doubt", min="loss", n=3, algo="random", on="inline", log=tracker)
    wait_for(lambda: all_passed(handle, tracker))
    assert arrived(tracker, handle) == expected(handle)


def test_a_finished_sweep_is_passed_on_without_running_anything(home: Path) -> None:
    before = run(job, SPACE, name="late", min="loss", n=3, algo="random", on="inline").df
    handle = run(job, SPACE, name="late", min="loss", n=3, algo="random", on="inline", log="tb")
    wait_for(lambda: all_passed(handle, "tb"))
    assert arrived("tb", handle) == expected(handle)
    assert handle.df.equals(before)


def test_a_run_of_mlflow_has_parameters_final_metrics_files_and_the_end(home: Path) -> None:
    pytest.importorskip("mlflow")
    handle = run(job, SPACE, name="whole", min="loss", n=2, algo="random", on="inline", tag=["paper"], log="mlflow")
    wait_for(lambda: all_passed(handle, "mlflow"))
    client, runs = mlflow_runs(handle)
    for one, trial in zip(sorted(runs, key=lambda r: r.info.run_name), handle.trials(), strict=True):
        assert one.data.params == {"x": str(trial.params["x"])}
        assert one.data.metrics == trial.metrics
        assert one.info.status == "FINISHED"
        assert one.data.tags["jupyter_sweep.tags"] == "paper"
        assert {file.path for file in client.list_artifacts(one.info.run_id)} == {"log.txt", "model.txt", "parts"}
        assert [file.path for file in client.list_artifacts(one.info.run_id, "parts")] == ["parts/head.txt"]


def test_a_run_of_wandb_has_the_files_at_their_places(home: Path) -> None:
    pytest.importorskip("wandb")
    handle = run(job, SPACE, name="whole", min="loss", n=1, algo="random", on="inline", log="wandb")
    wait_for(lambda: all_passed(handle, "wandb"))
    (files,) = handle.folder.glob("wandb/offline-run-*/files")
    assert {"log.txt", "model.txt", "parts/head.txt"} <= {p.relative_to(files).as_posix() for p in files.rglob("*")}


def test_what_a_person_enters_is_passed_on_and_a_trial_that_still_waits_is_not(home: Path) -> None:
    pytest.importorskip("mlflow")
    handle = run(job, SPACE, name="hand", min="loss", n=3, algo="passive", log="mlflow")
    handle.enter(1, loss=4.0)
    handle.enter(2, failed="the oven broke")
    handle.stop()
    wait_for(lambda: passed_on(handle, "mlflow") == 2 and not followers(home))
    runs = {one.info.run_name: one for one in mlflow_runs(handle)[1]}
    assert {name: one.info.status for name, one in runs.items()} == {"hand-0001": "FINISHED", "hand-0002": "FAILED"}
    assert runs["hand-0001"].data.metrics == {"loss": 4.0}


def test_a_failed_trial_is_a_failed_run_that_says_why() -> None:
    pytest.importorskip("mlflow")

    def fails(x: float) -> float:
        raise ValueError(f"<script>{x > 2}</script>")

    handle = run(fails, SPACE, name="bad", min="loss", n=2, algo="random", on="inline", log="mlflow", max_failures=5)
    wait_for(lambda: all_passed(handle, "mlflow"))
    _, runs = mlflow_runs(handle)
    assert {one.info.status for one in runs} == {"FAILED"}
    assert {one.data.tags["jupyter_sweep.error"] for one in runs} == {"ValueError: <script>False</script>"}


def test_a_failed_trial_that_is_run_again_is_passed_on_again(tracker: str, home: Path) -> None:
    mended = home.parent / "mended"

    def fails_at_first(x: float) -> float:
        report(loss=x, epoch=0)
        if not mended.exists():
            raise ValueError("not yet")
        report(loss=2 * x, epoch=1)
        return 2 * x

    handle = run(fails_at_first, SPACE, name="again", min="loss", n=1, jobs=1, log=tracker, max_failures=5)
    wait_for(lambda: all_passed(handle, tracker) and not followers(home))
    mended.touch()
    handle.retry(0)
    assert handle.wait(60)
    assert handle.counts == {"completed": 1}
    wait_for(lambda: all_passed(handle, tracker) and not followers(home))
    assert arrived(tracker, handle) == expected(handle)
    assert [step for points in expected(handle).values() for step, _ in points] == [0, 0, 1]
    if tracker == "mlflow":
        (one,) = mlflow_runs(handle)[1]
        assert one.info.status == "FINISHED"
        assert not {"jupyter_sweep.error", "jupyter_sweep.reason"} & set(one.data.tags)


def test_a_server_that_is_down_is_a_warning_and_gets_all_when_it_is_back(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is MLflow's own database, in a folder that is a file at first."""
    pytest.importorskip("mlflow")
    place = home.parent / "server"
    place.write_text("in the way")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place}/mlflow.db")
    handle = run(job, SPACE, name="down", min="loss", n=3, algo="random", on="inline", log="mlflow")
    assert handle.counts == {"completed": 3}
    wait_for(lambda: warnings(handle))
    (said,) = warnings(handle)
    assert "--log mlflow: not passed on since" in said
    assert not all_passed(handle, "mlflow")
    place.unlink()
    place.mkdir()
    wait_for(lambda: all_passed(handle, "mlflow"))
    wait_for(lambda: not warnings(handle))
    assert arrived("mlflow", handle) == expected(handle)


def warnings(handle: Handle) -> list[str]:
    """Give what the view says of `--log`; pytest's rewriting of this module has a warning of its own."""
    return [said for said in handle.snapshot()["sweep"]["warnings"] if said.startswith("--log")]


def test_a_tracker_that_is_never_there_is_given_up_and_taken_up_again_later(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard")
    handle = run(job, SPACE, name="never", min="loss", n=2, algo="random", on="inline")
    monkeypatch.setattr(following, "PATIENCE_S", 0.5)
    (home / "never" / "tb").write_text("in the way")
    handle = run(job, SPACE, name="never", min="loss", n=2, algo="random", on="inline", log="tb")
    for process in followers(home):
        process.kill()
        process.wait()
    assert following.main({"home": str(home), "sweep_id": handle.sweep_id, "tracker": "tb"}) == 0
    assert ["2 trials could not be passed on" in said for said in warnings(handle)] == [True]
    (home / "never" / "tb").unlink()
    assert following.main({"home": str(home), "sweep_id": handle.sweep_id, "tracker": "tb"}) == 0
    assert arrived("tb", handle) == expected(handle)


def test_event_files_begin_again_where_a_process_left_them_unfinished(home: Path) -> None:
    pytest.importorskip("tensorboard")
    handle = run(job, SPACE, name="torn", min="loss", n=1, algo="random", on="inline", log="tb")
    wait_for(lambda: all_passed(handle, "tb"))
    (path,) = handle.folder.glob("tb/*/events*")
    shutil.copy(path, path.with_name("events.out.tfevents.1.torn"))
    with sqlite3.connect(home / "sweeps.db") as db:
        db.execute("update passed_on set ended = 0")
    following.Follower(Store(home), handle.sweep_id, "tb").run()
    assert arrived("tb", handle) == expected(handle)


def test_a_missing_package_and_every_other_mistake_are_told_at_once_before_anything_starts(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "find_spec", lambda name: None)
    with pytest.raises(SweepError) as told:
        run(job, SPACE, name="none", min="loss", n=-1, log="wandb,mlfow,tb")
    for words in ("'jupyter-sweep[wandb]'", "'jupyter-sweep[tb]'", "Did you mean 'mlflow'?", "n= wants"):
        assert words in str(told.value)
    assert not home.exists()


def test_the_option_takes_lists_and_may_be_given_again() -> None:
    given = options.parse_line("d --min loss --log tb,tb --log tb")
    assert given.log == ("tb", "tb", "tb")
    assert options.from_keywords(min="loss", log=["tb", "tb"]).log == ("tb", "tb")


def test_followers_end_with_their_sweep(home: Path) -> None:
    pytest.importorskip("tensorboard")
    run(job, SPACE, name="ends", min="loss", n=2, algo="random", on="inline", log="tb")
    wait_for(lambda: all_passed(sweep("ends"), "tb"))
    wait_for(lambda: not followers(home))
