"""Limits that make no sense are told."""

from __future__ import annotations

import pytest

from tagweave.errors import InputError
from tagweave.serve.limits import Limits


def test_limits() -> None:
    with pytest.raises(InputError, match=r"^Expected limits above 0, but got images 0, wait_seconds -1\.$"):
        Limits(images=0, wait_seconds=-1)
    with pytest.raises(InputError, match=r"^Expected room for a full request, but got 65 images a request and 64 wai"):
        Limits(images=65, waiting=64)
