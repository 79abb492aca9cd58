"""The workers in the live view, their scaling, and the way to the dashboard, in a real JupyterLab."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from faces.labdrive import WIDGET, Browser, Notebook, Server, chromium, wait_for

pytestmark = [
    pytest.mark.faces,
    pytest.mark.skipif(chromium() is None, reason="no Chromium on the path, and CHROMIUM names none"),
]

SETUP = "from faces.fake_sweep import FakeSweep\nfrom jupyter_sweep.widgets.view import show"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser(1100, 1000) as found:
        yield found


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("lab"), settings=WIDGET) as server:
        yield server


def shown(browser: Browser, lab: Server, made: str) -> Notebook:
    """Give a notebook that shows a pretended sweep."""
    notebook = browser.open(lab, [f"{SETUP}\nh = {made}\nshow(h)"])
    notebook.run(0)
    notebook.page.wait_for_selector(".sweep-view", timeout=60_000)
    return notebook


def about(notebook: Notebook) -> str:
    return notebook.page.inner_text(".sweep-view .atonce .dim")


def ask_for(notebook: Notebook, n: int) -> None:
    notebook.page.fill(".sweep-view .atonce input", str(n))
    notebook.page.keyboard.press("Enter")


def test_the_workers_are_shown_on_demand_and_scaled_there(browser: Browser, lab: Server) -> None:
    notebook = shown(browser, lab, "FakeSweep(wanted=900, trial_s=60, slots=6)")
    page = notebook.page
    assert not page.is_visible(".sweep-view .workers")
    page.click(".sweep-view .more:has-text('workers')")
    wait_for("the slots", lambda: page.locator(".sweep-view .slot.busy").count() == 6)
    assert about(notebook) == "6 slots: 6 busy"
    ask_for(notebook, 4)
    wait_for("the answer", lambda: "2 draining" in about(notebook))
    wait_for("the sentence", lambda: "4 at once from now on" in page.inner_text(".sweep-view .note"))
    ask_for(notebook, 99)
    wait_for("the refusal", lambda: "more than maximum=64" in page.inner_text(".sweep-view .note"))
    assert page.input_value(".sweep-view .atonce input") == "4"
    page.click(".sweep-view .slot .of-trial button >> nth=2")
    page.wait_for_selector(".sweep-view .details")
    page.click(".sweep-view .more:has-text('workers')")
    assert not page.is_visible(".sweep-view .workers")
    notebook.close()


def test_hostile_names_of_workers_stay_text_in_the_page(browser: Browser, lab: Server) -> None:
    notebook = shown(browser, lab, "FakeSweep(wanted=900, trial_s=60, slots=2, hostile=True)")
    notebook.page.click(".sweep-view .more:has-text('workers')")
    wait_for("the slots", lambda: notebook.page.locator(".sweep-view .slot").count() == 2)
    assert "<script>" in notebook.page.inner_text(".sweep-view .slot >> nth=0")
    assert notebook.page.evaluate("window.pwned") is None
    notebook.close()


class Health(BaseHTTPRequestHandler):
    """A dashboard as far as the view looks at it."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok" if self.path == "/health" else b"<h1>the dashboard</h1>")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.skipif(
    importlib.util.find_spec("jupyter_server_proxy") is None, reason="jupyter-server-proxy is not installed"
)
def test_the_dashboard_opens_through_the_server_of_the_page(browser: Browser, lab: Server) -> None:
    dashboard = ThreadingHTTPServer(("127.0.0.1", 0), Health)
    thread = threading.Thread(target=dashboard.serve_forever, daemon=True)
    thread.start()
    try:
        own = f"http://127.0.0.1:{dashboard.server_port}/status"
        notebook = shown(browser, lab, f"FakeSweep(wanted=900, trial_s=60, dashboard={own!r})")
        link = notebook.page.locator(".sweep-view a.more")
        assert link.get_attribute("href") == own
        with notebook.page.context.expect_page() as opened:
            link.click()
        tab = opened.value
        tab.wait_for_selector("text=the dashboard")
        assert tab.url == f"{lab.url}proxy/{dashboard.server_port}/status"
        assert link.get_attribute("href") == tab.url
        tab.close()
        notebook.close()
    finally:
        dashboard.shutdown()
        thread.join(10)
