"""A look at an address before anybody speaks Dask with it: standard library only, seconds at most.

A peer that is no scheduler must not be handed to `distributed`: it takes the first eight bytes for the length of a
message and makes room for it, so that the greeting of an ssh server becomes a MemoryError. A scheduler greets first
(distributed.comm.core, `on_connection`), an HTTP server waits to be spoken to. It is nudged, with the beginning of a
message that holds an empty line: an HTTP server answers that it is no request, a scheduler that is busy reads it, sees
the connection end, and forgets it as it does any client that left while it was let in.
"""

from __future__ import annotations

import re
import socket
import ssl
import struct
import time

from ...errors import SweepError

#: A machine that is there answers in less, even where the first packet was lost.
CONNECT_S = 3.0
#: How long a greeting is waited for until the other side is nudged, and in all: a scheduler may be busy for a while.
NUDGE_S, GREETING_S = 1.0, 10.0
#: The greeting of a scheduler has some hundred bytes; what is longer than this is none.
_LONGEST = 2**20
#: The length of a message, and less of it than that.
_NUDGE = struct.pack("<Q", 64) + b"\r\n" * 8


def split(address: str) -> tuple[str, int] | None:
    """Give host and port of "tcp://host:port"; None where it can't be read."""
    found = re.fullmatch(r"(?:tcp|tls)://(?:([\w.-]+)|\[([0-9A-Fa-f:.]+(?:%\w+)?)\]):(\d{1,5})/?", address)
    if found is None or not 0 < int(found[3]) < 65536:
        return None
    return found[1] or found[2], int(found[3])


def look(address: str, tls: ssl.SSLContext | None = None) -> None:
    """Raise SweepError when nobody answers at an address, or somebody who can't be a Dask scheduler.

    Parameters
    ----------
    tls
        Certificates for an address tls://; without them only whether somebody listens is seen.
    """
    place = split(address)
    assert place is not None
    try:
        connection = socket.create_connection(place, timeout=CONNECT_S)
    except OSError as error:
        raise SweepError(
            f"--on {address}: nobody answers there ({_reason(error)}). Start a scheduler with `dask scheduler` and "
            f"workers with `dask worker {address}`, or leave --on away."
        ) from error
    with connection:
        if not address.startswith("tls:"):
            _require_greeting(address, connection)
        elif tls is not None:
            _require_secret_greeting(address, connection, tls)


def _require_secret_greeting(address: str, connection: socket.socket, tls: ssl.SSLContext) -> None:
    connection.settimeout(GREETING_S)
    try:
        with tls.wrap_socket(connection) as secret:
            _require_greeting(address, secret)
    except OSError as error:
        raise SweepError(
            f"--on {address}: no Dask scheduler can be spoken with there ({_reason(error)}). TLS wants the "
            "certificates of the very authority that the scheduler's were made by."
        ) from error


def _require_greeting(address: str, connection: socket.socket) -> None:
    greeting = _greeting(connection)
    if len(greeting) == 8 and struct.unpack("<Q", greeting)[0] <= _LONGEST:
        return
    if greeting:
        said = f"what answers there is no Dask scheduler; its first bytes are {greeting!r}"
    else:
        said = f"what answers there is no Dask scheduler: it says nothing for {GREETING_S:g} s, or hangs up"
        if address.startswith("tcp:"):
            said += f", as one with TLS does, which is {address.replace('tcp:', 'tls:')}"
    raise SweepError(f"--on {address}: {said}. `dask scheduler` prints the address that is wanted here.")


def _greeting(connection: socket.socket) -> bytes:
    """Give the first eight bytes that the other side sends, fewer when it sends no more in time."""
    begun = time.monotonic()
    found = b""
    nudged = False
    while len(found) < 8 and (left := GREETING_S + begun - time.monotonic()) > 0:
        connection.settimeout(left if nudged else min(left, NUDGE_S))
        try:
            more = connection.recv(8 - len(found))
        except TimeoutError:
            if not nudged:
                connection.sendall(_NUDGE)
            nudged = True
            continue
        except ConnectionResetError:
            break
        if not more:
            break
        found += more
    return found


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
