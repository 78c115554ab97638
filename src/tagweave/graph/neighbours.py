"""The K most similar images of every image, by cosine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from tagweave.errors import InputError

SIMILARITY_DECIMALS = 6  # float32 products of equal vectors differ beyond; rounding makes their tie a tie
ROUNDING = 1e-6  # a row this near the mean, by the mean's length, differs from it by float32 rounding alone
PCA_SAMPLE = 20_000
SPARE = 8  # neighbours searched beyond k, so that most ties at the rim are settled without a second look


@dataclass(frozen=True)
class Neighbours:
    """Hold the neighbours of N rows: ``index`` (N, K) int64 and cosine ``similarity`` (N, K) float32 in [-1, 1].

    Sorted by falling similarity, ties by rising index; a row is never its own neighbour.
    """

    index: NDArray[np.int64]
    similarity: NDArray[np.float32]


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
    cuts = np.cumsum(parts)[:-1]
    unit = features.astype(np.float32) - mean
    for part, centre in zip(np.split(unit, cuts, axis=1), np.split(mean, cuts), strict=True):  # views
        length = np.linalg.norm(part, axis=1, keepdims=True)
        rounding = max(ROUNDING * float(np.linalg.norm(centre)), 1e-12)
        scale = np.divide(1.0, length, out=np.zeros_like(length), where=length > rounding)
        part *= scale / np.float32(max(len(parts), 1) ** 0.5)
    return unit


def _check_finite(features: NDArray[np.floating]) -> None:
    rows = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if len(rows):
        raise InputError(
            f"Expected finite features, but got NaN or infinity in {len(rows)} rows, first {rows[:5].tolist()}."
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
        points = (unit - self.mean) @ self.matrix
        norm = np.linalg.norm(points, axis=1, keepdims=True)
        return np.divide(points, norm, out=np.zeros_like(points), where=norm > 1e-9)


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
    if rows >= width:
        return linalg.eigh(centred.T @ centred / rows, subset_by_index=[width - count, width - 1])
    variances, left = linalg.eigh(centred @ centred.T / rows, subset_by_index=[rows - count, rows - 1])
    lengths = np.sqrt(np.maximum(variances, 0.0) * rows)
    return variances, np.divide(centred.T @ left, lengths, out=np.zeros((width, count)), where=lengths > 0)


def neighbours(unit: NDArray[np.float32], k: int) -> Neighbours:
    """Find the K nearest other rows by cosine s_ij = <x_i, x_j>, exactly (METHOD §1.1).

    Args:
        unit: x (N, D), L2-normalised rows.
        k: K; at most N - 1 are returned.

    Raises:
        InputError: fewer than two rows, or k below 1.
    """
    if len(unit) < 2 or k < 1:
        raise InputError(f"Expected at least 2 images and k >= 1 for a graph, but got {len(unit)} images and k {k}.")
    k = min(k, len(unit) - 1)
    similarity, index = search(unit, unit, min(k + 1 + SPARE, len(unit)))
    similarity = np.where(index == np.arange(len(unit))[:, None], -np.inf, similarity)
    _settle_rim_ties(unit, similarity, index, k)
    order = np.lexsort((index, -similarity))[:, :k]
    take = np.take_along_axis
    return Neighbours(take(index, order, 1), take(similarity, order, 1).astype(np.float32))


def search(
    base: NDArray[np.float32], queries: NDArray[np.float32], k: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return cosine (Q, k), clipped to [-1, 1] and rounded, and index (Q, k) of the nearest base rows."""
    import faiss

    from tagweave.threads import limit_threads

    limit_threads()
    flat = faiss.IndexFlatIP(base.shape[1])
    flat.add(np.ascontiguousarray(base))
    similarity, index = flat.search(np.ascontiguousarray(queries), k)
    return np.clip(np.round(similarity, SIMILARITY_DECIMALS), -1.0, 1.0), index


def _settle_rim_ties(
    unit: NDArray[np.float32], similarity: NDArray[np.float32], index: NDArray[np.int64], k: int
) -> None:
    """Rewrite rows whose tie at the k-th place may reach beyond what was searched (many equal images)."""
    if similarity.shape[1] == len(unit):
        return
    kth = -np.partition(-similarity, k - 1, axis=1)[:, k - 1]
    last = np.where(np.isfinite(similarity), similarity, np.inf).min(axis=1)
    for row in np.flatnonzero(kth <= last):
        every = np.clip(np.round(unit @ unit[row], SIMILARITY_DECIMALS), -1.0, 1.0)
        every[row] = -np.inf
        best = np.lexsort((np.arange(len(unit)), -every))[: index.shape[1]]
        index[row], similarity[row] = best, every[best]
