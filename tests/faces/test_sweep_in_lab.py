"""Whole sweeps as a user lives them: `%%sweep` in a real JupyterLab with a real driver and real trials."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import end_processes_of
from faces.labdrive import WIDGET, Browser, Notebook, Server, chromium, wait_for

from jupyter_sweep import SweepError, sweep
from jupyter_sweep.handle import Handle
from jupyter_sweep.trial import TrialState
from jupyter_sweep.widgets.mirror import RUN

pytestmark = [
    pytest.mark.faces,
    pytest.mark.skipif(chromium() is None, reason="no Chromium on the path, and CHROMIUM names none"),
]

SETUP = "%load_ext jupyter_sweep\nimport time\nfrom jupyter_sweep import choice, randint, report, sweep, uniform"
#: Trials of half a second that report on their way.
BODY = """x = uniform(-1.0, 1.0)
k = randint(1, 1000)
for epoch in range(5):
    time.sleep(0.1)
    report(loss=x * x + k / (epoch + 1), epoch=epoch)
"""
BROKEN = """k = randint(1, 30)
def fit(k):
    if k % 2:
        raise ValueError(f"{k} is odd")
    return k
print("fitting", k)
loss = fit(k)
"""
#: What JupyterLab itself says when its kernel is restarted.
RECONNECTING = "warning: Connection lost, reconnecting in 0 seconds."

Run = Callable[..., Notebook]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose notebooks share one sweeps folder, and with it a warm driver; each test has a name of its own."""
    folder = tmp_path_factory.mktemp("lab")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_SWEEP_HOME", str(folder / "sweeps"))
        patch.setenv("JUPYTER_SWEEP_IDLE_S", "60")
        with Server(folder, settings=WIDGET) as server:
            yield server
        end_processes_of(folder / "sweeps")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser(1200, 1000) as found:
        yield found


@pytest.fixture(scope="module")
def desk(browser: Browser, lab: Server) -> Iterator[Notebook]:
    """One open notebook for all tests: a kernel and a page of its own would cost each of them five seconds."""
    notebook = browser.open(lab, [SETUP])
    notebook.page.on("dialog", lambda dialog: dialog.accept())
    set_up(notebook)
    yield notebook
    notebook.js("await panel.sessionContext.shutdown()")
    notebook.close()


@pytest.fixture
def run(desk: Notebook) -> Iterator[Run]:
    """Run the first of some cells in the shared notebook; afterwards its sweep is ended."""
    names: list[str] = []

    def run(*cells: str) -> Notebook:
        names.append(cells[0].split()[1])
        write(desk, *cells)
        desk.run(0)
        return desk

    yield run
    for name in names:
        end(name)
    wait_for("the end of the cell", lambda: not is_running(desk))
    assert desk.console == []


def begun(name: str) -> Handle | None:
    """Give a sweep once it is there."""
    try:
        return sweep(name)
    except SweepError:
        return None


def end(name: str) -> None:
    """Stop a sweep, if there is one."""
    try:
        handle = sweep(name)
    except SweepError:
        return
    handle.stop()
    wait_for("the stop", lambda: handle.ended)


def write(notebook: Notebook, *cells: str) -> None:
    notebook.js(
        "const shared = panel.context.model.sharedModel, n = shared.cells.length;"
        "shared.insertCells(n, value.map((source) => ({cell_type: 'code', source})));"
        "shared.deleteCellRange(0, n)",
        list(cells),
    )


def set_up(notebook: Notebook) -> None:
    """Load the extension into the notebook's kernel, whatever its cells are."""
    notebook.js("await kernel.requestExecute({code: value}).done", SETUP)


def is_running(notebook: Notebook, cell: int = 0) -> bool:
    return bool(notebook.js("return panel.content.widgets[value].model.executionState", cell) == "running")


def evaluate(notebook: Notebook, expression: str) -> Any:
    """Ask the idle kernel for the value of an expression."""
    text: str = notebook.js(
        "const asked = kernel.requestExecute({code: '', silent: true, user_expressions: {x: value}});"
        "return (await asked.done).content.user_expressions.x.data['text/plain']",
        expression,
    )
    return eval(text)


def outputs(notebook: Notebook, cell: int = 0) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = notebook.model()[cell]["outputs"]
    return found


def state(notebook: Notebook) -> str:
    return notebook.page.inner_text(".sweep-view .state")


def rows(notebook: Notebook) -> int:
    """Give the number of trials that the table knows, as it says it."""
    shown = notebook.page.locator(".sweep-view .grid")
    return int(shown.get_attribute("aria-rowcount") or 1) - 1 if shown.count() else 0


def press(notebook: Notebook, button: str) -> None:
    notebook.page.click(f".sweep-view .act:has-text('{button}')")


def completed(handle: Handle) -> int:
    return handle.counts.get("completed", 0)


def wait_for_rows(notebook: Notebook, n: int) -> None:
    wait_for(f"{n} rows", lambda: rows(notebook) >= n, 60)


def no_doubles(handle: Handle, n: int) -> bool:
    """Tell whether `n` trials ended, each run once, and no configuration was completed twice."""
    trials = handle.trials()
    params = [json.dumps(t.params, sort_keys=True) for t in trials if t.state is TrialState.COMPLETED]
    once = len(params) == len(set(params)) and {t.attempt for t in trials} == {1}
    return once and len(trials) == n and len(handle.versions) == 1


def test_rows_come_in_while_the_cell_blocks(run: Run) -> None:
    notebook = run(f"%%sweep grows --min loss -n 500 --jobs 2\n{BODY}")
    wait_for_rows(notebook, 3)
    seen = rows(notebook)
    wait_for_rows(notebook, seen + 2)
    assert is_running(notebook)
    assert notebook.page.inner_text(".jp-Notebook .jp-InputPrompt >> nth=0") == "[*]:"
    press(notebook, "Stop")
    notebook.wait_done(0)


def test_pause_and_resume_act_on_the_trials_while_the_cell_blocks(run: Run) -> None:
    notebook = run(f"%%sweep rests --min loss -n 500 --jobs 2\n{BODY}")
    wait_for_rows(notebook, 2)
    press(notebook, "Pause")
    wait_for("the pause", lambda: state(notebook) == "paused")
    handle = sweep("rests")
    before = handle.counts
    assert set(before) <= {"completed", "waiting"}
    notebook.page.wait_for_timeout(1200)
    assert handle.counts == before
    assert is_running(notebook)
    press(notebook, "Resume")
    wait_for("the resumption", lambda: completed(handle) > before["completed"])
    assert is_running(notebook)
    press(notebook, "Stop")
    notebook.wait_done(0)


def test_a_stopped_sweep_goes_on_when_its_cell_is_run_again(run: Run) -> None:
    notebook = run(f"%%sweep goes-on --min loss -n 24 --jobs 2\n{BODY}")
    handle: Handle = wait_for("the sweep", lambda: begun("goes-on"))
    wait_for("three trials", lambda: sum(t.started_at is not None for t in handle.trials()) >= 3)
    press(notebook, "Stop")
    notebook.wait_done(0)
    assert handle.state == "stopped"
    assert [output["output_type"] for output in outputs(notebook)] == ["display_data"]
    first = {t.number: t.started_at for t in handle.trials() if t.started_at}
    assert 3 <= len(first) < 24
    notebook.run(0)
    wait_for("the end", lambda: handle.state == "finished", 60)
    notebook.wait_done(0)
    assert state(notebook) == "finished"
    assert no_doubles(handle, 24)
    assert {t.number: t.started_at for t in handle.trials() if t.number in first} == first


def test_the_best_cell_sets_the_variables_and_its_trial_replays_to_the_recorded_metric(run: Run) -> None:
    notebook = run(f"%%sweep winner --min loss -n 500 --jobs 2\n{BODY}", "pass")
    wait_for_rows(notebook, 5)
    press(notebook, "Best-config cell")
    wait_for("the new cell", lambda: len(notebook.model()) == 3)
    assert is_running(notebook)
    press(notebook, "Stop")
    notebook.wait_done(0)
    source = notebook.model()[1]["source"]
    number = int(source.partition("%sweep replay winner ")[2].split()[0])
    trial = sweep("winner").trial(number)
    notebook.run(1)
    notebook.wait_done(1)
    assert evaluate(notebook, "{'x': x, 'k': k}") == trial.params
    write(notebook, f"%sweep replay winner {number}")
    notebook.run(0)
    notebook.wait_done(0)
    assert outputs(notebook)[0]["text"].endswith(f": loss={trial.metrics['loss']!r}, as recorded.\n")


def test_the_best_cell_by_the_line_magic_comes_below(run: Run) -> None:
    notebook = run(f"%%sweep asked --min loss -n 3\n{BODY}", "%sweep best asked")
    notebook.wait_done(0)
    notebook.run(1)
    wait_for("the new cell", lambda: len(notebook.model()) == 3)
    best = sweep("asked").best
    assert best is not None
    assert notebook.model()[2]["source"].rstrip() == best.cell.rstrip()


def test_a_sweep_outlives_its_kernel_and_the_cell_run_again_starts_no_doubles(run: Run) -> None:
    notebook = run(f"%%sweep outlives --min loss -n 60 --jobs 2\n{BODY}")
    wait_for_rows(notebook, 3)
    notebook.js("await panel.sessionContext.restartKernel()")
    handle = sweep("outlives")
    before = completed(handle)
    wait_for("trials without a kernel", lambda: completed(handle) > before + 2)
    assert handle.state == "running"
    press(notebook, "Stop")  # a page whose kernel is gone says so
    assert "kernel is gone" in notebook.page.inner_text(".sweep-view .note")
    wait_for("the new kernel", notebook._kernel_idle)
    set_up(notebook)
    notebook.run(0)
    wait_for("the end", lambda: handle.state == "finished", 60)
    notebook.wait_done(0)
    assert state(notebook) == "finished"
    assert no_doubles(handle, 60)
    assert {*notebook.console} <= {RECONNECTING}
    notebook.console.clear()


def test_an_interrupt_ends_the_cell_with_one_line_and_the_sweep_can_go_on(run: Run) -> None:
    notebook = run(f"%%sweep broken-off --min loss -n 30 --jobs 2\n{BODY}")
    wait_for_rows(notebook, 3)
    notebook.interrupt()
    notebook.wait_done(0)
    handle = sweep("broken-off")
    assert handle.state == "interrupted"
    view, error = outputs(notebook)
    assert view["output_type"] == "display_data"
    assert (error["ename"], len(error["traceback"])) == ("SweepError", 1)
    assert error["traceback"][0].startswith("SweepError: Interrupted: 'broken-off' has ")
    assert "\n" not in error["traceback"][0]
    notebook.run(0)
    wait_for("the end", lambda: handle.state == "finished", 60)
    notebook.wait_done(0)
    assert no_doubles(handle, 30)


def test_failures_are_counted_and_a_click_shows_the_line_of_the_users_cell(run: Run) -> None:
    notebook = run(f"%%sweep fails --min loss --grid --jobs 2\n{BROKEN}")
    notebook.wait_done(0)
    assert sweep("fails").counts == {"completed": 15, "failed": 15}
    assert outputs(notebook)[1]["text"].startswith("15 trials failed (15 error). Trial ")
    notebook.page.click(".sweep-view .count.failed")
    wait_for("the filter", lambda: rows(notebook) == 15)
    notebook.page.click(".sweep-view .body .row.failed >> nth=0")
    details = notebook.page.locator(".sweep-view .details")
    wait_for("the traceback", lambda: "Traceback" in details.inner_text())
    shown = details.inner_text()
    assert 'File "<sweep fails>", line 8, in <module>\n    loss = fit(k)' in shown
    assert 'line 5, in fit\n    raise ValueError(f"{k} is odd")' in shown
    assert "jupyter_sweep/" not in shown
    assert shown.count("Traceback") == 1
    assert "fitting" in shown


def test_mistakes_are_one_message_and_nothing_is_started(run: Run) -> None:
    notebook = run("%%sweep mistaken --algo tpo\nk = choice(1, 2)\nloss = k + nobody_knows")
    notebook.wait_done(0)
    (output,) = outputs(notebook)
    assert output["ename"] == "SweepError"
    for said in ("3 mistakes; nothing was started", "Did you mean 'tpe'", "--min loss", "`nobody_knows`"):
        assert said in output["traceback"][0]
    with pytest.raises(SweepError, match="no sweep 'mistaken'"):
        sweep("mistaken")


def test_a_reloaded_page_goes_on_and_the_file_is_right_at_the_end(run: Run, browser: Browser) -> None:
    notebook = run(f"%%sweep reloaded --min loss -n 500 --jobs 2\n{BODY}")
    wait_for_rows(notebook, 3)
    notebook.save()
    notebook.page.reload()
    wait_for("the view", lambda: rows(notebook) > 3, 60)
    seen = rows(notebook)
    wait_for_rows(notebook, seen + 2)
    press(notebook, "Stop")
    handle = sweep("reloaded")
    wait_for("the stop", lambda: handle.state == "stopped")
    wait_for("the last form", lambda: "stopped" in "".join(outputs(notebook)[0].get("data", {}).get("text/html", "")))
    wait_for("no widget in the file", lambda: sorted(outputs(notebook)[0]["data"]) == [RUN, "text/html", "text/plain"])
    wait_for("the kernel", notebook._kernel_idle)
    (notebook.server.folder / "later.ipynb").write_text(json.dumps(notebook.save()))
    later = browser.open(notebook.server, path="later.ipynb")
    page = later.page.locator(".jp-OutputArea").first
    assert page.locator("tbody tr").count() >= len(handle.trials())
    assert "stopped" in page.inner_text()
    assert page.locator("img").evaluate("async (img) => { await img.decode(); return img.naturalWidth }") > 300
    assert later.page.locator(".sweep-view").count() == 0
    assert later.console == []
    later.close()


def test_of_three_thousand_trials_the_page_draws_those_in_sight(run: Run) -> None:
    notebook = run("%%sweep many --min loss -n 3000 --algo random\nx = uniform(0, 1)\ny = uniform(0, 1)\nloss = x + y")
    grid = notebook.page.locator(".sweep-view .grid")
    depth = 0
    while is_running(notebook):
        depth += 700
        if grid.count():
            grid.evaluate("(grid, depth) => { grid.scrollTop = depth % grid.scrollHeight }", depth)
        notebook.page.wait_for_timeout(50)
    notebook.wait_done(0)
    assert completed(sweep("many")) == 3000
    wait_for_rows(notebook, 3000)
    assert notebook.page.locator(".sweep-view .body .row").count() < 40
    assert len(json.dumps(notebook.save())) < 200_000
