"""Digests that must never change without notice: a changed digest makes a new version of everybody's sweeps.

    python tests/golden/digests.py check     exit status 1 and the names of those that differ
    python tests/golden/digests.py write     after a deliberate change of what a digest means
    python tests/golden/digests.py print     JSON

Runs with any Python that can run the package, and needs nothing else: `tests/test_digest.py` runs it with every
interpreter it finds. Cases that need numpy or pandas are computed and checked where they are installed; values whose
identity holds a library's version (an instance of one of its classes) are not among them.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import linecache
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from jupyter_sweep.jobs.digest import digest_tree, digest_value

FILE = Path(__file__).with_name("digests.json")

TREES = {
    "empty": "",
    "assignments": "a = 1; b = -2.5e-3; c = 1j; d = 0xff; e = 1_000\nf = g = None\nh: int = 3\ni: str",
    "strings": "a = 'x' 'y'; b = b'\\x00\\xff'; c = u'u'; d = '\\ud800'; e = '''two\nlines'''; f = r'\\d'",
    "huge integer": "a = " + "9" * 4000,
    "f-strings": """
a = f"{x}"
b = f"a{x}b" f"{y!r:>{width}}" "c" f"d"
c = f"{x:.2f}{y:{a}.{b}}{{literal}}"
d = f"{x=}"
e = f''
f = f'{"quoted"}' 'tail'
g = rf"\\d{x}\\w"
h = f"{x!s:*^10}{x!a}"
i = f"no placeholder"
j = f'''{
    x
}'''
k = (f"one {x} "
     "two "
     f"{y} three")
l = f"{x:%Y-%m-%d}"
m = f"{lambda_ if (lambda_ := 3) else {'a': 1}['a']}"
n = f"\\N{DIGIT ONE}{x}"
""",
    "functions": """
def f(a, /, b: int = 1, *args, c, d=2, **kw) -> str:
    '''documented'''
    global g
    return a
async def h():
    async with x as y, z:
        await y
    async for i in j: yield i
@one
@two(3)
def k(): pass
l = lambda x, *y, z=1, **w: (x, y)
""",
    "classes": "class A(B, metaclass=M, flag=True):\n    x: int = 0\n    def m(self): return super().m()\n",
    "control": """
for i, (j, *k) in x:
    if i: break
    elif j: continue
    else: pass
else: print()
while True:
    try: y
    except (A, B) as e: raise C from e
    except: raise
    else: z
    finally: w
with (open(a) as b, c): d
assert a, b
del a[1:2, ..., ::3], b.c
return_ = [x for x in y if z async for q in r], {a: b for a, b in c}, {*d}, {**e, 'f': 1}, (g for g in h)
""",
    "match": """
match x:
    case 1 | -2.0 | 'a' | None | True: pass
    case [1, *rest] if rest: pass
    case {'k': v, **others}: pass
    case A(b, c=d): pass
    case _: pass
""",
    "operators": """
a + b - c * d @ e / f // g % h ** i << j >> k & l | m ^ n
not a and b or c is not d in e
~a; a += 1; a @= b
""",
    "imports": "import a.b as c, d\nfrom . import e\nfrom ..f import g as h, i\nfrom j import *",
    "deep sum": "x = " + " + ".join(["1"] * 900),
}

VALUES = """
None
True
0
1
1.0
-0.0
float("nan")
float("inf")
1 + 2j
10 ** 5000
"1"
"\\ud800"
""
b"1"
bytearray(b"1")
memoryview(b"1")
...
NotImplemented
range(1, 10, 2)
slice(1, None, "a")
[]
[1, 2, 3]
(1, 2, 3)
[1, 2.0, "3", None, True]
[[1], [1.0], []]
["a", "b"]
[2 ** 70]
{1, 2, 3}
{"a", "b", "c"}
frozenset({("a", 1), ("b", 2)})
{}
{"b": 1, "a": [2, {"c": None}]}
{1: "a", "1": "b", (2, 3): "c", None: "d"}
collections.OrderedDict(b=1, a=2)
collections.defaultdict(list, {"a": [1]})
collections.Counter("abca")
collections.deque([1, 2], maxlen=3)
types.SimpleNamespace(a=1, b=[2])
types.MappingProxyType({"a": 1})
array.array("d", [1.0, 2.0])
decimal.Decimal("1.50")
fractions.Fraction(1, 3)
datetime.date(2026, 1, 2)
datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc)
datetime.timedelta(days=1, seconds=2)
datetime.time(1, 2)
pathlib.Path("/a/b")
pathlib.PurePosixPath("a")
re.compile("a+", re.IGNORECASE)
uuid.UUID(int=5)
Colour.red
Colour
Flag.a | Flag.b
Point(1, 2)
Record(1, [2])
Frozen("x")
Pair(1, 2.0)
Pair
Record
Frozen
Plain
Derived
Slotted
Shape
plain
slotted
tree
cycle
twins
len
math.sin
str.upper
[].append
str
int
collections.OrderedDict
list[int]
functools.partial(int, base=2)
operator.itemgetter(1, "a")
logging.getLogger("a.b")
random.Random(1)
random.uniform
random.random
math
json
os.path
add
outer
even
odd
counter
deco
cached
lambdas[0]
lambdas[1]
lambdas[2]
closure(3)
closure(4)
plain.method
Plain.make
Plain.static
generator
coroutine
uses_module
nested_class
context
dispatch
"""

CODE = '''
import array, collections, contextlib, dataclasses, datetime, decimal, enum, fractions, functools, json, logging
import math, operator, os, pathlib, random, re, types, typing, uuid, abc

SCALE = 3

def add(a, b=1, *, c=(2,)):
    """Documented."""
    return a + b * SCALE  # with a comment

def outer(x: "int" = len("ab")) -> float:
    def inner(y):
        return add(x, y)
    return [inner(z) for z in range(x)]

def even(n): return n == 0 or odd(n - 1)
def odd(n): return n != 0 and even(n - 1)

def counter():
    global COUNT
    COUNT += 1
COUNT = 0

def timed(f):
    @functools.wraps(f)
    def wrapper(*args, **kw):
        return f(*args, **kw)
    return wrapper

@timed
def deco(x): return x + SCALE

@functools.lru_cache(maxsize=10)
def cached(n): return n if n < 2 else cached(n - 1) + cached(n - 2)

lambdas = [lambda x: x + 1, lambda x: x + 2, lambda x: (lambda y: y * SCALE)(x)]

def closure(k):
    def inside(x): return x * k
    return inside

def generator(): yield from (x for x in range(SCALE))
async def coroutine(): await other()
def uses_module(x): return math.sqrt(x) + os.path.getsize(x)

def nested_class():
    class Local(Plain):
        factor = SCALE
    return Local

@contextlib.contextmanager
def context(): yield SCALE

@functools.singledispatch
def dispatch(x): return 0
@dispatch.register
def _(x: int): return SCALE

class Colour(enum.Enum):
    red = 1
    green = "g"
    def __str__(self): return self.name

class Flag(enum.IntFlag):
    a = 1
    b = 2

Point = collections.namedtuple("Point", "x y", defaults=[0])

class Pair(typing.NamedTuple):
    """A pair."""
    left: int
    right: float = 1.5
    def total(self): return self.left + self.right

@dataclasses.dataclass
class Record:
    a: int
    b: list = dataclasses.field(default_factory=list, repr=False)
    def total(self): return self.a * SCALE

@dataclasses.dataclass(frozen=True, order=True)
class Frozen:
    name: str
    kind: typing.ClassVar[int] = 3

class Plain:
    """Documented."""
    limit = 10
    def __init__(self, a=1): self.a = a
    def method(self): return self.a + SCALE
    @property
    def double(self): return 2 * self.a
    @functools.cached_property
    def slow(self): return helper(self)
    @classmethod
    def make(cls): return Plain()
    @staticmethod
    def static(): return SCALE

def helper(x): return x

class Derived(Plain):
    def method(self): return super().method() + 1

class Slotted:
    __slots__ = ("a", "b")

class Shape(abc.ABC):
    @abc.abstractmethod
    def area(self): ...

plain = Plain([1, 2])
slotted = Slotted()
slotted.a = 1

class Node:
    def __init__(self, name, parent=None):
        self.name, self.parent, self.children = name, parent, []
        if parent: parent.children.append(self)
tree = Node("root")
Node("left", tree)
Node("right", Node("middle", tree))

cycle = [1]
cycle.append(cycle)
twins = [[1, 2], [1, 2]]
'''

NUMPY = """
np.arange(10)
np.arange(10, dtype=">i4")
np.arange(12.0).reshape(3, 4)
np.asfortranarray(np.arange(12.0).reshape(3, 4))
np.arange(24.0)[::2].reshape(3, 4)
np.zeros((0, 3))
np.array(3.5)
np.array([True, False])
np.array(["a", "bcd"])
np.array([b"a", b"bcd"])
np.array(["2026-01-01"], dtype="M8[D]")
np.array([1, "a", None, [2]], dtype=object)
np.array([(1, 2.5), (3, 4.5)], dtype=[("a", "i1"), ("b", "f8")])
np.array([(1, 2.5), (3, 4.5)], dtype=np.dtype([("a", "i1"), ("b", "f8")], align=True))
np.array([1.5], dtype="f2")
np.array([1 + 2j])
np.float64(1)
np.int8(1)
np.bool_(True)
np.str_("a")
np.datetime64("2026-01-01")
np.dtype("f8")
np.dtype([("a", "i8"), ("b", "f8", (2,))])
np.arange(2_000_000)
np.arange(4_000_000).reshape(2, -1)[:, ::2]
"""

PANDAS = """
pd.Index([1, 2, 3], name="i")
pd.RangeIndex(3)
pd.MultiIndex.from_tuples([(1, 1.5), (2, 2.5)], names=["x", "y"])
pd.Series([1.5, 2.5], name="s")
pd.Series([1, None], dtype="Int64")
pd.Series([True, None], dtype="boolean")
pd.Series(["a", None, "b"], dtype="string")
pd.Series(["a", None, "b"], dtype=object)
pd.Categorical([7, 8, 7], ordered=True)
pd.Series(pd.to_datetime(["2026-01-01", None]).as_unit("ns"))
pd.DatetimeIndex(["2026-01-01"], tz="UTC").as_unit("ns")
pd.Series(pd.to_timedelta([1, 2], unit="s").as_unit("ns"))
pd.PeriodIndex(["2026-01"], freq="M")
pd.DataFrame({0: [1, 2, 3], 5: [1.5, 2.5, 3.5], 6: [True, False, True]}, index=[5, 9, 2])
pd.DataFrame({"a": [1, 2], 3: ["x", "y"]}).astype(object)
pd.DataFrame()
"""


def namespace() -> dict[str, Any]:
    """Run `CODE` as a notebook runs a cell: in `__main__`, its text known to linecache under a name of its own."""
    names: dict[str, Any] = {"__name__": "__main__"}
    linecache.cache["<golden>"] = (len(CODE), None, CODE.splitlines(True), "<golden>")
    exec(compile(CODE, "<golden>", "exec", dont_inherit=True), names)
    return names


def compute() -> dict[str, dict[str, str]]:
    """Give group -> case -> digest for the groups that this interpreter can compute."""
    found = {"trees": {name: digest_tree(ast.parse(source)) for name, source in TREES.items()}}
    groups = {"values": (VALUES, ""), "numpy": (NUMPY, "np"), "pandas": (PANDAS, "pd")}
    for group, (cases, alias) in groups.items():
        if alias and importlib.util.find_spec(group) is None:
            continue
        names = namespace()
        if alias:
            names[alias] = importlib.import_module(group)
            names["np"] = importlib.import_module("numpy")
        found[group] = {case: digest_value(eval(case, names), name=case) for case in cases.strip().splitlines()}
    return found


def differing() -> list[str]:
    """Give the cases whose digest is not the recorded one."""
    recorded = json.loads(FILE.read_text())
    return [
        f"{group}: {case}"
        for group, digests in compute().items()
        for case in {**recorded[group], **digests}
        if digests.get(case) != recorded[group].get(case)
    ]


def main(verb: str) -> int:
    if verb == "write":
        FILE.write_text(json.dumps(compute(), indent=1, ensure_ascii=True) + "\n")
        return 0
    if verb == "print":
        print(json.dumps(compute()))
        return 0
    wrong = differing()
    print("\n".join(wrong) or "all as recorded")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:] or ["check"]))
