"""What runs trials where they run: a supervisor in the Dask worker, one killable child a slot. Standard library only.

This folder travels to workers as source text, so that a worker needs none of our package and never a version of its
own; it imports nothing of ours but itself. `loader.py` builds it there under another name.

    pool         the slots of one worker process, stop flags, events sent together
    supervisor   one slot: trial after trial in a warm child, replaced when it is not clean any more
    nursery      a slot's preloaded process, from which one a trial is forked (`--isolation fork`)
    inside       a trial in the worker's own thread (`--isolation inline`)
    watch        one running trial: reports, output, time, memory, stop, end
    outpost      trials on a host that shares no disk with the driver
    visit        one such trial: paths of its own, everything brought there and home
    supply       what it needs, got once a host
    homeward     what it makes: log, checkpoints, artifacts
    logtail      what of a growing log was not sent yet
    line         what is told and carried between such a host and the driver
    parcels      files on their way, piece by piece
    scratch      what such a host keeps, one copy for all its workers
    copies       how those copies go that nobody uses
    janitor      removes them all after the last worker
    locks        locks between the processes of a host
    devices      the GPUs of this host, shared out among slots
    nvml         what the driver tells of them
    threads      those of numerical libraries that are loaded already
    process      a guarded child as its supervisor holds it: start, output, end
    guard        the child's parent: ends the whole tree when the supervisor goes, whatever the trial does
    child        the process that user code runs in: one trial after another while it stays clean
    zygote       the other end of a nursery: imports, forks, runs no trial itself
    words        our words in a trial where our package is not installed
    parallel     joblib's processes within a trial's cpus
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
    "words",
    "job",
    "shell",
    "parallel",
    "trial",
    "child",
    "zygote",
    "guard",
)
#: The files that its supervisor needs beside those.
SUPERVISOR = (
    "logfile",
    "nvml",
    "devices",
    "process",
    "nursery",
    "watch",
    "threads",
    "inside",
    "supervisor",
    "locks",
    "copies",
    "janitor",
    "scratch",
    "parcels",
    "line",
    "supply",
    "logtail",
    "homeward",
    "visit",
    "outpost",
    "pool",
)
#: The files of our package that its words need, for hosts where it is not installed.
OF_THE_PACKAGE = (
    "__init__.py",
    "errors.py",
    "space/__init__.py",
    "space/codec.py",
    "space/condition.py",
    "space/fingerprint.py",
    "space/parameter.py",
    "space/ranges.py",
    "space/space.py",
    "vocabulary.py",
)


def sources() -> dict[str, str]:
    """Give the source text of all parts, in order of loading."""
    here = Path(__file__).parent
    parts = {name: (here / f"{name}.py").read_text(encoding="utf-8") for name in CHILD + SUPERVISOR}
    package = {name: (here.parent / name).read_text(encoding="utf-8") for name in OF_THE_PACKAGE}
    return {**parts, "words": f"{parts['words']}\nSOURCES = {package!r}\n"}
