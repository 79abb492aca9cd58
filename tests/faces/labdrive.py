"""Drives a real JupyterLab or Notebook 7 in a headless Chromium, for tests of what a user sees.

    with Server(folder) as server, Browser() as browser:
        notebook = browser.open(server, ["1 + 1"])
        notebook.run(0)
        notebook.wait_done(0)

Playwright's Python package brings its own driver; the browser is the system's (no download, no npm), which is why this
is used instead of JupyterLab's own browser tests. A server gets configuration, data and runtime folders of its own, so
that nothing of the user's settings leaks in. Two traps decide the shape: the page says that the kernel is idle before
its socket is connected (a run asked for in that gap is lost without a word), so the kernel is awaited through the
application object; and cells outside the window are not in the page, so sources and outputs are read from the model.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
TESTS = Path(__file__).resolve().parents[1]


def chromium() -> str | None:
    """Give the path of a Chromium, or None: `CHROMIUM` from the environment, then the usual names on the path."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return os.environ.get("CHROMIUM") or next((p for p in map(shutil.which, names) if p), None)


def wait_for(what: str, true: Callable[[], Any], timeout_s: float = 60.0) -> Any:
    """Wait until `true()` gives something true and give that; AssertionError names `what` after `timeout_s`."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if value := true():
            return value
        time.sleep(0.05)
    raise AssertionError(f"waited {timeout_s:g} s for {what}")


#: Settings with which the kernel's widget draws the outputs, as where the server has no extension of ours.
WIDGET = {"jupyter-sweep:plugin": {"outputs": False}}


class Server:
    """A Jupyter server in `folder`, with nothing but its own configuration.

    Parameters
    ----------
    app
        "lab" or "notebook".
    settings
        Plug-in id -> settings, such as ``{"@jupyterlab/apputils-extension:themes": {"theme": "JupyterLab Dark"}}``.
    """

    def __init__(self, folder: Path, app: str = "lab", settings: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self.folder, self.app = folder, app
        self.private = folder / ".jupyter"
        self.log = self.private / "server.log"
        self.token = secrets.token_hex(8)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}/"
        quiet = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}
        self._write_settings({**quiet, **(settings or {})})

    def _write_settings(self, settings: Mapping[str, Mapping[str, Any]]) -> None:
        for plugin, values in settings.items():
            package, _, name = plugin.partition(":")
            path = self.private / "settings" / package / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values))

    @property
    def env(self) -> dict[str, str]:
        """The environment of the server and its kernels; `tests/` is on the path, for the pretended sweeps."""
        own = {
            "JUPYTER_CONFIG_DIR": self.private / "config",
            "JUPYTER_DATA_DIR": self.private / "data",
            "JUPYTER_RUNTIME_DIR": self.private / "run",
            "JUPYTERLAB_SETTINGS_DIR": self.private / "settings",
            "JUPYTERLAB_WORKSPACES_DIR": self.private / "workspaces",
            "IPYTHONDIR": self.private / "ipython",
            "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]),
        }
        return {**os.environ, "JUPYTER_PLATFORM_DIRS": "1", **{k: str(v) for k, v in own.items()}}

    def _command(self) -> list[str]:
        exposes = "LabApp" if self.app == "lab" else "JupyterNotebookApp"
        options = ["--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={self.port}"]
        options += ["--ServerApp.port_retries=0", f"--IdentityProvider.token={self.token}"]
        options += [f"--ServerApp.root_dir={self.folder}", f"--{exposes}.expose_app_in_browser=True"]
        return [sys.executable, "-m", "jupyter", self.app, *options]

    def __enter__(self) -> Server:
        self.private.mkdir(parents=True, exist_ok=True)
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                self._command(), cwd=self.folder, env=self.env, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            wait_for("the Jupyter server", self._answers, 150)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        try:
            with urllib.request.urlopen(self.url + "api", timeout=1):
                return True
        except OSError:
            return False

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)

    def write(self, cells: Sequence[str], path: str = "t.ipynb") -> None:
        """Write a notebook of code cells; their ids are c0, c1, ..."""
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        empty: dict[str, Any] = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
        notebook = {
            "nbformat": 4,
            "nbformat_minor": 5,
            "metadata": {"kernelspec": kernel},
            "cells": [{**empty, "id": f"c{i}", "source": source} for i, source in enumerate(cells)],
        }
        (self.folder / path).write_text(json.dumps(notebook))

    def read(self, path: str = "t.ipynb") -> dict[str, Any]:
        """Give a notebook as it lies on disk."""
        notebook: dict[str, Any] = json.loads((self.folder / path).read_text())
        return notebook


class Browser:
    """A headless Chromium. `width` and `height` are the window's in pixels; pictures have `scale` times as many."""

    def __init__(self, width: int = 1200, height: int = 900, scale: float = 1) -> None:
        self.size, self.scale = (width, height), scale

    def __enter__(self) -> Browser:
        from playwright.sync_api import sync_playwright

        self._playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS), headless=True)
        self._context = self._browser.new_context(
            viewport={"width": self.size[0], "height": self.size[1]}, device_scale_factor=self.scale
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._browser.close()
        self._playwright.stop()

    def page(self) -> tuple[Page, list[str]]:
        """Give a new tab and the list its console's errors and warnings go to."""
        page = self._context.new_page()
        said: list[str] = []
        page.on("console", lambda m: said.append(f"{m.type}: {m.text}") if _is_worth_telling(m) else None)
        page.on("pageerror", lambda e: said.append(f"uncaught: {e}"))
        return page, said

    def open(self, server: Server, cells: Sequence[str] | None = None, path: str = "t.ipynb") -> Notebook:
        """Open a notebook in a new tab and wait for its kernel; `cells` None: the one that is there already."""
        if cells is not None:
            server.write(cells, path)
        page, said = self.page()
        where = f"lab/tree/{path}?reset&" if server.app == "lab" else f"notebooks/{path}?"
        page.goto(f"{server.url}{where}token={server.token}")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
        if server.app == "lab":
            page.wait_for_selector("#jupyterlab-splash", state="detached", timeout=60_000)
        return Notebook(page, said, server)


def _is_worth_telling(message: Any) -> bool:
    """Leave out what Lab says of itself on a busy machine: that a plug-in took long to activate."""
    return message.type in ("error", "warning") and "to activate" not in message.text


class Notebook:
    """One open notebook. `page` is Playwright's page, `console` its errors and warnings so far."""

    def __init__(self, page: Page, console: list[str], server: Server) -> None:
        self.page, self.console, self.server = page, console, server
        wait_for("a connected, idle kernel", self._kernel_idle, 120)

    def js(self, body: str, value: Any = None) -> Any:
        """Run JavaScript with `app`, `panel` (the notebook), `kernel` and `value`; it may await."""
        return self.page.evaluate(
            """async ([body, value]) => {
                const app = window.jupyterapp, panel = app.shell.currentWidget;
                const kernel = panel?.sessionContext?.session?.kernel;
                const run = new Function('app', 'panel', 'kernel', 'value', `return (async () => {${body}})()`);
                return await run(app, panel, kernel, value);
            }""",
            [body, value],
        )

    def _kernel_idle(self) -> bool:
        state = self.js(
            "if (!panel?.context) return null; await panel.context.ready; await panel.sessionContext.ready;"
            "await panel.revealed; const k = panel.sessionContext.session?.kernel; if (!k) return null;"
            "await k.info; return [k.status, k.connectionStatus]"
        )
        return bool(state == ["idle", "connected"])

    def cell(self, index: int) -> Locator:
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index)

    def run(self, index: int) -> None:
        """Run one cell in place, without waiting."""
        self.cell(index).locator(".jp-InputArea-editor").click()
        self.page.keyboard.press("Control+Enter")

    def model(self) -> list[dict[str, Any]]:
        """Give all cells from the document's model, whether they are drawn or not."""
        cells: list[dict[str, Any]] = self.js("return panel.context.model.sharedModel.toJSON().cells")
        return cells

    def wait_done(self, index: int, timeout_s: float = 120.0) -> None:
        """Wait until cell `index` has run."""

        def done() -> bool:
            cell = self.model()[index]
            busy = self.js("return panel.content.widgets[value].model.executionState", index)
            return cell["execution_count"] is not None and busy != "running"

        wait_for(f"the end of cell {index}", done, timeout_s)

    def save(self) -> dict[str, Any]:
        """Save, and give the notebook as it lies on disk."""
        self.js("await panel.context.save()")
        return self.server.read(self.js("return panel.context.path"))

    def interrupt(self) -> None:
        self.js("await kernel.interrupt()")

    def close(self) -> None:
        self.page.close()
