"""Which names a body needs from the notebook: Python's scoping rules, in order of execution."""

from __future__ import annotations

import ast
import sys
import textwrap

import pytest

from jupyter_sweep.jobs.scopes import Names, names_of


def read(source: str, **options: object) -> Names:
    return names_of(ast.parse(textwrap.dedent(source)), **options)  # type: ignore[arg-type]


NEEDED = {
    "a plain read": ("print(a)", "a print"),
    "only assigned": ("a = 1", ""),
    "assigned before": ("a = 1\nb = a", ""),
    "read before it is assigned": ("b = a\na = 1", "a"),
    "an augmented assignment": ("a += 1", "a"),
    "deleted": ("a = 1\ndel a\nb = a", "a"),
    "an argument": ("def f(x, *y, k=d, **z): return x, y, k, z, g\nf()", "d g"),
    "a local": ("def f():\n    x = 1\n    return x\nf()", ""),
    "a local that is assigned later": ("def f():\n    y = x\n    x = 1\nf()", ""),
    "global": ("def f():\n    global x\n    x += 1\nf()", "x"),
    "nonlocal": ("def f():\n    x = 1\n    def g():\n        nonlocal x\n        x += 1\n    g()\nf()", ""),
    "a closure": ("def f():\n    x = 1\n    return lambda: x + y\nf()", "y"),
    "a function that is called after the assignment": ("def f(): return a\na = 1\nf()", ""),
    "a function that is called before the assignment": ("def f(): return a\nf()\na = 1", "a"),
    "a function that is called by another": ("def f(): return a\ndef g(): return f()\na = 1\ng()", ""),
    "a function that is decorated": ("@dec\ndef f(): return a\na = 1", "dec a"),
    "a function that nothing calls": ("def f(): return a", "a"),
    "a class body": ("class C(B):\n    x = a\n    y = x", "B a"),
    "a class body that reads the name it binds": ("class C:\n    x = x", "x"),
    "a method": ("class C:\n    k = 1\n    def f(self): return k\na = C()", "k"),
    "a method's default": ("class C:\n    k = 1\n    def f(self, x=k): return x", ""),
    "a method that is called after the assignment": ("class C:\n    def f(self): return a\na = 1\nC().f()", ""),
    "a comprehension": ("b = [x for x in xs if x > k]", "xs k"),
    "a comprehension in a class": ("class C:\n    k = 1\n    y = [k for _ in 'ab']", "k"),
    "a nested comprehension": ("b = [y for x in xs for y in x]", "xs"),
    "a name bound in a comprehension": ("b = any((m := x) for x in xs)\nc = m", "any xs"),
    "a lambda": ("f = lambda x, k=d: x + k + g", "d g"),
    "an import": ("import a.b\nfrom c import d as e\nf = a.b, e", ""),
    "a loop": ("for x in xs:\n    y = x\nprint(x, y)", "xs print"),
    "a loop that reads before it assigns": ("for x in xs:\n    y = y + x", "xs y"),
    "a while loop": ("while a:\n    b = 1\nprint(b)", "a print"),
    "one branch": ("if a:\n    b = 1\nprint(b)", "a b print"),
    "both branches": ("if a:\n    b = 1\nelse:\n    b = 2\nprint(b)", "a print"),
    "a chain of branches": ("if a:\n    b = 1\nelif a2:\n    b = 2\nprint(b)", "a a2 print"),
    "a try": ("try:\n    import a\nexcept ImportError as e:\n    a = e\nprint(a)", "ImportError print"),
    "a with": ("with o() as f:\n    x = f\nprint(x)", "o print"),
    "a match": ("match a:\n    case {'k': k, **r}: x = k, r\n    case [p, *q]: x = p, q\nprint(x)", "a print"),
    "one case of a match": ("match a:\n    case 1: x = 1\n    case C(): pass\nprint(x)", "a C x print"),
    "an annotation": ("x: T = 1\ny: U", "T U"),
    "annotations that are not evaluated": ("from __future__ import annotations\nx: T = 1\ndef f(a: U) -> V: pass", ""),
    "an annotation in a function": ("def f(a: T):\n    x: U = a\n    return x\nf()", "T"),
    "an f-string": ("f'{a!r:{w}}'", "a w"),
    "keywords and stars": ("f(*a, k=b, **c)", "f a b c"),
}


@pytest.mark.parametrize("case", NEEDED)
def test_the_needed_names_are_those_that_python_would_look_up_outside(case: str) -> None:
    source, expected = NEEDED[case]
    assert set(read(source).needed) == set(expected.split())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the syntax is new in Python 3.12")
def test_type_parameters_are_names_of_their_own() -> None:
    assert set(read("def f[T](x: T) -> T: return g\nclass C[U](B[U]): pass\nf(1)").needed) == {"g", "B"}


@pytest.mark.parametrize(
    ("source", "early"),
    [
        ("print(a)\na = 1", {"a": 1}),
        ("a = 1\nprint(a)", {}),
        ("if x:\n    print(a)\na = 1", {}),
        ("x = None and a\na = 1", {}),
        ("def f(): return a\nf()\na = 1", {}),
        ("def f():\n    global a\n    a = 1\nf()\nprint(a)", {}),
        ("print(a)\ndef f():\n    global a\n    a = 1\nf()", {"a": 1}),
    ],
)
def test_a_read_that_certainly_comes_too_early_is_told(source: str, early: dict[str, int]) -> None:
    found = read(source).early
    assert {name: line for name, line in found.items() if name == "a"} == early


def test_lines_are_those_of_the_first_reach() -> None:
    assert read("a = 1\nb = c\nd = c\n").needed == {"c": 2}


def test_a_parameter_of_a_branch_counts_as_assigned_from_there_on() -> None:
    source = "if o:\n    m = draw()\nprint(m)"
    assert "m" in read(source).needed
    assert "m" not in read(source, lasting=["m"]).needed


def test_names_that_are_given_are_not_needed() -> None:
    assert set(read("print(lr)", given=["lr"]).needed) == {"print"}
