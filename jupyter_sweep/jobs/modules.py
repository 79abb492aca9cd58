"""Where imported code comes from, and what it is identified by.

- standard library: by name; installed: by name and version; `jupyter_sweep`: by name;
- local (a file beside the notebook, on `sys.path`, or installed in editable mode): by the syntax trees of its file and
  of all local modules that the file imports, and by the versions of what else it imports. Its source travels with the
  job, because a worker elsewhere has no such file, and a function whose module is missing there hangs instead.

A local module's file counts, not the module as loaded: trials start from the file. Names are resolved with the finders
of `sys.meta_path`, parent by parent; `importlib.util.find_spec` was rejected because it imports the parents.
"""

from __future__ import annotations

import ast
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ..errors import SweepError
from .digest_graph import mix
from .digest_tree import text_bytes
from .loaded import Loaded
from .origins import origin_kind, version

_OWN = __name__.partition(".")[0]


@dataclass(frozen=True)
class LocalModule:
    """A module whose source travels with the job. `package`: its file is an `__init__.py` (perhaps only in name)."""

    name: str
    path: str
    package: bool
    source: str


@dataclass(frozen=True)
class _Found:
    """What is known of a name. `kind`: missing, main, stdlib, own, installed or local; the rest is for local ones."""

    kind: str
    own: bytes = b""
    imports: tuple[str, ...] = ()
    module: LocalModule | None = None


class Modules:
    """Identity of modules in one capture; each file is read once.

    Parameters
    ----------
    folder
        The notebook's folder, searched before `sys.path`.
    """

    def __init__(self, folder: str = "") -> None:
        self._folder = folder
        self._found: dict[str, _Found] = {}
        self._specs: dict[str, importlib.machinery.ModuleSpec | None] = {}
        self._used: set[str] = set()

    def kind(self, name: str) -> str:
        """Tell where a module comes from: missing, main, stdlib, own, installed or local."""
        return self._find(name).kind

    def identity(self, name: str) -> bytes:
        """Give the identity of module `name` and mark it as used.

        Raises
        ------
        SweepError
            When the file of a local module can't be read or is not Python.
        """
        self._used.add(name)
        found = self._find(name)
        if found.kind == "installed":
            return mix("installed", name, version(name.partition(".")[0]))
        if found.kind != "local":
            return mix(found.kind, name)
        reached = sorted(self._reach([name]))
        own = [mix(n, self._find(n).own) for n in reached if self.kind(n) == "local"]
        tops = sorted({n.partition(".")[0] for n in reached if self.kind(n) == "installed"})
        return mix("local", name, *own, *(mix(top, version(top)) for top in tops))

    def imports(self, tree: ast.AST, package: str = "") -> list[str]:
        """Give the modules that code imports, anywhere in its tree, with their parents; sorted.

        Parameters
        ----------
        tree
            Any code.
        package
            Where relative imports begin; empty for a notebook.
        """
        names: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                names.update(self._from(node, package))
            elif isinstance(node, ast.Call):
                names.update(_dynamic(node))
        return sorted({parent for name in names for parent in _lineage(name)})

    def within(self, package: str, attributes: Collection[str]) -> list[str]:
        """Give the modules of a local package that code with these attribute names can mean, loaded or not.

        Of an installed package the version says all; and which of its modules are loaded differs between kernels.
        """
        found: list[str] = []
        pending = [package]
        while pending:
            name = pending.pop()
            module = self._find(name).module
            if module is not None and module.package:
                inner = [f"{name}.{each}" for each in attributes]
                pending += [each for each in inner if self._spec(each) is not None]
            found += [name] if name != package else []
        return sorted(found)

    def local(self) -> dict[str, LocalModule]:
        """Give the local modules that were used, and those that they import."""
        found = ((name, self._find(name).module) for name in sorted(self._reach(self._used)))
        return {name: module for name, module in found if module is not None}

    def compiled(self) -> list[str]:
        """Give the local modules in use that have no source to travel: extensions."""
        return [n for n in sorted(self._reach(self._used)) if self.kind(n) == "local" and not self._find(n).module]

    def differing(self) -> list[str]:
        """Give the local modules in use whose file no longer says what this process has loaded."""
        return [name for name, module in self.local().items() if _LOADED.differs(name, module.source)]

    def _from(self, node: ast.ImportFrom, package: str) -> list[str]:
        above = package.split(".") if node.level else []
        base = ".".join([*above[: len(above) - node.level + 1], *([node.module] if node.module else [])])
        if not base:
            return []
        inside = [f"{base}.{alias.name}" for alias in node.names] if self.kind(base) == "local" else []
        return [base, *(name for name in inside if self._spec(name) is not None)]

    def _reach(self, names: Iterable[str]) -> set[str]:
        """Give `names` with everything that the local ones among them import, directly or not."""
        seen: set[str] = set()
        pending = list(names)
        while pending:
            name = pending.pop()
            if name not in seen:
                seen.add(name)
                pending.extend([*self._find(name).imports, *_lineage(name)])
        return seen

    def _find(self, name: str) -> _Found:
        if name not in self._found:
            self._found[name] = self._look(name)
        return self._found[name]

    def _look(self, name: str) -> _Found:
        top = name.partition(".")[0]
        if top in ("__main__", "__mp_main__"):
            return _Found("main")
        if top == _OWN:
            return _Found("own")
        spec = self._spec(name)
        places = self._locations(spec) if spec is not None else []
        if spec is None or (spec.origin is None and not places):
            return self._without_file(name)
        kind = "stdlib" if spec.origin in ("built-in", "frozen") else origin_kind(spec.origin or places[0])
        return self._read(name, spec, places) if kind == "local" else _Found(kind)

    def _without_file(self, name: str) -> _Found:
        """Judge a module made in memory, as extensions do for their inner parts, by the package it belongs to."""
        parent, _, tail = name.rpartition(".")
        kind = self.kind(parent) if parent else "stdlib" if tail in sys.stdlib_module_names else "missing"
        return _Found(kind if kind in ("stdlib", "installed", "own") else "missing")

    def _read(self, name: str, spec: importlib.machinery.ModuleSpec, places: list[str]) -> _Found:
        """Read the file of a local module; a folder without `__init__.py` is a package with an empty one."""
        if spec.origin is None:
            return _Found("local", module=LocalModule(name, os.path.join(places[0], "__init__.py"), True, ""))
        try:
            with open(spec.origin, "rb") as file:
                data = file.read()
            if not spec.origin.endswith((".py", ".pyw")):
                return _Found("local", mix(data))
            source = importlib.util.decode_source(data)
            tree = ast.parse(source)
        except OSError as error:
            raise SweepError(f"module {name}: {spec.origin} can't be read: {error.strerror}") from None
        except (SyntaxError, UnicodeDecodeError) as error:
            where = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
            raise SweepError(f"module {name}: {spec.origin}{where} is not valid Python: {error}") from None
        is_package = spec.submodule_search_locations is not None
        imports = self.imports(tree, name if is_package else name.rpartition(".")[0])
        return _Found("local", text_bytes(source), tuple(imports), LocalModule(name, spec.origin, is_package, source))

    def _spec(self, name: str) -> importlib.machinery.ModuleSpec | None:
        if name not in self._specs:
            spec = getattr(sys.modules.get(name), "__spec__", None)
            self._specs[name] = spec if spec is not None else self._search(name)
        return self._specs[name]

    def _search(self, name: str) -> importlib.machinery.ModuleSpec | None:
        """Find a module that is not loaded, without importing anything."""
        parent = name.rpartition(".")[0]
        if not parent:
            beside = importlib.machinery.PathFinder.find_spec(name, [self._folder]) if self._folder else None
            return beside if beside is not None and beside.origin else _ask(name, None)
        above = self._spec(parent)
        if above is None or above.submodule_search_locations is None:
            return None
        return _ask(name, self._locations(above))

    def _locations(self, spec: importlib.machinery.ModuleSpec) -> list[str]:
        """Give the folders of a package; those of a namespace package are not asked for, as that imports its parent."""
        if spec.origin is not None:
            return list(spec.submodule_search_locations or ())
        parent, _, tail = spec.name.rpartition(".")
        above = self._spec(parent) if parent else None
        roots = self._locations(above) if above else [self._folder, *sys.path]
        return [path for root in roots if os.path.isdir(path := os.path.join(root, tail))]


_LOADED = Loaded()


def submodules(name: str, attributes: Iterable[str]) -> list[str]:
    """Give the loaded submodules of package `name` that code with these attribute names can mean.

    After `import sklearn.svm` the notebook's name is `sklearn`; importing that alone elsewhere brings no `sklearn.svm`.
    """
    known = set(attributes)
    head = name + "."
    return sorted(
        full for full in list(sys.modules) if full.startswith(head) and known.issuperset(full[len(head) :].split("."))
    )


def _lineage(name: str) -> list[str]:
    """Give a module's parents and itself: "a.b" -> "a", "a.b"."""
    parts = name.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


def _ask(name: str, path: list[str] | None) -> importlib.machinery.ModuleSpec | None:
    for finder in sys.meta_path:
        spec = finder.find_spec(name, path) if hasattr(finder, "find_spec") else None
        if spec is not None:
            return spec
    return None


def _dynamic(call: ast.Call) -> list[str]:
    """Give the module named by `import_module("x")` or `__import__("x")`."""
    function = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    first = call.args[0] if call.args else None
    if function not in ("import_module", "__import__") or not isinstance(first, ast.Constant):
        return []
    return [first.value] if isinstance(first.value, str) and not first.value.startswith(".") else []
