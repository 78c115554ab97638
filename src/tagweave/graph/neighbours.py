"""The K most similar images of every image, by cosine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from tagweave.errors import InputError
from tagweave.graph.approximate import approximate_neighbours
from tagweave.graph.blocks import Progress, in_threads, one_blas_thread, row_blocks
from tagweave.graph.exact import exact_neighbours
from tagweave.graph.ranking import rank

ROUNDING = 1e-6  # a row this near the mean, by the mean's length, differs from it by float32 rounding alone
PCA_SAMPLE = 20_000
BLOCK = 4_096  # rows at a time
EXACT_BELOW = 200_000  # at this size the exact search takes half a minute on two cores, and four times that at twice it
RECALL = 0.95


@dataclass(frozen=True)
class Neighbours:
    """Hold the neighbours of N rows: ``index`` (N, K) and cosine ``similarity`` (N, K) in [-1, 1].

    Sorted by falling similarity rounded to millionths, ties by rising index; a row is never its own neighbour, but
    where an approximate search found fewer than K it stands in with similarity -1. ``recall``: measured share of the
    exact neighbours that were found, 1 after an exact search. ``directed`` (N,): whether a row has a direction at all;
    a row of zeros lies at distance 1 from every unit vector and at 0 from its like. None: all have one.
    """

    index: NDArray[np.int32]
    similarity: NDArray[np.float32]
    recall: float = 1.0
    directed: NDArray[np.bool_] | None = None


def pool_mean(features: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the mean feature (D,) of the pool, kept for centring images that come later.

    Raises:
        InputError: a feature is not a finite number; the rows are named.
    """
    _check_finite(features)
    return features.mean(axis=0, dtype=np.float64).astype(np.float32)


def unit_features(
    features: NDArray[np.floating], mean: NDArray[np.float32], parts: Sequence[int] = ()
) -> NDArray[np.float32]:
    """Return x (N, D) float32: centred on ``mean``, then L2-normalised; a row equal to the mean stays zero.

    With ``parts`` the D columns are parts of these widths (averages and maxima of several maps), each normalised on
    its own and given the same weight.

    Raises:
        InputError: a feature is not a finite number; the rows are named.
    """
    _check_finite(features)
    cuts, weight = np.cumsum(parts)[:-1], np.float32(max(len(parts), 1) ** -0.5)
    centres = np.split(mean, cuts)
    unit = np.empty(features.shape, dtype=np.float32)
    for rows in row_blocks(len(features), BLOCK):
        unit[rows] = features[rows].astype(np.float32) - mean
        for part, centre in zip(np.split(unit[rows], cuts, axis=1), centres, strict=True):  # views
            length = np.linalg.norm(part, axis=1, keepdims=True)
            rounding = max(ROUNDING * float(np.linalg.norm(centre)), 1e-12)
            part *= np.divide(weight, length, out=np.zeros_like(length), where=length > rounding)
    return unit


def _check_finite(features: NDArray[np.floating]) -> None:
    rows = [
        block.start + np.flatnonzero(~np.isfinite(features[block]).all(axis=1))
        for block in row_blocks(len(features), BLOCK)
    ]
    bad = np.concatenate(rows) if rows else np.empty(0, dtype=np.int64)
    if len(bad):
        raise InputError(
            f"Expected finite features, but got NaN or infinity in {len(bad)} rows, first {bad[:5].tolist()}."
        )


@dataclass(frozen=True)
class Projection:
    """Turn unit features x (N, D) into the points whose cosines are compared: (x - mean) matrix, unit length.

    ``matrix`` (D, d) None leaves x as it is.
    """

    mean: NDArray[np.float32]
    matrix: NDArray[np.float32] | None

    def apply(self, unit: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return points (N, d)."""
        if self.matrix is None:
            return unit
        matrix = self.matrix
        points = np.zeros((len(unit), matrix.shape[1]), dtype=np.float32)

        def project(rows: slice) -> None:
            raw = (unit[rows] - self.mean) @ matrix
            norm = np.linalg.norm(raw, axis=1, keepdims=True)
            np.divide(raw, norm, out=points[rows], where=norm > 1e-9)

        in_threads(project, row_blocks(len(unit), BLOCK))
        return points


def fit_projection(unit: NDArray[np.float32], components: int, whiten: float = 0.5) -> Projection:
    """Fit principal components of the pool, each divided by its standard deviation to the power ``whiten``.

    A few directions that most images share (indoors or outdoors, bright or dark) dominate plain cosines; dividing the
    strong directions down lets the finer ones, which tell labels apart, count. 0 is plain PCA, 1 full whitening.

    Args:
        unit: x (N, D); components are fitted on at most ``PCA_SAMPLE`` evenly spaced rows.
        components: d; 0 returns the identity. No more than min(N - 1, D) are used.
        whiten: power, in [0, 1].
    """
    sample = unit[:: -(-len(unit) // PCA_SAMPLE)].astype(np.float64)
    mean = sample.mean(axis=0)
    count = min(components, len(sample) - 1, unit.shape[1])
    if count < 1:
        return Projection(mean.astype(np.float32), None)
    centred = sample - mean
    variances, vectors = _principal(centred, count)
    kept = variances > max(float(variances.max()) * 1e-9, 1e-12)
    if not kept.any():  # all images look alike
        return Projection(mean.astype(np.float32), None)
    matrix = vectors[:, kept] / variances[kept] ** (0.5 * whiten)
    return Projection(mean.astype(np.float32), matrix.astype(np.float32))


def _principal(centred: NDArray[np.float64], count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the largest variances (d,) and their directions (D, d), by the smaller of X'X and XX'."""
    rows, width = centred.shape
    with one_blas_thread():
        if rows >= width:
            return linalg.eigh(centred.T @ centred / rows, subset_by_index=[width - count, width - 1])
        variances, left = linalg.eigh(centred @ centred.T / rows, subset_by_index=[rows - count, rows - 1])
    lengths = np.sqrt(np.maximum(variances, 0.0) * rows)
    return variances, np.divide(centred.T @ left, lengths, out=np.zeros((width, count)), where=lengths > 0)


def neighbours(
    unit: NDArray[np.float32],
    k: int,
    exact_below: int = EXACT_BELOW,
    recall: float = RECALL,
    progress: Progress | None = None,
) -> Neighbours:
    """Find the K nearest other rows by cosine s_ij = <x_i, x_j> (METHOD §1.1).

    Args:
        unit: x (N, D), L2-normalised rows; a memory map is read in blocks.
        k: K; at most N - 1 are returned.
        exact_below: from this many rows on the search is approximate, see ``approximate_neighbours``.
        recall: wanted of it.
        progress: called with parts done and of all.

    Raises:
        InputError: fewer than two rows, or k below 1.
    """
    if len(unit) < 2 or k < 1:
        raise InputError(f"Expected at least 2 images and k >= 1 for a graph, but got {len(unit)} images and k {k}.")
    k = min(k, len(unit) - 1)
    if len(unit) < exact_below:
        return Neighbours(*exact_neighbours(unit, k, progress), directed=has_direction(unit))
    found = approximate_neighbours(unit, k, recall, progress)
    return Neighbours(found.index, found.similarity, found.recall, has_direction(unit))


def has_direction(unit: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return (N,) whether each row of ``unit`` (N, D) is anything but zeros."""
    return np.concatenate([unit[rows].any(axis=1) for rows in row_blocks(len(unit), BLOCK)])


def search(
    base: NDArray[np.float32], queries: NDArray[np.float32], k: int
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Return cosine (Q, k), in [-1, 1] and rounded, and index (Q, k) of the nearest base rows, ties by rising index."""
    import faiss

    similarity = np.empty((len(queries), k), dtype=np.float32)
    index = np.empty((len(queries), k), dtype=np.int32)

    def look_up(rows: slice) -> None:
        found = faiss.knn(queries[rows], base, k, metric=faiss.METRIC_INNER_PRODUCT)
        similarity[rows], index[rows] = rank(*found, None, k)

    in_threads(look_up, row_blocks(len(queries), BLOCK))
    return similarity, index
