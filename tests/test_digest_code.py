"""Digests of functions and classes: blind to comments and moves, sharp for all that they refer to."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import random
import textwrap
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from captures import cell, run_script

from jupyter_sweep.jobs.digest import digest_tree, digest_value
from jupyter_sweep.jobs.loaded import Loaded
from jupyter_sweep.jobs.sources import Sources

GOLDEN = Path(__file__).parent / "golden"


def digest_of(source: str, name: str = "f") -> str:
    return digest_value(cell(source)[name])


def tree(source: str) -> str:
    return digest_tree(ast.parse(textwrap.dedent(source)))


# functions and classes

_HELPERS = """
    import functools
    K = 3
    def inner(x): return x * K
    def helper(x): return inner(x) + 1
    def f(x, y=5): return helper(x) + y
"""


@pytest.mark.parametrize(
    "same",
    [
        _HELPERS.replace("def f(x, y=5): return", "\n\n    def f(x, y=5):\n        '''Documented.'''\n        return"),
        _HELPERS.replace("x * K", "x*K  # a comment"),
        "    unrelated = 1\n" + _HELPERS + "    K2 = 4\n",
    ],
)
def test_a_function_is_the_same_after_comments_and_moves(same: str) -> None:
    assert digest_of(same) == digest_of(_HELPERS)


@pytest.mark.parametrize(
    ("old", "new"),
    [("K = 3", "K = 3.0"), ("x * K", "x / K"), ("inner(x) + 1", "inner(x) + 2"), ("y=5", "y=6"),
     ("    def helper", "    @functools.cache\n    def helper")],
)  # fmt: skip
def test_a_function_changes_with_all_that_it_refers_to(old: str, new: str) -> None:
    assert digest_of(_HELPERS.replace(old, new, 1)) != digest_of(_HELPERS)


def test_the_order_of_definitions_does_not_count() -> None:
    one, other = "def even(n): return n == 0 or odd(n - 1)\n", "def odd(n): return n != 0 and even(n - 1)\n"
    for name in ("even", "odd"):
        assert digest_of(one + other, name) == digest_of(other + one, name)
    assert digest_of(one + other, "even") != digest_of(one + other, "odd")
    assert digest_of(one + other, "even") != digest_of(one + other.replace("!=", ">"), "even")


@pytest.mark.parametrize(
    "pair",
    [
        "a = lambda x: x + 1; b = lambda x: x + 2",
        "a, b = [(lambda y: lambda x: x + y)(k) for k in (1, 2)]",
        "a, b = (lambda x=1: x), (lambda x=2: x)",
        "a, b = (lambda x, y: x), (lambda y, x: x)",
        "a, b = (lambda: (lambda: 1)), (lambda: (lambda: 2))",
        "import functools; a, b = functools.partial(max, 1), functools.partial(max, 2)",
        "a, b = 'x'.join, 'y'.join",
        "a, b = len, max",
    ],
)
def test_functions_that_do_different_things_in_one_line_differ(pair: str) -> None:
    names = cell(pair)
    assert digest_value(names["a"]) != digest_value(names["b"])
    assert digest_value(names["a"]) == digest_of(pair, "a")


def test_a_closure_counts_by_value() -> None:
    source = "def make(k):\n    def f(x): return x * k\n    return f\nf = make({})"
    assert digest_of(source.format("[1]")) == digest_of(source.format("[1]")) != digest_of(source.format("[2]"))


def test_a_function_without_text_is_told_by_its_code() -> None:
    def blind(source: str) -> str:
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(textwrap.dedent(source), names)
        return digest_value(names["f"])

    assert blind(_HELPERS) == blind("\n\n" + _HELPERS.replace("x * K", "x * K  # c"))
    assert blind(_HELPERS) != blind(_HELPERS.replace("x * K", "x + K"))
    assert blind("def f(x):\n    'one'\n    return x in {'a', 'b'}") == blind(
        "def f(x):\n    'two'\n    return x in {'b', 'a'}"
    )


def test_a_function_keeps_its_digest_when_its_script_is_edited_later(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("def f(x):\n    return x + 1\n")
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(script.read_text(), str(script), "exec"), names)
    by_text = digest_value(names["f"])
    assert by_text == digest_of("def f(x): return x + 1")
    script.write_text("def f(x):\n    return x + 2  # somebody else's text now\n")
    assert digest_value(names["f"]) != digest_of("def f(x): return x + 2")


def test_builtins_and_unset_names_need_no_value() -> None:
    assert digest_of("def f(x): return len(x) + defined_later") != digest_of("def f(x): return len(x) + other")


def test_a_body_of_a_class_inside_a_function_reads_globals() -> None:
    source = "K = {}\ndef f():\n    class Local:\n        k = K\n    return Local"
    assert digest_of(source.format(1)) != digest_of(source.format(2))


def test_a_name_of_random_is_no_generator_of_the_kernel() -> None:
    before = [digest_value(random.uniform), digest_value(random.random), digest_value(np.random.rand)]
    random.random()
    np.random.rand()
    assert [digest_value(random.uniform), digest_value(random.random), digest_value(np.random.rand)] == before


_CLASS = """
    import dataclasses, enum, functools, typing
    K = 1
    class Base:
        limit = 10
        def size(self): return K
    class f(Base):
        def __init__(self, a=1): self.a = a
        @property
        def twice(self): return 2 * self.a
        @functools.cached_property
        def slow(self): return self.size()
        @classmethod
        def make(cls): return f(3)
        @staticmethod
        def shout(): return 'a'
    @dataclasses.dataclass
    class Data:
        a: int = 1
        b: list = dataclasses.field(default_factory=list)
    class Colour(enum.Enum):
        red = 1
        def paint(self): return 'red'
    class Pair(typing.NamedTuple):
        left: int
        right: int = 2
        def total(self): return self.left + self.right
"""


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [("f", "K = 1", "K = 2"), ("f", "limit = 10", "limit = 11"), ("f", "return K", "return -K"), ("f", "a=1", "a=2"),
     ("f", "2 * self.a", "3 * self.a"), ("f", "self.size()", "-self.size()"), ("f", "f(3)", "f(4)"),
     ("f", "'a'", "'b'"), ("f", "class f(Base)", "class f"), ("Data", "a: int = 1", "a: int = 2"),
     ("Data", "a: int", "a: float"), ("Data", "dataclass\n", "dataclass(frozen=True)\n"), ("Data", "=list", "=dict"),
     ("Colour", "red = 1", "red = 2"), ("Colour", "'red'", "'blue'"), ("Pair", "= 2", "= 3"),
     ("Pair", "self.left +", "self.left -"), ("Pair", "left: int", "leave: int")],
)  # fmt: skip
def test_a_class_changes_with_each_of_its_parts(name: str, old: str, new: str) -> None:
    assert old in _CLASS
    assert digest_of(_CLASS, name) == digest_of(_CLASS, name)
    assert digest_of(_CLASS.replace(old, new, 1), name) != digest_of(_CLASS, name)


def test_patching_a_method_counts_for_the_class_and_its_instances() -> None:
    names = cell(_CLASS)
    instance = names["f"]()
    before = digest_value(names["f"]), digest_value(instance), digest_value(instance.size)
    cell("def size(self): return 7\nBase.size = size", names)
    after = digest_value(names["f"]), digest_value(instance), digest_value(instance.size)
    assert all(x != y for x, y in zip(before, after, strict=True))


def test_using_a_cached_function_does_not_change_it() -> None:
    names = cell("import functools\n@functools.lru_cache\ndef f(x): return x if x < 2 else f(x - 1)")
    before = digest_value(names["f"])
    names["f"](5)
    assert digest_value(names["f"]) == before


# real notebooks

_NOTEBOOK = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config
config = Config()
config.HistoryManager.enabled = False
shell = InteractiveShell(config=config)
from jupyter_sweep.jobs.loaded import Loaded
from jupyter_sweep.jobs.sources import Sources
from jupyter_sweep.jobs.digest import digest_value
found = []
for source, name in json.load(sys.stdin):
    shell.run_cell(source).raise_error()
    found.append(name and digest_value(shell.user_ns[name], name=name))
print("found", json.dumps(found))
"""


def notebook(*cells: tuple[str, str | None]) -> list[str]:
    """Run cells in a real IPython shell of a process of its own; give the digest of a name after each."""
    output = run_script(_NOTEBOOK, stdin=json.dumps(cells))
    found: list[str] = json.loads(output.rpartition("found ")[2])
    return found


def test_in_a_notebook_each_definition_keeps_its_own_text() -> None:
    first, second, old, again = notebook(
        ("def f(x):\n    return x + 1", "f"),
        ("old = f\ndef f(x):\n    return x + 2", "f"),
        ("pass", "old"),
        ("def f(x):  # back again\n    return x + 1", "f"),
    )
    assert first == old == again != second


def test_a_notebook_has_the_digests_of_a_script_whatever_ran_before() -> None:
    cells: list[tuple[str, str | None]] = [("import functools, math\nK = {'a', 'b', 'c'}", None)]
    cells += [
        ("def helper(x): return x in K, math.pi", None),
        ("class Model:\n    def fit(self): return helper(3)", None),
    ]
    late = notebook(("x = !echo 1", None), ("%%capture\nprint(1)", None), *cells, ("model = Model()", "model"))[-1]
    early = notebook(("\n\n".join(source for source, _ in cells) + "\nmodel = Model()", "model"))[-1]
    assert early == late == digest_of("\n".join(s for s, _ in cells) + "\nmodel = Model()", "model")


def test_magics_in_a_function_do_not_lead_to_the_shell() -> None:
    listing, other = notebook(
        ("def f():\n    x = !ls\n    return x", "f"), ("def f():\n    x = !pwd\n    return x", "f")
    )
    assert listing != other


# functions of files


_LIBRARY = ("argparse", "ast", "dataclasses", "enum", "functools", "inspect", "json.decoder", "tarfile", "typing")


def _functions(module: Any) -> list[types.FunctionType]:
    places = [vars(module), *(vars(v) for v in vars(module).values() if inspect.isclass(v))]
    found = [getattr(v, "__func__", v) for place in places for v in place.values()]
    return [f for f in found if inspect.isfunction(f) and f.__code__.co_filename == module.__file__]


@pytest.mark.parametrize("name", _LIBRARY)
def test_the_text_of_every_loaded_function_is_found(name: str) -> None:
    module, sources = importlib.import_module(name), Sources()
    functions = _functions(module)
    assert functions
    for function in functions:
        node = sources.node(function.__code__)
        assert node is not None, function
        assert getattr(node, "name", "<lambda>") == function.__code__.co_name


@pytest.mark.parametrize("name", _LIBRARY)
def test_a_module_just_loaded_does_not_differ_from_its_file(name: str) -> None:
    module = importlib.import_module(name)
    assert not Loaded().differs(name, Path(str(module.__file__)).read_text(encoding="utf-8"))
