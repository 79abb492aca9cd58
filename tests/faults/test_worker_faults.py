"""Trials that crash, hang, hoard, print and run away, and supervisors that die: each costs that trial alone."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jobfiles import JobFolder, Runner, is_alive, told
from waiting import wait_for

from jupyter_sweep.worker import logfile

GRIND = "import ctypes\nctypes.PyDLL(None).sleep(60)\n"  # holds the GIL in C
DEAF = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    runner = Runner(JobFolder(tmp_path / "sweeps"))
    yield runner
    runner.slot.close()


def marked(runner: Runner) -> list[int]:
    """Wait until the body is under way; give the pids that it named."""
    path = runner.folder.home / "mark"
    text: str = wait_for(lambda: path.exists() and (path.read_text() or " "))
    path.unlink()
    return [int(pid) for pid in text.split()]


def goes_on(runner: Runner) -> bool:
    """Tell whether the slot still runs trials."""
    return bool(runner.body("loss = 1")["state"] == "completed")


# -- ends -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", ("failed", "crash", "killed by SIGSEGV")),
        ("import ctypes\nctypes.string_at(0)", ("failed", "crash", "killed by SIGSEGV")),
        ("import os\nos.abort()", ("failed", "crash", "killed by SIGABRT")),
        ("import os\nos._exit(7)", ("failed", "crash", "exit status 7")),
        ("import os\nos._exit(0)", ("failed", "crash", "exit status 0")),
        ("import os\nos.execvp('sh', ['sh', '-c', 'exit 5'])", ("failed", "crash", "exit status 5")),
        ("import sys\nsys.exit(3)", ("failed", "error", "SystemExit: 3")),
        ("raise KeyboardInterrupt", ("failed", "error", "KeyboardInterrupt")),
        ("exit()", ("failed", "error", "SystemExit: None")),
        ("def f(): f()\nf()", ("failed", "error", "RecursionError: maximum recursion depth exceeded")),
    ],
)
def test_an_end_of_the_process_is_told_apart_from_an_error(
    runner: Runner, body: str, expected: tuple[str, str, str]
) -> None:
    assert told(runner.body(body)) == expected
    assert goes_on(runner)


def test_a_segfault_leaves_its_trace_and_what_was_printed_before_in_the_log(runner: Runner) -> None:
    end = runner.body("import ctypes\nprint('before')\nctypes.string_at(0)")
    assert end["log"].startswith("before\nFatal Python error: Segmentation fault")
    assert '"<sweep digits>", line 4' in end["log"]


def test_reports_of_a_trial_that_crashed_are_kept(runner: Runner) -> None:
    assert runner.body("import os\nreport(loss=3)\nos._exit(1)")["metrics"] == {"loss": 3.0}


def test_a_system_exit_in_a_thread_ends_that_thread_only(runner: Runner) -> None:
    body = "import sys, threading\nt = threading.Thread(target=sys.exit)\nt.start(); t.join()\nloss = 1"
    assert told(runner.body(body)) == ("completed", "", "")


def test_what_can_not_be_pickled_is_an_error_and_leaves_no_half_file(runner: Runner) -> None:
    end = runner.body("import threading\ntrial().save('x', threading.Lock())\nloss = 1")
    assert told(end)[:2] == ("failed", "error")
    assert "cannot pickle '_thread.lock' object" in end["error"]
    assert list(end["folder"].iterdir()) == [end["folder"] / "log.txt"]


def test_code_that_closes_every_descriptor_costs_its_own_trial_only(runner: Runner) -> None:
    assert runner.body("import os\nos.closerange(3, 4096)\nloss = 1")["state"] == "failed"
    assert goes_on(runner)


def test_an_error_with_a_huge_and_broken_message_is_cut_and_readable(runner: Runner) -> None:
    end = runner.body(r"raise ValueError('\ud800' + 'x' * 10_000_000)")
    assert len(end["error"]) < 3_000
    assert len(end["traceback"]) < 101_000
    assert (end["error"] + end["traceback"]).encode()


# -- time -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "while True: pass",
        "import time\ntime.sleep(60)",
        GRIND,
        "import re\nre.match(r'(a+)+$', 'a' * 40 + 'b')",
        DEAF + "while True: pass",
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        "while True: report(loss=1)",
    ],
)
def test_a_trial_over_its_time_is_ended_whatever_it_does(runner: Runner, body: str) -> None:
    end = runner.body(body, timeout_s=0.5)
    assert told(end) == ("failed", "timeout", "ran longer than its 0.5 s")
    assert 0.5 <= end["duration_s"] < 10
    assert goes_on(runner)


def test_the_time_is_over_for_what_a_trial_started_too(runner: Runner) -> None:
    body = """
        import subprocess
        near = subprocess.Popen(["sleep", "600"])
        away = subprocess.Popen(["sleep", "600"], start_new_session=True)
        mark(near.pid, away.pid)
        near.wait()
    """
    runner.body("loss = 1")  # the process is there, and has what it imports
    assert told(runner.body(body, timeout_s=2.0))[:2] == ("failed", "timeout")
    assert not any(map(is_alive, marked(runner)))


def test_finally_blocks_run_when_the_time_is_over(runner: Runner) -> None:
    runner.body("loss = 1")  # the process is there, and has what it imports
    end = runner.body("import time\ntry:\n    time.sleep(60)\nfinally:\n    print('cleaned')", timeout_s=1.5)
    assert told(end)[:2] == ("failed", "timeout")
    assert end["log"] == "cleaned\n"


# -- stop -------------------------------------------------------------------------------------------------------------


def stopped(runner: Runner, body: str, why: str = "pruned") -> dict[str, Any]:
    """Run a body, stop it once it is under way; give its end."""
    thread, task, end = runner.start("import time\n" + body)
    marked(runner)
    runner.stop(task, why)
    thread.join(20)
    return end


@pytest.mark.parametrize(
    "body",
    [
        "mark()\nwhile True: report(loss=1)",
        "mark()\nwhile True:\n    time.sleep(0.01)\n    try: report(loss=1)\n    except Exception: pass",
        "mark()\ntime.sleep(60)",
        "mark()\nwhile True: pass",
        "import threading\nmark()\nthreading.Event().wait()",
        "import asyncio\nmark()\nawait asyncio.sleep(60)",
        "mark()\n" + GRIND,
        DEAF + "mark()\nwhile True: pass",
        "mark()\nwhile True:\n    try: report(loss=1)\n    except BaseException: pass",
    ],
)
def test_a_trial_can_be_stopped_whatever_it_does(runner: Runner, body: str) -> None:
    assert told(stopped(runner, body)) == ("pruned", "", "")
    assert goes_on(runner)


def test_a_body_that_turns_the_stop_into_something_else_is_stopped_all_the_same(runner: Runner) -> None:
    body = "mark()\ntry: time.sleep(60)\nexcept BaseException: raise ValueError('mine') from None"
    assert stopped(runner, body)["state"] == "pruned"


def test_a_child_that_stopped_cleanly_stays_warm_and_keeps_its_reports(runner: Runner) -> None:
    first = runner.body("loss = 1")["pid"]
    body = "report(loss=4)\nmark()\ntry: time.sleep(60)\nfinally: print('cleaned')"
    end = stopped(runner, body, "cancelled")
    assert (end["state"], end["metrics"], end["log"], end["pid"]) == ("cancelled", {"loss": 4.0}, "cleaned\n", first)
    assert runner.body("loss = 1")["pid"] == first


def test_a_child_that_was_stopped_in_the_middle_of_an_import_is_replaced(runner: Runner) -> None:
    (runner.folder.home / "slow_import.py").write_text("mark()\nimport time\ntime.sleep(60)")
    end = stopped(runner, "import builtins\nbuiltins.mark = mark\nimport slow_import\nmark()")
    assert end["state"] == "pruned"
    assert runner.body("loss = 1")["pid"] != end["pid"]


def test_a_stop_that_comes_after_the_end_harms_nobody(runner: Runner) -> None:
    runner.body("loss = 1")
    process = runner.slot._process
    assert process is not None
    process.terminate()
    process.channel.send({"op": "stop"})
    end = runner.body("import time\ntime.sleep(0.1)\nreport(loss=1)")
    assert (end["state"], end["pid"]) == ("completed", process.pid)


def test_a_sigterm_from_elsewhere_is_told_as_what_it_is(runner: Runner) -> None:
    end = runner.body("import os, signal, time\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(60)")
    assert told(end) == ("failed", "crash", "ended by a SIGTERM that the sweep did not send")


def test_a_trial_whose_flag_is_set_before_it_starts_does_not_run(runner: Runner) -> None:
    task = runner.folder.task(runner.folder.write("print('ran')\nloss = 1"))
    runner.stop(task, "cancelled")
    end = runner.run_task(task)
    assert (end["state"], end["log"], len(runner.events)) == ("cancelled", "", 1)


# -- memory -----------------------------------------------------------------------------------------------------------


def test_a_trial_over_its_memory_is_ended(runner: Runner) -> None:
    body = """
        import time
        held = []
        while True:
            held.append(bytearray(b"x" * 10_000_000))
            time.sleep(0.02)  # a machine that pauses for two seconds finds less than it allows below
    """
    end = runner.body(body, memory_gb=0.25)
    assert told(end)[:2] == ("failed", "memory")
    assert "more than its 0.25 GB" in end["error"]
    assert 0.25 < end["peak_memory_gb"] < 1.5
    assert goes_on(runner)


def test_memory_in_processes_of_the_trial_counts(runner: Runner) -> None:
    body = """
        import subprocess, sys
        subprocess.run([sys.executable, "-c", "x = bytearray(b'x' * 400_000_000); import time; time.sleep(60)"])
    """
    assert told(runner.body(body, memory_gb=0.25))[:2] == ("failed", "memory")


def test_memory_that_forked_processes_share_counts_once(runner: Runner) -> None:
    body = """
        import os, time
        held = bytearray(b"x" * 150_000_000)
        pids = []
        for _ in range(4):
            pid = os.fork()
            if not pid:
                time.sleep(0.6)
                os._exit(0)
            pids.append(pid)
        for pid in pids:
            os.waitpid(pid, 0)
        loss = 1
    """
    assert told(runner.body(body, memory_gb=0.35)) == ("completed", "", "")


def test_one_allocation_that_would_take_the_machine_down_is_refused(runner: Runner) -> None:
    end = runner.body("x = bytearray(1 << 42)\nloss = 1", memory_gb=0.5)
    assert told(end) == ("failed", "memory", "MemoryError (limit 0.5 GB)")
    look = "import resource\nloss = resource.getrlimit(resource.RLIMIT_DATA)[0]"
    assert runner.body(look)["metrics"] == {"loss": -1.0}


def test_without_a_limit_a_memory_error_is_an_error_like_any_other(runner: Runner) -> None:
    assert told(runner.body("x = bytearray(1 << 60)")) == ("failed", "error", "MemoryError")


def test_memory_is_measured_above_what_the_warm_child_held_before(runner: Runner) -> None:
    runner.body("import builtins\nbuiltins.held = bytearray(b'x' * 200_000_000)\nloss = 1")
    end = runner.body("x = bytearray(b'x' * 100_000_000)\nloss = 1", memory_gb=0.25)
    assert end["state"] == "completed"
    assert 0.08 < end["peak_memory_gb"] < 0.2


def test_a_child_that_holds_ever_more_memory_is_replaced(runner: Runner) -> None:
    leak = "import builtins\nbuiltins.held = bytearray(b'x' * 600_000_000)\nloss = 1"
    pids = [runner.body(body)["pid"] for body in ("loss = 1", "loss = 1", leak, "loss = 1")]
    assert pids[0] == pids[1] == pids[2] != pids[3]


# -- what a trial leaves behind ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "start",
    [
        "pid = subprocess.Popen(['sleep', '600']).pid",
        "pid = subprocess.Popen(['sleep', '600'], start_new_session=True).pid",
        "pid = int(subprocess.check_output('setsid sleep 600 >/dev/null 2>&1 & echo $!', shell=True))",
    ],
)
def test_processes_that_a_finished_trial_left_are_ended(runner: Runner, start: str) -> None:
    end = runner.body(f"import subprocess\n{start}\nmark(pid)\nloss = 1")
    assert end["state"] == "completed"
    (pid,) = marked(runner)
    assert not is_alive(pid)
    assert runner.body("loss = 1")["pid"] != end["pid"]


def test_processes_that_python_keeps_for_later_are_no_reason_to_replace_the_child(runner: Runner) -> None:
    pool = """
        import math, multiprocessing
        from joblib import Parallel, delayed
        with multiprocessing.get_context("forkserver").Pool(1) as pool:
            loss = sum(pool.map(math.sqrt, [4.0])) + sum(Parallel(n_jobs=2)(delayed(math.sqrt)(i) for i in (1, 4)))
    """
    left = """
        import multiprocessing, os, time
        process = multiprocessing.get_context("forkserver").Process(target=time.sleep, args=(600,))
        process.start()
        mark(process.pid)
        loss = 1
    """
    first, second = runner.body(pool), runner.body(left)
    assert (first["metrics"], first["pid"]) == ({"loss": 5.0}, second["pid"])
    (pid,) = marked(runner)
    assert not is_alive(pid)
    assert runner.body("loss = 1")["pid"] != first["pid"]


def test_a_forked_process_of_a_trial_takes_sigterm_as_any_process_does(runner: Runner) -> None:
    body = """
        import multiprocessing, time
        process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
        process.start()
        process.terminate()
        process.join()
        loss = process.exitcode
    """
    end = runner.body(body)
    assert (end["metrics"], end["log"]) == ({"loss": -15.0}, "")


def test_a_child_with_a_thread_of_the_trial_is_replaced_unless_the_thread_is_a_daemon(runner: Runner) -> None:
    start = "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon={}).start()\nloss = 1"
    first, second = (runner.body(start.format(is_daemon)) for is_daemon in (True, False))
    assert first["pid"] == second["pid"]
    assert runner.body("loss = 1")["pid"] != first["pid"]


def test_a_thread_that_outlives_its_trial_reports_to_nobody(runner: Runner) -> None:
    body = """
        import threading, time
        def late(report):
            for _ in range(200):
                report(None, {"loss": 9})
                time.sleep(0.001)
        threading.Thread(target=late, args=(trial().report,), daemon=True).start()
        loss = 1
    """
    first = runner.body(body)
    second = runner.body("import time\ntime.sleep(0.3)\nloss = 2")
    assert (second["metrics"], second["reports"]) == ({"loss": 2.0}, [])
    assert first["pid"] == second["pid"]


def test_a_timer_of_one_trial_does_not_end_the_next(runner: Runner) -> None:
    first = runner.body("import signal\nsignal.setitimer(signal.ITIMER_REAL, 0.2)\nloss = 1")
    second = runner.body("import time\ntime.sleep(0.5)\nloss = 1")
    assert (second["state"], second["pid"]) == ("completed", first["pid"])


# -- output -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "for i in range(1_000_000): print('y' * 99)",
        "import subprocess\nsubprocess.run('yes | head -c 100000000', shell=True)",
    ],
)
def test_a_trial_that_prints_100_mb_leaves_a_log_of_bounded_size(runner: Runner, body: str) -> None:
    end = runner.body("print('first line')\n" + body + "\nprint('last line')\nloss = 1")
    assert end["state"] == "completed"
    assert len(end["log"]) <= logfile.LIMIT
    assert end["log"].startswith("first line\n")
    assert end["log"].endswith("last line\n")
    assert "bytes are left out here" in end["log"]


def test_what_is_left_out_of_a_log_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logfile, "LIMIT", 3_000)
    monkeypatch.setattr(logfile, "HEAD", 1_000)
    monkeypatch.setattr(logfile, "TAIL", 500)
    log = logfile.LogFile(str(tmp_path / "log.txt"))
    written = b"".join(b"%07d\n" % i for i in range(5_000))
    for i in range(0, len(written), 700):
        log.write(written[i : i + 700])
        assert os.path.getsize(tmp_path / "log.txt") <= 3_000
    log.close()
    head, _, rest = (tmp_path / "log.txt").read_bytes().partition(b"\n... ")
    number, _, tail = rest.partition(b" bytes are left out here, a log holds 0 MB ...\n")
    assert head == written[:1_000]
    assert written.endswith(tail)
    assert len(head) + int(number.replace(b",", b"")) + len(tail) == len(written)


def test_a_log_that_can_not_be_written_does_not_fail_the_trial_and_is_said(runner: Runner) -> None:
    task = runner.folder.task(runner.folder.write("print('lost')\nloss = 1"))
    Path(task["folder"], "log.txt").mkdir()
    runner.slot.run(task, runner.events.append, {})
    assert runner.events[-1]["state"] == "completed"
    assert "log.txt can't be written: Is a directory" in runner.events[-1]["error"]


def test_a_disk_that_tells_only_at_the_end_that_it_is_full_does_not_fail_the_trial(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = runner.folder.task(runner.folder.write("print('lost')\nloss = 1"))
    log, close = os.path.join(task["folder"], "log.txt"), os.close

    def full(fd: int) -> None:  # as disks of the network are; none can be had here
        is_log = os.path.realpath(f"/proc/self/fd/{fd}") == os.path.realpath(log)
        close(fd)
        if is_log:
            raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(os, "close", full)
    runner.slot.run(task, runner.events.append, {})
    assert runner.events[-1]["state"] == "completed"
    assert "log.txt can't be written: Disk quota exceeded" in runner.events[-1]["error"]


# -- the supervisor's end ---------------------------------------------------------------------------------------------

SUPERVISOR = """
import json, sys
sys.path[:0] = {path!r}
from jobfiles import boot
from jupyter_sweep.worker.supervisor import Slot
Slot(boot(), "local/0").run(json.load(open({task!r})), lambda event: None, {{}})
"""
FAMILY = """
import os, subprocess
near = subprocess.Popen(["sleep", "600"])
away = subprocess.Popen(["sleep", "600"], start_new_session=True)
mark(os.getpid(), os.getppid(), near.pid, away.pid)
"""


@pytest.mark.parametrize("body", ["near.wait()", "while True: pass", GRIND, DEAF + "while True: pass"])
def test_nothing_of_a_trial_outlives_a_supervisor_that_is_killed(runner: Runner, tmp_path: Path, body: str) -> None:
    task = runner.folder.task(runner.folder.write(FAMILY + body))
    (tmp_path / "task.json").write_text(json.dumps(task))
    code = SUPERVISOR.format(path=[p for p in sys.path if p], task=str(tmp_path / "task.json"))
    with subprocess.Popen([sys.executable, "-c", code]) as supervisor:
        pids = marked(runner)
        assert all(map(is_alive, pids))
        supervisor.send_signal(signal.SIGKILL)
        wait_for(lambda: not any(map(is_alive, pids)))


def test_a_guard_that_is_killed_takes_its_child_along_and_the_trial_has_crashed(runner: Runner) -> None:
    thread, _, end = runner.start(FAMILY + "while True: pass")
    child, guard, near, away = marked(runner)
    os.kill(guard, signal.SIGKILL)
    thread.join(20)
    assert told(end)[:2] == ("failed", "crash")
    wait_for(lambda: not is_alive(child) and not is_alive(near))
    os.kill(away, signal.SIGKILL)  # nobody is left who could find what has a session of its own
    assert goes_on(runner)


def test_closing_a_slot_ends_its_trial_and_all_that_it_started(runner: Runner) -> None:
    thread, _, end = runner.start(FAMILY + "near.wait()")
    pids = marked(runner)
    runner.slot.close()
    thread.join(20)
    assert end["state"] == "cancelled"
    assert not any(map(is_alive, pids))
    runner.slot.close()


def test_a_child_that_died_while_it_waited_is_replaced(runner: Runner) -> None:
    pid = runner.body("loss = 1")["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not is_alive(pid))
    assert goes_on(runner)


def test_a_child_that_can_not_start_is_an_error_with_its_last_words(runner: Runner) -> None:
    site = runner.folder.home / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text("import os\nprint('no way', flush=True)\nos._exit(1)")
    runner.folder.write_launch(PYTHONPATH=str(site))
    end = runner.body("loss = 1")
    assert told(end)[:2] == ("failed", "error")
    assert "did not start: no way" in end["error"]
