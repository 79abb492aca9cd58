"""The form in a real JupyterLab and Notebook 7: what is typed goes into the cell, and mistakes are told at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conftest import end_processes_of
from faces.labdrive import Browser, Notebook, Server, chromium, wait_for

from jupyter_sweep import sweep

pytestmark = [
    pytest.mark.faces,
    pytest.mark.skipif(chromium() is None, reason="no Chromium on the path, and CHROMIUM names none"),
]

SETUP = "%load_ext jupyter_sweep\nfrom jupyter_sweep import choice, loguniform, uniform"
CELL = """%%sweep formed --min loss -n 4 --jobs 2
# what varies
x = uniform(-1.0, 1.0)   # a comment
k = choice(1, 2)

loss = x * x + k
"""
FORM = ".sweep-form"
BOTH = pytest.mark.parametrize("lab", ["lab", "notebook"], indirect=True)
LAB = pytest.mark.parametrize("lab", ["lab"], indirect=True)


@pytest.fixture(scope="module")
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_SWEEP_HOME", str(folder / "sweeps"))
        patch.setenv("JUPYTER_SWEEP_IDLE_S", "60")
        with Server(folder, app=request.param) as server:
            yield server
        end_processes_of(folder / "sweeps")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser(1300, 1400) as found:
        yield found


@pytest.fixture
def desk(browser: Browser, lab: Server) -> Iterator[Notebook]:
    """A notebook whose last cell has shown the form of the sweep above it."""
    notebook = browser.open(lab, [SETUP, CELL, "%sweep form"])
    notebook.console.clear()  # what Notebook 7 says of itself while it starts
    for cell in (0, 2):
        notebook.run(cell)
        notebook.wait_done(cell)
    notebook.page.wait_for_selector(f"{FORM} .row")
    wait_for("the cell above", lambda: text(notebook) == CELL and notebook.page.locator(f"{FORM} .row").count() == 2)
    yield notebook
    assert [said for said in notebook.console if "yjs#509" not in said] == []  # of itself when a cell is put in
    notebook.js("await panel.sessionContext.shutdown()")
    notebook.close()


def text(notebook: Notebook) -> str:
    """Give the cell as the form has it."""
    return notebook.page.locator(f"{FORM} textarea").input_value()


def fill(notebook: Notebook, label: str, value: str, row: int | None = None) -> None:
    """Type into a field, of a row or of the line, and leave it."""
    box = notebook.page.locator(f"{FORM} .row").nth(row) if row is not None else notebook.page.locator(f"{FORM} .what")
    field = box.get_by_label(label, exact=True)
    field.fill(value)
    field.press("Tab")


def press(notebook: Notebook, button: str) -> None:
    notebook.page.locator(f"{FORM} .act:has-text('{button}')").click()


@BOTH
def test_the_form_makes_a_cell_that_runs(desk: Notebook) -> None:
    fill(desk, "Name of the sweep", "made")
    fill(desk, "To", "3.0", row=0)
    fill(desk, "Values", "1, 2, 3", row=1)
    press(desk, "Insert cell")
    wait_for("the new cell", lambda: len(desk.model()) == 4)
    source = desk.model()[3]["source"]
    expected = CELL.replace("formed", "made").replace("-1.0, 1.0", "-1.0, 3.0").replace("1, 2)", "1, 2, 3)").rstrip()
    assert source == expected
    desk.run(3)
    desk.wait_done(3)
    assert sweep("made").wait(60)
    assert [t.state.value for t in sweep("made").trials()] == ["completed"] * 4
    assert desk.model()[1]["source"] == CELL


@BOTH
def test_the_form_writes_back_into_the_cell_it_was_read_from_and_reads_it_again(desk: Notebook) -> None:
    fill(desk, "Name", "z", row=0)
    press(desk, "Update cell")
    changed = CELL.replace("x = uniform", "z = uniform").replace("x * x", "z * z").rstrip()
    wait_for("the cell", lambda: desk.model()[1]["source"] == changed)
    desk.js(
        "panel.context.model.sharedModel.cells[1].setSource(value)", changed.replace("choice(1, 2)", "choice(5, 6)")
    )
    press(desk, "Read the cell again")
    wait_for("the row", lambda: desk.page.locator(f"{FORM} .row").nth(1).get_by_label("Values").input_value() == "5, 6")


@LAB
def test_what_is_wrong_is_told_while_one_types_and_a_run_waits_for_it(desk: Notebook) -> None:
    fill(desk, "To", "-3.0", row=0)
    told = desk.page.locator(f"{FORM} .mistakes")
    wait_for("the mistake", lambda: "low <= high must hold, got low=-1.0, high=-3.0" in told.inner_text())
    assert desk.page.locator(f"{FORM} .act:has-text('Run here')").is_disabled()
    assert desk.page.locator(f"{FORM} .row.wrong").count() == 1
    fill(desk, "Stop rule", "ashaa")
    wait_for("the other mistake", lambda: "'ashaa' is no stop rule. Did you mean 'asha'?" in told.inner_text())
    fill(desk, "To", "2.0", row=0)
    fill(desk, "Stop rule", "")
    wait_for("no mistake", lambda: not told.is_visible())


@BOTH
def test_the_form_runs_the_sweep_and_shows_it(desk: Notebook) -> None:
    fill(desk, "Name of the sweep", "ran-here")
    press(desk, "Run here")
    desk.page.wait_for_selector(f"{FORM} .sweep-view")
    wait_for("the end", lambda: desk.page.inner_text(f"{FORM} .sweep-view .state") == "finished", 60)
    assert len(sweep("ran-here").trials()) == 4


@LAB
def test_hostile_texts_stay_texts(desk: Notebook) -> None:
    bad = "'<img src=x onerror=alert(1)>', '</textarea><script>1</script>'"
    fill(desk, "Values", bad, row=1)
    wait_for("the text", lambda: bad in text(desk))
    wait_for("the preview", lambda: "<img" in desk.page.inner_text(f"{FORM} .preview"))
    assert desk.page.locator(f"{FORM} :is(img, script)").count() == 0
