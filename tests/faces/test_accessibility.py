"""Nothing of ours keeps people out who use a keyboard, a screen reader or strong contrast: axe-core finds no fault.

Judged is what is ours, light and dark: the view of a sweep, the form, the editor of settings, and of the sidebar the
list, a sweep's panel and a comparison. Faults of the impacts "serious" and "critical" fail; axe's lesser ones are told.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import end_processes_of
from faces.labdrive import Browser, Notebook, Server, chromium, wait_for

BUILT = Path(__file__).parents[2] / "jupyter_sweep" / "labextension" / "package.json"
pytestmark = [
    pytest.mark.faces,
    pytest.mark.skipif(chromium() is None, reason="no Chromium found"),
    pytest.mark.skipif(not BUILT.exists(), reason="the sidebar is not built: it needs Node.js 20"),
]

SHOWN = """from faces.fake_sweep import FakeSweep
from jupyter_sweep.widgets.view import show
h = FakeSweep(wanted=120, done=120, failing=0.1, targets=2, name='plots')
show(h)"""
SWEPT = "%load_ext jupyter_sweep\nfrom jupyter_sweep import *"
THEMES = ["JupyterLab Light", "JupyterLab Dark"]
TABS = ["History", "Curves", "Parallel", "Slices", "Importance", "Pareto", "Contour", "Timeline"]


@pytest.fixture(scope="module", params=THEMES)
def desk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    folder = tmp_path_factory.mktemp("axe")
    settings = {"@jupyterlab/apputils-extension:themes": {"theme": request.param}}
    cells = [SWEPT, SHOWN, "%sweep form", "%sweep config"]
    cells += [f"%%sweep {name} --min loss -n 6 --jobs 2\nx = uniform(0, 1)\nloss = x" for name in ("one", "two")]
    try:
        with Server(folder, settings=settings) as server, Browser(1500, 1100) as browser:
            notebook = browser.open(server, cells)
            for index in (0, 4, 5, 1, 2, 3):
                notebook.run(index)
                notebook.wait_done(index)
            yield notebook
            notebook.js("await app.serviceManager.sessions.shutdownAll()")
    finally:
        end_processes_of(folder)


def faults(notebook: Notebook, where: str) -> list[str]:
    """What axe finds in the elements that `where` selects."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="comes with jupyter-sweep[dev]").Axe()
    notebook.page.locator(where).first.scroll_into_view_if_needed()
    found: list[dict[str, Any]] = axe.run(notebook.page, context=where).response["violations"]
    for each in found:
        print(each["impact"], each["id"], each["help"], *(node["target"] for node in each["nodes"][:3]))
    return [
        f"{each['id']}: {each['help']}; {each['nodes'][0]['html'][:200]} {each['nodes'][0].get('failureSummary', '')}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("tab", TABS)
def test_the_view_with_each_of_its_plots(desk: Notebook, tab: str) -> None:
    desk.page.click(f".sweep-view .tab:has-text('{tab}')")
    assert faults(desk, ".sweep-view") == []


def test_the_view_with_an_open_row_and_with_its_columns(desk: Notebook) -> None:
    desk.page.locator(".sweep-view .body .row").first.click()
    desk.page.wait_for_selector(".sweep-view .details")
    assert faults(desk, ".sweep-view") == []


def test_the_form_and_the_editor_of_settings(desk: Notebook) -> None:
    assert desk.page.locator(".sweep-form").count() == 2
    assert faults(desk, ".sweep-form") == []


def test_the_sidebar_a_panel_and_a_comparison(desk: Notebook) -> None:
    desk.js("app.shell.activateById('jupyter-sweep-list')")
    page = desk.page
    page.wait_for_selector(".jp-sweep-row")
    assert faults(desk, ".jp-sweep-list") == []
    page.get_by_role("button", name="one", exact=True).click()
    page.wait_for_selector(".jp-sweep-panel .body .row")
    page.locator(".jp-sweep-panel .body .row").first.click()
    page.wait_for_selector(".jp-sweep-log pre")
    assert faults(desk, ".jp-sweep-panel") == []
    for name in ("one", "two"):
        page.locator(".jp-sweep-row", has=page.get_by_text(name, exact=True)).locator("input").check()
    page.get_by_role("button", name="Compare", exact=True).click()
    wait_for("the charts", lambda: page.locator(".jp-sweep-compare svg path[stroke]").count() >= 4)
    assert faults(desk, ".jp-sweep-compare") == []
