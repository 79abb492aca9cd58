"""Somebody's cluster, reached at its scheduler's address: tcp://HOST:PORT, or tls://HOST:PORT with certificates.

Whoever reaches a scheduler without TLS can run code on its workers; that is Dask's way and not ours to change. With TLS
the files come from a profile, or from Dask's own configuration where a profile names none.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import Mistake, Mistakes, SweepError, count, suggest
from ..clusters import Seen, Where
from . import probe
from .base import load_distributed
from .reached import closed, connect, require_same_release, versions

_TLS = ("tls_ca_file", "tls_client_cert", "tls_client_key")


def read(word: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Read "tcp://host:port" or "tls://host:port"; a profile of the latter may name the files of TLS."""
    kind = word.partition(":")[0]
    wrong = []
    if probe.split(word) is None:
        wrong.append(f"--on {word} can't be read: the address of a Dask scheduler is {kind}://HOST:PORT.")
    allowed = _TLS if kind == "tls" else ()
    for name, value in options.items():
        if name not in allowed:
            more = suggest(name, allowed) if allowed else " It has none; tls:// takes the files of certificates."
            wrong.append(f"--on {word} has no option {name!r}.{more}")
        else:
            wrong += _wrong_file(name, value)
    if options and allowed and not {"tls_ca_file", "tls_client_cert"} <= options.keys():
        wrong.append("tls_ca_file and tls_client_cert belong together (the key may stand in the certificate's file)")
    if wrong:
        raise Mistakes(Mistake(text) for text in wrong)
    files = {name: str(Path(value).expanduser()) for name, value in options.items()}
    return {"address": word.rstrip("/"), "files": files}


def _wrong_file(name: str, value: Any) -> list[str]:
    path = Path(value).expanduser() if isinstance(value, str) and value else None
    if path is None or not path.is_absolute():
        return [f"{name} wants the path of a file, from / or from ~, got {value!r}"]
    return [] if path.is_file() else [f"{name}: there is no file {path}"]


def plan(where: Where, slots: int | None) -> str:
    files = where.options["files"]
    tls = f", with the certificate {files['tls_client_cert']}" if files else ""
    return (
        f"trials run on the Dask scheduler at {where.options['address']}{tls}: a slot a thread of its workers, every "
        "trial in a process of its own there"
    )


def check(where: Where) -> None:
    """Reach the scheduler and leave it again."""
    Existing(where).close()


def seen(where: Where) -> Seen:
    there = Existing(where)
    try:
        workers = len(there.client.nthreads())
        return Seen(there.slots(), versions(there.client), f"ok, {count(workers, 'worker')}")
    finally:
        there.close()


def start(where: Where, slots: int | None) -> Existing:
    return Existing(where)


class Existing:
    """Somebody's cluster: its workers' threads are our slots, its settings are its own, and it outlives us."""

    prefix = ""

    def __init__(self, where: Where) -> None:
        self._address: str = where.options["address"]
        self._files: dict[str, str] = where.options["files"]
        self.client = self.reach()
        self.dashboard: str | None = self.client.dashboard_link

    def reach(self) -> Any:
        """Give a new client; SweepError when the scheduler can't be had, or has no workers that would do."""
        security = self._security()
        probe.look(self._address, security and security.get_connection_args("client")["ssl_context"])
        client = connect(self._address, self._address, security=security)
        try:
            if not client.nthreads():
                fix = f"Start some with: dask worker {self._address}"
                raise SweepError(f"--on {self._address}: the scheduler has no workers. {fix}")
            require_same_release(client, self._address, "Start them from the environment of this notebook.")
        except BaseException:
            closed(client)
            raise
        return client

    def _security(self) -> Any:
        """Give the certificates: of the profile, else of Dask's configuration."""
        if not self._address.startswith("tls:"):
            return None
        security = load_distributed().Security(**self._files, require_encryption=True)
        if not security.tls_ca_file or not security.tls_client_cert:
            raise SweepError(
                f"--on {self._address} needs certificates, and there are none: name them in a profile of sweeps.toml "
                f'(on = "{self._address}", {", ".join(_TLS)}), or as distributed.comm.tls in Dask\'s configuration.'
            )
        return security

    def slots(self) -> int:
        return sum(self.client.nthreads().values())

    def scale(self, n: int) -> None:
        """Refuse more; fewer trials at once need no fewer workers, and those are not ours to end."""
        if n > self.slots():
            there = count(self.slots(), "slot")
            raise SweepError(f"--jobs {n}: the cluster has {there}, and only who runs it can give it more.")

    def is_whole(self) -> bool:
        return True

    def heal(self) -> None:
        """Nothing that we could do: its workers are somebody else's."""

    def close(self) -> None:
        closed(self.client)
