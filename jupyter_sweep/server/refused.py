"""What the server answers where it does not do what was asked."""

from __future__ import annotations


class Refused(Exception):
    """An HTTP status (4xx) and a sentence for the person who asked."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
