"""Numbers as the page writes them."""

from __future__ import annotations

import pytest

from tagweave.report.numerals import count, duration, interval, percent


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.6543, "65.4\u00a0%"), (1.0, "100.0\u00a0%"), (0.0, "0.0\u00a0%"), (None, "–"), (float("nan"), "–")],
)
def test_shares(value: float | None, text: str) -> None:
    assert percent(value) == text


def test_counts() -> None:
    assert [count(value) for value in (0, 999, 1234567, None)] == ["0", "999", "1,234,567", "–"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (83, "1 min 23 s"),
        (3599.6, "1 h 0 min"),
        (7380, "2 h 3 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds).replace("\u00a0", " ") == text


def test_intervals_have_one_sign_of_percent() -> None:
    assert interval((0.4996, 0.75)) == "50.0 to 75.0\u00a0%"
    assert interval(None) == "–"
