"""`--isolation`: what a trial runs in changes what it may leave behind, never what it is."""

from __future__ import annotations

import os
import random
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from jobfiles import JobFolder, Runner, is_alive, told
from waiting import wait_for

PROCESSES = ["warm", "fork", "fresh"]
ALL = [*PROCESSES, "inline"]


@pytest.fixture(autouse=True)
def same_modules() -> Iterator[None]:
    """What --isolation inline imports is imported here; the tests that come after must not find it."""
    finders, modules = list(sys.meta_path), set(sys.modules)
    yield
    sys.meta_path[:] = finders
    for name in {"helpers", "threaded", "sleepy"} - modules:
        sys.modules.pop(name, None)


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    runner = Runner(JobFolder(tmp_path / "sweeps"))
    yield runner
    runner.slot.close()


# -- the same trial in all --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("isolation", ALL)
def test_a_trial_sees_and_leaves_the_same_in_every_isolation(runner: Runner, isolation: str) -> None:
    modules = {"helpers": {"path": "/nowhere/helpers.py", "package": False, "source": "VALUE = 7"}}
    body = """
        import os, pickle, random, sys
        import helpers
        lr = uniform(0, 1)
        class C: pass
        assert type(pickle.loads(pickle.dumps(C()))) is C and __name__ == "__main__"
        assert os.getcwd() == os.environ["HERE"]
        print("printed"); print("told", file=sys.stderr)
        report(0, accuracy=9)
        trial().save("model.joblib", [lr])
        loss = lr + helpers.VALUE + random.random()
    """
    runner.folder.write_launch(HERE=str(runner.folder.home))
    job = runner.folder.write(body, modules=modules)
    before = os.getcwd(), dict(os.environ), sys.modules["__main__"], sys.stdout
    ends = [runner.run(job, {"lr": 0.25}, isolation=isolation) for _ in range(3)]
    assert [told(end) for end in ends] == [("completed", "", "")] * 3
    assert {end["metrics"]["loss"] for end in ends} == {7.25 + random.Random(7).random()}
    assert [end["log"] for end in ends] == ["printed\ntold\n"] * 3
    assert [len(end["reports"]) for end in ends] == [1] * 3
    assert all((end["folder"] / "model.joblib").exists() for end in ends)
    assert (os.getcwd(), dict(os.environ), sys.modules["__main__"], sys.stdout) == before


@pytest.mark.parametrize("isolation", ALL)
def test_an_error_is_told_in_the_same_words(runner: Runner, isolation: str) -> None:
    end = runner.body("def f():\n    raise ValueError('why')\nf()", isolation=isolation)
    assert told(end) == ("failed", "error", "ValueError: why")
    assert end["traceback"].count("File") == 2
    assert end["traceback"] in end["log"]


@pytest.mark.parametrize("isolation", ALL)
def test_a_stop_ends_a_trial_at_its_next_report(runner: Runner, isolation: str) -> None:
    thread, task, end = runner.start(
        "import time\nfor i in range(10**9):\n    report(i, loss=i)\n    time.sleep(0.01)", isolation=isolation
    )
    wait_for(lambda: any(event["kind"] == "reported" for event in runner.events))
    runner.stop(task, "pruned")
    thread.join(20)
    assert told(end) == ("pruned", "", "")
    assert "loss" in end["metrics"]
    assert runner.body("loss = 1", isolation=isolation)["state"] == "completed"


@pytest.mark.parametrize("isolation", PROCESSES)
@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("import ctypes\nctypes.string_at(0)", "killed by SIGSEGV"),
        ("import os\nos._exit(7)", "exit status 7"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "killed by SIGKILL"),
    ],
)
def test_a_crash_costs_its_own_trial_alone(runner: Runner, isolation: str, body: str, error: str) -> None:
    runner.body("loss = 1", isolation=isolation)
    end = runner.body(body, isolation=isolation)
    assert told(end)[:2] == ("failed", "crash")
    assert end["error"].startswith(error)
    assert runner.body("loss = 1", isolation=isolation)["state"] == "completed"


@pytest.mark.parametrize("isolation", PROCESSES)
def test_a_trial_over_its_time_is_ended_with_all_that_it_started(runner: Runner, isolation: str) -> None:
    body = """
        import ctypes, subprocess
        away = subprocess.Popen(["sleep", "600"], start_new_session=True)
        mark(away.pid)
        ctypes.PyDLL(None).sleep(60)  # in C, with the GIL held
    """
    end = runner.body(body, isolation=isolation, timeout_s=3.0)
    assert told(end) == ("failed", "timeout", "ran longer than its 3 s")
    assert not is_alive(int((runner.folder.home / "mark").read_text()))
    assert runner.body("loss = 1", isolation=isolation)["state"] == "completed"


@pytest.mark.parametrize("isolation", PROCESSES)
def test_a_trial_over_its_memory_is_ended(runner: Runner, isolation: str) -> None:
    body = "import time\nhog = [bytearray(10_000_000) for _ in range(60)]\ntime.sleep(20)\nloss = 1"
    end = runner.body(body, isolation=isolation, memory_gb=0.2)
    assert told(end)[:2] == ("failed", "memory")


@pytest.mark.parametrize("isolation", PROCESSES)
def test_nothing_is_left_of_a_slot_that_is_closed(runner: Runner, isolation: str) -> None:
    runner.body("import json\nloss = 1", isolation=isolation)
    thread, _, end = runner.start("import os\nmark(os.getpid())\nwhile True: pass", isolation=isolation)
    wait_for((runner.folder.home / "mark").exists)
    family = [p.pid for p in psutil.Process().children(recursive=True) if b"sweep-trial" in cmdline(p.pid)]
    assert len(family) >= 2
    runner.slot.close()
    thread.join(20)
    assert end["state"] == "cancelled"
    wait_for(lambda: not any(map(is_alive, family)))


def cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


# -- what differs -----------------------------------------------------------------------------------------------------

LEAKY = "import json\nloss = getattr(json, 'left_by', 0)\njson.left_by = 1"


@pytest.mark.parametrize(("isolation", "seen"), [("warm", 1.0), ("fork", 0.0), ("fresh", 0.0), ("inline", 1.0)])
def test_what_a_trial_leaves_in_a_module_is_seen_by_the_next_where_they_share_a_process(
    runner: Runner, isolation: str, seen: float
) -> None:
    import json

    job = runner.folder.write(LEAKY)
    ends = [runner.run(job, isolation=isolation) for _ in range(3)]
    vars(json).pop("left_by", None)
    assert [end["metrics"]["loss"] for end in ends] == [0.0, seen, seen]
    assert len({end["pid"] for end in ends}) == (1 if seen else 3)
    assert (ends[0]["pid"] == os.getpid()) == (isolation == "inline")


def test_a_fork_has_imported_what_the_first_trial_imported(runner: Runner) -> None:
    body = """
        import sys
        was_there = "xml.dom.minidom" in sys.modules, "helpers" in sys.modules
        import xml.dom.minidom, helpers
        print(*was_there)
        loss = 1
    """
    modules = {"helpers": {"path": "/nowhere/helpers.py", "package": False, "source": "print('imported')"}}
    job = runner.folder.write(body, modules=modules)
    assert runner.run(job, isolation="fresh")["log"] == "imported\nFalse False\n"
    logs = [runner.run(job, isolation="fork")["log"] for _ in range(3)]
    assert logs == ["imported\nFalse False\n", "True True\n", "True True\n"]
    assert runner.run(job, isolation="fresh")["log"] == "imported\nFalse False\n"


def test_a_module_that_starts_a_thread_is_not_imported_before_the_fork(runner: Runner) -> None:
    source = "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()"
    modules = {"threaded": {"path": "/nowhere/threaded.py", "package": False, "source": source}}
    body = """
        import sys, threading
        print("wave" in sys.modules, "threaded" in sys.modules, threading.active_count())
        import wave, threaded
        loss = 1
    """
    job = runner.folder.write(body, modules=modules)
    logs = [runner.run(job, isolation="fork")["log"] for _ in range(3)]
    assert logs == ["False False 1\n", "True False 1\n", "True False 1\n"]


def test_a_module_that_never_finishes_its_second_import_costs_no_trial(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jupyter_sweep.worker.nursery._PRELOAD_S", 0.5)
    source = "import os, time\nif os.path.exists('mark'): time.sleep(600)"
    modules = {"sleepy": {"path": "/nowhere/sleepy.py", "package": False, "source": source}}
    job = runner.folder.write("import os\nimport sleepy\nmark(os.getpid())\nloss = 1", modules=modules)
    assert runner.run(job, isolation="fork")["state"] == "completed"
    (runner.folder.home / "mark").unlink()
    assert runner.run(job, isolation="fork")["state"] == "completed"


def test_a_process_to_fork_from_that_is_killed_is_replaced(runner: Runner) -> None:
    job = runner.folder.write("import os\nloss = os.getppid()")
    guard = int(runner.run(job, isolation="fork")["metrics"]["loss"])
    wait_for(lambda: not is_alive(guard))
    guard = int(runner.run(job, isolation="fork")["metrics"]["loss"])
    nursery = runner.slot._nursery
    assert nursery is not None
    assert nursery._zygote is not None
    psutil.Process(nursery._zygote.pid).kill()
    wait_for(lambda: nursery._zygote is not None and not nursery._zygote.is_alive)
    assert runner.run(job, isolation="fork")["state"] == "completed"
    assert runner.run(job, isolation="fork")["state"] == "completed"


def waiting(runner: Runner, body: str) -> dict[str, Any]:
    """Give a task to be run inline; none is written while such a trial runs, whose `__main__` is the process's."""
    return runner.folder.task(runner.folder.write(body), isolation="inline")


def test_inline_trials_of_one_process_run_one_at_a_time(tmp_path: Path) -> None:
    runners = [Runner(JobFolder(tmp_path / name)) for name in ("a", "b")]
    tasks = [waiting(runner, "report(0, loss=0)\nimport time\ntime.sleep(0.3)\nloss = 1") for runner in runners]
    threads = [
        threading.Thread(target=runner.run_task, args=(task,)) for runner, task in zip(runners, tasks, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    spans = sorted((runner.events[0]["at"], runner.events[-1]["at"]) for runner in runners)
    assert spans[0][1] <= spans[1][0]
    assert [runner.events[-1]["state"] for runner in runners] == ["completed"] * 2


def test_an_inline_trial_that_waits_for_its_turn_can_be_stopped(tmp_path: Path) -> None:
    first, second = (Runner(JobFolder(tmp_path / name)) for name in ("a", "b"))
    waits = waiting(second, "loss = 1")
    runs = waiting(first, "import time\nfor i in range(10**9):\n    report(i, loss=i)\n    time.sleep(0.01)")
    thread = threading.Thread(target=first.run_task, args=(runs,))
    thread.start()
    try:
        wait_for(lambda: first.events)
        behind = threading.Thread(target=second.run_task, args=(waits,))
        behind.start()
        second.stop(waits, "cancelled")
        behind.join(20)
        assert [(event["kind"], event["state"]) for event in second.events] == [("finished", "cancelled")]
    finally:
        first.stop(runs, "cancelled")
        thread.join(20)


def test_an_inline_trial_finds_the_new_source_of_a_local_module(runner: Runner) -> None:
    def job(value: int) -> str:
        modules = {"helpers": {"path": "/nowhere/helpers.py", "package": False, "source": f"VALUE = {value}"}}
        return runner.folder.write("import helpers\nloss = helpers.VALUE", modules=modules)

    losses = [runner.run(job(value), isolation="inline")["metrics"]["loss"] for value in (1, 2)]
    assert losses == [1.0, 2.0]


# -- grace ------------------------------------------------------------------------------------------------------------

SLOW_TO_END = """
import time
try:
    report(0, loss=3)
    time.sleep(60)
finally:
    time.sleep(2.5)
    trial().checkpoint({"step": 1})
    print("kept")
"""


@pytest.mark.parametrize("isolation", PROCESSES)
def test_a_stopped_trial_has_its_grace_to_keep_its_state(runner: Runner, isolation: str) -> None:
    thread, task, end = runner.start(SLOW_TO_END, isolation=isolation, grace_s=20.0)
    wait_for(lambda: any(event["kind"] == "reported" for event in runner.events))
    runner.stop(task, "cancelled")
    thread.join(30)
    assert (end["state"], end["log"]) == ("cancelled", "kept\n")
    assert (end["folder"] / "checkpoint.joblib").exists()


def test_a_trial_over_its_time_has_its_grace_too(runner: Runner) -> None:
    runner.body("loss = 1", grace_s=20.0)  # the process is there, and has what it imports
    end = runner.body(SLOW_TO_END, timeout_s=1.5, grace_s=20.0)
    assert (end["reason"], end["log"]) == ("timeout", "kept\n")


def test_a_trial_without_grace_is_killed_in_its_finally_block(runner: Runner) -> None:
    end = runner.body(SLOW_TO_END, timeout_s=0.5)
    assert (end["reason"], end["log"]) == ("timeout", "")


def test_after_its_grace_a_trial_is_killed(runner: Runner) -> None:
    deaf = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: pass"
    end = runner.body(deaf, timeout_s=0.3, grace_s=1.0)
    assert told(end)[:2] == ("failed", "timeout")
    assert 1.3 <= end["duration_s"] < 10
