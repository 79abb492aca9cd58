"""The set of what a proposer has seen."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jupyter_sweep.proposers.marks import Marks


@given(st.lists(st.integers(0, 2**64 - 1)), st.lists(st.integers(0, 2**64 - 1)))
def test_what_was_seen_is_known_and_nothing_else(seen: list[int], others: list[int]) -> None:
    marks = Marks()
    for number in seen:
        marks.add(number.to_bytes(8, "big"))
    assert len(marks) == len(set(seen))
    for number in (*seen, *others):
        assert (number.to_bytes(8, "big") in marks) == (number in seen)
