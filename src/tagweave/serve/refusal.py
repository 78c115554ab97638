"""A request that is not answered, and why."""

from __future__ import annotations


class Refusal(Exception):
    """Say with which HTTP status, code word and sentence a request is refused."""

    def __init__(self, status: int, code: str, message: str) -> None:
        self.status, self.code, self.message = status, code, message
        super().__init__(message)
