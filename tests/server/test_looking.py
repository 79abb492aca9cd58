"""What a page learns of sweeps from a real server: lists, rows by changes, trials, logs, plots, comparisons."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from server.conftest import STORE
from server.serving import Page, Server

from jupyter_sweep import sweep
from jupyter_sweep.handle import Handle


@pytest.fixture
def digits(root: Path) -> Handle:
    """The sweep as the kernel sees it."""
    return sweep("digits", folder=root / STORE)


def log_of(server: Server, number: int, **query: Any) -> dict[str, Any]:
    found: dict[str, Any] = server.get(f"/sweeps/digits/trials/{number}/log", store=STORE, **query)
    return found


def test_all_sweeps_are_listed_with_what_their_handles_say(server: Server, digits: Handle) -> None:
    found = server.get("/sweeps", scan="true")
    assert {"store": STORE, "error": ""} in found["stores"]
    assert found["complete"] is True
    (one,) = (s for s in found["sweeps"] if s["name"] == "digits" and s["store"] == STORE)
    assert one["state"] == "finished"
    assert one["counts"] == digits.counts
    assert one["best"] == {"number": digits.best.trial, "value": digits.best.value}  # type: ignore[union-attr]
    assert one["objectives"] == [{"metric": "loss", "direction": "minimize"}]
    assert (one["note"], one["tags"], one["versions"]) == ("a first look", ["one", "two"], [1])
    assert one["progress"]["final"] == 14


def test_a_sweep_that_was_asked_for_last_comes_first(server: Server) -> None:
    times = [one["taken_up_at"] for one in server.get("/sweeps")["sweeps"]]
    assert times == sorted(times, reverse=True)
    assert len(times) >= 2


def test_the_rows_are_those_of_the_handle(server: Server, digits: Handle) -> None:
    page = Page(server, "digits", STORE)
    page.ask()
    frame = digits.df
    assert sorted(page.rows) == list(frame["number"])
    assert page.head["columns"] == {"params": ["lr", "depth", "opt"], "metrics": ["loss"], "log": ["lr"]}
    for row in frame.to_dict("records"):
        number, state, reason, params, metrics, duration_s = page.rows[row["number"]][:6]
        assert (number, state, reason) == (row["number"], row["state"], row["reason"])
        assert params == [row["lr"], row["depth"], row["opt"]]
        assert metrics == [row["loss"]]
        assert duration_s == row["duration_s"]


@pytest.mark.parametrize("limit", [1, 3, 13, 14])
def test_pages_add_up_to_the_whole(server: Server, limit: int) -> None:
    whole, pages = Page(server, "digits", STORE), Page(server, "digits", STORE, limit=limit)
    whole.ask()
    came = pages.ask()
    assert pages.rows == whole.rows
    assert len(came) == len(set(came)) == 14
    assert pages.kinds == ["full"] + ["delta"] * (-(-14 // limit) - 1)
    assert pages.ask() == []


def test_a_page_of_another_epoch_gets_everything(server: Server) -> None:
    message = server.get("/sweeps/digits/changes", store=STORE, epoch="an older server's", since=10**9)
    assert message["kind"] == "full"
    assert len(message["rows"]) == 14


def test_one_trial_shows_its_values_its_error_and_its_own_lines(server: Server, digits: Handle) -> None:
    failed = next(t for t in digits.trials() if t.state == "failed")
    found = server.get(f"/sweeps/digits/trials/{failed.number}", store=STORE)
    assert dict(found["params"]) == failed.params
    assert found["state"] == "failed"
    assert "ValueError: too deep" in found["traceback"]
    assert found["log_size"] > 0
    assert server.refused(404, "/sweeps/digits/trials/99", store=STORE) == "Sweep 'digits' has no trial 99."


def test_pieces_of_a_log_add_up_to_the_whole_and_cut_no_character(server: Server, digits: Handle) -> None:
    number = digits.best.trial  # type: ignore[union-attr]
    whole = digits.log(number)
    assert "é€é€" in whole
    for limit in (7, 64, 100_000):
        text, at = "", 0
        while True:
            piece = log_of(server, number, start=at, limit=limit)
            assert (piece["start"], piece["is_final"]) == (at, True)
            text, at = text + piece["text"], piece["end"]
            if at == piece["size"]:
                break
        assert text == whole
        assert "\ufffd" not in text


def test_a_log_can_be_read_from_its_end(server: Server, digits: Handle) -> None:
    whole = digits.log(0)
    piece = log_of(server, 0, start=-10)
    assert piece["text"]
    assert whole.endswith(piece["text"])
    assert piece["end"] == piece["size"] == len(whole.encode())
    assert log_of(server, 0, start=10**9)["start"] == 0  # a new attempt began a shorter log


def test_reports_come_in_pages_in_order(server: Server, digits: Handle) -> None:
    first = server.get("/sweeps/digits/reports", store=STORE, limit=10)
    rest = server.get("/sweeps/digits/reports", store=STORE, since=first["last"])
    assert (len(first["reports"]), first["more"], rest["more"]) == (10, True, False)
    both = [*first["reports"], *rest["reports"]]
    assert [r["id"] for r in both] == sorted({r["id"] for r in both})
    assert [(r["number"], r["step"], r["metrics"]["loss"]) for r in both] == [
        (t.number, r.step, r.metrics["loss"])
        for r in digits.reports()
        for t in digits.trials()
        if t.trial_id == r.trial_id
    ]


def test_the_data_of_plots_is_that_of_the_analysis(server: Server, digits: Handle) -> None:
    found = server.get("/sweeps/digits/plots", store=STORE)
    done = [t for t in digits.trials() if t.state == "completed"]
    assert [p["number"] for p in found["history"]] == [t.number for t in done]
    assert found["history"][-1]["best"] == digits.best.value  # type: ignore[union-attr]
    assert {s["param"] for s in found["importance"]} == {"lr", "depth", "opt"}
    assert sum(s["share"] for s in found["importance"]) == pytest.approx(1)
    assert len(found["timeline"]) == 14
    assert found["curves"][0]["number"] == digits.best.trial  # type: ignore[union-attr]
    assert [step for step, _ in found["curves"][0]["points"]] == [0, 1, 2]
    assert found["pareto"] == found["cut"] == []
    assert "There are: loss" in server.refused(404, "/sweeps/digits/plots", store=STORE, metric="acc")


def test_a_metric_that_json_has_no_number_for_is_a_text(server: Server) -> None:
    found = server.get("/sweeps/front/plots", store=STORE, metric="b")
    values = [p["value"] for p in found["history"]]
    assert "inf" in values or all(isinstance(v, float) for v in values)
    assert found["pareto"]


def test_the_best_cell_and_the_code_are_given(server: Server, digits: Handle) -> None:
    best = server.get("/sweeps/digits/best", store=STORE)
    assert best["cell"] == digits.best.cell  # type: ignore[union-attr]
    assert best["params"] == digits.best.params  # type: ignore[union-attr]
    code = server.get("/sweeps/digits/code", store=STORE, version=1)
    assert "def fit(lr, depth, opt):" in code["source"]
    assert code["version"] == 1


def test_sweeps_are_compared_by_what_differs(server: Server) -> None:
    found = server.get("/compare", sweep=[f"{STORE}/digits", f"{STORE}/front@1"])
    assert [one["name"] for one in found["sweeps"]] == ["digits", "front"]
    settings = {d["name"]: d["values"] for d in found["settings"]}
    assert settings["algorithm"] == ["random", "sobol"]
    assert "repetitions" not in settings
    assert {d["name"] for d in found["best"]} == {"lr", "depth", "opt", "x"}
    assert all(len(d["values"]) == 2 for d in [*found["best"], *found["space"]])


def test_a_newer_schema_is_named_and_the_other_stores_are_shown(server: Server, root: Path) -> None:
    other = root / "newer" / "sweeps"
    shutil.copytree(root / STORE, other)
    try:
        with sqlite3.connect(other / "sweeps.db") as db:
            db.execute("pragma user_version=999")
        assert "newer release" in server.refused(409, "/sweeps/digits", store="newer/sweeps")
        found = server.get("/sweeps", scan="true")
        errors = {place["store"]: place["error"] for place in found["stores"]}
        assert "newer release" in errors["newer/sweeps"]
        assert errors[STORE] == ""
        assert any(one["store"] == STORE for one in found["sweeps"])
    finally:
        shutil.rmtree(other)


def test_looking_writes_nothing(server: Server, root: Path) -> None:
    home = root / "still" / "sweeps"
    home.mkdir(parents=True)
    with sqlite3.connect(root / STORE / "sweeps.db") as db:
        db.execute("vacuum into ?", (str(home / "sweeps.db"),))
    before = (home / "sweeps.db").read_bytes()
    assert server.get("/sweeps", store="still/sweeps")["sweeps"]
    Page(server, "digits", "still/sweeps").ask()
    assert (home / "sweeps.db").read_bytes() == before
    assert [path.name for path in home.iterdir()] == ["sweeps.db"]


def test_an_unknown_sweep_is_told_with_the_nearest_one(server: Server) -> None:
    assert "Did you mean 'digits'?" in server.refused(404, "/sweeps/digit", store=STORE)
    assert "no version 7" in server.refused(404, "/sweeps/digits", store=STORE, version=7)
