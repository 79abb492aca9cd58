"""What `make demo` runs: the first notebook, for real, in a folder of its own.

The page it leaves reads offline: scripts are taken out of nbconvert's page (they are loaded from the network, and our
own views are plain tables and pictures), and a page that still names something to load is refused.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "notebooks" / "01_first_sweep.ipynb"
SWEEP = "digits"
SCRIPTS = re.compile(r"<script\b.*?</script\s*>", re.DOTALL | re.IGNORECASE)
LOADED = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*["'](?:https?:)?//[^>]*>|url\(\s*["']?https?:[^)]*\)""")


def main() -> None:
    """Run the notebook in the folder given, print what it found and, last, where the page lies."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder.resolve()
    make_empty(folder)
    os.environ["JUPYTER_SWEEP_HOME"] = str(folder / "sweeps")
    os.environ.setdefault("JUPYTER_SWEEP_IDLE_S", "5")
    page = folder / "index.html"
    page.write_text(read_offline(execute(folder)), encoding="utf-8")
    print_results(folder / "sweeps")
    print(f"\nThe executed notebook, to be read in any browser:\n{page}")


def make_empty(folder: Path) -> None:
    """Start anew: end what an interrupted demo left running there, then remove the folder."""
    import psutil

    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if "jupyter_sweep.runner.driver" in command and any(str(folder) in word for word in command):
            process.terminate()
            process.wait(timeout=30)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def execute(folder: Path) -> object:
    """Execute a copy of the notebook in `folder`, with a line for each cell, and give the executed notebook."""
    import nbformat
    from nbclient import NotebookClient

    copy = Path(shutil.copy(NOTEBOOK, folder))
    notebook = nbformat.read(copy, as_version=4)
    total, started = len(notebook.cells), time.monotonic()

    def tell(cell: object, cell_index: int, **_: object) -> None:
        first = cell.source.lstrip().splitlines()[0]  # type: ignore[attr-defined]
        print(f"  {time.monotonic() - started:5.1f} s  cell {cell_index + 1} of {total}: {first}", flush=True)

    print(f"Executing {NOTEBOOK.relative_to(ROOT)} ...", flush=True)
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        store_widget_state=False,
        on_cell_execute=tell,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    nbformat.write(notebook, copy)
    return notebook


def read_offline(notebook: object) -> str:
    """Give the notebook as one page that loads nothing."""
    from nbconvert import HTMLExporter

    page = SCRIPTS.sub("", HTMLExporter().from_notebook_node(notebook)[0])
    if left := LOADED.findall(page):
        sys.exit(f"The page would load something from the network: {left[:3]}")
    return page


def print_results(home: Path) -> None:
    """Print the table of trials and the best configuration, read back from the store."""
    import pandas as pd

    from jupyter_sweep import sweep

    digits = sweep(SWEEP, folder=home)
    hidden = [c for c in ("version", "reason", "attempt", "repetition", "worker", "error") if c in digits.df]
    with pd.option_context("display.max_rows", None, "display.width", 120, "display.max_columns", None):
        print(f"\n{digits.df.drop(columns=hidden).to_string(index=False)}")
    print(f"\n{digits.df['state'].value_counts().to_dict()}")
    print("best configuration:")
    for name, value in {**digits.best.params, **digits.best.metrics}.items():
        print(f"  {name} = {value}")


if __name__ == "__main__":
    main()
