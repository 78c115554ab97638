"""The K nearest rows of every row of a large pool: rows are compared within and between lists of alike rows."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tagweave.graph.blocks import Progress, in_threads, one_blas_thread, row_blocks
from tagweave.graph.exact import spread_out
from tagweave.graph.pairs import TILE, nearest_in_pairs
from tagweave.graph.ranking import rank

log = logging.getLogger("tagweave")

LISTS_PER_ROOT = 4  # lists are this many times the square root of the pool: finding a row's list stays a small part
POINTS_PER_LIST = 40  # sampled for training
TRAINING_ROUNDS = 8
SEED = 1
SAMPLE = 1_024  # rows that the recall is measured on; faiss multiplies fewer at a time six times slower
MARGIN = 0.005  # on top of the wanted recall: what a share of neighbours over a sample may be off by
WIDEST = 0.25  # share of all lists that a list is compared with at most; beyond, an exact search takes no longer
BLOCK = 4_096


Number = TypeVar("Number", np.int32, np.float32)


@dataclass(frozen=True)
class Approximation:
    """Hold index and similarity (N, K) of what was found, and its measured ``recall`` in [0, 1].

    A place that nobody took holds the row's own index and similarity -1.
    """

    index: NDArray[np.int32]
    similarity: NDArray[np.float32]
    recall: float


@dataclass(frozen=True)
class _Lists:
    """Rows shared out to L lists: ``home`` (N,) of each row, and how near list b is to list a, ``ranks`` (L, L)."""

    home: NDArray[np.int64]
    ranks: NDArray[np.int32]


def approximate_neighbours(
    points: NDArray[np.float32], k: int, target: float, progress: Progress | None = None
) -> Approximation:
    """Find most of the K nearest other rows, ties by rising index, the same ones on every run.

    An inverted file: the rows are shared out to lists around centres that k-means finds on a sample of them, with a
    fixed seed. A list is compared with those whose centres are nearest, all rows of both at once. How many follows
    from the exact neighbours of a fixed sample of rows: as many as it takes for a share of ``target`` of them to lie
    in compared lists. Where a quarter of all lists is not enough, a warning says so.

    Args:
        points: x (N, d), unit length.
        target: wanted recall in (0, 1].
    """
    lists = _share_out(points)
    width, recall = _choose_width(points, lists, k, target)
    order = np.argsort(lists.home, kind="stable").astype(np.int32)
    blocks, numbers = _blocks_of_lists(lists)
    compared = np.minimum(lists.ranks, lists.ranks.T) < width
    first, second = np.nonzero(np.triu(compared[np.ix_(numbers, numbers)]))
    pairs = spread_out((first, second))
    found, closeness = nearest_in_pairs(points[order], order, blocks, pairs, k, progress)
    return Approximation(_back(found, order), _back(closeness, order), recall)


def _share_out(points: NDArray[np.float32]) -> _Lists:
    import faiss

    count = max(1, round(LISTS_PER_ROOT * len(points) ** 0.5))
    centres = faiss.Kmeans(
        points.shape[1], min(count, len(points)), niter=TRAINING_ROUNDS, seed=SEED, spherical=True,
        min_points_per_centroid=1, max_points_per_centroid=POINTS_PER_LIST,
    )  # fmt: skip
    with one_blas_thread():
        centres.train(points[_sample(len(points), POINTS_PER_LIST * count)])
        middles: NDArray[np.float32] = np.asarray(centres.centroids)
        nearest = np.argsort(-(middles @ middles.T), axis=1, kind="stable")
    home = np.empty(len(points), dtype=np.int64)

    def assign(rows: slice) -> None:
        home[rows] = centres.index.search(np.ascontiguousarray(points[rows]), 1)[1][:, 0]

    in_threads(assign, row_blocks(len(points), BLOCK))
    ranks = np.empty(nearest.shape, dtype=np.int32)
    np.put_along_axis(ranks, nearest, np.arange(len(nearest), dtype=np.int32)[None, :], axis=1)
    np.fill_diagonal(ranks, 0)
    return _Lists(home, ranks)


def _choose_width(points: NDArray[np.float32], lists: _Lists, k: int, target: float) -> tuple[int, float]:
    """Return how many lists a list is to be compared with, and the recall that it brings on a sample of rows."""
    import faiss

    sample = _sample(len(points), SAMPLE)
    with one_blas_thread():
        exact = faiss.knn(points[sample], points, k + 1, metric=faiss.METRIC_INNER_PRODUCT)
    own, other = lists.home[sample][:, None], lists.home[rank(*exact, sample, k)[1]]
    needed = np.sort(np.minimum(lists.ranks[own, other], lists.ranks[other, own]), axis=None) + 1
    wanted = needed[int(np.ceil(min(target + MARGIN, 1.0) * len(needed))) - 1]
    width = min(int(wanted), max(1, round(WIDEST * len(lists.ranks))))
    recall = float((needed <= width).mean())
    log.info(
        "Approximate search among %s images: recall %.3f of the %d nearest, each of %d lists compared with %d.",
        f"{len(points):,}", recall, k, len(lists.ranks), width,
    )  # fmt: skip
    if recall < target:
        log.warning(
            "The approximate search finds %.3f of the %d nearest images, below the wanted %g: raise exact_below above "
            "%d for an exact search, or set pca to search in fewer dimensions.", recall, k, target, len(points),
        )  # fmt: skip
    return width, recall


def _blocks_of_lists(lists: _Lists) -> tuple[list[slice], NDArray[np.int64]]:
    """Return blocks of the rows sorted by list, none across two lists, and the list of each block."""
    sizes = np.bincount(lists.home, minlength=len(lists.ranks))
    starts = np.cumsum(sizes) - sizes
    parts = [row_blocks(size, TILE) for size in sizes.tolist()]
    blocks = [
        slice(start + part.start, start + part.stop)
        for start, own in zip(starts.tolist(), parts, strict=True)
        for part in own
    ]
    return blocks, np.repeat(np.arange(len(sizes)), [len(own) for own in parts])


def _back(values: NDArray[Number], order: NDArray[np.int32]) -> NDArray[Number]:
    placed = np.empty_like(values)
    placed[order] = values
    return placed


def _sample(count: int, size: int) -> NDArray[np.int64]:
    return np.sort(np.random.default_rng(SEED).choice(count, min(size, count), replace=False))
