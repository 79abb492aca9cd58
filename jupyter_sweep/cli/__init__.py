"""`jupyter sweep`: sweeps without a notebook.

Exit status: 0 all that was allowed, 1 trials failed beyond it (or there is no result to give), 2 a mistake of the user
and nothing written, 130 interrupted. Results go to stdout, everything else to stderr, so that ``--json`` can be piped.
An error is one message; a traceback is shown for the user's own code alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from ..errors import SweepError
from . import arguments, folders, look, output, places, running, steer
from .borrowed import Borrowed

DONE, FAILED, MISTAKE, INTERRUPTED = 0, 1, 2, 130


def run(argv: Sequence[str], borrowed: Borrowed) -> int:
    """Do what the words say; give the exit status."""
    try:
        status = _run(argv, borrowed)
        sys.stdout.flush()
    except SweepError as error:
        print(output.wrapped(f"jupyter sweep: {error}"), file=sys.stderr)
        return MISTAKE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as `head`, has enough; Python must not complain when it flushes again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    return status


def _run(argv: Sequence[str], borrowed: Borrowed) -> int:
    if argv and argv[0] == "run" and not {"-h", "--help"} & set(argv):
        return running.run(argv[1:], borrowed)
    given = arguments.parse(argv)
    if given is None:
        return DONE
    if given.folder is not None:
        folders.use(given.folder)
    return {**look.ACTS, **steer.ACTS, **places.ACTS}[given.verb](given, borrowed)
