"""Objects in files: what a trial saves, and results of `stage(function, *args)` that all trials share.

A stage's file is named by what decides its result: the function's code with the notebook functions, classes and values
that it reads, and its arguments by content. So an edited helper makes a new result, in any trial of any sweep. Code is
told by its byte code, which costs one new result a Python version and needs no source text.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import importlib
import mmap
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

_ATOMS = (type(None), bool, int, float, complex, str, bytes)


def call(folder: str, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Give `function(*args)`, from `folder` when any trial computed it before.

    Two trials that want one result at once: one computes, the other waits for it.
    """
    name = getattr(function, "__name__", type(function).__name__).strip("<>")
    path = os.path.join(folder, f"{name}-{content_key(function, args)}.joblib")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    found = _cached(path)
    if found:
        return found[0]
    with _locked(path + ".lock"):
        found = _cached(path)
        if found:
            return found[0]
        result = function(*args)
        dump(result, path)
        return result


def _cached(path: str) -> list[Any]:
    if not os.path.exists(path):
        return []
    try:
        return [load(path)]
    except Exception as error:  # half a file after a power cut, or of a library that changed: as good as none
        print(f"stage: {path} can't be read ({type(error).__name__}: {error}); it is computed again", file=sys.stderr)
        return []


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    with open(os.open(path, os.O_CREAT | os.O_RDWR, 0o600), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def dump(value: Any, path: str, *, durably: bool = False) -> None:
    """Write an object aside, then rename; joblib's format where there is joblib, which `joblib.load` and `load` read.

    So whoever reads finds the old object or the new one, whatever ends the writer; with `durably` a power cut, too.

    What is made of the notebook's or the body's own classes goes by value with cloudpickle, so that it can be read in
    a kernel that doesn't have them (yet); in the kernel that they came from its own classes are taken.
    """
    aside = f"{path}.{os.getpid()}.tmp"
    try:
        if not _dump_by_name(value, aside):
            cloudpickle = importlib.import_module("cloudpickle")
            with open(aside, "wb") as file:
                cloudpickle.dump(value, file)
        if durably:
            _sync(aside)
        os.replace(aside, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(aside)


def _sync(path: str) -> None:
    """Wait until a file is on the disk; a disk that can't say so is left alone."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    except OSError as error:
        print(f"{path} can't be synchronised with its disk: {error}", file=sys.stderr)
    finally:
        os.close(fd)


def forget_halves(path: str) -> None:
    """Remove what writers of a file left beside it when they were killed."""
    folder, name = os.path.split(path)
    for found in os.listdir(folder):
        if found.startswith(f"{name}.") and found.endswith(".tmp"):
            os.unlink(os.path.join(folder, found))


def _dump_by_name(value: Any, path: str) -> bool:
    """Pickle with classes and functions by name; False when that names something of the notebook, or can't be done."""
    joblib, by_value = _optional("joblib"), _optional("cloudpickle") is not None
    try:
        with open(path, "wb") as file:
            if joblib is not None:
                joblib.dump(value, file)
            else:
                pickle.dump(value, file, pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, AttributeError, TypeError):
        if by_value:
            return False
        raise
    return not (by_value and _contains(path, b"__main__"))


def _contains(path: str, text: bytes) -> bool:
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.find(text) >= 0


def load(path: str) -> Any:
    """Read what `dump` wrote; large arrays are mapped copy-on-write."""
    joblib = _optional("joblib")
    if joblib is not None:
        return joblib.load(path, mmap_mode="c")
    with open(path, "rb") as file:
        return pickle.load(file)


def _optional(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def content_key(function: Callable[..., Any], args: tuple[Any, ...]) -> str:
    """Give 32 hex digits for a function with what it reads and its arguments, by content.

    Raises
    ------
    TypeError
        When an argument or a value that the function reads can't be told by its content.
    """
    digest = _Digest()
    digest.add(function)
    for arg in args:
        digest.add(arg)
    return digest.hash.hexdigest()


class _Digest:
    """Collects everything that decides what a function computes."""

    def __init__(self) -> None:
        self.hash = hashlib.blake2b(repr(sys.version_info[:2]).encode(), digest_size=16)
        self._seen: dict[int, tuple[int, Any]] = {}  # holds the objects, so that no id is used twice

    def add(self, value: Any) -> None:
        if isinstance(value, _ATOMS):
            self._text(type(value).__name__, repr(value))
        elif id(value) in self._seen:
            self._text("seen", str(self._seen[id(value)][0]))
        else:
            self._seen[id(value)] = len(self._seen), value
            self._add_new(value)

    def _add_new(self, value: Any) -> None:
        if isinstance(value, FunctionType):
            self._function(value)
        elif isinstance(value, type):
            self._class(value)
        elif isinstance(value, ModuleType):
            self._text("module", value.__name__, str(getattr(value, "__version__", "")))
        elif isinstance(value, MethodType):
            self._all("method", value.__func__, value.__self__)
        elif isinstance(value, functools.partial):
            self._all("partial", value.func, *value.args, *sorted(value.keywords.items()))
        elif isinstance(value, BuiltinFunctionType):
            self._text("builtin", value.__module__ or "", value.__qualname__)
        elif hasattr(value, "__wrapped__"):  # lru_cache and its like pickle by name alone
            self._all("wraps", type(value), value.__wrapped__)
        elif type(value) in (list, tuple) and not all(isinstance(item, _ATOMS) for item in value):
            self._all(type(value).__name__, *value)
        elif type(value) is dict and not all(isinstance(item, _ATOMS) for item in value.values()):
            self._all("dict", *(part for item in value.items() for part in item))
        else:
            self._data(value)

    def _all(self, kind: str, *parts: Any) -> None:
        self._text(kind, str(len(parts)))
        for part in parts:
            self.add(part)

    def _text(self, *parts: str) -> None:
        self.hash.update("\0".join(parts).encode("utf-8", "surrogatepass") + b"\n")

    def _function(self, function: FunctionType) -> None:
        self._text("function", function.__module__ or "", function.__qualname__)
        if not _is_users(function.__module__, function.__globals__):
            self._library(function.__module__)
            return
        cells = [_contents(cell) for cell in function.__closure__ or ()]
        self._all("made of", function.__defaults__, function.__kwdefaults__, *cells)
        self._code(function.__code__, function.__globals__)

    def _code(self, code: CodeType, variables: dict[str, Any]) -> None:
        self._text("code", code.co_code.hex(), repr(code.co_names), repr(code.co_varnames), repr(code.co_freevars))
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                self._code(constant, variables)
            elif isinstance(constant, frozenset):
                self._text("set", *sorted(map(repr, constant)))
            else:
                self._text("constant", repr(constant))
        for name in sorted(_names_read(code) & variables.keys()):
            self._text("reads", name)
            self.add(variables[name])

    def _class(self, kind: type) -> None:
        self._text("class", kind.__module__, kind.__qualname__)
        if not _is_users(kind.__module__, {}):
            self._library(kind.__module__)
            return
        self._all("bases", *kind.__bases__)
        for name, member in sorted(vars(kind).items()):
            for inner in ("__func__", "fget", "func"):  # static and class methods, properties, cached properties
                member = getattr(member, inner, member)
            if isinstance(member, FunctionType) or not name.startswith(("__", "_abc_")):
                self._text("member", name)
                self.add(member)

    def _library(self, module: str | None) -> None:
        root = sys.modules.get((module or "").partition(".")[0])
        self._text("version", str(getattr(root, "__version__", "")))

    def _data(self, value: Any) -> None:
        self.add(type(value))
        joblib = _optional("joblib")
        try:
            data = joblib.hash(value).encode() if joblib is not None else pickle.dumps(value, 5)
        except Exception as error:
            raise TypeError(
                f"stage() tells its results apart by content, and a {type(value).__name__} has none that can be read: "
                f"{error}. Make it inside the function that is given to stage()."
            ) from error
        self._text("data", hashlib.blake2b(data, digest_size=16).hexdigest())


def _is_users(module: str | None, variables: dict[str, Any]) -> bool:
    """Tell whether code is the user's own: of the notebook, or of a local module whose source travelled."""
    loader = getattr(sys.modules.get(module or ""), "__loader__", None)
    return module in ("__main__", None) or variables.get("__name__") == "__main__" or hasattr(loader, "travelled")


def _names_read(code: CodeType) -> set[str]:
    import dis

    return {i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}


def _contents(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return None
