"""Errors that a caller can act on."""

from __future__ import annotations

from collections.abc import Sequence


class InputError(ValueError):
    """Say what was expected, what was got and the way out, for one problem or for all that were found.

    ``problems`` holds one line per problem. The command line prints them all and exits with 2.
    """

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class ImageError(ValueError):
    """Say why one image cannot be used; the caller quarantines it and goes on."""
