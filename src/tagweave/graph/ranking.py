"""The one order of neighbours: by similarity rounded to millionths, then by index."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STEPS = 1_000_000  # float32 products of equal vectors differ beyond a millionth; rounding makes their tie a tie
_NOBODY = np.iinfo(np.int64).max


def rank(
    similarity: NDArray[np.float32], index: NDArray[np.int64], rows: NDArray[np.int64] | None, k: int
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Return the first K places of each row in order: similarity (Q, K) in [-1, 1], rounded, and index (Q, K).

    Args:
        similarity: (Q, M). index: (Q, M), -1 where a search found nothing.
        rows: (Q,) the searching rows' own indices; a row is never its own neighbour, and a place that nobody takes
            holds the row's own index and similarity -1. None: the searching rows are not among those searched.
    """
    falls = STEPS - np.rint(np.clip(similarity, -1.0, 1.0) * np.float64(STEPS)).astype(np.int64)
    places = np.where(index < 0, _NOBODY, (falls << 32) | index)
    if rows is not None:
        places[index == rows[:, None]] = _NOBODY
    places = np.sort(places, axis=1)[:, :k]
    found = (places & 0xFFFFFFFF).astype(np.int32)
    ranked = (STEPS - (places >> 32)).astype(np.float32) / np.float32(STEPS)
    if rows is not None:
        nobody = places == _NOBODY
        found, ranked = np.where(nobody, rows[:, None], found).astype(np.int32), np.where(nobody, -1.0, ranked)
    return ranked.astype(np.float32), found
