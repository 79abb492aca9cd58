"""Names and values that want to be more than text: they come back as text, and nothing outside the store is read."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from server.conftest import STORE, run_script
from server.serving import API, Page, Server

from jupyter_sweep.server.openapi import examples

TEXTS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "../../etc/passwd",
    "$(rm -rf /) `rm` ; rm",
    "{{7*7}} ${7*7} %s %n",
    "\u202eright to left \u05d0\u05d1\u05d2",
    "🧪\u200d🔬 \U0001f468\u200d\U0001f469\u200d\U0001f467",
    "line\r\nSet-Cookie: a=b\r\n\r\n",
    "\x00\x1b[2J\x7f",
    "x" * 10_000,
    "' or 1=1; drop table trials; --",
]
MADE = """
import json, math, sys
from jupyter_sweep import Choice, Space, report, run
texts = json.loads(open("texts.json").read())

def job(größe, x):
    print(texts[x])
    report(**{"a<b>": float(x), "nothing": math.inf if x % 2 else -math.inf})
    if x == 3:
        raise ValueError(texts[x] + texts[0])
    return {"loss": math.nan if x == 2 else float(x)}

space = Space(größe=Choice(*texts), x=Choice(*range(len(texts))))
run(job, space, name="hostile", min="loss", n=30, jobs=2, algo="random", note=texts[0], tag=texts[1:4], keep_going=True)
"""
HOME = "odd/sweeps"


@pytest.fixture(scope="module")
def hostile(root: Path) -> Path:
    """The folder of a store with a sweep of such texts."""
    (root / "odd").mkdir()
    (root / "odd" / "texts.json").write_text(json.dumps(TEXTS))
    run_script(root / "odd", MADE, root / HOME)
    return root / HOME


ROUTES = [key.partition(" ")[2] for key in examples() if key.startswith("GET") and "events" not in key]


@pytest.mark.parametrize("path", ROUTES)
def test_every_answer_is_json_that_no_browser_takes_for_a_page(server: Server, hostile: Path, path: str) -> None:
    own = {"/compare": "sweep=odd/sweeps/hostile", "/where": f"folder={hostile}", "/openapi": ""}
    answer = server.ask("GET", f"{API}{path.format(name='hostile', number=0)}?{own.get(path, f'store={HOME}')}")
    assert answer.status == 200, answer
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


@pytest.mark.usefixtures("hostile")
def test_texts_come_back_as_they_are(server: Server) -> None:
    page = Page(server, "hostile", HOME)
    page.ask()
    assert page.head["columns"]["params"] == ["größe", "x"]
    assert "a<b>" in page.head["columns"]["metrics"]
    assert (page.head["sweep"]["note"], page.head["sweep"]["tags"]) == (TEXTS[0], TEXTS[1:4])
    for number, row in page.rows.items():
        found = server.get(f"/sweeps/hostile/trials/{number}", store=HOME)
        values = dict(found["params"])
        assert values["größe"] in TEXTS
        assert values["größe"].startswith(str(row[3][0]).rstrip("…"))
        log = server.get(f"/sweeps/hostile/trials/{number}/log", store=HOME)
        assert TEXTS[values["x"]].replace("\r\n", "\n").strip() in log["text"].replace("\r\n", "\n")


@pytest.mark.usefixtures("hostile")
def test_numbers_that_json_has_not_are_words(server: Server) -> None:
    page = Page(server, "hostile", HOME)
    page.ask()
    at = page.head["columns"]["metrics"].index("nothing")
    seen = {row[4][at] for row in page.rows.values() if len(row[4]) > at}
    assert seen <= {"inf", "-inf", None}
    assert {row[2] for row in page.rows.values() if row[1] == "failed"} <= {"nan", "error"}


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_no_such_text_names_a_sweep_a_store_or_a_metric(server: Server, text: str) -> None:
    odd = quote(text, safe="")
    for path in (
        f"/sweeps/{odd}?store={HOME}",
        f"/sweeps/hostile?store={odd}",
        f"/sweeps/hostile/plots?store={HOME}&metric={odd}",
        f"/sweeps/hostile/trials/{odd}/log?store={HOME}",
        f"/compare?sweep={odd}",
        f"/sweeps/hostile?store={HOME}&{odd}=1",
    ):
        answer = server.ask("GET", f"{API}{path}")
        assert answer.status in (400, 404), (path, answer)
        assert len(str(answer.data)) < 1500, answer
        assert "a=b" not in answer.headers.get("Set-Cookie", "")
    answer = server.ask("GET", f"{API}/where?folder={odd}")
    assert answer.status == 400 or (answer.data["store"] == "" and len(answer.data["error"]) < 1500)


def test_a_store_that_somebody_wrote_into_by_hand_is_shown_and_not_followed(
    server: Server, root: Path, hostile: Path
) -> None:
    home = root / "forged" / "sweeps"
    home.mkdir(parents=True)
    (root / "log.txt").write_text("a secret")
    with sqlite3.connect(hostile / "sweeps.db") as db:
        db.execute("vacuum into ?", (str(home / "sweeps.db"),))
    with sqlite3.connect(home / "sweeps.db") as db:
        db.execute("update trials set folder = '../..', worker = ?, error = ?", (TEXTS[0], TEXTS[9] * 3))
        db.execute("update sweeps set name = '../../forged'")
        db.execute("update trials set name = '../../forged'")
    found = server.get("/sweeps", store="forged/sweeps")
    assert [one["name"] for one in found["sweeps"]] == ["../../forged"]
    name = quote("../../forged", safe="")
    for path in (f"/sweeps/{name}", f"/sweeps/{name}/trials/0/log"):
        answer = server.ask("GET", f"{API}{path}?store=forged/sweeps")
        assert answer.status == 400
        assert "a secret" not in str(answer.data)


BROKEN: dict[str, Any] = {
    "no file of ours": b"a text",
    "an empty file": b"",
    "half a file": None,
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_store_that_can_not_be_read_is_said_in_one_sentence(server: Server, root: Path, kind: str) -> None:
    home = root / "broken" / kind.replace(" ", "-")
    home.mkdir(parents=True)
    whole = (root / STORE / "sweeps.db").read_bytes()
    (home / "sweeps.db").write_bytes(whole[: len(whole) // 3] if BROKEN[kind] is None else BROKEN[kind])
    store = f"broken/{home.name}"
    try:
        for path in ("/sweeps/digits", "/sweeps/digits/changes"):
            answer = server.ask("GET", f"{API}{path}?store={store}")
            assert answer.status in (404, 409), answer
            assert answer.data["message"]
        (place,) = (p for p in server.get("/sweeps", scan="true")["stores"] if p["store"] == store)
        assert place["error"] or kind == "an empty file"
        assert any(s["store"] == STORE for s in server.get("/sweeps")["sweeps"])
    finally:
        (home / "sweeps.db").unlink()
