"""Numbers as the page writes them; a dash where there is none."""

from __future__ import annotations

import math

NONE = "–"


def percent(value: float | None) -> str:
    """Write a share in 0..1 in percent with one decimal."""
    return NONE if value is None or not math.isfinite(value) else f"{100 * value:.1f}\u00a0%"


def interval(bounds: tuple[float, float] | None) -> str:
    """Write a range of shares in 0..1 in percent."""
    return NONE if bounds is None else f"{100 * bounds[0]:.1f} to {percent(bounds[1])}"


def count(value: int | None) -> str:
    """Write a whole number with commas between thousands."""
    return NONE if value is None else f"{value:,}"


def duration(seconds: float) -> str:
    """Write a time in the unit that suits it: seconds, minutes or hours."""
    if seconds < 59.95:
        return f"{seconds:.1f}\u00a0s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}\u00a0min {rest}\u00a0s"
    return f"{minutes // 60}\u00a0h {minutes % 60}\u00a0min"
