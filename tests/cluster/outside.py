"""A Dask cluster that is somebody else's: a scheduler and workers in processes of their own, over TCP or TLS."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import distributed
from distributed.security import Security

WAIT_S = 60


def free_port() -> int:
    """Give a port of 127.0.0.1 that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def until(done: Callable[[], object], limit_s: float = WAIT_S) -> None:
    """Wait until something holds."""
    limit = time.monotonic() + limit_s
    while not done():
        assert time.monotonic() < limit, "it did not come"
        time.sleep(0.05)


class Outside:
    """A scheduler and its workers, which can be ended and started again at the same address."""

    def __init__(self, *, workers: int = 1, threads: int = 2, tls: Path | None = None) -> None:
        self.port, self.tls = free_port(), tls
        self.address = f"{'tls' if tls else 'tcp'}://127.0.0.1:{self.port}"
        self._workers, self._threads = workers, threads
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, *, workers: bool = True) -> Outside:
        """Start them, and wait until the workers are there."""
        host = ["--host", self.address.rpartition(":")[0]]
        self._spawn("dask_scheduler", *host, "--port", str(self.port), "--dashboard-address", "127.0.0.1:0")
        for _ in range(self._workers if workers else 0):
            self._spawn("dask_worker", self.address, "--nthreads", str(self._threads), "--no-dashboard")
        with distributed.Client(
            self.address, timeout=WAIT_S, security=self._security(), set_as_default=False
        ) as client:
            client.wait_for_workers(self._workers, timeout=WAIT_S) if workers else None
        return self

    def _spawn(self, command: str, *arguments: str) -> None:
        files = tls_files(self.tls) if self.tls else {}
        names = {"tls_ca_file": "--tls-ca-file", "tls_client_cert": "--tls-cert", "tls_client_key": "--tls-key"}
        more = [word for name, path in files.items() for word in (names[name], path)]
        line = [sys.executable, "-m", f"distributed.cli.{command}", *arguments, *more]
        env = {name: value for name, value in os.environ.items() if name != "JUPYTER_SWEEP_HOME"}
        self.processes.append(subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env))

    def _security(self) -> Any:
        return Security(**tls_files(self.tls), require_encryption=True) if self.tls else None

    def kill_scheduler(self) -> None:
        """Kill the scheduler; its workers end by themselves when they notice."""
        self.processes[0].kill()
        self.processes[0].wait()

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
        self.processes = []


@contextmanager
def outside(**options: Any) -> Iterator[Outside]:
    """Give a running cluster; ended afterwards."""
    cluster = Outside(**options)
    try:
        yield cluster.start()
    finally:
        cluster.end()


def write_tls(folder: Path) -> Path:
    """Write a new certificate authority's files: a certificate for all sides, and its key."""
    made = Security.temporary()
    for name in ("tls_ca_file", "tls_client_cert", "tls_client_key"):
        (folder / f"{name}.pem").write_text(getattr(made, name))
    return folder


def tls_files(folder: Path) -> dict[str, str]:
    return {n: str(folder / f"{n}.pem") for n in ("tls_ca_file", "tls_client_cert", "tls_client_key")}


class _Silent(BaseHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Leave the output of the tests alone."""


@contextmanager
def http() -> Iterator[str]:
    """Give the address of a web server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Silent)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield f"tcp://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join(5)


@contextmanager
def stranger(greeting: bytes) -> Iterator[str]:
    """Give the address of a server that greets everybody so, and speaks no Dask; b"" says nothing at all."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        taken: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                taken.append(connection)
                if greeting:
                    connection.sendall(greeting)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"tcp://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(5)
    for connection in taken:
        connection.close()
