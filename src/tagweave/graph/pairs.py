"""The K nearest rows of every row among given pairs of blocks: each product is offered to both of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from threading import RLock

import numba
import numpy as np
from numpy.typing import NDArray

from tagweave.graph.blocks import Progress, in_threads
from tagweave.graph.ranking import STEPS

TILE = 1024  # rows of a block at most: its products with another are 4 MiB, near enough to stay in a core's cache
STRIP = 64  # products looked at together for one that is worth a closer look
BATCH = 16  # pairs that a thread takes at a time
EMPTY = -2 * STEPS  # below any similarity


def nearest_in_pairs(
    points: NDArray[np.float32],
    names: NDArray[np.int32],
    blocks: Sequence[slice],
    pairs: NDArray[np.int64],
    k: int,
    progress: Progress | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return index and similarity (N, K) of the nearest other rows, ties by rising index.

    A place that nobody takes holds the row's own name and similarity -1. Memory beside the result: a number per row
    and place, and one tile per thread.

    Args:
        points: x (N, d), unit length or zero; a memory map is read block by block.
        names: (N,) distinct; the index that stands for each row in the result and in ties.
        blocks: of ``TILE`` rows at most.
        pairs: (P, 2) block numbers, the first not above the second; only rows of paired blocks are compared.
        k: K.
        progress: called with batches of pairs done and of all.
    """
    keys = np.full((len(points), k), EMPTY, dtype=np.int32)
    index = np.repeat(names[:, None], k, axis=1)
    bound = np.full(len(points), EMPTY / STEPS, dtype=np.float32)
    locks = [RLock() for _ in blocks]

    def offer(batch: NDArray[np.int64]) -> None:
        for a, b in batch.tolist():
            rows, columns = blocks[a], blocks[b]
            tile = np.asarray(points[rows] @ points[columns].T)
            with locks[a], locks[b]:
                _offer(tile, rows.start, columns.start, names, keys, index, bound)

    in_threads(offer, np.array_split(pairs, -(-len(pairs) // BATCH)), progress)
    np.maximum(keys, -STEPS, out=keys)
    return index, np.divide(keys, np.float32(STEPS), dtype=np.float32)


@numba.njit(nogil=True, cache=True)
def _offer(
    tile: NDArray[np.float32],
    first_row: int,
    first_column: int,
    names: NDArray[np.int32],
    keys: NDArray[np.int32],
    index: NDArray[np.int32],
    bound: NDArray[np.float32],
) -> None:  # pragma: no cover - compiled
    """Offer every product of a row and a later column to the lists of both."""
    for r in range(tile.shape[0]):
        row = first_row + r
        for start in range(max(0, row + 1 - first_column), tile.shape[1], STRIP):
            strip = tile[r, start : start + STRIP]
            if not _worth_a_look(strip, bound[row], bound[first_column + start :]):
                continue
            for c in range(len(strip)):
                column, similarity = first_column + start + c, strip[c]
                if similarity >= bound[row]:
                    _insert(row, names[column], similarity, keys, index, bound)
                if similarity >= bound[column]:
                    _insert(column, names[row], similarity, keys, index, bound)


@numba.njit(nogil=True, cache=True)
def _worth_a_look(
    strip: NDArray[np.float32], row_bound: float, column_bounds: NDArray[np.float32]
) -> bool:  # pragma: no cover - compiled
    """Say whether any product reaches a bound; without branches, so that it is done in vectors."""
    found = 0
    for c in range(len(strip)):
        found |= int(strip[c] >= row_bound) | int(strip[c] >= column_bounds[c])
    return found > 0


@numba.njit(nogil=True, cache=True)
def _insert(
    row: int,
    name: int,
    similarity: float,
    keys: NDArray[np.int32],
    index: NDArray[np.int32],
    bound: NDArray[np.float32],
) -> None:  # pragma: no cover - compiled
    """Insert into a row's sorted list; the order is total, so the result does not depend on who came first."""
    key = np.int32(np.rint(min(max(similarity, -1.0), 1.0) * STEPS))
    last = keys.shape[1] - 1
    if key < keys[row, last] or (key == keys[row, last] and name > index[row, last]):
        return
    place = last
    while place > 0 and (keys[row, place - 1] < key or (keys[row, place - 1] == key and index[row, place - 1] > name)):
        keys[row, place], index[row, place] = keys[row, place - 1], index[row, place - 1]
        place -= 1
    keys[row, place], index[row, place] = key, name
    bound[row] = (keys[row, last] - 1) / STEPS  # one step of slack: the product is compared before it is rounded
