"""The end of a driver, also where its cluster's hangs; and that nothing is lost which was asked of it or ran for it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import processes_of
from waiting import wait_for

from jupyter_sweep import Float, Int, Space, run
from jupyter_sweep.runner import launch
from jupyter_sweep.store import folder
from jupyter_sweep.store.sqlite import Store

STORY = """
import sys, threading, time
from jupyter_sweep.runner import driver

class Hanging:
    name, slots, dashboard = "hanging", 1, None

    def workers(self):
        return []

    def events(self, timeout_s):
        print("serves", flush=True)
        if {where!r} == "events":
            self.hang()
        time.sleep(timeout_s)
        return []

    def close(self):
        self.hang()

    def hang(self):
        while True:
            threading.Event().wait(60)

driver.END_S = 1.0
driver._executor = lambda options: Hanging()
driver.main({{"home": {home!r}, "key": "k"}})
"""


@pytest.mark.parametrize("where", ["close", "events"])
def test_what_hangs_at_the_end_of_a_driver_is_left_after_a_while(where: str, home: Path) -> None:
    Store(home)
    story = STORY.format(where=where, home=str(home))
    driver = subprocess.Popen([sys.executable, "-c", story], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    assert driver.stdout.readline() == "serves\n"
    time.sleep(0.1)
    os.kill(driver.pid, signal.SIGTERM)
    _, said = driver.communicate(timeout=30)
    assert driver.returncode == 1
    assert said.startswith("Timeout (0:00:01)!\n")
    assert f", line {1 + story[: story.index('threading.Event().wait')].count(chr(10))} in hang" in said


def job(x: float) -> float:
    return x


def test_what_is_asked_of_a_driver_while_its_cluster_ends_is_done_by_the_next(home: Path) -> None:
    handle = run(job, Space(x=Float(0, 1)), name="s", min="loss", n=2, jobs=1)
    wait_for(lambda: processes_of(home) == [])
    spec = handle.definition.executor
    story = CLOSING.format(home=str(home), key=launch.driver_key(spec), word=spec.name, options=spec.options)
    driver = subprocess.Popen([sys.executable, "-c", story], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    assert driver.stdout.readline() == "closes\n"
    handle = run(job, Space(x=Float(0, 1)), name="s", min="loss", n=4, jobs=1, bg=True)
    assert driver.wait(30) == 0
    wait_for(lambda: handle.counts == {"completed": 4})


CLOSING = """
import os, time
from jupyter_sweep.runner import driver

class Slow:
    name, slots, dashboard = "slow", 1, None

    def workers(self):
        return []

    def events(self, timeout_s):
        os.kill(os.getpid(), 15)
        return []

    def close(self):
        print("closes", flush=True)
        time.sleep(3)

driver._executor = lambda options: Slow()
driver.main({{"home": {home!r}, "key": {key!r}, "word": {word!r}, "options": {options!r}, "slots": 1}})
"""


def test_a_sweep_at_rest_that_was_asked_for_goes_on_when_somebody_waits(home: Path) -> None:
    handle = run(job, Space(x=Float(0, 1)), name="s", min="loss", n=2, jobs=1)
    wait_for(lambda: processes_of(home) == [])
    store = Store(home)
    asked = str(folder.launch_path(home, handle.sweep_id))
    store.request(handle.sweep_id, "a-driver-that-died", "run", launch=asked)
    store.request(handle.sweep_id, launch.driver_key(handle.definition.executor), "run", launch=asked)
    assert not handle.ended
    assert handle.wait(60)
    assert (handle.state, handle.counts) == ("finished", {"completed": 2})


def test_a_sweep_that_fails_in_its_driver_leaves_no_trial_running_and_can_go_on(home: Path) -> None:
    def spoil(k: int) -> int:
        own = next(Path(home, "s").glob(f"*k={k}"))
        with open("ran", "a") as ran:
            ran.write(f"{k} ")
        if k == 1 and not Path("mended").exists():
            while not any(home.glob("s/*k=2/log.txt")):
                time.sleep(0.01)
            shutil.rmtree(own)
            own.touch()
        while k == 2 and not Path("mended").exists():
            time.sleep(0.01)
        return k

    space = Space(k=Int(1, 2))
    handle = run(spoil, space, name="s", min="loss", grid=True, jobs=2, no_canary=True, bg=True)
    wait_for(lambda: handle.state == "failed")
    assert handle.counts.get("running", 0) == 0
    Path("mended").touch()
    next(home.glob("s/*k=1")).unlink()
    assert run(spoil, space, name="s", min="loss", grid=True, jobs=2, no_canary=True).state == "finished"
    assert handle.counts == {"completed": 2}
    assert Path("ran").read_text().split().count("2") == 2
