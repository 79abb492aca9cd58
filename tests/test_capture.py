"""Capture: what a body needs arrives in a fresh process as it was, and everything that can't travel is said at once."""

from __future__ import annotations

import ast
import json
import textwrap
import threading
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from captures import captured, holding, notebook, run_in_trial, run_script

from jupyter_sweep.errors import Mistakes, StoreError
from jupyter_sweep.jobs.bindings import hidden_names
from jupyter_sweep.jobs.capture import Capture
from jupyter_sweep.jobs.storing import check_space

Trial = Callable[[Capture, str], str]


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    """Run code in a fresh process, in the namespace that a capture makes there; give its output."""
    return partial(run_in_trial, tmp_path / "elsewhere" / ".data")


# functions and classes in a trial

_CODE = """
    import functools, enum, dataclasses, random
    K = 3
    def helper(): return K
    def caller(): return helper() * 10
    class Model:
        def ask(self): return caller()
    model = Model()
"""


def test_functions_and_methods_see_the_names_that_the_body_binds_anew(trial: Trial) -> None:
    what = captured(notebook(_CODE), "caller model")
    assert trial(what, "print(caller(), model.ask()); K = 7; print(caller(), model.ask())") == "30 30\n70 70"


def test_a_function_that_the_body_defines_anew_is_called_by_the_captured_ones(trial: Trial) -> None:
    what = captured(notebook(_CODE), "model")
    assert trial(what, "def helper(): return 5\nprint(model.ask())") == "50"


def test_values_keep_their_identity_among_each_other(trial: Trial) -> None:
    names = notebook(_CODE, "shared = [1]; box = {'a': shared, 'b': model}")
    what = captured(names, "shared box model Model")
    assert trial(what, "print(box['a'] is shared, box['b'] is model, type(model) is Model)") == "True True True"


@pytest.mark.parametrize(
    ("source", "code", "output"),
    [
        ("@functools.lru_cache(maxsize=9)\ndef x(n): return n if n < 2 else x(n-1) + x(n-2)",
         "print(x(50), x.cache_parameters()['maxsize'])", "12586269025 9"),
        ("class x:\n    @functools.cached_property\n    def y(self): return K", "print(x().y)", "3"),
        ("@functools.singledispatch\ndef x(n): return 0\n@x.register\ndef _(n: int): return K",
         "print(x('a'), x(1))", "0 3"),
        ("class x(enum.Enum):\n    a = K", "print(x.a, x.a is x['a'], x(3).name)", "x.a True a"),
        ("@dataclasses.dataclass(frozen=True)\nclass x:\n    a: int = K", "print(x(), x(4) == x(4))", "x(a=3) True"),
        ("def x():\n    class Local:\n        k = K\n    return Local.k", "print(x())", "3"),
        ("x = functools.partial(lambda a, b: a + b + K, 1)", "print(x(2))", "6"),
        ("x = [lambda: K, lambda: -K]", "print([f() for f in x])", "[3, -3]"),
        ("def x():\n    from os import path\n    return path.join('a', 'b')", "print(x())", "a/b"),
        ("async def x(): return K", "import asyncio; print(asyncio.run(x()))", "3"),
        ("def make(k):\n    def inner(): return k, K\n    return inner\nx = make(1)", "print(x())", "(1, 3)"),
        ("class Parent:\n    def go(self): return K\nclass x(Parent):\n    def go(self): return super().go() + 1",
         "print(x().go())", "4"),
    ],
)  # fmt: skip
def test_what_notebooks_define_works_in_a_trial(source: str, code: str, output: str, trial: Trial) -> None:
    assert trial(captured(notebook(_CODE, source), "x"), code) == output


def test_a_function_of_random_draws_from_the_generator_that_the_trial_seeds(trial: Trial) -> None:
    what = captured(
        notebook("from random import uniform, random as r; from numpy.random import rand"), "uniform r rand"
    )
    code = "import random; random.seed(1); print(uniform.__self__ is random._inst is r.__self__)"
    assert trial(what, code + "\nimport numpy; print(rand.__self__ is numpy.random.mtrand._rand)") == "True\nTrue"


def test_submodules_that_the_body_reaches_through_a_package_are_imported(trial: Trial) -> None:
    names = notebook("import xml.dom.minidom, xml.sax.handler", "def f(): return xml.sax.handler.version")
    what = captured(names, "xml f", "xml.dom.minidom.parseString('<a/>')")
    assert trial(what, "print(xml.dom.minidom.parseString('<a/>').documentElement.tagName, f())") == "a 2.0beta"


def test_equal_captures_make_equal_files_in_every_process(tmp_path: Path) -> None:
    code = """
        import sys
        sys.path.append(sys.argv[2])
        from captures import captured, notebook
        names = notebook(sys.argv[1])
        print(sorted(captured(names, "Model caller model").write(sys.argv[3]).items()))
    """
    arguments = (textwrap.dedent(_CODE), str(Path(__file__).parent), str(tmp_path))
    outputs = {run_script(textwrap.dedent(code), *arguments) for _ in range(2)}
    assert len(outputs) == 1


# data in a trial


def _values(tmp_path: Path) -> dict[str, Any]:
    mapped = np.memmap(tmp_path / "mapped", np.float64, "w+", shape=(100, 100))
    mapped[:] = 3
    return {
        "plain": np.arange(20_000.0),
        "fortran": np.asfortranarray(np.arange(20_000.0).reshape(2, -1)),
        "gaps": np.arange(40_000.0)[::2],
        "transposed": np.arange(60_000).reshape(3, 100, 200).transpose(1, 2, 0)[:, ::2],
        "mapped": mapped,
        "small": np.arange(5),
        "objects": np.array([1, "a", None], dtype=object),
        "records": np.zeros(9000, [("a", "i1"), ("b", "f8")]),
        "frame": pd.DataFrame({"a": np.arange(9000.0), "b": np.arange(9000.0), "c": ["x"] * 9000}),
        "strided frame": pd.DataFrame(np.arange(80_000.0).reshape(-1, 4)).iloc[::2],
        "text": "a" * 100_000,
        "bytes": b"a" * 100_000,
    }


def test_all_kinds_of_data_arrive_as_they_were_and_can_be_written_to(tmp_path: Path, trial: Trial) -> None:
    names = holding(data=_values(tmp_path))
    what = captured(names, "data")
    arrive = trial(
        what,
        """
        from jupyter_sweep.jobs.digest import digest_value
        data["plain"][0] = 5
        data["fortran"][0, 0] = 5
        data["gaps"][0] = 5
        data["mapped"][0, 0] = 5
        data["frame"].loc[0, "a"] = 5
        print({key: digest_value(value) for key, value in sorted(data.items())})
        """,
    )
    from jupyter_sweep.jobs.digest import digest_value

    data = names["data"]
    data["plain"][0] = data["fortran"][0, 0] = data["gaps"][0] = data["mapped"][0, 0] = 5
    data["frame"].loc[0, "a"] = 5
    assert ast.literal_eval(arrive) == {key: digest_value(value) for key, value in sorted(data.items())}


def test_large_buffers_are_files_of_their_own_and_private(tmp_path: Path) -> None:
    names = holding(a=np.arange(20_000), b=np.arange(100), again=np.arange(20_000))
    folder = tmp_path / "new" / ".data"
    job = captured(names, "a b again").write(str(folder))
    assert [nbytes for _, nbytes in job["buffers"]] == [160_000, 160_000]
    assert len({name for name, _ in job["buffers"]}) == 1
    assert (folder / job["buffers"][0][0]).read_bytes() == names["a"].tobytes()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert len(list(folder.iterdir())) == 2


def test_arrays_with_gaps_and_in_mapped_files_are_written_as_buffers(tmp_path: Path) -> None:
    values = {name: value for name, value in _values(tmp_path).items() if name in ("fortran", "gaps", "mapped")}
    job = captured(holding(**values), " ".join(values)).write(str(tmp_path))
    assert [nbytes for _, nbytes in job["buffers"]] == [value.nbytes for value in values.values()]


def test_data_that_did_not_change_is_not_written_again_and_data_that_did_is(tmp_path: Path) -> None:
    names = holding(a=np.arange(20_000), df=pd.DataFrame({"x": np.arange(9000.0), "y": 1.0}))
    before = captured(names, "a df")
    first = before.write(str(tmp_path))
    inodes = {name: (tmp_path / name).stat().st_ino for name, _ in first["buffers"]}
    captured(names, "a df").write(str(tmp_path))
    assert {name: (tmp_path / name).stat().st_ino for name in inodes} == inodes
    names["a"][-1] = 0
    after = captured(names, "a df")
    changed = after.write(str(tmp_path))
    assert after.digest != before.digest
    assert changed["buffers"][0] != first["buffers"][0]
    assert changed["buffers"][1:] == first["buffers"][1:]


def test_a_half_written_buffer_is_written_again(tmp_path: Path) -> None:
    names = holding(a=np.arange(20_000))
    ((name, nbytes),) = captured(names, "a").write(str(tmp_path))["buffers"]
    (tmp_path / name).write_bytes(b"cut off")
    captured(names, "a").write(str(tmp_path))
    assert (tmp_path / name).stat().st_size == nbytes


def test_each_large_buffer_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jupyter_sweep.jobs import buffers

    hashed: list[int] = []
    leaf = buffers._leaf

    def counting(piece: memoryview) -> bytes:
        hashed.append(piece.nbytes)
        return leaf(piece)

    monkeypatch.setattr(buffers, "_leaf", counting)
    a, frame = np.arange(200_000.0), pd.DataFrame(dict.fromkeys("wxyz", np.arange(100_000.0))).copy()
    names = holding(a=a, alias=a, df=frame)
    captured(names, "a alias df").write(str(tmp_path))
    large = [nbytes for nbytes in hashed if nbytes >= 2**16]
    assert sum(large) == a.nbytes + frame.memory_usage(index=False).sum()


@pytest.mark.parametrize("kind", ["array", "frame", "fortran"])
def test_the_kernel_holds_no_second_copy(kind: str, tmp_path: Path) -> None:
    make: dict[str, Callable[[], Any]] = {
        "array": lambda: np.arange(5_000_000.0),
        "frame": lambda: pd.DataFrame({str(i): np.arange(500_000.0) for i in range(10)}),
        "fortran": lambda: np.asfortranarray(np.arange(5_000_000.0).reshape(10, -1)),
    }
    names = holding(data=make[kind]())
    tracemalloc.start()
    captured(names, "data").write(str(tmp_path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.3 * 40_000_000


def test_sizes_count_what_travels_once() -> None:
    names = notebook("def f(): return data")
    names["data"] = np.arange(100_000.0)
    kinds = {c.name: (c.kind, c.nbytes // 1000) for c in captured(names, "data f").names}
    assert kinds == {"data": ("array", 800), "f": ("function", 0)}


# identity


@pytest.mark.parametrize(
    ("cells", "wanted", "body", "same"),
    [
        (["x = 1"], "x", "", True),
        (["x = 2"], "x", "", False),
        (["x = 1", "y = 2"], "x", "", True),
        (["y = 2", "x = 1"], "x", "", True),
        (["x = 1.0"], "x", "", False),
        (["x = 1"], "x", "import math", False),
    ],
)
def test_what_is_captured_counts_and_nothing_else(cells: list[str], wanted: str, body: str, same: bool) -> None:
    assert (captured(notebook(*cells), wanted, body).digest == captured(notebook("x = 1"), "x").digest) == same


def test_ignored_names_travel_but_do_not_count_not_even_through_functions(trial: Trial) -> None:
    source = "verbose = {}\ndef f(): return verbose"
    quiet, loud = notebook(source.format(0)), notebook(source.format(1))
    assert (
        captured(quiet, "f verbose", ignore=["verbose"]).digest
        == captured(loud, "f verbose", ignore=["verbose"]).digest
    )
    assert captured(quiet, "f verbose").digest != captured(loud, "f verbose").digest
    assert trial(captured(loud, "f verbose", ignore=["verbose"]), "print(verbose, f())") == "1 1"


def test_what_an_earlier_run_of_the_plain_cell_left_behind_neither_counts_nor_travels(
    trial: Trial,
) -> None:
    source = "def make(): return [0]\ndef train(): return len(model) + lr"
    body = "lr = 2\nmodel = make()\nfor epoch in range(2):\n    train()"
    fresh = captured(notebook(source), "make train", body)
    stale = notebook(source, "model = [1] * 100_000; lr = 9; lock = __import__('threading').Lock(); epoch = lock")
    stale["lr"] = stale["lock"]
    later = captured(stale, "make train", body)
    assert later.digest == fresh.digest
    assert all(c.nbytes < 2000 for c in later.names)
    assert trial(later, body + "\nprint(train())") == "3"


@pytest.mark.parametrize(
    ("body", "hidden"),
    [
        ("K = 1\nf()", {"K"}),
        ("f()\nK = 1", set()),
        ("K = f()", set()),
        ("g()\nK = 1", {"K"}),
        ("if g():\n    K = 1\nf()", set()),
        ("if g():\n    K = 1\nelse:\n    K = 2\nf()", {"K"}),
        ("for K in g():\n    f()", {"K"}),
        ("with g() as K:\n    f()", {"K"}),
        ("try:\n    K = g()\nfinally:\n    f()", {"K"}),
        ("import K\nf()", {"K"}),
        ("def K(): pass\nf()", {"K"}),
        ("print(indirect)\nK = 1", set()),
        ("print(table)\nK = 1", set()),
        ("while g():\n    f()\n    K = 1", set()),
        ("for i in g():\n    K = 1\n    f()", {"K"}),
        ("def late(): f()\nK = 1\nlate()", {"K"}),
        ("def late(): f()\nlate()\nK = 1", set()),
        ("@g\ndef late(): f()\nK = 1", set()),
        ("class Late:\n    def m(self): f()\nK = 1", set()),
        ("if g():\n    K = 1\nelif g():\n    K = 2\nf()", {"K"}),
        ("x = K = 1; f()", {"K"}),
        ("K: int = 1\nf()", {"K"}),
        ("K: int\nf()", set()),
    ],
)
def test_a_name_is_hidden_only_if_the_body_binds_it_before_anything_reads_it(body: str, hidden: set[str]) -> None:
    names = notebook(
        "import functools\nK = 0\ndef f(): return K\ndef g(): return []",
        "class C:\n    def m(self): return f()\nindirect = C()\ntable = {'a': [functools.partial(f)]}",
    )
    wanted = [name for name in ("f", "g", "indirect", "table") if name in body]
    assert hidden_names(ast.parse(body), names, wanted) == hidden


def test_a_parameter_of_one_branch_is_hidden_too() -> None:
    names = notebook("momentum = 1\ndef f(): return momentum")
    body = ast.parse("if opt:\n    momentum = 2\nf()")
    assert hidden_names(body, names, ["f"], ["momentum"]) == {"momentum"}


# mistakes


def test_all_that_can_not_travel_is_said_at_once_by_line_and_path() -> None:
    names = notebook(
        """
        import threading, sys
        class Loader:
            def __init__(self): self.lock = threading.Lock()
        loader, rows, ok = Loader(), (x for x in 'ab'), 3
        log = sys.__stderr__
        def use(): return [loader]
        class Odd:
            def __reduce__(self): raise ValueError('not me')
        odd = [Odd()]
        """
    )
    with pytest.raises(Mistakes) as refused:
        captured(names, "ok loader rows log use odd")
    mistakes = {m.line: str(m) for m in refused.value.mistakes}
    assert sorted(line for line in mistakes if line is not None) == [3, 4, 5, 6, 7]
    expected = {3: "loader.lock is a _thread.lock", 4: "rows is a generator", 5: "log is an open file",
                6: "use -> loader.lock", 7: "odd[0] is an Odd; not me"}  # fmt: skip
    for line, text in expected.items():
        assert text in mistakes[line]
        assert "inside the cell" in mistakes[line]


def test_an_ignored_name_may_have_no_content_but_must_be_picklable(tmp_path: Path, trial: Trial) -> None:
    path = tmp_path / "log"
    path.write_text("text")
    names = holding(lock=threading.Lock())
    with path.open() as file:
        names["file"] = file
        what = captured(names, "file", ignore=["file"])
        assert ["open file" in warning for warning in what.warnings] == [True]
        assert trial(what, "print(file.read())") == "text"
        with pytest.raises(Mistakes, match="lock is a _thread"):
            captured(names, "lock", ignore=["lock"])


def test_much_data_outside_of_arrays_is_told() -> None:
    names = holding(blob=b"x" * (101 * 2**20), array=np.zeros(101 * 2**17))
    warnings = captured(names, "blob array").warnings
    assert ["blob holds 101 MB" in warning for warning in warnings] == [True]


def test_a_disk_without_room_is_told_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="does not fit"):
        check_space(str(tmp_path), 2**62)


def test_a_write_that_fails_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    code = """
        import ast, resource, sys
        import numpy as np
        from jupyter_sweep.errors import StoreError
        from jupyter_sweep.jobs.capture import capture
        names = {"__name__": "__main__", "a": np.zeros(200_000)}
        what = capture(names, {"a": 2}, tree=ast.parse(""), folder="")
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
        try:
            what.write(sys.argv[1])
        except StoreError as error:
            print(error)
    """
    assert "File too large" in run_script(textwrap.dedent(code), str(tmp_path / "data"))
    assert list((tmp_path / "data").iterdir()) == []


# choices and jobs


def test_objects_among_choices_travel_under_label_and_digest(trial: Trial) -> None:
    names = notebook(_CODE)
    what = captured(names, "", choices={"way": [names["helper"], {"f": names["caller"]}]})
    first, second = (json.dumps(data) for data, _ in what.choices["way"])
    assert '"helper"' in first
    assert '"caller"' in second
    assert trial(what, "print([v() if callable(v) else v['f']() for _, v in loaded.choices['way']])") == "[3, 30]"


def test_a_choice_that_can_not_travel_is_a_mistake() -> None:
    with pytest.raises(Mistakes, match="a choice of way"):
        captured(notebook(), "", choices={"way": [threading.Lock()]})


def test_a_function_may_be_the_job(trial: Trial) -> None:
    names = notebook(_CODE)
    what = captured(names, "", job=names["caller"])
    assert trial(what, "print(loaded.function())") == "30"
    assert what.digest != captured(notebook(_CODE.replace("K = 3", "K = 4")), "", job=names["helper"]).digest


def test_our_own_functions_are_found_by_name(trial: Trial) -> None:
    names = notebook("from jupyter_sweep import report, uniform\ndef f(): report(acc=1)")
    what = captured(names, "f uniform report")
    assert trial(what, "import jupyter_sweep; print(uniform is jupyter_sweep.uniform)") == "True"
    assert what.modules == {}
