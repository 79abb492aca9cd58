"""What is seen of a cluster: `%sweep workers`, workers in the live view, how long an idle one stays, the dashboard."""

from __future__ import annotations

import json
import time
import urllib.request
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from conftest import processes_of
from faces.fake_sweep import HOSTILE, FakeSweep
from kernels import Kernel
from test_view import Recorded
from waiting import wait_for

from jupyter_sweep.errors import SweepError
from jupyter_sweep.live import sweep
from jupyter_sweep.magics import workers
from jupyter_sweep.runner import elastic, launch
from jupyter_sweep.runner.elastic import Cluster
from jupyter_sweep.store import leases
from jupyter_sweep.store.leases import Driver
from jupyter_sweep.store.looking import Shown

BODY = "k = randint(1, 3)\nwhile not os.path.exists('gate'):\n    time.sleep(0.02)\nloss = k\n"
WAIT_S = 120


def a_driver(**changes: Any) -> Driver:
    known = {"driver_id": 1, "key": "local-1", "host": leases.HOST, "pid": 4711, "process_started": 0.0}
    told = {"heartbeat_at": time.time(), "slots": 2, "dashboard": "http://127.0.0.1:8787/status", "where_text": "local"}
    return Driver(**{**known, **told, **changes})


def a_slot(worker: str = "local/0", state: str = "busy", **changes: Any) -> dict[str, Any]:
    slot = {"worker": worker, "host": "desk", "pid": 99, "state": state, "device": "0,1"}
    trial = {"memory_gb": 0.25, "peak_gb": 1.5, "sweep": "digits", "number": 17, "since": time.time() - 72}
    rest = dict.fromkeys(trial) | {"sweep": ""}
    return {**slot, **(trial if state == "busy" else rest), **changes}


class Page(HTMLParser):
    """The tags of a page, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data + " "


def test_a_cluster_is_listed_with_what_each_slot_runs_and_holds() -> None:
    rows = [a_slot(), a_slot("local/1", "idle")]
    text = workers.listing([Cluster(a_driver(), Shown(rows, None, 300.0), ["digits"])])
    head, names, busy, idle = text.splitlines()
    assert head == "local: 2 slots, driver 4711, runs digits"
    assert names.split() == ["worker", "state", "trial", "for", "memory", "peak", "device", "host", "pid"]
    assert " ".join(busy.split()) == "local/0 busy digits 17 1 m 12 s 256 MB 1.5 GB 0,1 desk 99"
    assert idle.split() == ["local/1", "idle", "0,1", "desk", "99"]
    assert "job" not in text  # only where a queue gives the workers


def test_an_idle_cluster_says_when_it_ends() -> None:
    text = workers.listing([Cluster(a_driver(), Shown([], time.time() - 20, 300.0), [])])
    assert "idle for 20 s, ends in 4 m 40 s without work (JUPYTER_SWEEP_IDLE_S)" in text


@pytest.mark.parametrize("hostile", [text for text in HOSTILE if text.strip() and len(text) < 80])
def test_hostile_names_of_workers_are_text(hostile: str) -> None:
    slot = a_slot(hostile, host=hostile, device=hostile, job=hostile)
    found = [Cluster(a_driver(where_text=hostile), Shown([slot], None, 300.0), ["digits"])]
    page = Page(workers.page(found))
    assert page.tags == {"div", "a", "table", "thead", "tbody", "tr", "th", "td"}
    assert "busy" in page.text
    assert len(workers.listing(found).splitlines()) == 3
    assert workers.page([Cluster(a_driver(dashboard="javascript:x"), Shown([], None, None), [])]).count("<a") == 0


# -- in the live view -------------------------------------------------------------------------------------------------


def test_the_view_sends_the_workers_only_while_somebody_looks_at_them() -> None:
    view = Recorded(FakeSweep(wanted=500, trial_s=60, slots=3))
    view.hear(kind="ready")
    view.update()
    assert all("cluster" not in message["head"] for message in view.sent)
    view.sent.clear()
    view.hear(kind="workers", view="a", open=True)
    told = view.sent[-1]["head"]["cluster"]
    assert [slot["worker"] for slot in told["workers"]] == ["local/0", "local/1", "local/2"]
    view.hear(kind="workers", view="b", open=True)
    view.hear(kind="workers", view="a", open=False)
    view.sent.clear()
    view.send_all()
    assert "cluster" in view.sent[-1]["head"]
    view.hear(kind="workers", view="b", open=False)
    view.send_all()
    assert "cluster" not in view.sent[-1]["head"]


def test_the_view_scales_its_sweep_and_says_why_where_that_can_not_be() -> None:
    handle = FakeSweep(wanted=500, trial_s=60, slots=3)
    view = Recorded(handle)
    view.hear(kind="scale", n=5)
    assert view.sent[-1]["text"] == "5 at once from now on; what runs goes on to its end"
    view.hear(kind="scale", n=65)
    assert "more than maximum=64" in view.sent[-1]["text"]
    assert handle.calls == ["scale 5", "scale 65"]


# -- the real thing ---------------------------------------------------------------------------------------------------


def listens(process: psutil.Process) -> set[str]:
    """Give the addresses on which a process takes connections."""
    try:
        return {c.laddr.ip for c in process.net_connections() if c.status == psutil.CONN_LISTEN}
    except psutil.NoSuchProcess:
        return set()


@pytest.mark.usefixtures("nothing_left")
def test_workers_and_dashboard_of_a_sweep_are_seen_while_it_runs_and_after(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_SWEEP_IDLE_S", "2m")
    with Kernel(home.parent) as kernel:
        kernel.cell(f"%%sweep s --min loss --grid --jobs 2 --bg\n{BODY}")
        handle = sweep("s")
        wait_for(lambda: list(handle.workers["state"]) == ["busy", "busy"], WAIT_S)
        wait_for(lambda: (handle.workers["memory_gb"] >= 0).all(), WAIT_S)
        rows = handle.workers
        assert list(rows["worker"]) == ["local/0", "local/1"]
        assert sorted(rows["number"]) == [0, 1]
        text = kernel.cell("%sweep workers s")
        assert "runs s" in text
        assert "local/1" in text

        with urllib.request.urlopen(f"{handle.dashboard.rpartition('/')[0]}/health", timeout=30) as answer:
            assert answer.read() == b"ok"
        assert urlsplit(handle.dashboard).hostname == "127.0.0.1"
        assert {ip for process in processes_of(home) for ip in listens(process)} == {"127.0.0.1"}

        Path("gate").touch()
        assert handle.wait(WAIT_S)
        wait_for(lambda: elastic.clusters(handle._store)[0].idle_s is not None, WAIT_S)
        assert "idle for" in kernel.cell("%sweep workers s")
        (cluster,) = elastic.clusters(handle._store)
        assert cluster.shown.idle_limit_s == 120
        kernel.cell("%env JUPYTER_SWEEP_IDLE_S=1")  # a warm cluster takes the new limit, too
        kernel.cell("%%sweep t --min loss --grid --jobs 2 --bg\nk = choice(1, 2)\nloss = k")
        wait_for(lambda: not elastic.clusters(handle._store), WAIT_S)
        assert "No cluster runs" in kernel.refused("%sweep workers")


@pytest.mark.parametrize("given", ["soon", "-5", "5 weeks"])
def test_an_idle_time_that_makes_no_sense_is_refused_before_anything_starts(
    home: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv("JUPYTER_SWEEP_IDLE_S", given)
    with pytest.raises(SweepError, match=r"JUPYTER_SWEEP_IDLE_S, how long an idle cluster is kept, wants a duration"):
        launch.write_launch(home, 1, str(home))
    assert not list(home.rglob("launch-*.json"))
    assert launch.idle_limit_s(json.loads('{"JUPYTER_SWEEP_IDLE_S": "0"}')) == 0
