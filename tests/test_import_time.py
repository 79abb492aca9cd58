"""What importing costs. Modules are counted, not seconds: a busy machine changes seconds, never the list."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    "anywidget",
    "cloudpickle",
    "dask",
    "distributed",
    "ipywidgets",
    "joblib",
    "matplotlib",
    "numpy",
    "optuna",
    "pandas",
    "scipy",
    "sklearn",
    "sqlalchemy",
    "tornado",
}

LOAD_EXT = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
before = set(sys.modules)
shell.run_line_magic("load_ext", "jupyter_sweep")
assert "sweep" in shell.magics_manager.magics["cell"], "%%sweep is not there"
loaded = set(sys.modules) - before
"""


def loaded_by(code: str) -> set[str]:
    """Run `code`, which sets `loaded`, in a fresh interpreter and give the top-level names of what it loaded."""
    script = f"import json, sys\n{code}\nprint(json.dumps(sorted({{name.partition('.')[0] for name in loaded}})))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_the_package_loads_no_heavy_library() -> None:
    loaded = loaded_by("import jupyter_sweep\nloaded = sys.modules")
    assert "jupyter_sweep" in loaded
    assert loaded & (HEAVY | {"IPython", "sqlite3"}) == set()


def test_naming_the_vocabulary_loads_no_heavy_library() -> None:
    loaded = loaded_by(
        "from jupyter_sweep import loguniform, uniform, randint, choice, require, report, seed, folds, stage, save,"
        " checkpoint, sweep\nloaded = sys.modules"
    )
    assert loaded & (HEAVY | {"IPython"}) == set()


def test_loading_the_extension_loads_no_heavy_library() -> None:
    assert loaded_by(LOAD_EXT) & HEAVY == set()


@pytest.mark.parametrize("library", ["pandas", "dask"])
def test_the_probe_sees_a_heavy_library_that_is_loaded(library: str) -> None:
    assert library in loaded_by(f"import {library}\nloaded = sys.modules")
