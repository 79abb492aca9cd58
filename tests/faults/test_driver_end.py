"""A driver ends also where its cluster's end hangs, and says in its log what it waited for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

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
