"""Holds every import of the package against the floors it is built in: all of them, also late ones inside functions.

The law: a file imports only from lower floors or from its own room (a folder, or a file at the top). Rooms on one floor
do not know each other. A foreign library comes in by its own door, late, inside a function, so that `%load_ext` stays
quick. `worker` travels as source text and needs nothing but the standard library.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from jupyter_sweep import plugins

PACKAGE = Path(plugins.__file__).parent
NAME = "jupyter_sweep"

#: From the ground up. `vocabulary` makes parameters of `space`, `jobs` finds them in a cell: steps within one floor.
FLOORS: list[set[str]] = [
    {"errors", "interrupts", "worker"},
    {"trial", "space", "plugins", "units"},
    {"vocabulary"},
    {"jobs"},
    {"definition", "proposers", "pruners", "executors"},
    {"trackers"},
    {"store", "notation"},
    {"runner", "results"},
    {"ledger"},
    {"snapshot"},
    {"handle"},
    {"live", "notify", "parallel"},
    {"magics", "widgets", "server", "cli"},
    {"__init__", "__main__"},
]
#: Faces may name their own foreign library at the top of a file: they are loaded when it is there already.
FACES = FLOORS[-2]

#: Foreign library -> the files and folders that may import it.
DOORS: dict[str, tuple[str, ...]] = {
    "IPython": ("__init__.py", "cli/shell.py", "magics/", "widgets/view.py"),
    "anywidget": ("widgets/config_page.py", "widgets/form_page.py", "widgets/page.py"),
    "asyncssh": ("executors/backends/ssh_link.py",),
    "cloudpickle": ("jobs/pickling.py",),
    "cryptography": ("executors/backends/jobqueue_script.py",),
    "dask": ("executors/backends/",),
    "dask_jobqueue": ("executors/backends/jobqueue_script.py",),
    "distributed": (
        "executors/backends/base.py",
        "executors/backends/jobqueue_script.py",
        "executors/backends/ssh_agent.py",
        "executors/remote.py",
    ),
    "jupyter_core": ("notation/profiles.py",),
    "jupyter_server": ("server/extension.py", "server/handlers.py"),
    "joblib": ("jobs/artifacts.py", "parallel.py"),
    "matplotlib": ("results/canvas.py",),
    "mlflow": ("trackers/mlflow.py",),
    "numpy": ("results/",),
    "optuna": ("proposers/optuna.py", "results/study.py"),
    "pandas": ("results/frame.py",),
    "psutil": ("store/leases.py",),
    "scipy": ("proposers/simple.py",),
    "sqlite3": ("store/",),
    "tensorboard": ("trackers/tensorboard.py",),
    "tornado": ("server/handlers.py",),
    "traitlets": ("cli/shell.py", "widgets/config_page.py", "widgets/form_page.py", "widgets/page.py"),
    "wandb": ("trackers/wandb.py",),
    "yaml": ("results/script.py",),
}


class Import(NamedTuple):
    """One import: the file (relative to the package), the line, the absolute target, and when it is done."""

    file: str
    line: int
    target: str
    when: str  # "module", "late" (inside a function) or "types" (under TYPE_CHECKING)

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.target}"

    @property
    def ours(self) -> bool:
        return self.target.partition(".")[0] == NAME


def imports_of(package: Path) -> list[Import]:
    """Give every import of every file under `package`."""
    return [found for path in sorted(package.rglob("*.py")) for found in _imports_of_file(package, path)]


def _imports_of_file(package: Path, path: Path) -> Iterator[Import]:
    file = path.relative_to(package).as_posix()
    for node, when in _statements(ast.parse(path.read_text(encoding="utf-8")), "module"):
        for target in _targets(package, path, node):
            yield Import(file, node.lineno, target, when)


def _statements(node: ast.AST, when: str) -> Iterator[tuple[ast.Import | ast.ImportFrom, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, when
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _statements(child, "late")
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from _statements(child, "types")
        else:
            yield from _statements(child, when)


def _targets(package: Path, path: Path, node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    base = (node.module or "").split(".") if node.module else []
    if node.level:
        here = [NAME, *path.relative_to(package).parent.parts]
        base = here[: len(here) - node.level + 1] + base
    for alias in node.names:
        inner = package.joinpath(*base[1:], alias.name) if base[:1] == [NAME] else None
        is_module = inner is not None and (inner.is_dir() or inner.with_suffix(".py").exists())
        yield ".".join([*base, alias.name] if is_module else base)


def room(name: str) -> str:
    """Give the room of a file ("store/sqlite.py" -> "store") or of a module ("jupyter_sweep.store" -> "store")."""
    if name.endswith(".py"):
        return name.partition("/")[0].removesuffix(".py")
    return [*name.split("."), "__init__"][1]


def floor(name: str) -> int:
    """Give the floor of a room, counted from 0; -1 for a room that has no place yet."""
    return next((i for i, rooms in enumerate(FLOORS) if name in rooms), -1)


def not_downwards(found: list[Import]) -> list[str]:
    """Name the imports of our own modules that run upwards or sideways."""
    return [
        str(i)
        for i in found
        if i.ours and room(i.file) != room(i.target) and floor(room(i.target)) >= floor(room(i.file))
    ]


def by_another_door(found: list[Import]) -> list[str]:
    """Name the imports of foreign libraries that are early, or in a file that is not their door."""
    wrong = []
    for i in found:
        library = i.target.partition(".")[0]
        if i.ours or i.when == "types" or not (_is_foreign(i) or library in DOORS):
            continue
        if not any(i.file.startswith(door) for door in DOORS.get(library, ())):
            wrong.append(f"{i}: not a door of {library}")
        elif _is_foreign(i) and i.when == "module" and room(i.file) not in FACES:
            wrong.append(f"{i}: at the top of the file, not inside the function that needs it")
    return wrong


def _is_foreign(found: Import) -> bool:
    return found.target.partition(".")[0] not in sys.stdlib_module_names


def loops(found: list[Import]) -> list[str]:
    """Name the import loops among modules, counting what runs while a module is being loaded."""
    edges: dict[str, set[str]] = {}
    for i in found:
        if i.ours and i.when == "module":
            edges.setdefault(_module(i.file), set()).add(i.target)
    wrong, done = [], set()

    def walk(module: str, path: list[str]) -> None:
        if module in path:
            wrong.append(" -> ".join([*path[path.index(module) :], module]))
        elif module not in done:
            for target in sorted(edges.get(module, ())):
                walk(target, [*path, module])
            done.add(module)

    for module in sorted(edges):
        walk(module, [])
    return wrong


def _module(file: str) -> str:
    return ".".join([NAME, *file.removesuffix(".py").split("/")]).removesuffix(".__init__")


def too_long(package: Path) -> list[str]:
    """Name the files over 500 lines and the functions over 60."""
    wrong = []
    for path in sorted(package.rglob("*.py")):
        text, file = path.read_text(encoding="utf-8"), path.relative_to(package).as_posix()
        if text.count("\n") > 500:
            wrong.append(f"{file}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > 60:
                    wrong.append(f"{file}:{node.lineno} {node.name}: {lines} lines")
    return wrong


def test_every_room_has_a_floor() -> None:
    rooms = {room(p.relative_to(PACKAGE).as_posix()) for p in PACKAGE.rglob("*.py")}
    assert [r for r in sorted(rooms) if floor(r) < 0] == []


def test_imports_run_downwards_only() -> None:
    assert not_downwards(imports_of(PACKAGE)) == []


def test_a_foreign_library_comes_in_late_and_by_its_own_door() -> None:
    assert by_another_door(imports_of(PACKAGE)) == []


def test_no_door_stands_unused() -> None:
    used = {(i.target.partition(".")[0], i.file) for i in imports_of(PACKAGE) if i.when != "types"}
    doors = [(library, door) for library, doors in DOORS.items() for door in doors]
    unused = [(name, door) for name, door in doors if not any(n == name and f.startswith(door) for n, f in used)]
    assert unused == []


def test_no_modules_load_each_other_in_a_loop() -> None:
    assert loops(imports_of(PACKAGE)) == []


def test_the_worker_needs_the_standard_library_only() -> None:
    found = [i for i in imports_of(PACKAGE) if room(i.file) == "worker"]
    assert found
    assert [str(i) for i in found if not (i.ours and room(i.target) == "worker") and _is_foreign(i)] == []


def test_no_file_and_no_function_is_too_long() -> None:
    assert too_long(PACKAGE) == []


def test_every_built_in_name_leads_to_a_class() -> None:
    for kind, table in plugins.BUILT_IN.items():
        for name in table:
            assert callable(plugins.load(kind, name)), f"{kind} {name}"


SEEDED = {
    "upwards": ("space/a.py", "from ..store import sqlite\n", "not_downwards"),
    "upwards, by the absolute name": ("space/a.py", "import jupyter_sweep.live\n", "not_downwards"),
    "upwards, for types only": (
        "trial.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from . import live\n",
        "not_downwards",
    ),
    "upwards, late": ("store/a.py", "def f():\n    from ..runner import loop\n", "not_downwards"),
    "sideways": ("proposers/a.py", "from ..pruners.b import Never\n", "not_downwards"),
    "a face to a face": ("widgets/a.py", "from .. import magics\n", "not_downwards"),
    "the whole package from inside": ("live.py", "def f():\n    from jupyter_sweep import run\n", "not_downwards"),
    "another door": ("runner/a.py", "def f():\n    import pandas as pd\n", "by_another_door"),
    "the right door, early": ("results/canvas.py", "import matplotlib.figure\n", "by_another_door"),
    "a library without a door": ("live.py", "def f():\n    import requests\n", "by_another_door"),
    "the store's library elsewhere": ("live.py", "def f():\n    import sqlite3\n", "by_another_door"),
    "a loop of three": ("space/a.py", "from . import b\n", "loops"),
}


@pytest.mark.parametrize("case", SEEDED)
def test_a_seeded_violation_is_found(case: str, tmp_path: Path) -> None:
    file, text, law = SEEDED[case]
    files = {
        "__init__.py": "from .live import run\n",
        "space/b.py": "from .c import x\n",
        "space/c.py": "from .a import y\n",
        "store/sqlite.py": "import sqlite3\n",
        "magics/__init__.py": "from IPython.core.magic import Magics\n",
        "live.py": "from .store import sqlite\n",
    }
    for name, content in {**files, file: text}.items():
        path = tmp_path / NAME / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    found = {check.__name__: check(imports_of(tmp_path / NAME)) for check in (not_downwards, by_another_door, loops)}
    assert len(found.pop(law)) == 1
    assert found == {check: [] for check in found}


def test_what_the_floors_allow_is_not_held_against_a_file(tmp_path: Path) -> None:
    package = tmp_path / NAME
    (package / "store").mkdir(parents=True)
    (package / "trial.py").write_text("import enum\nfrom .errors import SweepError\n")
    (package / "errors.py").write_text("import difflib\n")
    (package / "store" / "sqlite.py").write_text("import sqlite3\nfrom .. import trial\nfrom . import schema\n")
    (package / "store" / "schema.py").write_text("")
    found = imports_of(package)
    assert len(found) == 6
    assert not_downwards(found) + by_another_door(found) + loops(found) + too_long(package) == []


def test_a_long_function_and_a_long_file_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def f():\n" + "    x = 1\n" * 60)
    (tmp_path / "b.py").write_text("x = 1\n" * 501)
    assert len(too_long(tmp_path)) == 2
