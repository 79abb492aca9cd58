"""A set of identities that stays small: a long sweep has very many of them."""

from __future__ import annotations

from array import array
from bisect import bisect_left


class Marks:
    """What was seen, 8 bytes each, in order; a set of Python's takes a hundred, and keeps its old table while it grows.

    >>> marks = Marks()
    >>> marks.add(b"12345678")
    >>> b"12345678" in marks, b"87654321" in marks, len(marks)
    (True, False, 1)
    """

    def __init__(self) -> None:
        self._sorted = array("Q")

    def __len__(self) -> int:
        return len(self._sorted)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, bytes) and self._find(int.from_bytes(name, "big"))[1]

    def add(self, name: bytes) -> None:
        """Enter an identity of 8 bytes; a second time changes nothing."""
        number = int.from_bytes(name, "big")
        place, is_there = self._find(number)
        if not is_there:
            self._sorted.insert(place, number)

    def _find(self, number: int) -> tuple[int, bool]:
        """Give where a number stands or belongs, and whether it is there."""
        place = bisect_left(self._sorted, number)
        return place, place < len(self._sorted) and self._sorted[place] == number
