"""The sidebar, the panels and the outputs that JupyterLab and Notebook 7 draw from the server, in a real browser."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import end_processes_of
from faces.labdrive import Browser, Notebook, Server, chromium, wait_for

from jupyter_sweep import SweepError, sweep
from jupyter_sweep.handle import Handle

BUILT = Path(__file__).parents[2] / "jupyter_sweep" / "labextension" / "package.json"
pytestmark = [
    pytest.mark.faces,
    pytest.mark.skipif(chromium() is None, reason="no Chromium found"),
    pytest.mark.skipif(not BUILT.exists(), reason="the sidebar is not built: it needs Node.js 20"),
]

LOAD = "%load_ext jupyter_sweep\nfrom jupyter_sweep import *\nimport time"
SLOW = "x = uniform(-1.0, 1.0)\nfor step in range(4):\n    print('step', step)\n    time.sleep(0.1)\nloss = x * x"
QUICK = "x = uniform(-1.0, 1.0)\nloss = x * x"


BOTH = pytest.mark.parametrize("server", ["lab", "notebook"], indirect=True)
LAB = pytest.mark.parametrize("server", ["lab"], indirect=True)


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp(f"sidebar-{request.param}")
    try:
        with Server(folder, app=request.param) as server:
            yield server
    finally:
        end_processes_of(folder)


@pytest.fixture(scope="module")
def browser(server: Server) -> Iterator[Browser]:
    with Browser(1500, 1000) as browser:
        yield browser


@pytest.fixture
def run(
    browser: Browser, server: Server, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Notebook]]:
    """Open a notebook of these cells, run the first ones, and show the sidebar."""
    monkeypatch.setenv("JUPYTER_SWEEP_HOME", str(server.folder / "sweeps"))
    opened: list[Notebook] = []

    def start(*cells: str, runs: int = 1) -> Notebook:
        path = f"n{abs(hash(request.node.name)) % 10**8}.ipynb"
        notebook = browser.open(server, [LOAD, *cells], path)
        notebook.console.clear()  # what Notebook 7 says of itself while it starts
        opened.append(notebook)
        notebook.run(0)
        notebook.wait_done(0)
        for index in range(1, runs + 1):
            notebook.run(index)
        notebook.js("app.shell.activateById('jupyter-sweep-list')")
        notebook.page.wait_for_selector(".jp-sweep-list")
        return notebook

    yield start
    for notebook in opened:
        notebook.page.close()


def row(notebook: Notebook, name: str) -> Any:
    """The sidebar's row of a sweep."""
    return notebook.page.locator(".jp-sweep-row", has=notebook.page.get_by_text(name, exact=True))


def press(notebook: Notebook, name: str, label: str) -> None:
    row(notebook, name).get_by_role("button", name=f"{label} {name}").click()


def complaints(notebook: Notebook) -> list[str]:
    """What the console says, but for Notebook 7 of itself when a cell is put in."""
    return [said for said in notebook.console if "yjs#509" not in said]


def started(name: str) -> Handle:
    def found() -> Handle | None:
        with contextlib.suppress(SweepError):
            return sweep(name)
        return None

    handle: Handle = wait_for(f"sweep {name}", found, 60)
    return handle


def ended(name: str) -> Handle:
    handle = started(name)
    assert handle.wait(60)
    return handle


def state(notebook: Notebook, name: str) -> str:
    return str(row(notebook, name).locator(".jp-sweep-state").inner_text())


@BOTH
def test_the_list_follows_a_sweep_while_its_cell_blocks_and_its_buttons_steer_it(run: Callable[..., Notebook]) -> None:
    notebook = run(f"%%sweep steered --min loss -n 400 --jobs 2\n{SLOW}")
    wait_for("its row", lambda: row(notebook, "steered").count() == 1)
    bar = row(notebook, "steered").locator("[role=progressbar]")
    wait_for("progress", lambda: int(bar.get_attribute("aria-valuenow") or 0) > 3)
    press(notebook, "steered", "Pause")
    wait_for("the pause", lambda: state(notebook, "steered") == "paused")
    assert sweep("steered").state == "paused"
    press(notebook, "steered", "Resume")
    wait_for("going on", lambda: state(notebook, "steered") == "running")
    press(notebook, "steered", "Stop")
    wait_for("the stop", lambda: state(notebook, "steered") == "stopped")
    assert sweep("steered").state == "stopped"
    press(notebook, "steered", "Best cell")
    wait_for("the cell", lambda: any("# Best of" in c["source"] or "best" in c["source"] for c in notebook.model()[2:]))
    assert complaints(notebook) == []


@BOTH
def test_an_output_is_drawn_from_the_server_also_when_the_kernel_is_gone(run: Callable[..., Notebook]) -> None:
    notebook = run(f"%%sweep outlived --min loss -n 300 --jobs 2\n{SLOW}")
    trials = notebook.page.locator(".jp-sweep-output .sweep-view .body .row")
    wait_for("rows", lambda: trials.count() > 3)
    notebook.js("await panel.sessionContext.shutdown()")
    shown = notebook.page.locator(".jp-sweep-output .sweep-view .progress")
    before = int(shown.get_attribute("aria-valuenow") or 0)
    wait_for("progress without a kernel", lambda: int(shown.get_attribute("aria-valuenow") or 0) > before + 2)
    notebook.page.locator(".jp-sweep-output .sweep-view").get_by_role("button", name="Stop").click()
    handle = ended("outlived")
    assert handle.state == "stopped"
    wait_for(
        "the state", lambda: notebook.page.locator(".jp-sweep-output .sweep-view .state").inner_text() == "stopped"
    )


@LAB
def test_a_reload_of_the_page_brings_the_view_back_while_the_sweep_runs(run: Callable[..., Notebook]) -> None:
    notebook = run(f"%%sweep reloaded --min loss -n 300 --jobs 2\n{SLOW}")
    wait_for("rows", lambda: notebook.page.locator(".jp-sweep-output .sweep-view .body .row").count() > 2)
    notebook.save()
    notebook.page.reload()
    wait_for("rows again", lambda: notebook.page.locator(".jp-sweep-output .sweep-view .body .row").count() > 2, 60)
    sweep("reloaded").stop()
    wait_for("the state", lambda: notebook.page.locator(".sweep-view .state").first.inner_text() == "stopped")


@LAB
def test_the_kernel_sends_nothing_to_a_widget_that_the_server_draws(run: Callable[..., Notebook]) -> None:
    seen = "from jupyter_sweep.widgets import view\n[(v.drawn, v.asked) for v in view._drawable.values()]"
    notebook = run(f"%%sweep silent --min loss -n 12 --jobs 2\n{QUICK}", seen)
    ended("silent")
    notebook.wait_done(1)
    notebook.run(2)
    notebook.wait_done(2)
    assert notebook.model()[2]["outputs"][0]["data"]["text/plain"] == "[(True, False)]"


@BOTH
def test_a_panel_shows_table_log_and_code_of_a_sweep(run: Callable[..., Notebook]) -> None:
    notebook = run(f"%%sweep opened --min loss -n 6 --jobs 2\n{SLOW}")
    ended("opened")
    notebook.page.get_by_role("button", name="opened", exact=True).click()
    panel = notebook.page.locator(".jp-sweep-panel")
    wait_for("its rows", lambda: panel.locator(".body .row").count() == 6)
    panel.locator(".body .row").first.click()
    wait_for("the log", lambda: "step 3" in panel.locator(".jp-sweep-log pre").inner_text())
    panel.locator(".jp-sweep-versions summary").click()
    wait_for("the code", lambda: "loss = x * x" in panel.locator(".jp-sweep-code").inner_text())
    assert complaints(notebook) == []


@LAB
def test_a_panel_has_its_style_also_where_no_kernel_has_drawn_a_view(run: Callable[..., Notebook]) -> None:
    notebook = run(f"%%sweep unseen --min loss -n 4 --jobs 2 --bg\n{QUICK}")
    wait_for("its row", lambda: row(notebook, "unseen").count() == 1)
    notebook.page.get_by_role("button", name="unseen", exact=True).click()
    view = notebook.page.locator(".jp-sweep-panel .sweep-view")
    wait_for("its rows", lambda: view.locator(".body .row").count() == 4)
    assert max(icon.bounding_box()["width"] for icon in view.locator(".body .row svg").all()) < 30


@BOTH
def test_a_log_is_followed_while_its_trial_runs(run: Callable[..., Notebook]) -> None:
    body = (
        "x = choice(1)\nfor line in range(4000):\n    print('line', line, flush=True)\n    time.sleep(0.05)\nloss = x"
    )
    notebook = run(f"%%sweep followed --min loss -n 1 --jobs 1\n{body}")
    wait_for("its row", lambda: row(notebook, "followed").count() == 1)
    notebook.page.get_by_role("button", name="followed", exact=True).click()
    panel = notebook.page.locator(".jp-sweep-panel")
    wait_for("its trial", lambda: panel.locator(".body .row").count() == 1)
    panel.locator(".body .row").first.click()
    log = panel.locator(".jp-sweep-log pre")
    wait_for("the log", lambda: "line 3" in log.inner_text())
    before = len(log.inner_text())
    wait_for("more of it", lambda: len(log.inner_text()) > before + 40)
    assert log.evaluate("e => e.scrollTop + e.clientHeight > e.scrollHeight - 40")
    sweep("followed").kill()


@BOTH
def test_two_sweeps_are_compared_side_by_side(run: Callable[..., Notebook]) -> None:
    cells = [f"%%sweep {name} --min loss -n 8 --algo {algo} --jobs 2\n{QUICK}" for name, algo in COMPARED.items()]
    notebook = run(*cells, runs=2)
    for name in COMPARED:
        wait_for(f"{name}", lambda name=name: row(notebook, name).count() == 1 and state(notebook, name) == "finished")
        row(notebook, name).locator("input").check()
    notebook.page.get_by_role("button", name="Compare", exact=True).click()
    page = notebook.page.locator(".jp-sweep-compare")
    wait_for("the charts", lambda: page.locator("svg path[stroke]").count() >= 4)
    assert "algorithm" in page.inner_text()
    assert {"first", "second"} <= {t.split()[0] for t in page.locator("tbody td:first-child").all_inner_texts()}


COMPARED = {"first": "random", "second": "tpe"}


@LAB
def test_a_plain_cell_becomes_a_sweep_by_a_command(run: Callable[..., Notebook]) -> None:
    notebook = run("print(1)", runs=1)
    notebook.cell(1).locator(".jp-InputArea-editor").click()
    notebook.js("await app.commands.execute('jupyter-sweep:sweep-cell')")
    first = str(notebook.model()[1]["source"]).splitlines()[0]
    assert first.startswith("%%sweep ")
    assert first.endswith(" --min loss")
