"""A job as its files hold it, ready to run any number of times, each time in a namespace of its own.

The namespace is unpickled anew for each trial and its large buffers are mapped copy-on-write, so that what a trial does
to a captured object no other sees. That costs the same for 1 kB as for 50 GB of arrays: pages are read when they are
touched, shared by all trials of a host, and copied when they are written to.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import linecache
import mmap
import os
import pickle
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

from . import words
from .body import Body

_MAX_JOBS = 4


class Loaded(NamedTuple):
    """One trial's own copy of what was captured."""

    namespace: dict[str, Any]
    choices: Mapping[str, Sequence[Sequence[Any]]]
    function: Callable[..., Any] | None


class Job:
    """One job file with what it names. `folder` is the store's data folder."""

    def __init__(self, folder: str, name: str) -> None:
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            self._data = json.load(file)
        self.targets: tuple[str, ...] = tuple(self._data["targets"])
        self.path: list[str] = self._data.get("path", [])
        self.modules: dict[str, dict[str, Any]] = self._data.get("modules", {})
        self._folder = folder
        with open(os.path.join(folder, self._data["namespace"]), "rb") as pickled:
            self._pickled = pickled.read()
        self._bodies: dict[str, Body] = {}
        #: Whether body or captured functions may call `get_ipython()`, as shell commands and magics do.
        self.uses_shell = "get_ipython" in self._data["source"] or b"get_ipython" in self._pickled
        #: Whether any of it may choose a back end of joblib's.
        self.uses_joblib = any(map(self._mentions, ("parallel_config", "parallel_backend")))

    def _mentions(self, word: str) -> bool:
        own = (self._data["source"], *(module["source"] for module in self.modules.values()))
        return any(word in source for source in own) or word.encode() in self._pickled

    def body(self, title: str) -> Body:
        """Give the compiled body; `title` names it in tracebacks."""
        if title not in self._bodies:
            data = self._data
            self._bodies[title] = Body(data["source"], data["sites"], data.get("line_offset", 0), title)
        return self._bodies[title]

    def load(self) -> Loaded:
        """Unpickle everything captured."""
        _forget_classes()
        found = pickle.loads(self._pickled, buffers=[self._map(*b) for b in self._data.get("buffers", [])])
        anchor = found.get("anchor")
        namespace: dict[str, Any] = {} if anchor is None else anchor.__globals__
        namespace.update(found["names"])
        namespace["__name__"] = "__main__"
        return Loaded(namespace, found.get("choices", {}), found.get("job"))

    def _map(self, name: str, nbytes: int) -> mmap.mmap:
        with open(os.path.join(self._folder, name), "rb") as file:
            return mmap.mmap(file.fileno(), nbytes, access=mmap.ACCESS_COPY)


def _forget_classes() -> None:
    """Make cloudpickle build notebook classes anew: it would give this trial the class objects of the one before."""
    cloudpickle = sys.modules.get("cloudpickle.cloudpickle")
    for name in ("_DYNAMIC_CLASS_TRACKER_BY_ID", "_DYNAMIC_CLASS_TRACKER_BY_CLASS"):
        getattr(cloudpickle, name, {}).clear()


class Jobs:
    """The last few jobs, parsed and compiled."""

    def __init__(self) -> None:
        self._jobs: dict[tuple[str, str], Job] = {}

    def get(self, folder: str, name: str) -> Job:
        job = self._jobs.pop((folder, name), None) or Job(folder, name)
        self._jobs[folder, name] = job
        while len(self._jobs) > _MAX_JOBS:
            del self._jobs[next(iter(self._jobs))]
        return job


def drawn(params: Mapping[str, Any], choices: Mapping[str, Sequence[Sequence[Any]]]) -> dict[str, Any]:
    """Give the trial's parameters as Python values; a choice that JSON can't hold is taken from the job's pickle."""
    return {name: _value(data, choices.get(name, ())) for name, data in params.items()}


def _value(data: Any, objects: Sequence[Sequence[Any]]) -> Any:
    for encoded, value in objects:
        if json.dumps(encoded, sort_keys=True) == json.dumps(data, sort_keys=True):
            return value
    if isinstance(data, list):
        return [_value(item, objects) for item in data]
    if not isinstance(data, dict):
        return data
    if "__tuple__" in data:
        return tuple(_value(item, objects) for item in data["__tuple__"])
    if "__dict__" in data:
        return {_value(name, objects): _value(item, objects) for name, item in data["__dict__"]}
    if "__object__" in data:
        raise ValueError(f"the choice {data['__object__']} did not travel with the job")
    return {name: _value(item, objects) for name, item in data.items()}


class LocalModules:
    """Finds the user's own modules by the source that travelled with the job, before any file of that name.

    `__file__` and a package's `__path__` are those at home, so that data files beside a module are found where the
    folder is shared.
    """

    def __init__(self, modules: Mapping[str, Mapping[str, Any]]) -> None:
        self.modules = modules

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        found = self.modules.get(name) or words.module(name, but=self)
        if found is None:
            return None
        folders = [os.path.dirname(found["path"])] if found["package"] else None
        loader = _SourceLoader(name, found["path"], found["source"])
        return importlib.util.spec_from_file_location(
            name, found["path"], loader=loader, submodule_search_locations=folders
        )


class _SourceLoader(importlib.machinery.SourceFileLoader):
    """Loads from a text in hand what a file loader reads from its file; neither reads nor writes byte code."""

    travelled = True

    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self._source = source

    def get_code(self, fullname: str) -> Any:
        lines = self._source.splitlines(keepends=True)
        linecache.cache[self.path] = (len(self._source), None, lines, self.path)  # its file may be a newer version
        return compile(self._source, self.path, "exec", dont_inherit=True)

    def get_source(self, fullname: str) -> str:
        return self._source
