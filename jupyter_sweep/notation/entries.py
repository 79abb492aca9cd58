"""Words that give the result of a trial: ``3 acc=0.91 loss=0.2``."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import SweepError


def read(words: Sequence[str]) -> tuple[int, dict[str, str]]:
    """Give the trial's number, and the metrics by name, their values as they were written.

    >>> read(["3", "acc=0.91"])
    (3, {'acc': '0.91'})

    Raises
    ------
    SweepError
        With all words that can't be read.
    """
    wrong = [] if words[0].isdecimal() else [f"{words[0]!r} is no number of a trial"]
    metrics: dict[str, str] = {}
    for word in words[1:]:
        name, equals, value = word.partition("=")
        if not (name and equals and value):
            wrong.append(f"{word!r} is no METRIC=VALUE")
        elif name == "failed":
            wrong.append("why there is no result is said with --failed")
        elif name in metrics:
            wrong.append(f"{name} is given twice")
        metrics[name] = value
    if wrong:
        raise SweepError(f"{'; '.join(wrong)}. As in: enter NAME 3 acc=0.91")
    return int(words[0]), metrics
