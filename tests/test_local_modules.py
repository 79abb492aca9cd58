"""Local modules: they travel as source, their files count, and nothing is imported to find out."""

from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from captures import captured, notebook, run_in_trial

from jupyter_sweep.errors import Mistakes
from jupyter_sweep.jobs.capture import Capture

Trial = Callable[[Capture, str], str]


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    """Run code in a fresh process, in the namespace that a capture makes there; give its output."""
    return partial(run_in_trial, tmp_path / "elsewhere" / ".data")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a notebook's folder on the import path; what was imported from it is forgotten afterwards."""
    place = tmp_path / "book"
    place.mkdir()
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield place
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(place)):
            del sys.modules[name]
    importlib.invalidate_caches()


def write(folder: Path, **files: str) -> None:
    for name, source in files.items():
        path = folder / (name.replace("__", "/").replace("/init", "/__init__") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
    importlib.invalidate_caches()


def test_local_modules_travel_with_all_that_they_import(folder: Path, trial: Trial) -> None:
    write(
        folder,
        helpers="import pkg.sub\nfrom pkg import other\ndef f(x): return pkg.sub.g(x) + other.K",
        pkg__init="",
        pkg__sub="from .deep import h\nfrom . import other\ndef g(x): return h(x) * other.K",
        pkg__other="K = 10",
        pkg__deep="def h(x):\n    import late\n    return x + late.L",
        pkg__unused="raise RuntimeError('nobody imports this')",
        late="L = 0.5",
        space__inner="V = 1",
    )
    names = notebook("from helpers import f\nimport space.inner as inner\ndef call(x): return f(x) + inner.V")
    what = captured(names, "call", folder=folder)
    expected = {"helpers", "pkg", "pkg.sub", "pkg.other", "pkg.deep", "late", "space", "space.inner"}
    assert set(what.modules) == expected
    assert trial(what, "print(call(1))") == "26.0"


def test_imports_of_the_body_and_of_functions_travel_without_being_run(folder: Path, trial: Trial) -> None:
    write(folder, one="print('one')", two="print('two')\nV = 2", three="V = 3")
    names = notebook("def f():\n    import two\n    return two.V")
    what = captured(
        names, "f", "import one\nfrom importlib import import_module\nimport_module('three')", folder=folder
    )
    assert set(what.modules) == {"one", "two", "three"}
    assert not {"one", "two", "three"} & set(sys.modules)
    assert trial(what, "print(f())") == "two\n2"


@pytest.mark.parametrize("how", ["import helpers", "from helpers import f", "from helpers import C; c = C()", ""])
def test_an_edited_local_module_counts_and_a_comment_in_it_does_not(how: str, folder: Path) -> None:
    write(folder, helpers="import deep\ndef f(): return deep.V\nclass C: pass\n", deep="V = 1\n")
    names = notebook(how)
    wanted = " ".join(set(names) & {"helpers", "f", "c"})
    body = "" if how else "import helpers"

    def digest() -> str:
        return captured(names, wanted, body, folder=folder).digest

    before = digest()
    write(folder, helpers="'''Doc.'''\nimport deep  # why\ndef f():\n    return deep.V\nclass C:\n  'Doc.'\n  pass\n")
    assert digest() == before
    write(folder, deep="V = 2\n")
    middle = digest()
    write(folder, helpers="import deep\ndef f(): return -deep.V\nclass C: pass\n")
    assert len({before, middle, digest()}) == 3


def test_the_file_of_a_local_module_counts_and_a_difference_is_told(folder: Path, trial: Trial) -> None:
    write(folder, helpers="def f(): return 1\nK = 1\nTABLE = [f()]\n")
    names = notebook("import helpers")
    assert captured(names, "helpers", folder=folder).warnings == []
    for source in ("def f(): return 2\nK = 1\nTABLE = [f()]\n", "def f(): return 1\nK = 2\nTABLE = [f()]\n",
                   "def f(): return 1\nK = 1\nTABLE = [f()]\ndef g(): pass\n",
                   "def f(): return 1\nK = 1\nTABLE = [f(), 2]\n"):  # fmt: skip
        write(folder, helpers=source)
        what = captured(names, "helpers", folder=folder)
        assert ["helpers" in warning for warning in what.warnings] == [True], source
    assert trial(what, "print(helpers.TABLE)") == "[1, 2]"
    write(folder, helpers="'''Doc.'''\n# moved\ndef f():\n    'Doc.'\n    return 1\nK = 1\nTABLE = [f()]\n")
    assert captured(names, "helpers", folder=folder).warnings == []


def test_a_module_loaded_anew_differs_no_more(folder: Path) -> None:
    write(folder, helpers="TABLE = [1 + 1]\n")
    names = notebook("import helpers")
    assert captured(names, "helpers", folder=folder).warnings == []
    write(folder, helpers="TABLE = [1 + 2]\n")
    assert len(captured(names, "helpers", folder=folder).warnings) == 1
    importlib.reload(names["helpers"])
    assert captured(names, "helpers", folder=folder).warnings == []


def test_a_broken_local_module_is_a_mistake_that_names_file_and_line(folder: Path) -> None:
    write(folder, helpers="V = 1\ndef f(:\n")
    with pytest.raises(Mistakes, match=r"helpers\.py, line 2"):
        captured(notebook(), "", "import helpers", folder=folder)


def test_installed_modules_count_by_version_and_do_not_travel() -> None:
    what = captured(notebook("import numpy as np"), "np", "import json\nimport pandas")
    assert what.modules == {}
    assert what.digest != captured(notebook("import numpy as np"), "np", "import json").digest
