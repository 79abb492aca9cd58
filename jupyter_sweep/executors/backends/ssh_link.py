"""One connection to one ssh host: reached with the user's own ssh set-up, never with a password or an untrusted key.

What the host writes is read as long as the connection lives: of a channel that nobody reads, ssh takes 2 to 3 MB, and
then whoever prints there blocks for ever (measured with Dask's own SSHCluster).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from . import ssh_script, ssh_words

#: A host that answers none of so many questions, so many seconds apart, is gone: 9 to 12 s.
_ALIVE_S, _ALIVE_TIMES = 3, 3
#: How long the shell may take until its Python speaks; a prescript may load modules.
_HELLO_S = 60.0
#: How long a host may take to clear up after its input was closed.
_END_S = 10.0
_TAIL = 1500


class Unusable(Exception):
    """Why a host can't be used: a few words for the table, and what to do about it.

    `passing` is whether it may come right by itself: no answer, a lost connection.
    """

    def __init__(self, verdict: str, advice: str = "", *, passing: bool = False) -> None:
        super().__init__(verdict)
        self.verdict, self.advice, self.passing = verdict, advice, passing


class Link:
    """A connected host whose Python has presented itself: `hello` is what it said.

    `here` and `there` are the addresses of this end and of the host's. `over` is set once the host's shell ended or the
    connection broke.
    """

    def __init__(self, connection: Any, process: Any, keep: Callable[[bytes], None]) -> None:
        self._connection, self._process, self._keep = connection, process, keep
        self._tail = b""
        self.hello: dict[str, Any] = {}
        self.over = asyncio.Event()
        self.here = str(connection.get_extra_info("sockname")[0])
        self.there = str(connection.get_extra_info("peername")[0])
        self._tasks = [asyncio.ensure_future(self._read(process.stderr))]

    async def greet(self, script: str) -> None:
        """Run the script and wait for the host to present itself."""
        try:
            self._process.stdin.write(ssh_script.encoded(script))
            await asyncio.wait_for(self._find_hello(), _HELLO_S)
        except asyncio.TimeoutError:
            raise Unusable(f"silent for {_HELLO_S:.0f} s", f"its shell or prescript hangs{self.said()}") from None
        except OSError as error:
            raise Unusable("connection lost", passing=True) from error
        if not self.hello:
            raise self._no_hello(await self.status())
        self.there = self.hello["address"] or self.there
        self._tasks.append(asyncio.ensure_future(self._read(self._process.stdout)))
        self._tasks.append(asyncio.ensure_future(self._note_the_end()))

    async def _find_hello(self) -> None:
        mark = ssh_script.MARK.encode()
        with _broken_as_os_error():
            while line := await self._process.stdout.readline():
                if line.startswith(mark):
                    self.hello = json.loads(line[len(mark) :])
                    return
                self._take(line)

    def _no_hello(self, status: int | None) -> Unusable:
        if status == ssh_script.FAILED:
            return Unusable("its prescript failed", f"its last command must end with status 0{self.said()}")
        if status in (126, 127):
            fix = 'install Python there, or name one in a profile with python = "/path/to/python3"'
            return Unusable("no Python there", fix + self.said())
        if status is None:
            return Unusable("connection lost", passing=True)
        return Unusable("its Python does not start", f"the shell there ended with status {status}{self.said()}")

    def begin(self, config: Mapping[str, Any]) -> None:
        """Tell the host what to run."""
        data = json.dumps(config).encode()
        self._process.stdin.write(b"%012d" % len(data) + data)

    def ping(self) -> None:
        """Say that somebody is there."""
        with contextlib.suppress(OSError):  # over already: told by `over`
            self._process.stdin.write(b"\n")

    async def status(self) -> int | None:
        """Wait for the end of the shell; give its exit status, None when the connection went first."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._process.wait_closed(), _END_S)
        status: int | None = self._process.exit_status
        return status

    async def end(self) -> None:
        """Close the host's input, wait until it has cleared up, and close the connection."""
        with contextlib.suppress(OSError):
            self._process.stdin.write_eof()
        await self.status()
        await self.drop()

    async def drop(self) -> None:
        """Close the connection now."""
        for task in self._tasks:
            task.cancel()
        self._connection.abort()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._connection.wait_closed(), 1)
        self.over.set()

    def said(self) -> str:
        """Give the end of what the host printed, for a message."""
        lines = [line for line in self._tail.decode("utf-8", "replace").splitlines() if line.strip()]
        return "; it said:\n       " + "\n       ".join(lines[-5:]) if lines else ""

    async def _read(self, stream: Any) -> None:
        with contextlib.suppress(OSError), _broken_as_os_error():  # a broken connection is told by `over`
            while data := await stream.read(1 << 16):
                self._take(data)

    def _take(self, data: bytes) -> None:
        self._tail = (self._tail + data)[-_TAIL:]
        self._keep(data)

    async def _note_the_end(self) -> None:
        try:
            await self._process.wait_closed()
        finally:
            self.over.set()


@contextlib.contextmanager
def _broken_as_os_error() -> Iterator[None]:
    """Give a broken connection the exception that Python has for it."""
    import asyncssh

    try:
        yield
    except asyncssh.Error as error:
        raise ConnectionResetError(str(error)) from error


async def reach(host: Mapping[str, Any], timeout_s: float, keep: Callable[[bytes], None]) -> Link:
    """Connect to a host and have its Python present itself.

    Parameters
    ----------
    host
        As `ssh_words.read` gives it.
    timeout_s
        For the connection.
    keep
        Takes what the host prints.

    Raises
    ------
    Unusable
        In all other cases.
    """
    import asyncssh

    keys: list[tuple[str, int, Any]] = []

    class Strict(asyncssh.SSHClient):
        def validate_host_public_key(self, host: str, addr: str, port: int, key: Any) -> bool:
            keys.append((host, port, key))
            return False

    given: dict[str, Any] = {}
    try:
        given = await _options(asyncssh, host, timeout_s)
        connection = await asyncio.wait_for(
            asyncssh.connect(host["host"], client_factory=Strict, **given), 2 * timeout_s
        )
    except Exception as error:
        raise _unusable(asyncssh, error, host, timeout_s, keys, given.get("known_hosts")) from error
    try:
        process = await connection.create_process(ssh_script.COMMAND, encoding=None)
        link = Link(connection, process, keep)
    except (OSError, asyncssh.Error) as error:
        connection.abort()
        raise Unusable("gives no shell", str(error)) from error
    try:
        await link.greet(ssh_script.script(host))
    except BaseException:
        await link.drop()
        raise
    return link


async def _options(asyncssh: Any, host: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
    """Give the options of a connection; what the profile does not say, `~/.ssh/config` does."""
    given = {"port": host["port"], "username": host["user"], "client_keys": host["key"] and [host["key"]]}
    given = {name: value for name, value in given.items() if value is not None}
    known = (await asyncio.to_thread(asyncssh.SSHClientConnectionOptions, host=host["host"], **given)).known_hosts
    return {
        **given,
        "known_hosts": known or _files_of_keys(),  # never None, which would trust any key
        "password_auth": False,
        "kbdint_auth": False,
        "connect_timeout": timeout_s,
        "login_timeout": timeout_s,
        "keepalive_interval": _ALIVE_S,
        "keepalive_count_max": _ALIVE_TIMES,
    }


def _files_of_keys() -> Any:
    own = os.path.expanduser("~/.ssh/known_hosts")
    return [path for path in (own, "/etc/ssh/ssh_known_hosts") if os.path.isfile(path)] or b""


def _unusable(
    asyncssh: Any,
    error: Exception,
    host: Mapping[str, Any],
    timeout_s: float,
    keys: list[tuple[str, int, Any]],
    known: Any,
) -> Unusable:
    """Say what a failed connection means."""
    if keys:
        return _untrusted(asyncssh, *keys[-1], known)
    if isinstance(error, socket.gaierror):
        return Unusable("no such host name", f"{error.strerror}: check its spelling, or its Host in ~/.ssh/config")
    if isinstance(error, asyncio.TimeoutError | TimeoutError | asyncssh.ConnectionLost):
        return Unusable(f"no answer in {timeout_s:g} s", passing=True)
    if isinstance(error, asyncssh.PermissionDenied):
        command = ["ssh", "-o", "BatchMode=yes", *(["-p", str(host["port"])] if host["port"] else [])]
        command += [*(["-i", host["key"]] if host["key"] else []), ssh_words.address(host), "true"]
        return Unusable(
            "permission denied",
            f"this must work first: {shlex.join(command)}\n       passwords are never asked for; give the key with "
            "`key`, in ~/.ssh/config, or load it into ssh-agent",
        )
    if isinstance(error, OSError):
        why = os.strerror(error.errno) if error.errno else str(error)  # asyncio's own text says less
        return Unusable(why.lower(), passing=True)
    fix = ". Load that key into ssh-agent: a passphrase is never asked for" if "assphrase" in str(error) else ""
    return Unusable("ssh fails", f"{type(error).__name__}: {error}{fix}")


def _untrusted(asyncssh: Any, name: str, port: int, key: Any, known: Any) -> Unusable:
    """Refuse a host by its key, with the command that would let it in and what to compare first."""
    entry = name if port == 22 else f"[{name}]:{port}"
    line = f"{entry} {' '.join(key.export_public_key('openssh').decode().split()[:2])}"
    file = known[0] if isinstance(known, list) else os.path.expanduser("~/.ssh/known_hosts")
    add = f"echo {shlex.quote(line)} >> {shlex.quote(str(file))}"
    if not os.path.isdir(os.path.dirname(file)):
        add = f"mkdir -m 700 {shlex.quote(os.path.dirname(file))} && {add}"
    shown = f"{key.get_algorithm()} {key.get_fingerprint()}"
    compare = "compare first: on the host, `for f in /etc/ssh/*.pub; do ssh-keygen -lf $f; done` must show it"
    trusted = asyncssh.match_known_hosts(known, name, "", port)[0]
    if trusted:
        return Unusable(
            "its key CHANGED",
            f"it shows {shown}, and {file} knows another for it: somebody else may be answering.\n"
            f"       If the host was installed anew ({compare}): ssh-keygen -R {shlex.quote(entry)} -f "
            f"{shlex.quote(str(file))} && {add}",
        )
    return Unusable("unknown host key", f"it shows {shown} ({compare}). Then: {add}")
