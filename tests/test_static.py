"""The forms of a sweep that need nothing: HTML for the saved notebook, text, one line for a terminal."""

from __future__ import annotations

import base64
import html
import html.parser
import math
import re
import xml.etree.ElementTree
from typing import Any

import pytest
from faces.fake_sweep import HOSTILE, FakeSweep
from hypothesis import example, given
from hypothesis import strategies as st

from jupyter_sweep.widgets import static, text

#: What JupyterLab leaves of the HTML of a notebook that it does not trust.
SAFE_TAGS = {"div", "span", "b", "bdi", "code", "pre", "table", "thead", "tbody", "tr", "th", "td", "img"}
SAFE_TAGS |= {"details", "summary"}
SAFE_ATTRIBUTES = {"style", "alt", "src", "width"}


class Parsed(html.parser.HTMLParser):
    """The tags, attributes, image sources and text of a piece of HTML."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def page(sweep: FakeSweep) -> str:
    snapshot = sweep.snapshot()
    return static.static_html(snapshot, {n: sweep.failure(n) for n in static.failures_to_show(snapshot)})


def svg(source: str) -> xml.etree.ElementTree.Element:
    """Give the plot of a page."""
    (image,) = [value for name, value in Parsed(source).attributes if name == "src"]
    return xml.etree.ElementTree.fromstring(base64.b64decode(image.partition(",")[2]))


def marks(source: str) -> list[xml.etree.ElementTree.Element]:
    return svg(source).findall("{http://www.w3.org/2000/svg}circle")


@pytest.mark.parametrize(
    "sweep",
    [
        FakeSweep(done=60, failing=0.3),
        FakeSweep(done=60, failing=0.3, hostile=True),
        FakeSweep(done=60, failing=1.0),
        FakeSweep(wanted=3, trial_s=100),
        FakeSweep(done=1),
    ],
    ids=["usual", "hostile", "all but one failed", "nothing ended", "one trial"],
)
def test_the_page_is_whole_and_holds_only_what_an_untrusted_notebook_may_show(sweep: FakeSweep) -> None:
    parsed = Parsed(page(sweep))
    assert parsed.open == []
    assert set(parsed.tags) <= SAFE_TAGS
    assert {name for name, _ in parsed.attributes} <= SAFE_ATTRIBUTES
    assert all(v.startswith("data:image/svg+xml;base64,") for name, v in parsed.attributes if name == "src")


def test_hostile_texts_are_read_back_as_they_were() -> None:
    read = Parsed(page(FakeSweep(done=60, failing=0.3, hostile=True))).text
    for given_text in (HOSTILE[0], HOSTILE[1], HOSTILE[2], HOSTILE[5][:30]):
        assert given_text in read


def test_the_page_stays_small_however_many_trials_there_are() -> None:
    assert len(page(FakeSweep(wanted=5000, done=5000, failing=0.5))) < 150_000


def test_what_is_left_out_is_counted_and_named() -> None:
    read = Parsed(page(FakeSweep(wanted=3000, done=3000))).text
    assert f"the best {static.TOP} of 3,000 rows; all of them: sweep('digits').df" in read


def test_the_best_row_comes_first_and_the_best_cell_is_there_to_copy() -> None:
    sweep = FakeSweep(done=60)
    best = sweep.snapshot()["best"]
    read = Parsed(page(sweep)).text
    assert text.ranked(sweep.snapshot())[0]["number"] == best["number"]
    assert best["cell"] in read


def test_failures_that_say_the_same_are_one_with_one_traceback() -> None:
    sweep = FakeSweep(wanted=200, done=200, failing=0.5)
    failed = [row for row in sweep.snapshot()["rows"] if row["state"] == "failed"]
    kinds = {(row["reason"], row["error"]) for row in failed}
    assert Parsed(page(sweep)).tags.count("summary") == len(kinds) + 1
    assert len(static.failures_to_show(sweep.snapshot())) == len(kinds) < len(failed)


def test_without_a_value_there_is_no_plot() -> None:
    assert static.history_svg(FakeSweep(wanted=3, trial_s=100).snapshot()) == ""
    assert "img" not in Parsed(page(FakeSweep(wanted=3, trial_s=100))).tags


def test_every_ended_trial_with_a_value_is_a_point_inside_the_picture() -> None:
    sweep = FakeSweep(done=60, failing=0.2)
    valued = [row for row in sweep.snapshot()["rows"] if row["metrics"]]
    points = marks(page(sweep))
    assert len(points) == len(valued)
    assert all(0 <= float(p.attrib["cx"]) <= 640 and 0 <= float(p.attrib["cy"]) <= 190 for p in points)


def test_a_large_plot_is_thinned() -> None:
    assert static.POINTS / 2 < len(marks(page(FakeSweep(wanted=5000, done=5000)))) <= static.POINTS


def snapshot_of(values: list[float], direction: str = "minimize") -> dict[str, Any]:
    """Give the snapshot of completed trials with these values."""
    sweep = FakeSweep(wanted=len(values), done=len(values), failing=0, metric="loss", direction=direction)
    snapshot = sweep.snapshot()
    for row, value in zip(snapshot["rows"], values, strict=True):
        row.update(state="completed", metrics={"loss": value})
    return snapshot


@example([-1.7e308, 1.7e308, 0.0], True)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=30), st.booleans())
def test_any_values_make_a_plot_or_none(values: list[float], up: bool) -> None:
    source = static.history_svg(snapshot_of(values, "maximize" if up else "minimize"))
    assert (source == "") == (not any(abs(v) < 1e300 for v in values))
    assert "nan" not in source
    assert "inf" not in source
    if source:
        xml.etree.ElementTree.fromstring(source)


def test_the_scale_is_logarithmic_only_for_positive_values_that_span_decades() -> None:
    assert "log scale" in static.history_svg(snapshot_of([0.001, 1.0, 5.0]))
    assert "log scale" not in static.history_svg(snapshot_of([-0.001, 1.0, 500.0]))
    assert "log scale" not in static.history_svg(snapshot_of([0.9, 1.0]))


def test_one_diverged_trial_does_not_flatten_the_plot() -> None:
    heights = [m.attrib["cy"] for m in svg_marks(snapshot_of([-1.0 + i / 20 for i in range(20)] + [1e9]))]
    assert len(set(heights)) == 21


def svg_marks(snapshot: dict[str, Any]) -> list[xml.etree.ElementTree.Element]:
    found = xml.etree.ElementTree.fromstring(static.history_svg(snapshot))
    return found.findall("{http://www.w3.org/2000/svg}circle")


# -- text ---------------------------------------------------------------------------------------------------------


@given(st.floats(min_value=-1e300, max_value=1e300))
def test_a_number_is_written_with_four_significant_digits(value: float) -> None:
    assert math.isclose(float(text.number(value)), value, rel_tol=6e-4, abs_tol=1e-300)
    assert len(text.number(value)) <= 11


@given(st.floats(min_value=0, max_value=1e9))
def test_a_duration_has_at_most_two_units(seconds: float) -> None:
    assert re.fullmatch(r"[\d.]+ (ms|[dhms]( \d+ [hms])?)", text.duration(seconds))


@given(st.text(max_size=300))
def test_cleaned_text_can_not_move_the_cursor_or_turn_the_line(given_text: str) -> None:
    assert text.clean(given_text).isprintable()


@given(st.integers(min_value=10, max_value=200), st.integers(min_value=0, max_value=60))
def test_the_line_of_progress_fits_the_terminal(width: int, done: int) -> None:
    assert len(text.line(FakeSweep(done=done).snapshot(), width)) < width


@pytest.mark.parametrize("hostile", [False, True])
def test_the_text_tells_the_state_the_counts_the_best_and_the_failures(hostile: bool) -> None:
    sweep = FakeSweep(done=60, failing=0.3, hostile=hostile)
    snapshot = sweep.snapshot()
    block = text.static_text(snapshot)
    assert all(line.isprintable() for line in block.split("\n"))
    assert text.counts(snapshot) in block
    assert f"trial {snapshot['best']['number']}: lr=" in block
    assert "failed: " in block


def test_further_targets_stand_beside_the_first_in_the_text_and_the_page() -> None:
    snapshot = FakeSweep(done=60, targets=2).snapshot()
    best = snapshot["best"]
    told = f"trial {best['number']}, ms {best['metrics']['ms']:.4g}"
    assert f" {told}: lr=" in text.static_text(snapshot)
    assert told in html.unescape(static.static_html(snapshot))
    head = next(line.split() for line in text.static_text(snapshot).split("\n") if line.split()[:1] == ["trial"])
    assert head[:4] == ["trial", "state", "acc", "ms"]


def test_nan_and_missing_values_rank_last_and_completed_rows_before_others() -> None:
    snapshot = snapshot_of([3.0, math.nan, 1.0, 2.0, 0.5])
    snapshot["rows"][4].update(state="pruned")
    snapshot["rows"][3].update(metrics={})
    assert [row["number"] for row in text.ranked(snapshot)] == [2, 0, 4, 1, 3]
