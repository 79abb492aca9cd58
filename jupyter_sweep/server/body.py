"""The body of a request, read and refused: which verbs there are, and what each may have."""

from __future__ import annotations

import json
from typing import Any

from . import asking
from .refused import Refused

#: Whole numbers of a request's body, by their least value; and their greatest.
LEAST = {"version": 1, "jobs": 1, "number": 0}
MOST = 2**31
#: Verbs that want one of them.
NEEDS = {"scale": "jobs", "retry": "number", "enter": "number"}
#: The verb that takes results, what it may have besides, and the most metrics and characters of them.
RESULT = "enter"
RESULTS = ("metrics", "failed")
MOST_METRICS, MOST_TEXT = 64, 2000


def read(text: bytes) -> dict[str, Any]:
    """Read the body of a request.

    Raises
    ------
    Refused
        400, saying what is wanted.
    """
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        raise Refused(400, "The body must be a JSON object.") from None
    if not isinstance(body, dict):
        raise Refused(400, f"The body must be a JSON object, got {type(body).__name__}.")
    verbs = tuple(asking.VERBS)
    if body.get("verb") not in verbs:
        raise Refused(400, f"verb must be one of {', '.join(verbs)}, got {str(body.get('verb'))[:80]!r}.")
    known = (*LEAST, *(RESULTS if body["verb"] == RESULT else ()))
    for key in body.keys() - {"verb"}:
        if key not in known:
            raise Refused(400, f"A request has no {key[:80]!r}: verb, {', '.join(known)}.")
        if body[key] is not None:
            body[key] = _whole(key, body[key]) if key in LEAST else _READ[key](body[key])
    return body


def _whole(key: str, value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # JSON knows one kind of number
    if not isinstance(value, int) or isinstance(value, bool) or not LEAST[key] <= value <= MOST:
        raise Refused(400, f"{key} must be a whole number from {LEAST[key]}, got {str(value)[:80]!r}.")
    return value


def _metrics(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or len(value) > MOST_METRICS:
        raise Refused(400, f"metrics must be an object of at most {MOST_METRICS} numbers by name.")
    for name, number in value.items():
        is_number = isinstance(number, (int, float)) and not isinstance(number, bool)
        if not is_number and not (isinstance(number, str) and len(number) <= MOST_TEXT):
            raise Refused(400, f"The metric {name[:80]!r} must be a number, got {str(number)[:80]!r}.")
    return value


def _failed(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MOST_TEXT:
        raise Refused(400, f"failed must be a text of at most {MOST_TEXT} characters.")
    return value


_READ = {"metrics": _metrics, "failed": _failed}
