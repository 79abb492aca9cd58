"""The plots of the live view, what is marked in them, its columns and its open rows, in a real JupyterLab.

The widget of the kernel is what is shown: our labextension would draw the same view from the server.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from faces.labdrive import Browser, Notebook, Server, chromium, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [
    pytest.mark.faces,
    pytest.mark.skipif(chromium() is None, reason="no Chromium on the path, and CHROMIUM names none"),
]

SETUP = "from faces.fake_sweep import FakeSweep\nfrom jupyter_sweep.widgets.view import show"
TABS = ["History", "Curves", "Parallel", "Slices", "Importance", "Pareto", "Contour", "Timeline"]
#: Whether the canvas in sight has more colours than its background.
PAINTED = """() => {
    const canvas = document.querySelector('.sweep-view .chart:not([hidden]) canvas');
    const copy = new OffscreenCanvas(canvas.width, canvas.height), seen = new Set();
    const g = copy.getContext('2d', {willReadFrequently: true});
    g.drawImage(canvas, 0, 0);
    const {data} = g.getImageData(0, 0, copy.width, copy.height);
    for (let i = 0; i < data.length; i += 4) seen.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]);
    return seen.size > 20;
}"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    settings = {"jupyter-sweep:plugin": {"outputs": False}}
    with Server(tmp_path_factory.mktemp("plots"), settings=settings) as server, Browser(1300, 1100) as browser:
        made = "FakeSweep(wanted=120, done=120, failing=0.1, targets=2, name='plots')"
        notebook = browser.open(server, [f"{SETUP}\nh = {made}\nshow(h)"])
        notebook.run(0)
        notebook.page.wait_for_selector(".sweep-view .body .row", timeout=60_000)
        yield notebook
        assert notebook.console == []
        notebook.js("await panel.sessionContext.shutdown()")


@pytest.fixture
def page(desk: Notebook) -> Iterator[Page]:
    """The page, as it was opened."""
    yield desk.page
    desk.page.fill(".sweep-view .filter", "")
    if desk.page.is_visible(".sweep-view .marks"):
        desk.page.click(".sweep-view .marks")


def choose(page: Page, tab: str) -> None:
    page.click(f".sweep-view .tab:has-text('{tab}')")


def shown(page: Page) -> str:
    return page.inner_text(".sweep-view .tools > .dim")


def drag(page: Page, chart: str, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag over a plot, between places given as shares of its width and height."""
    box = page.locator(f".sweep-view .chart.{chart} canvas").bounding_box()
    assert box is not None
    (a, b), (c, d) = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
    page.mouse.move(a, b)
    page.mouse.down()
    page.mouse.move(c, d, steps=5)
    page.mouse.up()


def test_the_other_targets_of_the_best_trial_stand_beside_it(page: Page) -> None:
    assert re.fullmatch(r"trial \d+, ms \d+\.?\d*", page.inner_text(".sweep-view .value .dim"))


def test_every_tab_draws_its_plot(page: Page) -> None:
    assert page.locator(".sweep-view .tab").all_inner_texts() == TABS
    for tab in TABS:
        choose(page, tab)
        if tab == "Importance":
            wait_for("the shares", lambda: "71 %" in page.inner_text(".sweep-view .shares"))
        else:
            wait_for(f"the picture of {tab}", lambda: page.evaluate(PAINTED))
            said = page.get_attribute(".sweep-view .chart:not([hidden]) canvas", "aria-label") or ""
            assert said.startswith(f"{tab} of acc: best 0.9")


def test_a_stretch_of_an_axis_filters_the_table_until_it_is_let_go(page: Page) -> None:
    choose(page, "Parallel")
    wait_for("the picture", lambda: page.evaluate(PAINTED))
    drag(page, "parallel", (0.02, 0.1), (0.02, 0.5))
    wait_for("the filter", lambda: " of 120 trials" in shown(page))
    assert page.inner_text(".sweep-view .marks").startswith("lr ")
    kept = page.locator(".sweep-view .body .row").all_inner_texts()
    page.click(".sweep-view .marks")
    wait_for("all trials", lambda: shown(page) == "120 trials")
    assert page.locator(".sweep-view .body .row").all_inner_texts() != kept


def test_trials_marked_by_a_rectangle_are_those_of_the_table(page: Page) -> None:
    choose(page, "History")
    drag(page, "history", (0.3, 0.0), (0.6, 0.99))
    wait_for("the filter", lambda: " of 120 trials" in shown(page))
    numbers = [int(text.splitlines()[0].lstrip("★ ")) for text in page.locator(".body .row").all_inner_texts()]
    assert numbers
    assert all(20 < number < 80 for number in numbers)


def test_plots_are_worked_with_keys(page: Page) -> None:
    page.focus(".sweep-view .tab[aria-selected=true]")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.textContent") == "Curves"
    page.keyboard.press("Home")
    page.focus(".sweep-view .chart.history canvas")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    said = page.inner_text(".sweep-view .spoken")
    assert said.startswith("trial 1: ")
    page.keyboard.press("Space")
    assert shown(page) == "1 of 120 trials"
    page.keyboard.press("Escape")
    assert shown(page) == "120 trials"
    choose(page, "Parallel")
    page.focus(".sweep-view .chart.parallel canvas")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    assert page.inner_text(".sweep-view .marks").startswith("lr ")
    page.keyboard.press("Escape")
    assert shown(page) == "120 trials"


def test_columns_are_chosen_and_coloured_and_stay_so_for_the_session(desk: Notebook, page: Page) -> None:
    page.click(".sweep-view .tools .act:has-text('Columns')")
    page.uncheck(".sweep-view .columns label:has-text('width') input")
    page.select_option(".sweep-view .columns select", label="acc")
    page.keyboard.press("Escape")
    assert not page.is_visible(".sweep-view .columns")
    heads = page.locator(".sweep-view .heads .name").all_inner_texts()
    assert "lr" in heads
    assert "width" not in heads
    assert page.locator(".sweep-view .cell.coloured").count() > 3
    page.fill(".sweep-view .filter", "width=64")
    assert " of 120 trials" in shown(page)
    desk.run(0)
    wait_for("the view made anew", lambda: page.locator(".sweep-view .body .row").count() > 3)
    assert "width" not in page.locator(".sweep-view .heads .name").all_inner_texts()


def test_an_open_row_has_curves_and_files_and_a_failed_one_runs_again(desk: Notebook, page: Page) -> None:
    page.fill(".sweep-view .filter", "completed")
    page.click(".sweep-view .body .row >> nth=1")
    wait_for("the details", lambda: "model.joblib" in page.inner_text(".sweep-view .details"))
    assert page.locator(".sweep-view .details .spark svg").count() == 1
    assert page.locator(".sweep-view .details .act").all_inner_texts() == ["Replay here"]
    page.fill(".sweep-view .filter", "failed")
    page.click(".sweep-view .body .row >> nth=0")
    number = page.inner_text(".sweep-view .body .row.open .first").strip()
    page.click(".sweep-view .details .act:has-text('Replay here')")
    replay = f"%sweep replay plots {number}"
    wait_for("the cell that replays it", lambda: replay in [cell["source"] for cell in desk.model()])
    page.click(".sweep-view .details .act:has-text('Retry')")
    wait_for("the answer", lambda: page.inner_text(".sweep-view .note") == f"trial {number} runs again")


def test_forced_colours_still_draw(page: Page) -> None:
    page.emulate_media(forced_colors="active")
    choose(page, "Slices")
    wait_for("the picture", lambda: page.evaluate(PAINTED))
    assert page.locator(".sweep-view .tab[aria-selected=true]").inner_text() == "Slices"
    page.emulate_media(forced_colors="none")
