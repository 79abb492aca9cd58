"""What people click beside the sidebar's rows: palette, context menu, status bar, and the buttons of a trial.

The sweeps are real, the outputs are drawn from the server.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from faces.labdrive import Notebook, chromium, wait_for

# These name the fixtures of the sidebar's tests, one server and one browser for all of a module.
from faces.test_sidebar import BOTH, BUILT, LAB, QUICK, SLOW, browser, complaints, ended, row, run, server, state

from jupyter_sweep import sweep

__all__ = ["browser", "run", "server"]
pytestmark = [
    pytest.mark.faces,
    pytest.mark.skipif(chromium() is None, reason="no Chromium found"),
    pytest.mark.skipif(not BUILT.exists(), reason="the sidebar is not built: it needs Node.js 20"),
]
Run = Callable[..., Notebook]
#: Fails until the file is there, then gives what any other trial gives.
FLAKY = (
    "x = choice(1, 2, 3)\nimport os\nif x == 2 and not os.path.exists({!r}): raise RuntimeError('not yet')\nloss = x"
)


def palette(notebook: Notebook, label: str) -> None:
    """Choose a command of the palette as one types its name."""
    page = notebook.page
    page.keyboard.press("Control+Shift+C")
    page.wait_for_selector(".lm-CommandPalette-input")
    page.keyboard.type(label)
    item = page.locator(".lm-CommandPalette-item", has_text=label).first
    wait_for(f"{label} in the palette", item.is_visible)
    item.click()


@LAB
def test_the_palette_steers_the_newest_sweep(run: Run) -> None:
    notebook = run(f"%%sweep by_name --min loss -n 400 --jobs 2\n{SLOW}")
    wait_for("its row", lambda: row(notebook, "by_name").count() == 1)
    wait_for("its start", lambda: state(notebook, "by_name") == "running")
    for label, then in (("Pause", "paused"), ("Resume", "running"), ("Stop", "stopped")):
        palette(notebook, f"{label} the Newest Sweep")
        wait_for(then, lambda then=then: state(notebook, "by_name") == then)
    assert sweep("by_name").state == "stopped"
    palette(notebook, "Open the Newest Sweep")
    notebook.page.wait_for_selector(".jp-sweep-panel .body .row")
    assert complaints(notebook) == []


@LAB
def test_the_status_bar_counts_the_running_trials_while_any_runs_and_opens_the_list(run: Run) -> None:
    notebook = run(f"%%sweep counted --min loss -n 400 --jobs 2\n{SLOW}")
    status = notebook.page.locator(".jp-sweep-status-button")
    wait_for("the trials that run", lambda: status.is_visible() and status.inner_text() == "2 trials running", 60)
    notebook.js("app.shell.collapseLeft()")
    assert not notebook.page.locator(".jp-sweep-list").is_visible()
    status.click()
    wait_for("the list", notebook.page.locator(".jp-sweep-list").is_visible)
    sweep("counted").stop()
    wait_for("its end", lambda: not status.is_visible())


@LAB
def test_the_menu_of_a_cell_makes_it_a_sweep_and_opens_a_form(run: Run) -> None:
    notebook = run("lr = 0.1\nloss = lr")
    for label in ("Sweep This Cell", "Open the Form of a Sweep"):
        notebook.cell(1).locator(".jp-InputArea-editor").click(button="right")
        notebook.page.locator(".lm-Menu-item", has_text=label).click()
    wait_for("the cell with the form", lambda: len(notebook.model()) == 3)
    cells = [str(cell["source"]) for cell in notebook.model()]
    assert cells[1].splitlines()[1:] == ["lr = 0.1", "loss = lr"]
    assert cells[1].startswith("%%sweep ")
    assert cells[2] == "%sweep form"
    notebook.page.wait_for_selector(".sweep-form")


@BOTH
def test_a_failed_trial_runs_again_by_a_click_and_any_trial_is_replayed_in_a_cell(run: Run, tmp_path: Path) -> None:
    mended = tmp_path / "mended"
    notebook = run(f"%%sweep again --min loss --algo grid --jobs 2 --keep-going\n{FLAKY.format(str(mended))}")
    page, handle = notebook.page, ended("again")
    assert handle.counts == {"completed": 2, "failed": 1}
    notebook.wait_done(1)
    page.locator(".sweep-view .body .row", has_text="failed").click()
    wait_for("its traceback", lambda: "not yet" in page.inner_text(".sweep-view .details"))
    mended.touch()
    page.click(".sweep-view .details .act:has-text('Retry')")
    wait_for("the second attempt", lambda: handle.counts == {"completed": 3}, 60)
    wait_for("its row", lambda: page.locator(".sweep-view .body .row", has_text="failed").count() == 0)
    assert sorted(handle.df["number"]) == [0, 1, 2]
    page.locator(".sweep-view .body .row").first.click()
    page.click(".sweep-view .details .act:has-text('Replay here')")
    wait_for("the cell that replays it", lambda: len(notebook.model()) == 3)
    assert str(notebook.model()[2]["source"]).startswith("%sweep replay again ")
    assert complaints(notebook) == []


@BOTH
def test_the_same_steering_works_where_the_kernel_is_gone(run: Run) -> None:
    notebook = run(f"%%sweep orphan --min loss -n 80 --jobs 2\n{SLOW}")
    page = notebook.page
    wait_for("rows", lambda: page.locator(".sweep-view .body .row").count() > 2, 60)
    notebook.js("await panel.sessionContext.shutdown()")
    page.click(".sweep-view .act:has-text('Pause')")
    wait_for("the pause", lambda: sweep("orphan").state == "paused")
    page.click(".sweep-view .act:has-text('Resume')")
    wait_for("the rest", lambda: sweep("orphan").counts == {"completed": 80}, 120)
    wait_for("the last row", lambda: "80 of 80" in page.inner_text(".sweep-view"))


@BOTH
def test_the_result_of_a_passive_trial_is_entered_in_its_row(run: Run, tmp_path: Path) -> None:
    name = "oven" + tmp_path.name[-6:].replace("_", "-")
    notebook = run(
        f"%%sweep {name} --max taste --algo passive:sobol -n 3\ntemp = uniform(20, 80)\neggs = randint(1, 5)"
    )
    page = notebook.page
    rows = page.locator(".sweep-view .body .row")
    wait_for("its proposals", lambda: rows.count() == 3, 60)
    assert sweep(name).counts == {"waiting": 3}
    for number, fill in ((0, "4.5"), (2, "")):
        page.click(f'.sweep-view .body .row[data-n="{number}"]')
        form = page.locator(".sweep-view .entry")
        form.wait_for()
        if fill:
            form.get_by_label("taste").fill(fill)
            page.keyboard.press("Enter")
        else:
            form.get_by_label("Why there is no result").fill("burnt")
            form.get_by_role("button", name="Failed").click()
        wait_for("its end", lambda number=number: sweep(name).trial(number).is_final)
        wait_for("the form gone", lambda form=form: not form.is_visible())
    found = sweep(name).df[["state", "error"]].to_numpy().tolist()
    assert found == [["completed", ""], ["waiting", ""], ["failed", "burnt"]]
    assert sweep(name).trial(0).metrics == {"taste": 4.5}
    assert complaints(notebook) == []


@BOTH
def test_a_sweep_that_is_quick_is_whole_in_the_page_when_its_cell_ends(run: Run) -> None:
    notebook = run(f"%%sweep whole --min loss -n 25 --jobs 2\n{QUICK}")
    notebook.wait_done(1)
    wait_for("all of it", lambda: "25 of 25" in notebook.page.inner_text(".sweep-view"))
    assert ended("whole").counts == {"completed": 25}
