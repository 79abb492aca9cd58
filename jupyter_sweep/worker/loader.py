"""Build this package from source text, on a Dask worker that has none of it and in the children that it starts.

Children get compiled code by `marshal`: they run the very interpreter of their supervisor, and compiling anew would
double the time that a child takes to start.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from types import CodeType, ModuleType

#: What `python -c` runs in a child: read the compiled parts from the socket, build the package, become the guard.
#: Its first line tells in a list of processes what this is.
BOOT = """# sweep-trial
import marshal, os, sys
fd, life, left = map(int, sys.argv[1:4])
data = []
while left:
    data.append(os.read(fd, left) or sys.exit("the supervisor went away"))
    left -= len(data[-1])
loader, parts = marshal.loads(b"".join(data))
space = {"__name__": "loader"}
exec(loader, space)
space["install"]("_sweep_child", parts).guard.main(fd, life, sys.argv[4])
"""


def compiled(sources: Mapping[str, str]) -> list[tuple[str, CodeType]]:
    """Compile the parts; their file names begin with `<sweep worker>`, by which tracebacks leave them out."""
    return [
        (name, compile(text, f"<sweep worker>/{name}.py", "exec", dont_inherit=True)) for name, text in sources.items()
    ]


def install(name: str, parts: Iterable[tuple[str, CodeType]]) -> ModuleType:
    """Make the parts modules of a package `name`; one that is there already is given back as it is."""
    if name in sys.modules:
        return sys.modules[name]
    package = ModuleType(name)
    package.__path__ = []
    sys.modules[name] = package
    for part, code in parts:
        module = ModuleType(f"{name}.{part}")
        module.__package__ = name
        sys.modules[module.__name__] = module
        exec(code, module.__dict__)
        setattr(package, part, module)
    return package
