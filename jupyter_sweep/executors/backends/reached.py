"""What clusters share whose workers run in processes that aren't ours: a client, and a look at their Python."""

from __future__ import annotations

import contextlib
import platform
import threading
from collections import Counter
from typing import Any, NamedTuple

from ...errors import SweepError
from .base import load_distributed

CONNECT_S = 10
_MORE_S = 2


def connect(to: Any, word: str, *, security: Any = None, timeout_s: float | None = None) -> Any:
    """Give a client of a scheduler's address, or of a cluster; `timeout_s` is CONNECT_S if it is not given.

    Raises
    ------
    SweepError
        For whatever goes wrong: nobody there, another protocol, no certificate, another release. Within `timeout_s`
        and a bit.
    """
    timeout_s = CONNECT_S if timeout_s is None else timeout_s
    make = load_distributed().Client
    given = {} if security is None else {"security": security}
    made: list[Any] = []
    failed: list[Exception] = []

    def call() -> None:
        try:
            made.append(make(to, timeout=timeout_s, set_as_default=False, **given))
        except Exception as wrong:  # a peer of another kind or release has many ways to fail, MemoryError among them
            failed.append(wrong)

    # In a thread, because the client's own limit does not hold for a peer that takes the connection and says nothing.
    thread = threading.Thread(target=call, name="client", daemon=True)
    thread.start()
    thread.join(timeout_s + _MORE_S)
    if not made:
        error = failed[0] if failed else None
        why = f"what answers says nothing, for {timeout_s + _MORE_S:g} s" if error is None else _reason(error)
        raise SweepError(
            f"--on {word}: no Dask scheduler can be spoken with there ({why}). One of another release could be the "
            f"reason; here distributed is {_own_dask()}."
        ) from error
    return made[0]


def _reason(error: BaseException) -> str:
    """Give the innermost text of an error: what lies around it is how often it was tried."""
    inner = error
    while (deeper := inner.__cause__ or inner.__context__) is not None:
        inner = deeper
    found = str(inner) or str(error)
    return f"{type(inner).__name__}: {found}" if found else type(inner).__name__


def require_same_release(client: Any, word: str, fix: str) -> None:
    """Refuse a scheduler or workers of another Python or another Dask, with both sides' releases.

    What trials need travels as byte code, which another minor version of Python can't run; Dask's messages change with
    its releases, and one that is not understood shows as a worker that hangs.
    """
    there = _releases(client)
    ours, where = Release(platform.python_version(), _own_dask()), Counter(map(Release.essence, there.values()))
    others = [f"{n} of {len(there)} {text}" for text, n in sorted(where.items()) if text != ours.essence()]
    if others:
        raise SweepError(
            f"--on {word}: its scheduler and workers must have the releases of this process, {ours.essence()}, and "
            f"have others: {'; '.join(others)}. {fix}"
        )


class Release(NamedTuple):
    """What one process of a cluster runs with."""

    python: str
    dask: str

    def essence(self) -> str:
        """Give what must be the same on both sides."""
        return f"Python {'.'.join(self.python.split('.')[:2])} with distributed {'.'.join(self.dask.split('.')[:2])}"


def versions(client: Any) -> str:
    """Give the releases of a cluster's processes, each once."""
    return "; ".join(sorted({f"Python {r.python}, distributed {r.dask}" for r in _releases(client).values()}))


def _releases(client: Any) -> dict[str, Release]:
    """Give the releases of the scheduler and of each worker, by address; of those that answer."""
    said = client.get_versions(check=False)
    found = {"scheduler": said["scheduler"], **said["workers"]}
    return {
        address: Release(str(v["host"]["python"]).partition(".final")[0], str(v["packages"]["distributed"]))
        for address, v in found.items()
        if v
    }


def _own_dask() -> str:
    return str(load_distributed().__version__)


def closed(client: Any) -> None:
    """Close a client whose scheduler may be gone."""
    with contextlib.suppress(Exception):  # nothing hangs on a polite goodbye
        client.close(timeout=2)
