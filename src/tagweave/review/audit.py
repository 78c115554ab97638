"""How right the tool is: the precision of a random audit, with its interval."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from tagweave.review.ledger import Column

NORMAL_95 = 1.959963984540054  # the normal quantile of a two-sided interval of 95 %


@dataclass(frozen=True)
class Audit:
    """Hold what an audit found.

    Attributes:
        claims: how many images the tool says yes to. judged: of them, with a yes or no. right: of these, yes.
        unsure: how many could not be judged.
        low, high: the interval of 95 % of the precision; 0 and 1 while nothing is judged.
    """

    claims: int
    judged: int
    right: int
    unsure: int
    low: float
    high: float


def measure(order: NDArray[np.int64], audited: NDArray[np.int64], column: Column) -> Audit:
    """Measure the precision on the claims up to the last one that was audited.

    A stretch of a random order is a random sample; claims in it that were decided elsewhere count, as they would have
    been asked here.

    Args:
        order: the claims in the audit's order. audited: rows decided in the audit. column: of all images.
    """
    reached = np.flatnonzero(np.isin(order, audited))
    sample = order[: reached[-1] + 1] if len(reached) else order[:0]
    sample = sample[column.decided[sample]]
    known = column.known[sample]
    judged, right = int(known.sum()), int(column.values[sample].sum())
    low, high = wilson(right, judged)
    return Audit(len(order), judged, right, len(sample) - judged, low, high)


def wilson(right: int, judged: int) -> tuple[float, float]:
    """Return Wilson's score interval of 95 % for a share of ``right`` among ``judged`` (Wilson 1927)."""
    if not judged:
        return 0.0, 1.0
    share, z2 = right / judged, NORMAL_95**2 / judged
    middle = (share + z2 / 2) / (1 + z2)
    half = NORMAL_95 * sqrt(share * (1 - share) / judged + z2 / (4 * judged)) / (1 + z2)
    return max(0.0, middle - half), min(1.0, middle + half)
