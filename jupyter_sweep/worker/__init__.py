"""What runs trials where they run: a supervisor in the Dask worker, one killable child a slot. Standard library only.

This folder travels to workers as source text, so that a worker needs none of our package and never a version of its
own; it imports nothing of ours but itself. `loader.py` builds it there under another name.

    pool         the slots of one worker process, stop flags, events sent together
    supervisor   one slot: trial after trial in a warm child, replaced when it is not clean any more
    watch        one running trial: reports, output, time, memory, stop, end
    process      a guarded child as its supervisor holds it: start, output, end
    guard        the child's parent: ends the whole tree when the supervisor goes, whatever the trial does
    child        the process that user code runs in: one trial after another while it stays clean
    trial        one trial from task to end; the same function serves `--on inline`

A process of its own, kept warm, was measured against the alternatives: 0.1 ms to dispatch and 10 ms to kill, where a
fresh interpreter costs 40 ms plus imports, a thread can't be killed, and Dask's own worker takes its neighbours along.
"""

from __future__ import annotations

from pathlib import Path

#: The files that a child needs, each after those that it imports.
CHILD = (
    "loader",
    "wire",
    "procs",
    "numerals",
    "seeds",
    "keeping",
    "stages",
    "context",
    "body",
    "job",
    "shell",
    "trial",
    "child",
    "guard",
)
#: The files that its supervisor needs beside those.
SUPERVISOR = ("logfile", "process", "watch", "supervisor", "pool")


def sources() -> dict[str, str]:
    """Give the source text of all parts, in order of loading."""
    here = Path(__file__).parent
    return {name: (here / f"{name}.py").read_text(encoding="utf-8") for name in CHILD + SUPERVISOR}
