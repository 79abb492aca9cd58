"""`class:module.Class` and its options: found, held against the signature of the class, put into words.

Reading loads nothing. `bound` imports the class, so it is for the profile that is used and not for all of a file.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import Any

from ... import units
from ...errors import Mistake, Mistakes, SweepError, suggest
from .adapt import read_adapt

#: Package -> the extra of ours that brings it.
EXTRAS = {"dask_cloudprovider": "cloud", "dask_kubernetes": "k8s", "dask_gateway": "k8s"}
#: Options of ours; all others are arguments of the class.
OURS = {"workers": None, "adapt": None, "idle": "5m", "start_within": "15m"}


def read(word: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Read "class:module.Class" and the options of its profile.

    Returns
    -------
    dict
        `class` (dotted name), `arguments` (for the class), `workers` (how many are asked of it, or None), `adapt`
        (limits in slots, or None), `idle_s`, `start_s`.
    """
    dotted = word.partition(":")[2]
    wrong: list[Mistake] = []
    if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", dotted):
        wrong.append(Mistake(f"--on {word} can't be read: wanted is class:module.Class", fix=f"as in {_EXAMPLE}"))
    ours = {name: options.get(name, default) for name, default in OURS.items()}
    times = {}
    for name in ("idle", "start_within"):
        try:
            times[name] = units.duration(str(ours[name]))
        except SweepError as error:
            wrong.append(Mistake(f"{name} {error}"))
    workers = ours["workers"]
    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
        wrong.append(Mistake(f"workers wants a whole number from 1, got {workers!r}"))
    if workers is not None and ours["adapt"] is not None:
        wrong.append(Mistake("workers and adapt exclude each other: a fixed number, or one that follows demand"))
    adapt = None
    if ours["adapt"] is not None:
        try:
            adapt = read_adapt(ours["adapt"])
        except Mistakes as error:
            wrong += error.mistakes
    if wrong:
        raise Mistakes(wrong)
    arguments = {name: value for name, value in options.items() if name not in OURS}
    return {
        "class": dotted,
        "arguments": arguments,
        "workers": workers,
        "adapt": adapt,
        "idle_s": times["idle"],
        "start_s": times["start_within"],
    }


_EXAMPLE = "class:dask_cloudprovider.aws.EC2Cluster"


def bound(settings: Mapping[str, Any]) -> Callable[..., Any]:
    """Give the class, after holding the arguments against its signature.

    Raises
    ------
    Mistakes
        With every argument that it has not, and those that it must have.
    """
    made = found(settings["class"])
    allowed, needed, open_end = _keywords(made)
    given = settings["arguments"]
    wrong = [f"{settings['class']} needs {name}." for name in needed if name not in given]
    if not open_end:
        names = [*allowed, *OURS]
        wrong += [f"{settings['class']} has no option {n!r}.{suggest(n, names)}" for n in given if n not in allowed]
    if wrong:
        raise Mistakes(Mistake(text) for text in wrong)
    return made


def found(dotted: str) -> Callable[..., Any]:
    """Import the class."""
    module, _, name = dotted.rpartition(".")
    try:
        home = importlib.import_module(module)
    except ImportError as error:
        raise SweepError(f"--on class:{dotted}: {_unloadable(module, error)}") from error
    except Exception as error:
        raise SweepError(f"--on class:{dotted}: importing {module} fails: {type(error).__name__}: {error}") from error
    made = getattr(home, name, None)
    if not callable(made):
        classes = [n for n, value in vars(home).items() if isinstance(value, type) and not n.startswith("_")]
        raise SweepError(f"--on class:{dotted}: {module} has no class {name!r}.{suggest(name, classes)}")
    return made  # type: ignore[no-any-return]


def _unloadable(module: str, error: ImportError) -> str:
    package = module.partition(".")[0]
    extra = EXTRAS.get(package)
    how = f"pip install 'jupyter-sweep[{extra}]'" if extra else f"pip install {package.replace('_', '-')}"
    if (error.name or "").partition(".")[0] == package and importlib.util.find_spec(package) is None:
        return f"the package {package!r} is not installed. Install it with: {how}"
    said = " ".join(str(error).split())
    return f"importing {module} fails: {said}" + (f" Perhaps a part of it is missing: {how}" if extra else "")


def _keywords(made: Callable[..., Any]) -> tuple[list[str], list[str], bool]:
    """Give the keywords that a class takes, those that it must have, and whether it takes any others, too.

    What `**options` of a class takes goes to its parents, as far as their signatures say.
    """
    functions: list[Any] = [made]
    if isinstance(made, type):
        functions = [cls.__dict__["__init__"] for cls in made.__mro__ if "__init__" in cls.__dict__]
    names: list[str] = []
    needed: list[str] = []
    for depth, function in enumerate(functions):
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):  # written in C
            return names, needed, True
        own = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name != "self"]
        names += [p.name for p in own]
        if depth == 0:
            needed = [p.name for p in own if p.default is p.empty]
        if function is object.__init__:
            return names, needed, True
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return names, needed, False
    return names, needed, True


def package_of(dotted: str) -> str:
    """Name the package that a class comes with, and its release."""
    top = dotted.partition(".")[0]
    for name in packages_distributions().get(top, [top]):
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            continue
    return top
