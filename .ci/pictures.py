"""What `make pictures` runs: cells of the notebooks in a real JupyterLab, photographed for the README.

Nothing is drawn by hand: the sources come from the notebooks, the sweeps run, and the pictures are taken on their way.
They are written with 128 colours, which a page of text and lines doesn't miss, and take a third of the bytes. The
folder of the tests must be on the import path: what drives the browser lies there.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
from conftest import end_processes_of
from faces.labdrive import Browser, Notebook, Server, chromium, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "notebooks" / "images"
SCALE, COLOURS = 1.5, 128
VIEW = ".jp-sweep-output .sweep-view"


def main() -> None:
    """Take all pictures, and name each with its size."""
    if chromium() is None:
        sys.exit("No Chromium was found; name one: CHROMIUM=/path/to/chromium make pictures")
    os.environ.pop("JUPYTER_SWEEP_HOME", None)  # the sweeps belong into the folder of the server
    os.environ["JUPYTER_SWEEP_IDLE_S"] = "60"
    IMAGES.mkdir(exist_ok=True)
    take_cell()
    take_sidebar_and_comparison()
    take_form()
    for path in sorted(IMAGES.glob("*.png")):
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1024:.0f} KB")


def sources(stem: str, *starts: str) -> list[str]:
    """Give the source of the code cells of a notebook that begin so."""
    cells = [c.source for c in nbformat.read(ROOT / "notebooks" / f"{stem}.ipynb", 4).cells if c.cell_type == "code"]
    return [next(source for source in cells if source.startswith(start)) for start in starts]


@contextmanager
def opened(cells: list[str], width: int, height: int) -> Iterator[Notebook]:
    """Open a notebook of these cells in a server of its own, with the first one run."""
    with tempfile.TemporaryDirectory(prefix="sweep-pictures-") as folder:
        try:
            with Server(Path(folder)) as server, Browser(width, height, scale=SCALE) as browser:
                notebook = browser.open(server, cells, "sweeps.ipynb")
                notebook.run(0)
                notebook.wait_done(0)
                yield notebook
        finally:
            end_processes_of(Path(folder))


def take_cell() -> None:
    """Take the sweep of the first notebook while it runs."""
    setup = sources("01_first_sweep", "%load_ext", "from sklearn")
    sweep = sources("01_first_sweep", "%%sweep digits")
    with opened(["\n".join(setup), *sweep], 1000, 1200) as notebook:
        notebook.js("app.shell.collapseLeft()")
        notebook.run(1)
        wait_for("half of the trials", lambda: done(notebook.page.locator(VIEW)) >= 20, 120)
        settle(notebook.page)
        keep(notebook.cell(1), "cell")


def take_sidebar_and_comparison() -> None:
    """Take the list with a panel while two sweeps run, and the comparison of both after their end."""
    setup = sources("07_form_and_sidebar", "%load_ext")
    sweeps = sources("07_form_and_sidebar", "%%sweep by_chance", "%%sweep by_model")
    with opened([*setup, *sweeps], 1280, 800) as notebook:
        page = notebook.page
        for index in (1, 2):
            notebook.run(index)
            notebook.wait_done(index)
        notebook.js("app.shell.activateById('jupyter-sweep-list')")
        page.get_by_role("button", name="by_model", exact=True).click()
        wait_for("half of the trials", lambda: done(page.locator(".jp-sweep-panel .sweep-view")) >= 20, 120)
        wait_for("their lines", lambda: page.locator(".jp-sweep-row svg").count() == 2)
        settle(page)
        keep(page, "sidebar")
        for name in ("by_chance", "by_model"):
            row = page.locator(".jp-sweep-row", has=page.get_by_text(name, exact=True))
            wait_for("its end", lambda row=row: row.locator(".jp-sweep-state").inner_text() == "finished", 120)
            row.locator("input").check()
        page.get_by_role("button", name="Compare", exact=True).click()
        wait_for("its charts", lambda: page.locator(".jp-sweep-compare svg path[stroke]").count() >= 4)
        settle(page)
        keep(page.locator(".jp-sweep-compare"), "compare")


def take_form() -> None:
    """Take the form of a sweep of the seventh notebook."""
    setup = sources("07_form_and_sidebar", "%load_ext")
    sweep, form = sources("07_form_and_sidebar", "%%sweep by_model", "%sweep form")
    with opened([*setup, sweep, form], 1000, 1400) as notebook:
        notebook.js("app.shell.collapseLeft()")
        for index in (1, 2):
            notebook.run(index)
            notebook.wait_done(index)
        form_in_page = notebook.page.locator(".sweep-form")
        wait_for("its rows", form_in_page.is_visible)
        settle(notebook.page)
        keep(form_in_page, "form")


def done(view: Locator) -> int:
    """Give the number of trials that a view shows as done."""
    bar = view.locator(".progress")
    return int(bar.get_attribute("aria-valuenow") or 0) if bar.count() else 0


def settle(page: Page) -> None:
    """Take the pointer away, and let what it raised fade."""
    page.mouse.move(0, 0)
    page.wait_for_timeout(600)


def keep(what: Locator | Page, name: str) -> None:
    """Write the picture of an element or of the window."""
    from PIL import Image

    picture = Image.open(io.BytesIO(what.screenshot())).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(IMAGES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
