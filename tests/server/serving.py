"""A real Jupyter server in a process of its own, and the questions that a page asks it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import urlencode

API = "/jupyter-sweep/api"
START_S = 150


class Answer(NamedTuple):
    """What came back."""

    status: int
    data: Any
    headers: Mapping[str, str]


class Server:
    """A server for `root`; its settings and runtime files lie in `private`. `config` is Python for its settings."""

    def __init__(self, root: Path, private: Path, *, config: str = "", env: Mapping[str, str] | None = None) -> None:
        self.root, self.token, self.port = root, secrets.token_hex(16), _free_port()
        for folder in (root, private / "config"):
            folder.mkdir(parents=True, exist_ok=True)
        (private / "config" / "jupyter_server_config.py").write_text(config)
        self._log = private / "server.log"
        with open(self._log, "w") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "jupyter", "server", "--no-browser", "--allow-root"),
                    *("--ServerApp.ip=127.0.0.1", f"--ServerApp.port={self.port}", "--ServerApp.port_retries=0"),
                    *(f"--IdentityProvider.token={self.token}", f"--ServerApp.root_dir={root}"),
                    "--ServerApp.jpserver_extensions={'jupyter_sweep': True}",
                ],
                env={
                    **os.environ,
                    "JUPYTER_CONFIG_DIR": str(private / "config"),
                    "JUPYTER_DATA_DIR": str(private / "data"),
                    "JUPYTER_RUNTIME_DIR": str(private / "runtime"),
                    "JUPYTER_PREFER_ENV_PATH": "0",
                    **(env or {}),
                },
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._await()
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def _await(self) -> None:
        limit = time.monotonic() + START_S
        while True:
            with contextlib.suppress(OSError):
                if self.ask("GET", "/api/status").status == 200:
                    return
            assert self.process.poll() is None, self.log
            assert time.monotonic() < limit, self.log
            time.sleep(0.05)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, timeout_s: float = 60
    ) -> Answer:
        """Ask as it is written; `headers` takes the place of the token's."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            text = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
            own = {"Authorization": f"token {self.token}"} if headers is None else dict(headers)
            connection.request(method, path, text, own)
            response = connection.getresponse()
            data = response.read()
        finally:
            connection.close()
        is_json = "json" in response.headers.get("Content-Type", "")
        return Answer(response.status, json.loads(data) if is_json else data.decode(), dict(response.headers))

    def get(self, path: str, **query: Any) -> Any:
        """Give the answer to a question that must be answered."""
        answer = self.ask("GET", f"{API}{path}?{urlencode(query, doseq=True)}")
        assert answer.status == 200, answer
        return answer.data

    def refused(self, status: int, path: str, **query: Any) -> str:
        """Give the sentence of a question that must be refused with `status`."""
        answer = self.ask("GET", f"{API}{path}?{urlencode(query, doseq=True)}")
        assert answer.status == status, answer
        assert set(answer.data) >= {"message"}, answer
        return str(answer.data["message"])

    def post(self, name: str, store: str, **body: Any) -> Answer:
        """Make a request of a sweep."""
        return self.ask("POST", f"{API}/sweeps/{name}/requests?{urlencode({'store': store})}", body)

    @contextlib.contextmanager
    def events(self, for_s: int = 60) -> Iterator[Iterator[dict[str, Any]]]:
        """Listen to server-sent events; the stream has begun when the block does."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=for_s)
        connection.request("GET", f"{API}/events?for_s={for_s}", headers={"Authorization": f"token {self.token}"})
        response = connection.getresponse()
        assert response.status == 200, response.read()
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.readline().startswith(b":")
        try:
            yield (json.loads(line[5:]) for line in iter(response.readline, b"") if line.startswith(b"data:"))
        finally:
            connection.close()


class Page:
    """What a page knows of a sweep: it puts messages together as `wire.py` says."""

    def __init__(self, server: Server, name: str, store: str, *, limit: int = 2000) -> None:
        self._server, self._name, self._query = server, name, {"store": store, "limit": limit}
        self.head: dict[str, Any] = {}
        self.rows: dict[int, list[Any]] = {}
        self.kinds: list[str] = []
        self._at: dict[str, Any] = {}

    def ask(self) -> list[int]:
        """Ask until there is no more; give the numbers of the rows that came."""
        came = []
        while True:
            message = self._server.get(f"/sweeps/{self._name}/changes", **self._query, **self._at)
            assert len(message["rows"]) <= self._query["limit"]
            self.kinds.append(message["kind"])
            self.head = message["head"]
            if message["kind"] == "full":
                self.rows.clear()
            else:
                assert message["since"] == self._at["since"]
            self.rows.update({row[0]: row for row in message["rows"]})
            came += [row[0] for row in message["rows"]]
            self._at = {"epoch": message["epoch"], "since": message["change"], "after": message["after"]}
            if not message["more"]:
                return came


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])
