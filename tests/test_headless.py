"""A notebook that nobody watches: executed and converted by Jupyter's own commands, then read without a kernel."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from conftest import end_processes_of
from faces.labdrive import Browser, chromium

import jupyter_sweep
from jupyter_sweep.widgets.mirror import RUN

SETUP = "%load_ext jupyter_sweep\nfrom jupyter_sweep import choice, randint, report, uniform"
SWEEP = "%%sweep kept --min loss -n 12\nx = uniform(-1.0, 1.0)\nk = randint(1, 4)\nloss = x * x + k"
FAILING = "%%sweep broken --min loss --fail-fast --grid\nk = choice(1, 0)\nloss = 1 / k"
WIDGET = "application/vnd.jupyter.widget-view+json"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the notebooks, with one sweeps folder for all of them."""
    folder = tmp_path_factory.mktemp("headless")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_SWEEP_HOME", str(folder / "sweeps"))
        patch.setenv("JUPYTER_SWEEP_IDLE_S", "60")
        yield folder
    end_processes_of(folder / "sweeps")


def jupyter(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `jupyter ...` in a folder, with the user's own settings out of the way."""
    env = {**os.environ, "JUPYTER_CONFIG_DIR": str(folder / ".config"), "IPYTHONDIR": str(folder / ".ipython")}
    command = [sys.executable, "-m", "jupyter", *words]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=150, check=False)


def write(path: Path, *cells: str) -> None:
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in (SETUP, *cells)]), path)


@pytest.fixture(scope="module")
def executed(folder: Path) -> Path:
    """A notebook with a sweep, as `jupyter execute` left it."""
    path = folder / "good.ipynb"
    write(path, SWEEP, "%sweep best kept", "%sweep show kept")
    done = jupyter(folder, "execute", "--inplace", str(path))
    assert done.returncode == 0, done.stderr
    return path


def outputs(path: Path, cell: int) -> list[nbformat.NotebookNode]:
    found: list[nbformat.NotebookNode] = nbformat.read(path, as_version=4).cells[cell].outputs
    return found


@pytest.mark.parametrize("cell", [1, 3], ids=["sweep", "show"])
def test_an_executed_cell_holds_the_final_result_and_no_widget(executed: Path, cell: int) -> None:
    (output,) = outputs(executed, cell)
    assert set(output.data) == {RUN, "text/html", "text/plain"}
    assert output.data[RUN] == {"store": "sweeps", "name": "kept", "version": 1, "view": ""}
    for form in (output.data["text/html"], output.data["text/plain"]):
        assert "finished" in form
        assert "12 completed" in form


def test_no_widget_state_is_saved_that_a_reader_would_need(executed: Path) -> None:
    assert "widgets" not in nbformat.read(executed, as_version=4).metadata
    assert WIDGET not in executed.read_text()


def test_the_best_cell_is_printed_where_no_cell_can_be_inserted(executed: Path) -> None:
    (output,) = outputs(executed, 2)
    found: dict[str, object] = {}
    exec(output.text, found)
    assert found["k"] == 1
    assert abs(float(str(found["x"]))) < 1


def test_a_sweep_that_fails_ends_the_run_with_its_message_and_no_traceback_of_ours(folder: Path) -> None:
    path = folder / "bad.ipynb"
    write(path, FAILING, "open('reached', 'w')")
    done = jupyter(folder, "execute", str(path))
    assert done.returncode != 0
    assert "SweepError: Sweep 'broken' failed" in done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert str(Path(jupyter_sweep.__file__).parent) not in done.stderr
    assert not (folder / "reached").exists()


@pytest.mark.skipif(chromium() is None, reason="no Chromium on the path, and CHROMIUM names none")
def test_the_html_export_shows_table_and_plot_without_network(executed: Path, folder: Path) -> None:
    done = jupyter(folder, "nbconvert", "--to", "html", str(executed))
    assert done.returncode == 0, done.stderr
    with Browser(1100, 1400) as browser:
        page, _ = browser.page()
        page.route("**/*", lambda route: route.continue_() if route.request.url.startswith("file:") else route.abort())
        page.goto(executed.with_suffix(".html").as_uri())
        table = page.locator("table", has_text="completed").first
        assert table.is_visible()
        assert table.locator("tbody tr").count() == 12
        plot = page.locator("img[alt^='History of loss']").first
        assert plot.evaluate("async (img) => { await img.decode(); return img.naturalWidth }") > 300
        assert page.evaluate("document.documentElement.scrollWidth") <= 1100
