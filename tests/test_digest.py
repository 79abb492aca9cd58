"""Digests: equal for what gives the same result, different for what may not, the same in every process."""

from __future__ import annotations

import array
import ast
import copy
import json
import os
import pickle
import random
import shutil
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from captures import cell
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_sweep.errors import SweepError
from jupyter_sweep.jobs.buffers import PIECE, Buffers, digest_memory, digest_pieces
from jupyter_sweep.jobs.digest import digest_tree, digest_value

GOLDEN = Path(__file__).parent / "golden"


def digest_of(source: str, name: str = "f") -> str:
    return digest_value(cell(source)[name])


def tree(source: str) -> str:
    return digest_tree(ast.parse(textwrap.dedent(source)))


# on record


def _golden(python: str, **environ: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environ}
    command = [python, str(GOLDEN / "digests.py"), "check"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)


@pytest.mark.parametrize("seed", ["0", "1", "4242"])
def test_digests_are_those_on_record_whatever_the_hash_seed(seed: str) -> None:
    done = _golden(sys.executable, PYTHONHASHSEED=seed)
    assert done.returncode == 0, done.stdout + done.stderr


def _interpreters() -> list[str]:
    given = os.environ.get("JUPYTER_SWEEP_PYTHONS", "").split(os.pathsep)
    return [*filter(None, given), *(f"python3.{minor}" for minor in (10, 11, 12, 13))]


@pytest.mark.parametrize("python", _interpreters())
def test_digests_are_those_on_record_in_every_python(python: str) -> None:
    found = shutil.which(python)
    if found is None or subprocess.run([found, "-c", "0"], capture_output=True, timeout=60).returncode != 0:
        pytest.skip(f"{python} is not installed here")
    done = _golden(found)
    assert done.returncode == 0, done.stdout + done.stderr


def test_different_values_on_record_have_different_digests() -> None:
    recorded = json.loads((GOLDEN / "digests.json").read_text())
    digests = [digest for group in recorded.values() for digest in group.values()]
    layouts = 2  # the Fortran-ordered array, the record with gaps
    assert len(set(digests)) == len(digests) - layouts


# trees

_FUNCTION = """
def f(a, b=2):
    x = [a, b]
    return f"{a}" + str(x)
"""


@pytest.mark.parametrize(
    "same",
    [
        "def f(a, b = 2):\n  x = [ a,\n b ]  # a comment\n\n  return f'{a}' + str(x)",
        '"""text"""\ndef f(a, b=2):\n    """Documented."""\n    x = [a, b]\n    return f"{a}" + str(x)',
        'def f(a, b=2):\n    "a string used as a comment"\n    x = [a, b]\n    ""\n    return (f"{a}" + str(x))',
        "def f(a, b=0x2):\n    x = [a, b];  return f'{a}' '' + str(x)",
        "def f(a, b=2):\n    x = [a, b] # type: ignore\n    return f'''{a}''' + str(x)\n",
    ],
)
def test_comments_spacing_and_docstrings_do_not_count(same: str) -> None:
    assert tree(same) == tree(_FUNCTION)


@pytest.mark.parametrize(
    ("old", "new"),
    [("b=2", "b=2.0"), ("b=2", "b=True"), ("[a, b]", "[b, a]"), ("[a, b]", "(a, b)"), ("+", "-"), ("{a}", "{a!r}"),
     ("{a}", "{a:3}"), ("def f", "async def f"), ("a, b=2", "a, *, b=2"), ("return", "x ="), ("{a}", "a"),
     ('f"{a}"', '"{a}"'), ("def f", "@g\ndef f")],
)  # fmt: skip
def test_everything_else_counts(old: str, new: str) -> None:
    assert tree(_FUNCTION.replace(old, new, 1)) != tree(_FUNCTION)


def test_neighbouring_parts_of_a_tree_cannot_be_confused() -> None:
    sources = ["f(a, b)", "f(a)(b)", "f((a, b))", "f(*a, b)", "f(a=b)", "f[a, b]", "f([a, b])", "f('a', b)", "f; a; b"]
    assert len({tree(source) for source in sources}) == len(sources)


@pytest.mark.parametrize(
    ("nothing", "none"),
    [("def f(*, a, b=1): pass", "def f(*, a=None, b=1): pass"), ("lambda *, a: a", "lambda *, a=None: a"),
     ("{**a, 'k': 1}", "{None: a, 'k': 1}")],
)  # fmt: skip
def test_nothing_is_not_the_same_as_none(nothing: str, none: str) -> None:
    assert tree(nothing) != tree(none)


def test_a_tree_may_be_deeper_than_the_stack_and_is_left_as_it_was() -> None:
    node: ast.expr = ast.Constant(1)
    for _ in range(20_000):
        node = ast.UnaryOp(ast.USub(), node)
    assert len(digest_tree(node)) == 32
    parsed = ast.parse("f'a{b}' 'c'")
    before = ast.dump(parsed)
    digest_tree(parsed)
    assert ast.dump(parsed) == before


# plain values

_atoms = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
_keys = st.booleans() | st.integers() | st.text() | st.tuples(st.integers(), st.text())
_values = st.recursive(
    _atoms,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(_keys, inner, max_size=4)
        | st.sets(_keys, max_size=4)
    ),
    max_leaves=12,
)


def _text(value: Any) -> str:
    """Give a text that is equal for values of equal types and content, and for no others."""
    if isinstance(value, dict):
        return "{" + ",".join(sorted(f"{_text(k)}:{_text(v)}" for k, v in value.items())) + "}"
    if isinstance(value, set):
        return "set" + ",".join(sorted(map(_text, value)))
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}({','.join(map(_text, value))})"
    return f"{type(value).__name__} {value!r}"


@settings(max_examples=300, deadline=None)
@given(_values, _values)
def test_digests_are_equal_exactly_for_equal_values_of_equal_types(a: Any, b: Any) -> None:
    assert (digest_value(a) == digest_value(b)) == (_text(a) == _text(b))
    assert digest_value(a) == digest_value(copy.deepcopy(a)) == digest_value(pickle.loads(pickle.dumps(a)))


@given(st.lists(st.integers() | st.text(), unique_by=lambda v: (type(v), v)), st.randoms(use_true_random=False))
def test_the_order_of_a_dict_does_not_count(keys: list[Any], rng: random.Random) -> None:
    items = [(key, [i]) for i, key in enumerate(keys)]
    ordered = dict(items)
    rng.shuffle(items)
    assert digest_value(dict(items)) == digest_value(ordered)


def test_sharing_does_not_count() -> None:
    part = [1, {"a": 2}]
    assert digest_value([part, part]) == digest_value([[1, {"a": 2}], [1, {"a": 2}]])


def test_what_a_list_refers_to_in_a_circle_has_a_digest() -> None:
    rings = []
    for last in (1, 2):
        ring: list[Any] = [1]
        ring.append({"back": [ring, last]})
        rings.append(digest_value(ring))
    assert rings[0] != rings[1]


class Node:
    """Knows its neighbours, so that every node can be reached from every other."""

    def __init__(self, name: int) -> None:
        self.name = name
        self.others: list[Node] = []


def _graph(size: int, *, change: int | None = None) -> list[Node]:
    nodes = [Node(i) for i in range(size)]
    for node in nodes:
        node.others = [n for n in nodes if n is not node]
    if change is not None:
        nodes[change].name = -1
    return nodes


def test_a_dense_graph_takes_no_longer_than_its_size_and_every_node_counts_for_each() -> None:
    same, again, changed = _graph(40), _graph(40), _graph(40, change=39)
    assert digest_value(same) == digest_value(again)
    assert digest_value(same[0]) != digest_value(same[1])
    assert digest_value(same[0]) != digest_value(changed[0])


def test_where_the_walk_begins_does_not_count() -> None:
    nodes = _graph(5)
    assert [digest_value(n) for n in nodes] == [digest_value(n) for n in reversed(nodes)][::-1]
    assert digest_value({"a": nodes[0], "b": nodes[1]}) == digest_value({"b": nodes[1], "a": nodes[0]})


def test_a_value_may_be_nested_deeper_than_the_stack() -> None:
    deep: list[Any] = []
    for _ in range(20_000):
        deep = [deep]
    assert len(digest_value(deep)) == 32


def test_attributes_of_an_instance_count() -> None:
    a, b = Node(1), Node(1)
    assert digest_value(a) == digest_value(b)
    b.name = 2
    assert digest_value(a) != digest_value(b)


# memory


@given(st.binary(min_size=1, max_size=50), st.lists(st.integers(1, 20)))
def test_pieces_of_any_size_give_the_digest_of_the_whole(data: bytes, cuts: list[int]) -> None:
    pieces, rest = [], data
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    assert digest_pieces([*pieces, rest]) == digest_memory(memoryview(data))


@pytest.mark.parametrize("nbytes", [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 5])
def test_the_digest_of_memory_does_not_depend_on_how_it_is_read(nbytes: int) -> None:
    data = random.Random(nbytes).randbytes(nbytes)
    cut = nbytes // 3
    assert digest_memory(memoryview(data)) == digest_pieces([data[:cut], data[cut:]])
    assert nbytes == 0 or digest_memory(memoryview(data)) != digest_memory(
        memoryview(data[:-1] + bytes([data[-1] ^ 1]))
    )


def test_a_block_is_named_by_the_parts_that_were_hashed_and_by_their_order() -> None:
    block = np.arange(40_000.0).reshape(2, -1)
    buffers, others = Buffers(), Buffers()
    for row in block:
        buffers.digest(row.data)
    swapped = np.ascontiguousarray(block[::-1])
    for row in swapped:
        others.digest(row.data)
    assert buffers.name(block.data) == buffers.name(block.data)
    assert buffers.name(block.data) != others.name(swapped.data)
    assert Buffers().name(block.data) == Buffers().name(block.copy().data)


# arrays and frames


@pytest.mark.parametrize("dtype", ["f8", ">f4", "i2", "?", "c16", "U3", "M8[s]", "O", [("a", "i1"), ("b", "f8")]])
def test_an_array_is_its_dtype_shape_and_items_whatever_its_layout(dtype: Any) -> None:
    a = np.arange(60).reshape(5, 12).astype("i8").astype(dtype)
    wide = np.empty((5, 24), dtype)
    wide[:, ::2] = a
    layouts = [a, a.copy(), np.asfortranarray(a), a.T.copy().T, wide[:, ::2], a[::-1][::-1]]
    assert len({digest_value(each) for each in layouts}) == 1
    assert len({digest_value(each) for each in (a, a.reshape(12, 5), a.reshape(60), a.T[1:])}) == 4


@pytest.mark.parametrize("order", ["C", "F"])
def test_one_item_of_an_array_counts(order: Any) -> None:
    a = np.zeros((300, 300), order=order)
    before = digest_value(a)
    a[299, 299] = 1e-300
    assert digest_value(a) != before
    a[299, 299] = 0
    assert digest_value(a) == before


def test_dtypes_with_equal_bytes_differ() -> None:
    kinds = ["i8", "u8", "f8", "M8[s]", "M8[ms]", "m8[s]", ">i8", "S8", "V8"]
    zeros = [digest_value(np.zeros(3, "i8").view(kind)) for kind in kinds]
    assert len(set(zeros)) == len(kinds)


def test_garbage_between_the_fields_of_a_record_does_not_count() -> None:
    aligned = np.dtype([("a", "i1"), ("b", "f8")], align=True)
    clean, dirty = np.zeros(4, aligned), np.full(4 * aligned.itemsize, 255, "u1").view(aligned)
    dirty["a"], dirty["b"] = 0, 0
    assert digest_value(clean) == digest_value(dirty)


def test_numpy_and_python_scalars_differ() -> None:
    assert len({digest_value(v) for v in (1.0, np.float64(1), np.float32(1), np.array(1.0), np.int64(1), 1)}) == 6


@pytest.mark.parametrize("make", [np.random.default_rng, np.random.RandomState, random.Random])
def test_a_random_generator_is_its_state(make: Callable[[int], Any]) -> None:
    a, b = make(1), make(1)
    assert digest_value(a) == digest_value(b) != digest_value(make(2))
    a.random()
    assert digest_value(a) != digest_value(b)
    b.random()
    assert digest_value(a) == digest_value(b)


def test_how_pandas_groups_columns_in_blocks_does_not_count() -> None:
    whole = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0], "c": ["x", None]})
    grown = pd.DataFrame({"a": [1.0, 2.0]})
    grown["b"] = [3.0, 4.0]
    grown["c"] = ["x", None]
    assert digest_value(whole) == digest_value(grown) == digest_value(pd.concat([whole[:1], whole[1:]]))


@pytest.mark.parametrize(
    "change",
    [
        lambda df: df.assign(n=[1.0, 2.5]),
        lambda df: df.assign(c=df.c.cat.as_ordered()),
        lambda df: df.assign(t=df.t.dt.tz_localize("UTC")),
        lambda df: df.assign(i=df.i.fillna(7)),
        lambda df: df.assign(s=["a", None]),
        lambda df: df.rename(columns={"n": "m"}),
        lambda df: df[["s", "n", "c", "t", "i"]],
        lambda df: df.set_axis([1, 2]),
        lambda df: df.rename_axis("name"),
        lambda df: df.astype({"n": "f4"}),
        lambda df: df[:1],
    ],
)
def test_everything_in_a_frame_counts(change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    def make() -> pd.DataFrame:
        return pd.DataFrame(
            {
                "n": [1.0, 2.0],
                "s": ["a", "b"],
                "c": pd.Categorical(["x", "y"]),
                "t": pd.to_datetime(["2026-01-01", "2026-01-02"]),
                "i": pd.array([1, None], dtype="Int64"),
            }
        )

    assert digest_value(make()) == digest_value(make().copy()) == digest_value(pickle.loads(pickle.dumps(make())))
    assert digest_value(change(make())) != digest_value(make())


def test_what_lies_under_a_missing_integer_does_not_count() -> None:
    a = pd.arrays.IntegerArray(np.array([1, 7]), np.array([False, True]))
    b = pd.arrays.IntegerArray(np.array([1, 8]), np.array([False, True]))
    assert digest_value(a) == digest_value(b)


def test_a_fitted_estimator_is_its_parameters_and_what_it_learned() -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    x, y = np.arange(12.0).reshape(6, 2), np.arange(6.0)
    first, second = linear.Ridge(alpha=1.0), linear.Ridge(alpha=1.0)
    assert digest_value(first) == digest_value(second) != digest_value(linear.Ridge(alpha=2.0))
    assert digest_value(first.fit(x, y)) != digest_value(second)
    assert digest_value(first) == digest_value(second.fit(x, y))


def test_asking_a_sparse_matrix_about_itself_does_not_change_it() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    matrix = sparse.csr_matrix(np.eye(3))
    before = digest_value(matrix)
    assert matrix.has_canonical_format
    assert digest_value(matrix) == before


# refusals


class Loader:
    """Holds what can't travel."""

    def __init__(self) -> None:
        self.options = {"locks": [threading.Lock()]}


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        (lambda: Loader(), ["loader.options['locks'][0]", "_thread.lock", "__getstate__|inside the cell"]),
        (lambda: (x for x in "ab"), ["loader is a generator", "make it a list"]),
        (lambda: sys.__stdin__, ["loader is an open file", "open it inside the cell"]),
        (lambda: {"db": __import__("sqlite3").connect(":memory:")}, ["loader['db']", "connect inside the cell"]),
        (lambda: cell("def f(): return L", {"__name__": "__main__", "L": threading.Lock()})["f"], ["loader -> L"]),
        (lambda: threading.Thread(), ["loader._", "lock|_thread"]),
    ],
)
def test_what_has_no_content_is_refused_by_path_and_with_a_way_out(value: Any, parts: list[str]) -> None:
    with pytest.raises(SweepError) as refused:
        digest_value(value(), name="loader")
    for part in parts:
        assert any(option in str(refused.value) for option in part.split("|")), str(refused.value)


def test_text_in_memory_is_no_open_file() -> None:
    io = __import__("io")
    assert digest_value(io.StringIO("a")) == digest_value(io.StringIO("a")) != digest_value(io.StringIO("b"))
    assert digest_value(array.array("i", [1])) != digest_value(array.array("i", [2]))
