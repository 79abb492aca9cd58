"""What the user sees of an error: its message, and no traceback of ours.

IPython shortens only `UsageError` itself, not a subclass, and prints it as a stream, so that a notebook executed by
nbclient would show no error output. `_render_traceback_` is IPython's way for exceptions that know how they look.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from IPython.core.error import UsageError

from ..errors import SweepError


class CellError(SweepError, UsageError):
    """Ends a cell with a message. The user reads and catches it as `SweepError`; to IPython it is a UsageError."""

    def _render_traceback_(self) -> list[str]:
        return [f"SweepError: {self}"]


CellError.__name__ = CellError.__qualname__ = "SweepError"


@contextmanager
def told() -> Iterator[None]:
    """Turn a SweepError of the block, or an interrupt of what can't be resumed, into the message that ends the cell."""
    try:
        yield
    except CellError:
        raise
    except SweepError as error:
        raise CellError(str(error)) from None
    except KeyboardInterrupt:
        raise CellError("Interrupted.") from None
