"""Mistakes in a cell, seeded one at a time: each gives one error that names the line and the way out."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from cells import notebook, parse

from jupyter_sweep.errors import Mistakes
from jupyter_sweep.space.parameter import Float, Int
from jupyter_sweep.space.space import Space


class Seeded(NamedTuple):
    """A body with mistakes: the lines of the cell they stand in, and part of the message."""

    body: str
    lines: list[int | None]
    says: str
    cells: str = ""
    options: Mapping[str, Any] = MappingProxyType({})
    words: bool = True


LR = "lr = uniform(0, 1)\n"

SEEDED: dict[str, Seeded] = {
    # syntax
    "a parenthesis is missing": Seeded("lr = uniform(0, 1\nprint(lr)\n", [2], "'(' was never closed"),
    "indentation": Seeded(LR + "  print(lr)\n", [3], "unexpected indent"),
    "return outside a function": Seeded(LR + "return lr\n", [3], "'return' outside function"),
    "break outside a loop": Seeded(LR + "\nif lr:\n    break\n", [5], "'break' outside loop"),
    "a null character": Seeded(LR + "x = '\0'\n", [1], "null"),
    # names
    "an undefined name": Seeded(LR + "loss = los(lr)\n", [3], "`los` is not defined"),
    "an undefined name in a function": Seeded(LR + "def f():\n    return lr * scale\nf()\n", [4], "`scale`"),
    "the nearest name is offered": Seeded(LR + "loss = trian(lr)\n", [3], "`train`", "def train(lr): return lr"),
    "a name read before it is assigned": Seeded("print(lr)\n" + LR + "print(lr)\n", [2], "first assigned in line 3"),
    "a word that is not imported": Seeded(
        "lr = loguniform(1e-5, 1)\nprint(lr)\n", [2], "from jupyter_sweep import loguniform", words=False
    ),
    "report is not imported": Seeded(
        "import jupyter_sweep as js\nlr = js.uniform(0, 1)\nreport(loss=lr)\n",
        [4],
        "from jupyter_sweep import report",
        words=False,
    ),
    "a shadowed word": Seeded(
        "n = choice(1, 2)\nprint(n)\n", [2], "it is random.choice", "from random import choice\n"
    ),
    "a word shadowed in the body": Seeded(
        "from random import choice\nn = choice(1, 2)\nprint(n)\n", [3], "from random import choice"
    ),
    "a word shadowed by a value": Seeded("n = normal(0, 1)\nprint(n)\n", [2], "int 5", "normal = 5\n"),
    "a shadowed word in a branch": Seeded(
        LR + "if lr > 0.5:\n    n = choice(1, 2)\n    print(n)\n", [4], "random.choice", "from random import choice\n"
    ),
    # where a range may stand
    "a range in a loop": Seeded("for i in range(3):\n    lr = uniform(0, 1)\n    print(lr)\n", [3], "in a loop"),
    "a range in a function": Seeded("def f():\n    lr = uniform(0, 1)\n    return lr\nf()\n", [3], "in a function"),
    "a range in a class": Seeded("class Model:\n    lr = uniform(0, 1)\nModel()\n", [3], "in a class"),
    "a range in a with block": Seeded(
        "import contextlib\nwith contextlib.suppress(OSError):\n    lr = uniform(0, 1)\n    print(lr)\n",
        [4],
        "in a with block",
    ),
    "a range in a try block": Seeded("try:\n    lr = uniform(0, 1)\nfinally:\n    print(1)\n", [3], "in a try block"),
    "a range in a match block": Seeded(
        LR + "match lr:\n    case 0:\n        n = randint(1, 2)\n        print(n)\n", [5], "in a match block"
    ),
    "a range as an argument": Seeded("print(uniform(0, 1))\n", [2], "in the arguments of a call"),
    "a range in a sum": Seeded("lr = 1 + uniform(0, 1)\nprint(lr)\n", [2], "in a larger expression"),
    "ranges for two names": Seeded("a, b = uniform(0, 1), uniform(0, 1)\nprint(a, b)\n", [2], "to several names"),
    "a range for a chain of names": Seeded("a = b = uniform(0, 1)\nprint(a, b)\n", [2], "not to one plain name"),
    "a range for an item": Seeded("c = {}\nc['lr'] = uniform(0, 1)\nprint(c)\n", [3], "not to one plain name"),
    "a range for an attribute": Seeded(
        "cfg.lr = uniform(0, 1)\nprint(cfg)\n", [2], "not to one plain name", "class C: pass\ncfg = C()\n"
    ),
    "a range without a name": Seeded("uniform(0, 1)\n", [2], "on a line without a name"),
    "a range in a comprehension": Seeded("xs = [uniform(0, 1) for _ in 'ab']\nprint(xs)\n", [2], "in a comprehension"),
    "a range in an augmented assignment": Seeded("x = 1\nx += uniform(0, 1)\nprint(x)\n", [3], "augmented"),
    "a range behind :=": Seeded("print(x := uniform(0, 1))\n", [2], "in the arguments of a call"),
    "a range inside a range": Seeded("lr = uniform(0, uniform(1, 2))\nprint(lr)\n", [2], "in the arguments of a call"),
    "a range in a lambda": Seeded("f = lambda: uniform(0, 1)\nf()\n", [2], "in a function"),
    "a range in a condition": Seeded("if uniform(0, 1) > 0.5:\n    print(1)\n", [2], "in a larger expression"),
    # ranges
    "bounds the wrong way round": Seeded("lr = uniform(3, 1)\nprint(lr)\n", [2], "low <= high must hold"),
    "a log range from zero": Seeded("lr = loguniform(0, 1)\nprint(lr)\n", [2], "low > 0 must hold"),
    "a default outside": Seeded("lr = uniform(0, 1, default=2)\nprint(lr)\n", [2], "lies outside uniform(0.0, 1.0)"),
    "a float bound of an int": Seeded("n = randint(1, 2.5)\nprint(n)\n", [2], "whole number"),
    "a choice of nothing": Seeded("n = choice()\nprint(n)\n", [2], "at least one value"),
    "a choice of one list": Seeded("n = choice([1, 2])\nprint(n)\n", [2], "choice(1, 2)"),
    "an argument is missing": Seeded("lr = uniform(0)\nprint(lr)\n", [2], "write uniform(low, high"),
    "an unknown option": Seeded("lr = uniform(0, 1, log=True)\nprint(lr)\n", [2], "write uniform(low, high"),
    "a range of an undefined name": Seeded("n = randint(1, n_max)\nprint(n)\n", [2], "'n_max' is not defined"),
    "a range that can't be evaluated": Seeded("n = randint(1, 1 // 0)\nprint(n)\n", [2], "ZeroDivisionError"),
    "a range of a parameter": Seeded(
        "a = randint(1, 9)\nb = randint(1, a)\nprint(b)\n", [3], "reads the parameter `a`"
    ),
    "a range of what a parameter gives": Seeded(
        "a = randint(1, 9)\nm = 2 * a\nb = randint(1, m)\nprint(b)\n", [4], "reads the parameter `a`"
    ),
    "a range of what the body computes": Seeded(
        "m = len(open('x').read())\nb = randint(1, m)\nprint(b)\n", [3], "reads `m`, which is computed in line 2"
    ),
    # parameters
    "no parameter": Seeded("loss = 1\n", [1], "declares no parameter"),
    "an empty body": Seeded("", [1], "declares no parameter"),
    "an orphan": Seeded(LR + "n = randint(1, 2)\nprint(lr)\n", [3], "`n` is never read"),
    "an orphan read only above": Seeded("print(n)\nn = randint(1, 2)\n", [3], "`n` is never read", "n = 1\n"),
    "a column of the table": Seeded("state = randint(1, 2)\nprint(state)\n", [2], "can't be called `state`"),
    "declared twice": Seeded(LR + "print(lr)\nlr = uniform(1, 2)\nprint(lr)\n", [4], "declared in line 2 already"),
    "declared in a branch and after it": Seeded(
        "a = choice(1, 2)\nif a == 1:\n    b = uniform(0, 1)\nb = uniform(0, 2)\nprint(b)\n", [5], "in line 4 already"
    ),
    # conditions
    "a condition on data": Seeded(
        "if data.mean() > 0:\n    lr = uniform(0, 1)\n    print(lr)\n",
        [3],
        "`data`",
        "import array\ndata = array.array('d')\n",
    ),
    "a condition on what the body computes": Seeded(
        LR + "loss = float(open(str(lr)).read())\nif loss > 0:\n    n = randint(1, 2)\n    print(n)\n",
        [5],
        "`loss` is computed in line 3",
    ),
    "a condition on data in one of several branches": Seeded(
        "o = choice('a', 'b')\nif o == 'a':\n    lr = uniform(0, 1)\nelif len(data) > f():\n    lr = uniform(2, 3)\n"
        "    n = randint(1, 2)\n    print(n)\nprint(lr)\n",
        [6],
        "`f` is of type function",
        "def f(): return 1\ndata = [1]\n",
    ),
    "a condition on objects": Seeded(
        "f = choice(f1, f2)\nif f == f1:\n    n = randint(1, 2)\n    print(n)\n",
        [4],
        "values of `f` are objects",
        "def f1(): pass\ndef f2(): pass\n",
    ),
    "a condition on texts that are members of an enum": Seeded(
        "o = choice(*O)\nif o == 'a':\n    n = randint(1, 2)\n    print(n)\n",
        [4],
        "values of `o` are objects",
        "import enum\nclass O(str, enum.Enum):\n    A = 'a'\n    B = 'b'\n",
    ),
    "a condition on a number within a group that is a member of an enum": Seeded(
        "g = choice({'k': K.A}, {'k': K.B})\nif g['k'] > 1:\n    n = randint(1, 2)\n    print(n)\n",
        [4],
        "values of `g` are objects",
        "import enum\nclass K(enum.IntEnum):\n    A = 1\n    B = 2\n",
    ),
    "an undefined name in a condition": Seeded(
        LR + "if los > 0:\n    n = randint(1, 2)\n    print(n, lr)\n", [3], "`los` is not defined"
    ),
    "a condition on what a star import may bring": Seeded(
        LR + "from math import *\nif tau_ > 0:\n    n = randint(1, 2)\n    print(n, lr)\n", [5], "`tau_` is not defined"
    ),
    "a constraint that can't hold": Seeded(LR + "require(K > 3)\nprint(lr)\n", [3], "never holds", "K = 1\n"),
    "a constraint of the notebook that can't be evaluated": Seeded(
        LR + "require(1 / K > 3)\nprint(lr)\n", [3], "ZeroDivisionError", "K = 0\n"
    ),
    "a constraint that can't be evaluated": Seeded(
        "n = randint(0, 3, default=0)\nrequire(1 / n > 0)\nprint(n)\n", [1], "ZeroDivisionError"
    ),
    # the line
    "a pin of an unknown name": Seeded(LR + "print(lr)\n", [1], "Did you mean 'lr'?", options={"pins": {"lrr": "1"}}),
    "a pin of what the body computes": Seeded(
        LR + "m = lr * 2\nprint(m)\n", [1], "line 3 computes it", options={"pins": {"m": "1"}}
    ),
    "a pin of another type": Seeded(LR + "print(lr)\n", [1], "does not fit", options={"pins": {"lr": "'a'"}}),
    "a pin of two ends with dots": Seeded(
        "a = uniform(0, 1)\nprint(a)\n", [1], "Write a=uniform(0.2, 0.4).", options={"pins": {"a": "0.2..0.4"}}
    ),
    "a pin of two ends with a colon": Seeded(
        "a = loguniform(0.001, 1)\nprint(a)\n",
        [1],
        "Write a=loguniform(1e-3, 0.01).",
        options={"pins": {"a": "1e-3:0.01"}},
    ),
    "a literal between two ends": Seeded(
        LR + "n = 3\nprint(n, lr)\n", [1], "Write n=randint(1, 5).", options={"pins": {"n": "1..5"}}
    ),
    "a pin of a list": Seeded(
        "c = choice(1, 2, 3)\nprint(c)\n", [1], "Write c=choice(1, 2).", options={"pins": {"c": "[1, 2]"}}
    ),
    "a literal among a list": Seeded(
        LR + "n = 3\nprint(n, lr)\n", [1], "Write n=choice(1, 5).", options={"pins": {"n": "[1, 5]"}}
    ),
    "a pin of a choice that is misspelt": Seeded(
        "o = choice('sgd', 'adam')\nprint(o)\n", [1], "NameError", options={"pins": {"o": "sdg"}}
    ),
    "a range on the line that is wrong": Seeded(
        LR + "print(lr)\n", [1], "low <= high", options={"pins": {"lr": "uniform(3, 1)"}}
    ),
    "a range on the line of another type": Seeded(
        "o = choice('a', 'b')\nprint(o)\n", [1], "does not fit", options={"pins": {"o": "uniform(0, 1)"}}
    ),
    "a literal of another type": Seeded(
        LR + "n = 3\nprint(n, lr)\n", [1], "does not fit", options={"pins": {"n": "'a'"}}
    ),
    "a literal assigned twice": Seeded(
        LR + "n = 3\nprint(n, lr)\nn = 4\nprint(n)\n", [1], "in lines 3 and 5", options={"pins": {"n": "5"}}
    ),
    "nothing of that name to ignore": Seeded(
        LR + "print(lr)\n", [1], "neither reads nor assigns", options={"ignore": ["workers"]}
    ),
    "a parameter of --space that nothing reads": Seeded(
        "print(lr)\n", [1], "`depth` is never read", options={"space": Space(lr=Float(0, 1), depth=Int(1, 2))}
    ),
    "a range for a parameter of --space": Seeded(
        LR + "print(lr)\n", [2], "a parameter of --space already", options={"space": Space(lr=Float(0, 1))}
    ),
    # what a trial can't do
    "input": Seeded(LR + "x = input()\nprint(x, lr)\n", [3], "waits for a keyboard"),
    "no metric": Seeded(
        LR + "accuracy = lr\nprint(lr)\n", [1], "Did you mean 'accuracy'?", options={"targets": ["acuracy"]}
    ),
    "another metric is reported": Seeded(
        LR + "report(acc=lr, epoch=1)\n", [1], "'loss' is set nowhere", options={"targets": ["loss"]}
    ),
    "a notebook function that reports nothing": Seeded(
        LR + "train(lr)\nprint(1)\n", [1], "set nowhere", "def train(lr): return lr\n", {"targets": ["loss"]}
    ),
    "an object that can't travel": Seeded(
        LR + "print(lr, lock)\n", [3], "lock", "import threading\nlock = threading.Lock()\n"
    ),
    # several at once
    "three mistakes": Seeded(
        "a = uniform(2, 1)\nb = randint(1, 2)\nprint(a, undefined)\n", [2, 3, 4], "3 mistakes; nothing was started"
    ),
    "mistakes of the line come first": Seeded(
        "n = randint(1, 2)\nprint(undefined)\n",
        [1, 1, 2, 3],
        "4 mistakes",
        options={"pins": {"m": "1"}, "targets": ["loss"]},
    ),
}


@pytest.mark.parametrize("case", SEEDED)
def test_a_seeded_mistake_is_one_error_with_its_line(case: str) -> None:
    seeded = SEEDED[case]
    namespace = notebook(textwrap.dedent(seeded.cells), words=seeded.words)
    with pytest.raises(Mistakes) as caught:
        parse(seeded.body, namespace, **seeded.options)
    assert [m.line for m in caught.value.mistakes] == seeded.lines, str(caught.value)
    assert seeded.says in str(caught.value)


@pytest.mark.parametrize("case", SEEDED)
def test_a_mistake_quotes_the_line_it_names(case: str) -> None:
    seeded = SEEDED[case]
    with pytest.raises(Mistakes) as caught:
        parse(seeded.body, notebook(seeded.cells, words=seeded.words), **seeded.options)
    lines = ["", *seeded.body.split("\n")]
    for mistake in caught.value.mistakes:
        assert mistake.line is not None
        assert mistake.text == lines[mistake.line - 1]
