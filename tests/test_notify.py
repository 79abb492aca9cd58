"""`--notify`: a command or a web address hears how a sweep ended, and nothing that goes wrong there is the sweep's."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from conftest import processes_of
from waiting import wait_for

from jupyter_sweep import Float, Space, SweepError, run
from jupyter_sweep.handle import Handle
from jupyter_sweep.notation import options
from jupyter_sweep.notify import tell, variables

SPACE = Space(x=Float(0.0, 1.0))
DATA: dict[str, Any] = {
    "name": "digits",
    "version": 2,
    "state": "failed",
    "message": 'it\'s; $(touch hacked) `touch hacked`\n"<script>"',
    "text": "Sweep digits is failed.",
    "counts": {"completed": 3, "failed": 1},
    "metric": "loss",
    "best": {"value": 0.5, "trial": 1},
    "folder": "/tmp",
}


def bowl(x: float) -> float:
    return (x - 0.3) ** 2


def fails(x: float) -> float:
    raise ValueError("no luck")


def warnings(handle: Handle) -> list[str]:
    """Give what the view says of `--notify`; pytest's rewriting of this module has a warning of its own."""
    return [said for said in handle.snapshot()["sweep"]["warnings"] if said.startswith("--notify")]


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server of this machine: its address, and the JSON that was posted to it. The path /no is refused."""
    heard: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.headers["Content-Type"] == "application/json"
            heard.append(json.loads(body))
            self.send_response(403 if self.path == "/no" else 204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", heard
    server.shutdown()
    server.server_close()


def test_a_command_gets_the_summary_and_the_folder_and_environment_of_whoever_started_the_sweep(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_WORD", "mine")
    command = 'cat > told.json; echo "$SWEEP_NAME $SWEEP_STATE $SWEEP_BEST $MY_WORD" > words'
    handle = run(bowl, SPACE, name="d", min="loss", n=3, algo="random", notify=command)
    words = home.parent / "words"
    wait_for(lambda: words.exists() and words.read_text())
    assert handle.best is not None
    assert words.read_text() == f"d finished {handle.best.value} mine\n"
    told = json.loads((home.parent / "told.json").read_text())
    assert (told["name"], told["state"], told["counts"]) == ("d", "finished", {"completed": 3})
    assert told["best"]["params"] == handle.best.params
    assert "best loss" in told["text"]
    assert warnings(handle) == []


def test_an_address_gets_a_post_once_and_none_for_a_cell_that_runs_nothing(
    home: Path, webhook: tuple[str, list[dict[str, Any]]]
) -> None:
    address, heard = webhook
    run(bowl, SPACE, name="d", min="loss", n=2, algo="random", on="inline", notify=address)
    wait_for(lambda: heard)
    run(bowl, SPACE, name="d", min="loss", n=2, algo="random", on="inline", notify=address)
    wait_for(lambda: not processes_of(home))
    assert [told["state"] for told in heard] == ["finished"]


def test_the_end_of_a_sweep_that_failed_is_told(home: Path, webhook: tuple[str, list[dict[str, Any]]]) -> None:
    address, heard = webhook
    with pytest.raises(SweepError):
        run(fails, SPACE, name="d", min="loss", n=4, fail_fast=True, on="inline", notify=address)
    wait_for(lambda: heard)
    assert heard[0]["state"] == "failed"
    assert "no luck" in heard[0]["message"]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("echo out of stamps; exit 3", "ended with status 3: out of stamps"),
        ("no-such-command-at-all", "ended with status 127"),
        ("http://127.0.0.1:9/secret-token", "127.0.0.1 did not take it"),
    ],
)
def test_a_failure_is_a_warning_of_a_sweep_that_is_finished(home: Path, target: str, said: str) -> None:
    handle = run(bowl, SPACE, name="d", min="loss", n=2, algo="random", on="inline", notify=target)
    assert handle.state == "finished"
    wait_for(lambda: warnings(handle))
    assert said in warnings(handle)[0]
    assert "secret-token" not in warnings(handle)[0]


def test_an_address_that_refuses_is_named_with_its_answer(webhook: tuple[str, list[dict[str, Any]]]) -> None:
    with pytest.raises(SweepError, match=r"127\.0\.0\.1 answered 403 Forbidden"):
        tell(f"{webhook[0]}/no", DATA)


def test_a_command_that_never_ends_is_killed_with_all_it_started(home: Path) -> None:
    with pytest.raises(SweepError, match=r"ran for 0\.5 s, which is its limit"):
        tell("sleep 600 & sleep 600", DATA, limit_s=0.5)
    wait_for(lambda: not [p for p in processes_of(home) if "sleep" in p.name()])


def test_an_address_that_never_answers_is_given_up(home: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as deaf, pytest.raises(SweepError, match="did not take it"):
        tell(f"http://127.0.0.1:{deaf.getsockname()[1]}/", DATA, limit_s=0.3)


def test_an_address_where_something_else_answers_is_a_warning_too(home: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer() -> None:
            caller, _ = other.accept()
            with caller:
                caller.recv(65536)
                caller.sendall(b"220 mail.example.com ready\r\n")

        threading.Thread(target=answer, daemon=True).start()
        target = f"http://127.0.0.1:{other.getsockname()[1]}/secret-token"
        handle = run(bowl, SPACE, name="d", min="loss", n=2, algo="random", on="inline", notify=target)
        wait_for(lambda: warnings(handle))
    assert "127.0.0.1 did not take it" in warnings(handle)[0]
    assert "secret-token" not in warnings(handle)[0]


def test_a_name_that_no_host_can_have_is_not_taken_for_an_error_of_ours() -> None:
    with pytest.raises(SweepError, match="did not take it"):
        tell("http://a..b/", DATA)


def test_what_a_sweep_says_arrives_as_text_and_runs_nothing(home: Path) -> None:
    tell('printf %s "$SWEEP_MESSAGE" > said; cat > told', DATA)
    assert (home.parent / "said").read_text() == DATA["message"]
    assert json.loads((home.parent / "told").read_text()) == DATA
    assert not (home.parent / "hacked").exists()
    assert variables({**DATA, "best": None, "message": "a\0b"})["SWEEP_MESSAGE"] == "ab"


@pytest.mark.parametrize(
    "target",
    [
        *("ftp://host/x", "http:///path", "echo 'open", "  "),
        *("http://host:port/x", "http://host/a b", "http://host/é", "http://[::1/x"),
    ],
)
def test_what_can_be_neither_is_a_mistake_of_the_line(target: str) -> None:
    with pytest.raises(SweepError, match="notify= "):
        options.from_keywords(min="loss", notify=target)
