from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from samples import a_sweep

from jupyter_sweep.errors import StoreError
from jupyter_sweep.handle import Handle
from jupyter_sweep.jobs.storing import write_buffer
from jupyter_sweep.store import folder, leases
from jupyter_sweep.store.schema import MIGRATIONS
from jupyter_sweep.store.sqlite import NewTrial, Store
from jupyter_sweep.trial import Report, TrialState


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "sweeps")


def new(i: int) -> NewTrial:
    return NewTrial(params={"lr": i / 10, "depth": i}, fingerprint=f"fp{i}", seed=i, proposal=i)


def finished(trial, state=TrialState.COMPLETED, **changes):
    return trial.with_(state=state, **{"metrics": {"loss": 0.5}, "finished_at": 2.0, "duration_s": 1.0, **changes})


def test_a_definition_comes_back_as_it_went_in(store: Store) -> None:
    stored = store.create_sweep(a_sweep(tags=("paper",), note="a note"))
    assert store.sweep(stored.sweep_id) == stored


def test_the_same_code_is_the_same_version_and_other_code_another(store: Store) -> None:
    first = store.create_sweep(a_sweep())
    again = store.create_sweep(a_sweep())
    other = store.create_sweep(a_sweep(fingerprint="0" * 32))
    back = store.create_sweep(a_sweep())
    assert (again.sweep_id, again.version) == (first.sweep_id, 1)
    assert other.version == 2
    assert back.sweep_id == first.sweep_id


def test_fresh_begins_a_version_although_the_code_is_the_same(store: Store) -> None:
    store.create_sweep(a_sweep())
    assert store.create_sweep(a_sweep(), fresh=True).version == 2


def test_numbers_go_on_over_the_versions_and_are_never_used_twice(store: Store) -> None:
    first = store.create_sweep(a_sweep())
    second = store.create_sweep(a_sweep(fingerprint="0" * 32))
    numbers = [t.number for t in store.add_trials(first, [new(0), new(1)]) + store.add_trials(second, [new(0)])]
    assert numbers == [0, 1, 2]


def test_two_trials_of_one_version_never_share_a_fingerprint(store: Store) -> None:
    sweep = store.create_sweep(a_sweep())
    store.add_trials(sweep, [new(0)])
    with pytest.raises(sqlite3.IntegrityError):
        store.add_trials(sweep, [new(0)])
    assert len(store.trials(sweep.sweep_id)) == 1


def test_a_cancelled_configuration_may_run_again(store: Store) -> None:
    sweep = store.create_sweep(a_sweep())
    (trial,) = store.add_trials(sweep, [new(0)])
    store.finish_trial(finished(trial, TrialState.CANCELLED))
    assert store.add_trials(sweep, [new(0)])[0].number == 1


@pytest.mark.parametrize("state", [s for s in TrialState if s.is_final])
def test_a_final_trial_never_changes(store: Store, state: TrialState) -> None:
    sweep = store.create_sweep(a_sweep())
    (trial,) = store.add_trials(sweep, [new(0)])
    assert store.finish_trial(finished(trial, state))
    before = store.trials(sweep.sweep_id)
    assert not store.finish_trial(finished(trial, metrics={"loss": 9.0}))
    assert store.requeue(trial, reason="lost", at=3.0) is None
    store.start_trial(trial.trial_id, worker="local/0", pid=1, at=3.0)
    store.add_reports([Report(trial.trial_id, 1, {"loss": 7.0}, 3.0)])
    after = store.trials(sweep.sweep_id)
    assert after == before


def test_a_batch_is_written_whole_or_not_at_all(store: Store) -> None:
    sweep = store.create_sweep(a_sweep())

    def write_and_fail() -> None:
        with store.batch():
            store.add_trials(sweep, [new(0)])
            raise RuntimeError("between two lines")

    with pytest.raises(RuntimeError):
        write_and_fail()
    assert store.trials(sweep.sweep_id) == []
    assert store.add_trials(sweep, [new(1)])[0].number == 0


def test_only_rows_that_changed_since_are_given(store: Store) -> None:
    sweep = store.create_sweep(a_sweep())
    one, two = store.add_trials(sweep, [new(0), new(1)])
    seen = store.change()
    store.start_trial(two.trial_id, worker="local/0", pid=7, at=1.0)
    assert [t.number for t in store.trials(sweep.sweep_id, since=seen)] == [two.number]
    assert store.trials(sweep.sweep_id, since=store.change()) == []
    assert one.number == 0


def test_an_attempt_that_is_lost_is_recorded_and_the_trial_waits_again(store: Store) -> None:
    sweep = store.create_sweep(a_sweep())
    (trial,) = store.add_trials(sweep, [new(0)])
    again = store.requeue(trial.with_(worker="local/1"), reason="lost", error="the worker ended", at=5.0)
    assert again is not None
    assert (again.attempt, again.state) == (2, TrialState.WAITING)
    assert store.attempts(trial.trial_id) == [(1, "lost", "the worker ended", "local/1")]
    assert store.trials(sweep.sweep_id)[0].attempt == 2


def test_reports_come_in_order_of_arrival_and_show_in_the_running_trial(store: Store) -> None:
    sweep = store.create_sweep(a_sweep())
    (trial,) = store.add_trials(sweep, [new(0)])
    store.add_reports([Report(trial.trial_id, step, {"loss": 1.0 / step}, float(step)) for step in (3, 1, 2)])
    assert [r.step for r in store.each_report(sweep.sweep_id)] == [3, 1, 2]
    assert store.trials(sweep.sweep_id)[0].metrics == {"loss": 0.5}


def test_what_is_read_page_by_page_is_all_there_is_of_the_version(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = store.create_sweep(a_sweep())
    trials = store.add_trials(first, [new(i) for i in range(7)])
    other = store.create_sweep(a_sweep(fingerprint="0" * 32))
    store.add_trials(other, [new(7)])
    reports = [Report(t.trial_id, step, {"loss": 1.0}, float(step)) for step in range(2) for t in trials]
    store.add_reports(reports)
    for page in (1, 3, 7, 500):
        monkeypatch.setattr("jupyter_sweep.store.sqlite._PAGE", page)
        assert list(store.each_trial(first.sweep_id)) == store.trials(first.sweep_id)
        assert [t.number for t in store.each_trial(other.sweep_id)] == [7]
        assert [(r.trial_id, r.step) for r in store.each_report(first.sweep_id)] == [
            (r.trial_id, r.step) for r in reports
        ]


def test_trials_are_given_by_their_state(store: Store) -> None:
    sweep = store.create_sweep(a_sweep())
    one, two, _ = store.add_trials(sweep, [new(0), new(1), new(2)])
    store.start_trial(one.trial_id, worker="local/0", pid=None, at=1.0)
    store.finish_trial(finished(two))
    found = {s: [t.number for t in store.trials(sweep.sweep_id, state=s)] for s in TrialState}
    assert {s: numbers for s, numbers in found.items() if numbers} == {
        TrialState.RUNNING: [0],
        TrialState.COMPLETED: [1],
        TrialState.WAITING: [2],
    }


def test_refused_configurations_are_not_counted(store: Store) -> None:
    sweep = store.create_sweep(a_sweep())
    one, two = store.add_trials(sweep, [new(0), new(1)])
    store.finish_trial(finished(one))
    store.finish_trial(finished(two, TrialState.PRUNED, reason="constraint"))
    assert store.final_count(sweep.sweep_id) == 1


def test_nan_and_infinity_survive_in_params_and_metrics(store: Store) -> None:
    sweep = store.create_sweep(a_sweep())
    params = {"a": float("inf"), "b": (1, 1.0, True, "1"), "c": {"width": 64}}
    (trial,) = store.add_trials(sweep, [NewTrial(params, "x")])
    store.finish_trial(finished(trial, metrics={"loss": float("inf"), "other": float("nan")}))
    (read,) = store.trials(sweep.sweep_id)
    assert read.params == params
    assert [type(v) for v in read.params["b"]] == [int, float, bool, str]
    assert read.metrics["loss"] == float("inf")
    assert read.metrics["other"] != read.metrics["other"]


def test_dropping_a_sweep_forgets_all_its_versions(store: Store) -> None:
    sweep = store.create_sweep(a_sweep())
    store.create_sweep(a_sweep(fingerprint="0" * 32))
    (trial,) = store.add_trials(sweep, [new(0)])
    store.add_reports([Report(trial.trial_id, 1, {"loss": 1.0}, 1.0)])
    store.drop_sweep("digits")
    assert store.sweeps() == []
    assert list(store.each_report(sweep.sweep_id)) == []
    with pytest.raises(StoreError, match="dropped"):
        store.sweep(sweep.sweep_id)


@pytest.mark.parametrize(
    "mounts",
    [
        "{at} nfs4",
        "{at} fuse.glusterfs",
        "{at} ceph",
        "{at} autofs\nserver:/home {at} nfs4",  # as an automounter leaves it: the later one lies on top
        "{at} nfs4\n/dev/sdb {at}/elsewhere ext4",
    ],
)
@pytest.mark.parametrize("name", ["home", "my home", "a\\b"])
def test_a_store_on_a_network_file_system_uses_no_shared_memory(
    mounts: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = str(tmp_path.resolve() / name).replace("\\", "\\134").replace(" ", "\\040")
    table = tmp_path / "mounts"
    lines = f"/dev/sda / ext4\nserver:/home {mounts}\n".replace("{at}", at).splitlines()
    table.write_text("".join(f"{line} rw,relatime 0 0\n" for line in lines))
    monkeypatch.setattr(folder, "MOUNTS", table)
    store = Store(tmp_path / name / "sweeps")
    store.create_sweep(a_sweep())
    assert "network" in store.notice
    with sqlite3.connect(store.path) as db:
        assert db.execute("pragma journal_mode").fetchone()[0] == "delete"
    assert Store(tmp_path / "sweeps").notice == ""


def test_a_new_trial_never_gets_a_folder_that_is_there(store: Store) -> None:
    (before,) = store.add_trials(store.create_sweep(a_sweep()), [new(0)])
    left = folder.make_trial_folder(store.home, before.folder) / "checkpoint"
    left.write_text("of another trial")
    store.drop_sweep("digits")  # and its folder could not be removed
    (after,) = store.add_trials(store.create_sweep(a_sweep()), [new(0)])
    assert (after.number, after.params) == (before.number, before.params)
    assert not (store.home / after.folder).exists()
    assert (store.home / after.folder).parent == left.parent.parent
    assert left.read_text() == "of another trial"


def test_what_knew_a_dropped_sweep_never_shows_another_one(store: Store) -> None:
    handle = Handle(store, store.create_sweep(a_sweep()).sweep_id)
    store.add_trials(handle.definition, [new(0), new(1)])
    assert len(handle.trials()) == 2
    store.drop_sweep("digits")
    again = store.create_sweep(a_sweep())
    other = store.create_sweep(a_sweep("other"))
    assert len({handle.sweep_id, again.sweep_id, other.sweep_id}) == 3
    with pytest.raises(StoreError, match="dropped"):
        print(handle.df)


def test_sweeps_of_one_batch_have_ids_of_their_own(store: Store) -> None:
    with store.batch():
        ids = [store.create_sweep(a_sweep(name)).sweep_id for name in ("a", "b", "c")]
    assert ids == sorted(set(ids))
    assert [sweep.name for sweep in store.sweeps()] == ["a", "b", "c"]


def test_store_and_folder_are_private(store: Store) -> None:
    assert stat.S_IMODE(os.stat(store.path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(store.home).st_mode) == 0o700


def test_many_threads_write_without_losing_a_row(store: Store) -> None:
    sweep = store.create_sweep(a_sweep())

    def add(offset: int) -> None:
        for i in range(20):
            store.add_trials(sweep, [new(offset + i)])
        store.close()

    threads = [threading.Thread(target=add, args=(100 * k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [t.number for t in store.trials(sweep.sweep_id)] == list(range(80))


def test_a_foreign_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "sweeps.db"
    with sqlite3.connect(path) as db:
        db.execute("create table theirs (x)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        Store(tmp_path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "sweeps.db"
    path.write_bytes(b"not a database at all, but long enough to be looked at" * 40)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="not a database"):
        Store(tmp_path)
    assert path.read_bytes() == before


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.close()
    with sqlite3.connect(store.path) as db:
        db.execute(f"pragma user_version={len(MIGRATIONS) + 1}")
    db.close()
    with pytest.raises(StoreError, match="newer release"):
        Store(tmp_path)


def test_the_version_of_the_schema_is_the_number_of_migrations(store: Store) -> None:
    with sqlite3.connect(store.path) as db:
        assert db.execute("pragma user_version").fetchone()[0] == len(MIGRATIONS)
    db.close()


def test_of_two_processes_that_register_one_becomes_the_driver(store: Store) -> None:
    code = (
        "import sys, time; from jupyter_sweep.store import leases; from jupyter_sweep.store.sqlite import Store;"
        "print(leases.register(Store(sys.argv[1]), 'local-x'), flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(store.home)]
    both = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [p.stdout.readline().strip() for p in both]
    assert sorted(a == "None" for a in answers) == [False, True]
    assert leases.live_driver(store, "local-x").pid in [p.pid for p in both]
    for process in both:
        process.communicate(timeout=30)
    assert leases.live_driver(store, "local-x") is None


def test_a_sweep_has_one_owner_until_that_process_is_dead(store: Store) -> None:
    sweep = store.create_sweep(a_sweep())
    code = (
        "import sys; from jupyter_sweep.store import leases; from jupyter_sweep.store.sqlite import Store;"
        "s = Store(sys.argv[1]); d = leases.register(s, 'other');"
        "print(leases.claim(s, int(sys.argv[2]), d), flush=True);"
        "sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(store.home), str(sweep.sweep_id)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline().strip() == "True"
    mine = leases.register(store, "mine")
    assert not leases.claim(store, sweep.sweep_id, mine)
    process.kill()
    process.communicate(timeout=30)
    assert leases.claim(store, sweep.sweep_id, mine)


def test_a_driver_lives_on_when_the_clock_of_its_machine_is_set(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = store.create_sweep(a_sweep())
    driver = leases.register(store, "mine")
    assert leases.claim(store, sweep.sweep_id, driver)
    created, booted = psutil.Process.create_time, psutil.boot_time()
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: created(self) + 5)  # as psutil tells it then
    monkeypatch.setattr(psutil, "boot_time", lambda: booted + 5)
    assert leases.owner(store, sweep.sweep_id).driver_id == driver
    assert leases.register(store, "mine") is None


def test_a_driver_with_an_unanswered_request_does_not_sign_off(store: Store) -> None:
    sweep = store.create_sweep(a_sweep())
    driver = leases.register(store, "mine")
    store.request(sweep.sweep_id, "mine", "run", launch="x")
    assert not leases.sign_off(store, driver)
    store.close_request(store.open_requests("mine")[0].request_id)
    assert leases.sign_off(store, driver)


def test_a_store_in_use_on_another_host_is_told(store: Store) -> None:
    with store.write() as (db, _):
        columns = "key, host, pid, process_started, started_at, heartbeat_at"
        db.execute(f"insert into drivers ({columns}) values ('k', 'elsewhere', 1, 0, 0, ?)", (time.time(),))
    with pytest.raises(StoreError, match="elsewhere"):
        leases.refuse_second_host(store)


def test_an_interrupt_in_the_wait_for_others_leaves_nothing_open(store: Store) -> None:
    code = (
        "import sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "db.execute('begin immediate'); print(flush=True); sys.stdin.read(); db.execute('rollback')"
    )
    command = [sys.executable, "-c", code, str(store.path)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    other.stdout.readline()

    def disturb() -> None:
        time.sleep(0.3)  # by now the store waits
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.3)
        other.communicate(timeout=30)

    disturber = threading.Thread(target=disturb)
    disturber.start()
    with pytest.raises(KeyboardInterrupt):
        store.create_sweep(a_sweep())
    disturber.join()
    assert not store._db.in_transaction
    assert store.create_sweep(a_sweep()).version == 1


def test_what_a_trial_saved_is_told_while_it_makes_and_removes_folders(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("it")
    over = threading.Event()

    def churn() -> None:
        while not over.is_set():
            for i in range(20):
                (tmp_path / f"d{i}" / "inside").mkdir(parents=True)
            for i in range(20):
                shutil.rmtree(tmp_path / f"d{i}")

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        limit = time.monotonic() + 2
        while time.monotonic() < limit:
            assert folder.saved(tmp_path) == [("kept", 2)]
    finally:
        over.set()
        thread.join()


def test_data_that_is_taken_up_again_is_not_cleared_away_before_its_sweep_is_written(store: Store) -> None:
    data = store.home / folder.DATA
    data.mkdir()
    for _ in range(2):
        write_buffer(str(data), "0-0.bin", memoryview(b"12345678"))
        assert folder.unused_data(store.home, []) == []
        os.utime(data / "0-0.bin", (0, 0))
        assert folder.unused_data(store.home, []) == [data / "0-0.bin"]


def test_hostile_parameters_stay_inside_the_trials_folder() -> None:
    name = folder.trial_folder(3, {"path": "../../etc/passwd", "x": "$(rm -rf /)", "long": "y" * 10_000, "e": "é漢\n"})
    assert "/" not in name
    assert len(name) <= 96
    assert name.startswith("0003-path=")


def test_the_end_of_a_long_log_says_what_was_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("a" * 1000 + "END")
    text = folder.read_log(path, 10)
    assert text.endswith("aEND")
    assert "993 bytes before this are left out" in text


def test_an_environment_is_written_as_it_is(tmp_path: Path) -> None:
    given = {"env": {"__STRANGE": "1", "PATH": "/bin"}}
    folder.write_json(tmp_path / "launch.json", given)
    assert json.loads((tmp_path / "launch.json").read_text()) == given
