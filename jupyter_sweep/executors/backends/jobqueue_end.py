"""The end of all jobs of one driver, whatever the driver's own end.

A shell waits on a pipe that only the driver holds. It cancels the jobs by their common name when the driver says so,
and also when it was killed: then the pipe closes. So no job stays in the queue, not even one that has not started and
so can't notice by itself that its scheduler is gone. Where the whole machine goes, jobs that run end by themselves
(`jobqueue_script.DEATH_S`), and the next driver cancels what waits (`jobqueue_files.leftovers`).
"""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

#: Batch system -> what cancels the jobs that are named $1.
_CANCEL = {
    "slurm": 'scancel --name "$1"',
    "pbs": 'qselect -N "$1" | xargs -r qdel',
    "sge": 'qdel "$1"',
    "lsf": 'bkill -J "$1" 0',
}
#: A submission that was under way when the driver was killed is through by then.
_LATE_S = 5
#: An order that fails, because the batch system does not answer, is given once more.
_WATCH = """\
trap '' HUP INT TERM
cancel() {{ {cancel} || {{ sleep 2; {cancel}; }}; }}
read -r said
cancel
[ "$said" ] || {{ sleep {late_s}; cancel; }}
rm -rf -- "$2"
"""
_LIMIT_S = 15


def cancel(kind: str, name: str) -> None:
    """Cancel all jobs of a name now, as well as that can be."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(["/bin/sh", "-c", _CANCEL[kind], "sh", name], capture_output=True, timeout=_LIMIT_S)


class Ender:
    """Cancels the jobs of a name, and removes their folder, when `end` is called or this process dies."""

    def __init__(self, kind: str, name: str, folder: Path) -> None:
        text = _WATCH.format(cancel=_CANCEL[kind], late_s=_LATE_S)
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", text, "sh", name, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )

    def end(self) -> None:
        """Have it done, and wait for it; where the batch system doesn't answer, it goes on without us."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._shell.communicate(b"end\n", timeout=_LIMIT_S)
