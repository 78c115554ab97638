"""The K nearest rows of every row, exactly: half the products of a search that treats rows as queries, and no copy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tagweave.graph.blocks import Progress, row_blocks
from tagweave.graph.pairs import TILE, nearest_in_pairs


def exact_neighbours(
    points: NDArray[np.float32], k: int, progress: Progress | None = None
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return index and similarity (N, K) of the nearest other rows, ties by rising index.

    Args:
        points: x (N, d), unit length or zero; a memory map is read block by block.
        k: K < N.
    """
    blocks = row_blocks(len(points), TILE)
    names = np.arange(len(points), dtype=np.int32)
    return nearest_in_pairs(points, names, blocks, spread_out(np.triu_indices(len(blocks))), k, progress)


def spread_out(pairs: tuple[NDArray[np.signedinteger], NDArray[np.signedinteger]]) -> NDArray[np.int64]:
    """Return pairs (P, 2) in an order in which neighbouring ones seldom share a block, so that threads do not wait."""
    first, second = pairs
    order = np.argsort(second - first, kind="stable")
    return np.stack([first[order], second[order]], axis=1)
