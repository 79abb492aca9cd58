"""What the kernel's side of the live view sends, obeys and leaves behind; the page's: `faces/test_view_in_lab.py`."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import Any

import nbformat
import pytest
from faces.fake_sweep import FakeSweep
from nbclient import NotebookClient

from jupyter_sweep.errors import SweepError
from jupyter_sweep.widgets import page
from jupyter_sweep.widgets.mirror import RUN, Mirror
from jupyter_sweep.widgets.page import SweepView
from jupyter_sweep.widgets.view import watch


class Recorded(SweepView):
    """A view without a page: what it would send is kept as the JSON text that would go over the wire."""

    def __init__(self, sweep: FakeSweep) -> None:
        self.sent: list[dict[str, Any]] = []
        super().__init__(Mirror(sweep))
        self.sent.clear()

    def send(self, content: dict[str, Any], buffers: Any = None) -> None:
        self.sent.append(json.loads(json.dumps(content, allow_nan=False)))

    def hear(self, **command: Any) -> None:
        """Take a message as a page would send it, and obey it."""
        self._received(self, command, [])
        self.obey()

    def kinds(self) -> list[str]:
        return [message["kind"] for message in self.sent]


def rows_of(message: dict[str, Any]) -> list[int]:
    return [row[0] for row in message["rows"]]


def step(sweep: FakeSweep, n: int = 1) -> None:
    """Let the sweep go on: its trials take no time, so every look ends those that run and starts others."""
    for _ in range(n):
        sweep.snapshot()


def test_deltas_put_together_are_the_whole() -> None:
    sweep = FakeSweep(wanted=40, trial_s=0)
    view = Recorded(sweep)
    view.hear(kind="ready")
    while not view.mirror.ended:
        view.update()
    pieced: dict[int, Any] = {}
    for message in view.sent:
        pieced.update({row[0]: row for row in message["rows"]})
    view.sent.clear()
    view.send_all()
    assert pieced == {row[0]: row for row in view.sent[0]["rows"]}
    assert len(pieced) == 40


def test_each_delta_names_the_change_of_the_message_before() -> None:
    view = Recorded(FakeSweep(wanted=40, trial_s=0))
    view.hear(kind="ready")
    for _ in range(5):
        view.update()
    assert view.kinds() == ["full"] + ["delta"] * 5
    assert [m["since"] for m in view.sent[1:]] == [m["change"] for m in view.sent[:-1]]


def test_an_update_is_as_large_with_ten_thousand_trials_as_with_ten() -> None:
    def size(done: int) -> int:
        view = Recorded(FakeSweep(wanted=20_000, done=done, trial_s=0))
        view.hear(kind="ready")
        view.update()
        view.update()
        assert len(rows_of(view.sent[-1])) <= 4
        return len(json.dumps(view.sent[-1]))

    assert size(10_000) < 2 * size(10)


def test_nothing_is_sent_while_nothing_changes_but_a_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    view = Recorded(FakeSweep(wanted=4, done=4))
    view.hear(kind="ready")
    assert view.update() is False
    assert view.kinds() == ["full"]
    monkeypatch.setattr(page, "HEARTBEAT_S", 0.0)
    view.update()
    assert view.kinds() == ["full", "delta"]
    assert view.sent[-1]["rows"] == []


def test_without_a_page_that_asked_the_newest_rows_go_out_again_and_again() -> None:
    sweep = FakeSweep(wanted=20_000, done=3 * page.UNASKED, trial_s=0)
    view = Recorded(sweep)
    view.update()
    view.update()
    assert view.kinds() == ["full", "full"]
    assert len(rows_of(view.sent[-1])) == page.UNASKED
    assert rows_of(view.sent[-1])[-1] == len(view.mirror.rows) - 1


def test_columns_only_grow_so_that_rows_sent_before_stay_right() -> None:
    sweep = FakeSweep(wanted=6, trial_s=0)
    view = Recorded(sweep)
    before = list(view.mirror.columns["metrics"])
    step(sweep, 3)
    sweep._rows[0]["metrics"] = {"late": 1.0, **sweep._rows[0]["metrics"]}
    sweep._touch(0)
    view.update()
    assert view.mirror.columns["metrics"] == [*before, "late"]


def test_hostile_and_endless_values_go_out_cut_in_rows_and_whole_in_details() -> None:
    sweep = FakeSweep(wanted=12, done=12, hostile=True)
    view = Recorded(sweep)
    view.hear(kind="ready")
    assert max(len(json.dumps(row)) for row in view.sent[0]["rows"]) < 1500
    view.hear(kind="detail", number=4)
    assert dict(view.sent[-1]["params"])["<b>bold</b>"] == "x" * 10_000


def test_details_hold_the_traceback_and_the_log() -> None:
    sweep = FakeSweep(wanted=30, done=30, failing=0.5)
    failed = next(row["number"] for row in sweep.snapshot()["rows"] if row["state"] == "failed")
    view = Recorded(sweep)
    view.hear(kind="detail", number=failed)
    assert view.sent[0]["traceback"].startswith("Traceback")
    assert "epoch 29" in view.sent[0]["log_tail"]


@pytest.mark.parametrize("verb", ["stop", "pause", "resume"])
def test_a_button_calls_the_handle_once(verb: str) -> None:
    sweep = FakeSweep(wanted=500)
    Recorded(sweep).hear(kind=verb)
    assert sweep.calls == [verb]


def test_a_message_is_only_queued_until_somebody_obeys() -> None:
    sweep = FakeSweep(wanted=500)
    view = Recorded(sweep)
    view._received(view, {"kind": "stop"}, [])
    assert sweep.calls == []
    view.obey()
    assert sweep.calls == ["stop"]


def test_what_the_handle_refuses_is_said_in_the_view() -> None:
    class Refusing(FakeSweep):
        def stop(self) -> None:
            raise SweepError("The disk is full.")

    view = Recorded(Refusing(wanted=500))
    view.hear(kind="stop")
    assert view.sent == [{"kind": "said", "text": "The disk is full."}]


def test_a_page_opened_after_the_end_gets_everything_and_keeps_the_static_form() -> None:
    view = Recorded(FakeSweep(wanted=9, done=9))
    view.keep()
    view.sent.clear()
    view.hear(kind="ready")
    assert view.kinds() == ["full", "keep"]
    assert len(view.sent[0]["rows"]) == 9
    assert sorted(view.sent[1]["data"]) == [RUN, "text/html", "text/plain"]


def test_a_view_is_watched_while_one_of_its_pages_is_in_sight() -> None:
    view = Recorded(FakeSweep())
    view.hear(kind="see", view="a", visible=True)
    view.hear(kind="see", view="b", visible=False)
    assert view.watched
    view.hear(kind="see", view="a", visible=False)
    assert not view.watched


# -- watch: outside a notebook, and where nobody watches ------------------------------------------------------------


def test_in_a_terminal_the_end_is_told_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    seen = asyncio.run(watch(FakeSweep(wanted=8, done=6, trial_s=0)))
    assert seen.snapshot["sweep"]["state"] == "finished"
    assert len(seen.snapshot["rows"]) == 8
    assert "8 of 8 trials" in capsys.readouterr().out


def test_interrupts_are_counted_until_the_caller_has_enough(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[int] = []

    def interrupted(times: int) -> bool:
        told.append(times)
        return times < 2

    def interrupt() -> str:
        signal.raise_signal(signal.SIGINT)
        return ""

    before = signal.getsignal(signal.SIGINT)
    seen = asyncio.run(watch(FakeSweep(wanted=500), on_interrupt=interrupted, each=interrupt))
    assert told == [1, 2]
    assert seen.interrupts == 2
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_without_a_callback_ends_the_watching_and_not_the_sweep(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sweep = FakeSweep(wanted=500)

    def interrupt() -> str:
        signal.raise_signal(signal.SIGINT)
        return ""

    seen = asyncio.run(watch(sweep, each=interrupt))
    assert seen.interrupts == 1
    assert sweep.calls == []
    assert not sweep.ended


def test_a_paused_sweep_is_still_watched(capsys: pytest.CaptureFixture[str]) -> None:
    sweep = FakeSweep(wanted=4, done=2, trial_s=0)
    sweep.pause()
    looks = 0

    def resume_later() -> str:
        nonlocal looks
        looks += 1
        if looks == 2:
            sweep.resume()
        return ""

    asyncio.run(watch(sweep, each=resume_later))
    assert sweep.calls == ["pause", "resume"]
    assert len(sweep.snapshot()["rows"]) == 4


def test_an_error_while_watching_still_leaves_the_last_picture(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> str:
        raise SweepError("The driver died.")

    with pytest.raises(SweepError, match="driver died"):
        asyncio.run(watch(FakeSweep(wanted=500, done=3), each=fail))
    assert "digits v2: running" in capsys.readouterr().out


def test_where_nobody_watches_there_is_one_output_without_a_widget_and_it_tells_the_end() -> None:
    source = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "from faces.fake_sweep import FakeSweep\n"
        "from jupyter_sweep.widgets.view import watch\n"
        "seen = await watch(FakeSweep(wanted=5, trial_s=0.01))"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": "."}}).execute()
    (output,) = notebook.cells[0].outputs
    assert sorted(output.data) == [RUN, "text/html", "text/plain"]
    assert "5 of 5 trials" in output.data["text/plain"]
    assert "widgets" not in notebook.metadata
