"""Requests from a page act on sweeps without a kernel, and changes are told as events."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
from server.conftest import run_script
from server.serving import Page, Server
from waiting import wait_for

from jupyter_sweep import sweep
from jupyter_sweep.handle import Handle
from jupyter_sweep.server.wire import SCHEMA_ID

WAITING = """
import os, sys, time
from jupyter_sweep import Float, Space, report, run

def job(x):
    for step in range(2000):
        report(loss=x, step=step)
        if os.path.exists("go") or step == 1999:
            break
        time.sleep(0.02)
    open(f"from-{os.environ['WHOSE']}", "w").close()
    return x

os.environ["WHOSE"] = "the-kernel"
run(job, Space(x=Float(0, 1)), name=sys.argv[1], min="loss", n=6, jobs=2, bg=True, no_canary=True)
"""


class Begun:
    """A sweep whose trials wait for a file `go`; the process that began it has ended.

    All are in one store, so that they share a warm driver.
    """

    store = "steered/sweeps"

    def __init__(self, root: Path, name: str, text: str = WAITING) -> None:
        self.root, self.folder, self.name = root, root / name, name
        run_script(self.folder, text, root / self.store, name, idle_s=60)

    @property
    def handle(self) -> Handle:
        return sweep(self.name, folder=self.root / self.store)

    def go(self) -> None:
        (self.folder / "go").touch()


@pytest.fixture
def begun(root: Path, request: pytest.FixtureRequest) -> Begun:
    made = Begun(root, request.node.name.replace("_", "-")[5:60].strip("-"))
    wait_for(lambda: made.handle.counts.get("running") == 2, 60)
    return made


def asked(server: Server, begun: Begun, verb: str, **more: Any) -> dict[str, Any]:
    answer = server.post(begun.name, begun.store, verb=verb, **more)
    assert answer.status == 202, answer
    return dict(answer.data)


def test_a_sweep_is_paused_and_resumed(server: Server, begun: Begun) -> None:
    asked(server, begun, "pause")
    begun.go()
    wait_for(lambda: begun.handle.state == "paused" and not begun.handle.counts.get("running"))
    assert begun.handle.counts == {"completed": 2}
    assert server.post(begun.name, begun.store, verb="pause").status == 409
    assert asked(server, begun, "resume")["message"] == f"{begun.name} goes on."
    wait_for(lambda: begun.handle.state == "finished")
    assert begun.handle.counts == {"completed": 6}
    answer = server.post(begun.name, begun.store, verb="resume")
    assert (answer.status, answer.data["message"].partition(";")[0]) == (409, f"{begun.name} is finished already")


def test_a_sweep_is_stopped(server: Server, begun: Begun) -> None:
    assert "cancelled within 5 s" in asked(server, begun, "stop")["message"]
    wait_for(lambda: begun.handle.state == "stopped")
    assert begun.handle.counts.get("cancelled") == 2
    answer = server.post(begun.name, begun.store, verb="stop")
    assert (answer.status, answer.data["message"]) == (409, f"{begun.name} is stopped already.")


def test_a_sweep_is_interrupted_and_then_killed(server: Server, begun: Begun) -> None:
    asked(server, begun, "interrupt")
    asked(server, begun, "kill")
    wait_for(lambda: begun.handle.state == "interrupted" and not begun.handle.counts.get("running"))


def test_a_sweep_is_given_fewer_trials_at_once(server: Server, begun: Begun) -> None:
    asked(server, begun, "scale", jobs=1)
    assert begun.handle.definition.budget.parallel == 1
    asked(server, begun, "stop")


def test_a_sweep_whose_driver_died_goes_on_as_it_was_begun(server: Server, begun: Begun) -> None:
    driver = begun.handle.driver
    assert driver
    os.kill(driver, signal.SIGKILL)
    wait_for(lambda: begun.handle.driver is None)
    (one,) = (s for s in server.get("/sweeps", store=begun.store)["sweeps"] if s["name"] == begun.name)
    assert (one["state"], one["driver"]) == ("running", None)
    begun.go()
    asked(server, begun, "resume")
    wait_for(lambda: begun.handle.state == "finished", 60)
    assert begun.handle.counts == {"completed": 6}
    assert begun.handle.driver != driver
    assert (begun.folder / "from-the-kernel").exists()  # the trials' folder and environment are those of the start


FAILING = WAITING.replace(
    "    return x", "    if not os.path.exists('mended'):\n        raise ValueError('broken')\n    return x"
)


def test_a_failed_trial_runs_again_and_no_other(server: Server, root: Path) -> None:
    """Of a sweep that has ended, twice: it fails again, and then it doesn't."""
    begun = Begun(root, "mended", FAILING.replace("n=6", "n=2"))
    begun.go()
    wait_for(lambda: begun.handle.state in ("finished", "failed"), 60)
    page = Page(server, begun.name, begun.store)
    page.ask()
    numbers = sorted(page.rows)
    assert asked(server, begun, "retry", number=1)["message"] == "Trial 1 runs again."
    wait_for(lambda: begun.handle.trial(1).attempt == 2 and begun.handle.ended)
    assert begun.handle.trial(1).state == "failed"
    (begun.folder / "mended").touch()
    asked(server, begun, "retry", number=1)
    wait_for(lambda: begun.handle.trial(1).state == "completed" and begun.handle.ended)
    page.ask()
    assert sorted(page.rows) == numbers
    assert page.rows[1][1] == "completed"
    assert page.rows[0][1] == "failed"
    assert page.head["counts"] == {"completed": 1, "failed": 1}
    shown = server.get(f"/sweeps/{begun.name}/trials/1", store=begun.store)
    assert [(a["attempt"], a["error"][:18]) for a in shown["attempts"]] == [
        (1, "ValueError: broken"),
        (2, "ValueError: broken"),
    ]
    assert (shown["attempt"], shown["error"]) == (3, "")


def test_a_failed_trial_of_a_sweep_that_is_held_waits_for_it(server: Server, root: Path) -> None:
    begun = Begun(root, "held", FAILING.replace("n=6", "n=6, max_failures=5"))
    wait_for(lambda: begun.handle.counts.get("running") == 2, 60)
    asked(server, begun, "pause")
    begun.go()
    wait_for(lambda: begun.handle.state == "paused" and begun.handle.counts.get("failed") == 2)
    assert asked(server, begun, "retry", number=0)["message"] == f"Trial 0 runs again when {begun.name} goes on."
    assert begun.handle.trial(0).state == "waiting"
    (begun.folder / "mended").touch()
    asked(server, begun, "resume")
    wait_for(lambda: begun.handle.state == "finished", 60)
    assert begun.handle.counts == {"completed": 5, "failed": 1}


def test_what_has_not_failed_is_not_run_again(server: Server, begun: Begun) -> None:
    for number, said in ((0, "Trial 0 is running; what can run again is a failed one."), (77, "has no trial 77")):
        answer = server.post(begun.name, begun.store, verb="retry", number=number)
        assert answer.status == 409
        assert said in answer.data["message"]
    asked(server, begun, "stop")


def test_a_sweep_that_runs_is_not_resumed(server: Server, begun: Begun) -> None:
    answer = server.post(begun.name, begun.store, verb="resume")
    assert (answer.status, answer.data["message"]) == (409, f"{begun.name} runs already.")
    asked(server, begun, "stop")


def test_a_sweep_of_a_kernel_is_not_run_in_the_server(server: Server, root: Path) -> None:
    text = WAITING.replace("jobs=2, bg=True", "on='inline'").replace("step == 1999", "True")
    run_script(root / "inline", text, root / "inline" / "sweeps", "inside")
    answer = server.post("inside", "inline/sweeps", verb="resume")
    assert answer.status == 409
    assert "run its cell again" in answer.data["message"]


PASSIVE = """
import sys
from jupyter_sweep import Float, Space, run
run(lambda x: x, Space(x=Float(0, 1)), name=sys.argv[1], min="loss", n=3, algo="passive")
"""


def test_results_of_a_passive_sweep_are_entered(server: Server, root: Path) -> None:
    by_hand = Begun(root, "by-hand", PASSIVE)
    answer = asked(server, by_hand, "enter", number=1, metrics={"loss": 0.5, "cost": "2"})
    assert (answer["message"], answer["state"]) == ("Trial 1 is completed.", "running")
    assert asked(server, by_hand, "enter", number=0, metrics={"loss": "nan"})["message"] == "Trial 0 is failed."
    assert asked(server, by_hand, "enter", number=2, failed="broken")["state"] == "finished"
    assert by_hand.handle.df["error"].tolist() == ["loss is not a number (NaN)", "", "broken"]
    assert by_hand.handle.trial(1).metrics == {"loss": 0.5, "cost": 2.0}


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({}, 400, "enter needs number"),
        ({"number": 0, "metrics": [1]}, 400, "metrics must be an object"),
        ({"number": 0, "metrics": {"loss": True}}, 400, "must be a number, got 'True'"),
        ({"number": 0, "metrics": {"loss": "9" * 3000}}, 400, "must be a number"),
        ({"number": 0, "metrics": {f"m{i}": 1 for i in range(65)}}, 400, "at most 64"),
        ({"number": 0, "failed": 3}, 400, "failed must be a text"),
        ({"number": 0, "jobs": 0}, 400, "jobs must be a whole number from 1"),
        ({"number": 0, "why": ""}, 400, "has no 'why'"),
        ({"number": 0}, 409, "loss is missing"),
        ({"number": 7, "metrics": {"loss": 1}}, 409, "has no trial 7"),
        ({"number": 0, "metrics": {"loss": 1, "<script>": 2}}, 409, "is no name of a metric"),
    ],
)
def test_a_result_that_is_wrong_is_refused(
    server: Server, root: Path, body: dict[str, Any], status: int, said: str
) -> None:
    if not (root / Begun.store / "refusing").exists():
        Begun(root, "refusing", PASSIVE)
    answer = server.post("refusing", Begun.store, verb="enter", **body)
    assert (answer.status, said in answer.data["message"]) == (status, True), answer.data
    assert sweep("refusing", folder=root / Begun.store).counts == {"waiting": 3}


def test_results_are_for_passive_sweeps_alone(server: Server, begun: Begun) -> None:
    answer = server.post(begun.name, begun.store, verb="enter", number=0, metrics={"loss": 1})
    assert (answer.status, "are run, not entered" in answer.data["message"]) == (409, True)
    answer = server.post(begun.name, begun.store, verb="pause", metrics={"loss": 1})
    assert (answer.status, "has no 'metrics'" in answer.data["message"]) == (400, True)
    asked(server, begun, "stop")
    wait_for(lambda: begun.handle.state == "stopped")


def test_workers_and_what_they_run_are_shown(server: Server, begun: Begun) -> None:
    def busy() -> list[dict[str, Any]]:
        found = server.get("/workers", store=begun.store)["workers"]
        return [w for w in found if w["sweep"] == begun.name]

    (driver,) = server.get("/workers", store=begun.store)["drivers"]
    assert (driver["pid"], driver["sweeps"]) == (begun.handle.driver, [begun.name])
    wait_for(lambda: len(busy()) == 2)
    assert {w["number"] for w in busy()} == {0, 1}
    asked(server, begun, "stop")


def test_changes_of_a_running_sweep_add_up_to_what_it_is_in_the_end(server: Server, begun: Begun) -> None:
    page, small = Page(server, begun.name, begun.store), Page(server, begun.name, begun.store, limit=1)
    for look in (page, small):
        look.ask()
    wait_for(lambda: page.ask())
    begun.go()
    wait_for(lambda: (page.ask(), small.ask()) and page.head["sweep"]["state"] == "finished")
    small.ask()
    whole = Page(server, begun.name, begun.store)
    whole.ask()
    assert page.rows == small.rows == whole.rows
    assert [row[1] for row in page.rows.values()] == ["completed"] * 6
    assert page.kinds.count("full") == small.kinds.count("full") == 1


def test_a_log_is_followed_while_its_trial_runs(server: Server, root: Path) -> None:
    begun = Begun(root, "followed", WAITING.replace("        report(", "        print('step', step)\n        report("))
    wait_for(lambda: begun.handle.counts.get("running"), 60)
    seen, at, final = "", 0, False

    def more() -> bool:
        nonlocal seen, at, final
        piece = server.get("/sweeps/followed/trials/0/log", store=begun.store, start=at)
        assert piece["start"] == at
        seen, at, final = seen + piece["text"], piece["end"], piece["is_final"]
        return final and at == piece["size"]

    wait_for(lambda: not more() and "step 3" in seen)
    begun.go()
    wait_for(more)
    lines = seen.splitlines()
    assert lines == [f"step {i}" for i in range(len(lines))]


def test_a_page_hears_of_changes(server: Server, begun: Begun) -> None:
    server.get("/sweeps", scan="true")
    with server.events(for_s=40) as events:
        asked(server, begun, "stop")
        heard = next(e for e in events if e["name"] == begun.name and e["state"] == "stopped")
    assert heard["store"] == begun.store
    assert heard["change"] > 0
    assert heard["version"] == 1


def test_the_servers_own_event_bus_tells_the_same(server: Server, begun: Begun) -> None:
    websocket = pytest.importorskip("websocket", reason="comes with jupyter_server")
    server.get("/sweeps", scan="true")
    bus = websocket.create_connection(
        f"ws://127.0.0.1:{server.port}/api/events/subscribe",
        header=[f"Authorization: token {server.token}"],
        timeout=40,
    )
    try:
        asked(server, begun, "stop")
        while True:
            heard = json.loads(bus.recv())
            if heard["schema_id"] == SCHEMA_ID and heard["name"] == begun.name and heard["state"] == "stopped":
                break
        assert heard["store"] == begun.store
    finally:
        bus.close()


def test_a_dropped_sweep_is_told_and_gone(server: Server, begun: Begun) -> None:
    server.get("/sweeps", scan="true")
    Page(server, begun.name, begun.store).ask()
    with server.events(for_s=40) as events:
        asked(server, begun, "kill")
        assert next(e for e in events if e["name"] == begun.name and e["state"] == "interrupted")
        wait_for(lambda: begun.handle.ended)
        begun.handle.drop()
        assert next(e for e in events if e["name"] == begun.name and e["state"] == "dropped")
    server.refused(404, f"/sweeps/{begun.name}", store=begun.store)
    assert all(one["name"] != begun.name for one in server.get("/sweeps")["sweeps"])


def test_the_server_ends_with_pages_that_still_listen(root: Path, tmp_path: Path) -> None:
    with Server(root, tmp_path) as own:
        server_socket = socket.create_connection(("127.0.0.1", own.port))
        with server_socket, own.events(for_s=600):
            own.process.terminate()
            assert own.process.wait(15) is not None
        assert "Traceback" not in own.log
        assert "never retrieved" not in own.log
