"""Who may ask what: login, authorization, XSRF, and nothing outside the server's root."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from server.conftest import STORE
from server.serving import API, Server

from jupyter_sweep.server.routes import ROUTES

READS_ONLY = """
from jupyter_server.auth import Authorizer

class ReadsOnly(Authorizer):
    def is_authorized(self, handler, user, action, resource):
        if resource != "jupyter-sweep":
            return True
        return action in open({rights!r}).read().split()

c.ServerApp.authorizer_class = ReadsOnly
"""


def path_of(template: str) -> str:
    return API + template.format(name="digits", number=0) + f"?store={STORE}"


EVERY = [(route.method, path_of(route.path)) for route in ROUTES]
EVERY += [("GET", f"{API}/events"), ("GET", f"{API}/openapi")]


@pytest.mark.parametrize(("method", "path"), EVERY)
def test_without_a_login_nothing_is_answered(server: Server, method: str, path: str) -> None:
    for headers in ({}, {"Authorization": "token wrong"}, {"Cookie": "username-localhost=forged"}):
        answer = server.ask(method, path, {"verb": "stop"} if method == "POST" else None, headers=headers)
        assert answer.status in (302, 403), answer
        assert "digits" not in str(answer.data)


@pytest.mark.parametrize("method_and_path", EVERY, ids=[f"{m} {p.partition('?')[0]}" for m, p in EVERY])
def test_a_page_of_another_origin_is_refused(server: Server, method_and_path: tuple[str, str], user: str) -> None:
    method, path = method_and_path
    body = {"verb": "stop"} if method == "POST" else None
    for own in ({"Cookie": user}, {"Authorization": f"token {server.token}"}):
        for origin in ("https://evil.example", "null", f"http://127.0.0.1.evil.example:{server.port}"):
            answer = server.ask(method, path, body, headers={**own, "Origin": origin})
            assert answer.status in (403, 404), answer
            assert "digits" not in str(answer.data)


def test_a_page_of_this_server_is_answered(server: Server, user: str) -> None:
    assert server.ask("GET", f"{API}/sweeps", headers={"Cookie": user, "Origin": server.url}).status == 200


@pytest.fixture(scope="module")
def user(server: Server) -> str:
    """The cookie of a browser that is logged in."""
    login = server.ask("GET", f"/login?token={server.token}", headers={})
    page = server.ask("GET", f"/api/status?token={server.token}", headers={})
    cookies = re.findall(r"(username-[^=]+=[^;]+|_xsrf=[^;]+)", f"{login.headers} {page.headers}")
    return str(next(c for c in cookies if c.startswith("username-")))


@pytest.fixture(scope="module")
def rights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rights") / "rights"


@pytest.fixture(scope="module")
def guarded(root: Path, rights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that allows of our resource what the file `rights` says."""
    rights.write_text("")
    with Server(root, tmp_path_factory.mktemp("guarded"), config=READS_ONLY.format(rights=str(rights))) as server:
        yield server


def test_a_login_without_rights_is_refused_everywhere(guarded: Server, rights: Path) -> None:
    rights.write_text("")
    for method, path in EVERY:
        answer = guarded.ask(method, path, {"verb": "stop"} if method == "POST" else None)
        assert answer.status == 403, (method, path, answer)


def test_who_may_read_may_not_ask_for_anything(guarded: Server, rights: Path) -> None:
    rights.write_text("read")
    assert guarded.get("/sweeps/digits", store=STORE)["head"]["sweep"]["name"] == "digits"
    assert guarded.post("digits", STORE, verb="stop").status == 403


def test_who_may_write_may_not_start_processes(guarded: Server, rights: Path) -> None:
    rights.write_text("read write")
    assert guarded.post("digits", STORE, verb="stop").status == 409  # it has ended: allowed, but there is nothing to do
    assert guarded.post("digits", STORE, verb="resume").status == 403
    assert guarded.post("digits", STORE, verb="retry", number=0).status == 403


def test_a_browser_needs_the_xsrf_token_to_ask_for_anything(server: Server, user: str) -> None:
    path = f"{API}/sweeps/digits/requests?store={STORE}"
    assert server.ask("GET", f"{API}/sweeps", headers={"Cookie": user}).status == 200
    forged = server.ask("POST", path, {"verb": "stop"}, headers={"Cookie": user})
    assert forged.status == 403
    xsrf = "2|1|2|3"
    own = {"Cookie": f"{user}; _xsrf={xsrf}", "X-XSRFToken": "something else"}
    assert server.ask("POST", path, {"verb": "stop"}, headers=own).status == 403


OUTSIDE = [
    "..",
    "../sweeps",
    "project/../../sweeps",
    "/etc",
    "//etc",
    "project/sweeps/../../..",
    "project\\..\\..",
    "a\0b",
    "link",
    "linked-file",
    ".hidden/sweeps",
    "loop/loop",
    "x" * 5000,
    "%2e%2e/sweeps",
    "\ud7ff" * 100,
    "project/sweeps/sweeps.db",
]


@pytest.fixture(scope="module")
def _traps(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Stores outside the root, and links that lead there."""
    outside = tmp_path_factory.mktemp("outside") / "sweeps"
    outside.mkdir()
    (root / ".hidden" / "sweeps").mkdir(parents=True)
    (root / "linked-file").mkdir()
    for target in (outside / "sweeps.db", root / ".hidden" / "sweeps" / "sweeps.db", root.parent / "sweeps.db"):
        with sqlite3.connect(root / STORE / "sweeps.db") as db:
            db.execute("vacuum into ?", (str(target),))
    (root / "link").symlink_to(outside)
    (root / "linked-file" / "sweeps.db").symlink_to(outside / "sweeps.db")
    (root / "loop").symlink_to(root / "loop")


@pytest.mark.usefixtures("_traps")
@pytest.mark.parametrize("store", OUTSIDE, ids=range(len(OUTSIDE)))
def test_no_path_leads_out_of_the_root(server: Server, store: str) -> None:
    for path in ("/sweeps/digits", "/sweeps/digits/trials/0/log", "/sweeps", "/workers"):
        answer = server.ask("GET", f"{API}{path}?store={_quoted(store)}")
        assert answer.status in (400, 404), answer
        assert "message" in answer.data
    assert server.post("digits", store, verb="stop").status in (400, 404)


def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")


@pytest.mark.usefixtures("_traps")
def test_a_search_follows_no_link_and_shows_nothing_hidden(server: Server) -> None:
    found = {place["store"] for place in server.get("/sweeps", scan="true")["stores"]}
    assert STORE in found
    assert not found & {"link", "linked-file", ".hidden/sweeps", "loop"}


@pytest.mark.parametrize("trap", ["a link", "a path in the database"])
def test_a_log_outside_the_store_is_not_read(server: Server, root: Path, trap: str) -> None:
    home = root / "trapped" / "sweeps"
    home.mkdir(parents=True, exist_ok=True)
    (root / "secret").mkdir(exist_ok=True)
    (root / "secret" / "log.txt").write_text("a secret")
    db_path = home / f"{len(trap)}.db"
    with sqlite3.connect(root / STORE / "sweeps.db") as db:
        db.execute("vacuum into ?", (str(db_path),))
        folder = db.execute("select folder from trials where name = 'digits' and number = 0").fetchone()[0]
    os.replace(db_path, home / "sweeps.db")
    if trap == "a link":
        (home / folder).mkdir(parents=True, exist_ok=True)
        (home / folder / "log.txt").symlink_to(root / "secret" / "log.txt")
    else:
        with sqlite3.connect(home / "sweeps.db") as db:
            db.execute("update trials set folder = '../../secret' where number = 0")
    answer = server.ask("GET", f"{API}/sweeps/digits/trials/0/log?store=trapped/sweeps")
    assert answer.status == 409, answer
    assert "a secret" not in str(answer.data)


BAD = [
    ("/sweeps/digits", {}, "store is missing"),
    ("/sweeps/digits", {"store": STORE, "version": "0"}, "version wants a whole number"),
    ("/sweeps/digits", {"store": STORE, "version": "1" * 300}, "version wants a whole number"),
    ("/sweeps/digits", {"store": [STORE, STORE]}, "store is given 2 times"),
    ("/sweeps/digits", {"store": STORE, "depth": "3"}, "There is no parameter 'depth' here"),
    ("/sweeps/%2e%2e", {"store": STORE}, "name can't be '..'"),
    ("/sweeps/-rf", {"store": STORE}, "name can't be"),
    ("/sweeps/digits/trials/one", {"store": STORE}, "number wants a whole number"),
    ("/sweeps/digits/trials/-1/log", {"store": STORE}, "number wants a whole number"),
    ("/sweeps/digits/changes", {"store": STORE, "limit": "100000"}, "limit wants a whole number from 1 to 10000"),
    ("/sweeps/digits/changes", {"store": STORE, "since": "1.5"}, "since wants a whole number"),
    ("/sweeps", {"scan": "maybe"}, "scan wants true or false"),
    ("/compare", {}, "compare takes 1 to 8 sweeps, got 0"),
    ("/compare", {"sweep": [f"{STORE}/digits"] * 9}, "compare takes 1 to 8 sweeps, got 9"),
    ("/compare", {"sweep": "digits@x"}, "sweep can't be 'digits@x': STORE/NAME"),
]


@pytest.mark.parametrize(("path", "query", "said"), BAD)
def test_a_bad_question_is_answered_with_a_sentence(
    server: Server, path: str, query: dict[str, str], said: str
) -> None:
    assert said in server.refused(400, path, **query)


BODIES = [
    (b"", "must be a JSON object"),
    (b"[]", "must be a JSON object"),
    (b"{", "must be a JSON object"),
    (b"[" * 10_000, "must be a JSON object"),
    (b"\xff\xfe", "must be a JSON object"),
    (b"{}", "verb must be one of pause, stop"),
    (b'{"verb": "retreat"}', "verb must be one of pause, stop"),
    (b'{"verb": ["stop"]}', "verb must be one of pause, stop"),
    (b'{"verb": "stop", "force": true}', "A request has no 'force'"),
    (b'{"verb": "scale", "jobs": -1}', "jobs must be a whole number from 1"),
    (b'{"verb": "scale", "jobs": true}', "jobs must be a whole number from 1"),
    (b'{"verb": "scale"}', "scale needs jobs"),
    (b'{"verb": "retry"}', "retry needs number"),
    (b'{"verb": "retry", "number": -1}', "number must be a whole number from 0"),
    (b'{"verb": "stop", "x": "' + b"y" * 20_000 + b'"}', "16384 are allowed"),
]


@pytest.mark.parametrize(("body", "said"), BODIES, ids=range(len(BODIES)))
def test_a_bad_request_is_answered_with_a_sentence(server: Server, body: bytes, said: str) -> None:
    answer = server.ask("POST", f"{API}/sweeps/digits/requests?store={STORE}", body)
    assert answer.status == 400, answer
    assert said in answer.data["message"]


def test_a_method_that_a_path_has_not_is_refused_with_those_it_has(server: Server) -> None:
    answer = server.ask("POST", f"{API}/sweeps?store={STORE}", {})
    assert (answer.status, answer.headers["Allow"]) == (405, "GET")
    answer = server.ask("GET", f"{API}/sweeps/digits/requests?store={STORE}")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert server.ask("DELETE", f"{API}/sweeps/digits?store={STORE}").status == 405
