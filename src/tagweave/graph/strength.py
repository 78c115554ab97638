"""From neighbours to a symmetric weighted graph: affinity, then the strength of links."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tagweave.errors import InputError
from tagweave.graph.blocks import row_blocks
from tagweave.graph.neighbours import BLOCK, Neighbours

AFFINITIES = ("cosine_power", "heat")
STRENGTHS = ("affinity", "wcn")
PARTS = 64  # of the nodes, shared out to threads, each of which needs one number per node at a time


def affinity_values(
    similarity: NDArray[np.floating], kind: str = "cosine_power", gamma: float = 3.0, tau: float = 0.25,
    squares: NDArray[np.floating] | float = 2.0,
) -> NDArray[np.float64]:  # fmt: skip
    """Turn cosines s into affinities w >= 0 (METHOD §1.1).

    ``cosine_power``: w = max(s, 0)^gamma in [0, 1]. ``heat``: w = exp(-|x_i - x_j|^2 / (4 tau)) in (0, 1], where
    |x_i - x_j|^2 = |x_i|^2 + |x_j|^2 - 2 s.

    Args:
        squares: |x_i|^2 + |x_j|^2, 2 for unit vectors; 1 where one of the two is zero, 0 where both are.

    Raises:
        InputError: unknown kind.
    """
    cosine = similarity.astype(np.float64)
    if kind == "cosine_power":
        return np.maximum(cosine, 0.0) ** gamma
    if kind == "heat":
        return np.exp(-(squares - 2.0 * cosine) / (4.0 * tau))
    raise InputError(f"Expected affinity to be one of {', '.join(AFFINITIES)}, but got '{kind}'.")


def affinity_graph(
    near: Neighbours,
    kind: str = "cosine_power",
    gamma: float = 3.0,
    tau: float = 0.25,
    dtype: type[np.floating] = np.float64,
) -> sparse.csr_array:
    """Return W (N, N), symmetric by maximum, zero diagonal, sorted CSR without stored zeros (METHOD §1.1).

    ``dtype`` float32 halves the weights' memory.
    """
    count, k = near.index.shape
    lengths = np.ones(count) if near.directed is None else near.directed.astype(np.float64)
    weights = np.empty((count, k), dtype=dtype)
    for rows in row_blocks(count, BLOCK):
        own = near.index[rows] == np.arange(rows.start, rows.stop)[:, None]
        squares = lengths[rows, None] + lengths[near.index[rows]]
        weights[rows] = np.where(own, 0.0, affinity_values(near.similarity[rows], kind, gamma, tau, squares))
    starts = np.arange(0, count * k + 1, k, dtype=np.int32 if count * k < 2**31 else np.int64)
    directed = sparse.csr_array((weights.ravel(), near.index.ravel(), starts), shape=(count, count), copy=False)
    incoming = directed.T.tocsr()
    incoming.eliminate_zeros()
    outgoing = incoming.T.tocsr()  # turned over twice, rows are sorted
    del directed, weights
    return outgoing.maximum(incoming)  # an image that no other chose keeps the links that it chose


def link_strength(graph: sparse.csr_array, kind: str = "wcn") -> sparse.csr_array:
    """Return S (N, N): the strength of every link, with the graph's own pattern of links.

    ``wcn`` (METHOD §1.2, paper eq. 1): S_AB = sum over C in N(A) ∩ N(B) of w_AC + w_CB, that is
    S = (W M + M W) ∘ M with M = [W > 0]. A node whose links share no neighbour keeps its affinity row, so that
    nothing is cut off silently. ``affinity``: S = W.

    Raises:
        InputError: unknown kind.
    """
    if kind == "affinity":
        return graph
    if kind != "wcn":
        raise InputError(f"Expected strength to be one of {', '.join(STRENGTHS)}, but got '{kind}'.")
    graph.sort_indices()
    data = _common_neighbour_strength(graph.indptr, graph.indices, graph.data)
    _mirror(graph.indptr, graph.indices, data)
    strength = sparse.csr_array((data, graph.indices, graph.indptr), shape=graph.shape)
    alone = np.asarray(strength.sum(axis=1)).ravel() == 0
    _keep_affinity(alone, graph.indptr, graph.indices, graph.data, data)
    return strength


@numba.njit(parallel=True, cache=True)
def _common_neighbour_strength(
    indptr: NDArray[np.int32], indices: NDArray[np.int32], data: NDArray[np.floating]
) -> NDArray[np.floating]:  # pragma: no cover - compiled
    """Lay each node's weights out by neighbour, and look the neighbours of every later neighbour up in them."""
    count = len(indptr) - 1
    strength = np.zeros_like(data)
    for part in numba.prange(PARTS):
        own = np.zeros(count, data.dtype)
        for a in range(part, count, PARTS):  # strided: early nodes have more later neighbours
            begin, end = indptr[a], indptr[a + 1]
            for link in range(begin, end):
                own[indices[link]] = data[link]
            for link in range(begin, end):
                b, total = indices[link], 0.0
                if b < a:
                    continue  # summed once and mirrored, so that S is symmetric to the bit
                for other in range(indptr[b], indptr[b + 1]):
                    weight = own[indices[other]]
                    if weight > 0.0:
                        total += weight + data[other]
                strength[link] = total
            for link in range(begin, end):
                own[indices[link]] = 0.0
    return strength


@numba.njit(parallel=True, cache=True)
def _mirror(
    indptr: NDArray[np.int32], indices: NDArray[np.int32], data: NDArray[np.floating]
) -> None:  # pragma: no cover - compiled
    """Copy each link's value from the earlier of its two nodes to the later, found there by bisection."""
    for b in numba.prange(len(indptr) - 1):
        for link in range(indptr[b], indptr[b + 1]):
            a = indices[link]
            if a > b:
                break
            low, high = indptr[a], indptr[a + 1]
            while high - low > 1:
                middle = (low + high) // 2
                if indices[middle] <= b:
                    low = middle
                else:
                    high = middle
            data[link] = data[low]


@numba.njit(parallel=True, cache=True)
def _keep_affinity(
    alone: NDArray[np.bool_],
    indptr: NDArray[np.int32],
    indices: NDArray[np.int32],
    data: NDArray[np.floating],
    strength: NDArray[np.floating],
) -> None:  # pragma: no cover - compiled
    for a in numba.prange(len(alone)):
        for link in range(indptr[a], indptr[a + 1]):
            if alone[a] or alone[indices[link]]:
                strength[link] = data[link]


def reweight_by_agreement(graph: sparse.csr_array, distributions: NDArray[np.floating], eta: float) -> sparse.csr_array:
    """Return w_ij (1 + eta cos(f_i, f_j)) of label distributions f (N, C) (METHOD §1.5); cos of a zero row is 0."""
    norm = np.linalg.norm(distributions, axis=1, keepdims=True)
    unit = np.divide(distributions, norm, out=np.zeros_like(distributions), where=norm > 0)
    cosine = _link_cosines(graph.indptr, graph.indices, np.ascontiguousarray(unit)).astype(graph.dtype, copy=False)
    cosine *= eta
    cosine += 1.0
    cosine *= graph.data
    return sparse.csr_array((cosine, graph.indices, graph.indptr), shape=graph.shape)


@numba.njit(parallel=True, cache=True)
def _link_cosines(
    indptr: NDArray[np.int32], indices: NDArray[np.int32], unit: NDArray[np.float64]
) -> NDArray[np.float64]:  # pragma: no cover - compiled
    cosine = np.zeros(len(indices))
    for i in numba.prange(len(indptr) - 1):
        for link in range(indptr[i], indptr[i + 1]):
            total = 0.0
            for c in range(unit.shape[1]):
                total += unit[i, c] * unit[indices[link], c]
            cosine[link] = total
    return cosine


def normalise(strength: sparse.csr_array) -> sparse.csr_array:
    """Return Ŝ = Δ^(-1/2) S Δ^(-1/2) with Δ the row sums (METHOD §1.3); an isolated node keeps a zero row."""
    # By both ends: divided by row sums alone it would not be symmetric, which both diffusions count on.
    degree = np.asarray(strength.sum(axis=1, dtype=np.float64)).ravel()
    scale = np.divide(1.0, np.sqrt(degree), out=np.zeros_like(degree), where=degree > 0)
    data = _scaled(strength.indptr, strength.indices, strength.data, scale)
    return sparse.csr_array((data, strength.indices, strength.indptr), shape=strength.shape)


@numba.njit(parallel=True, cache=True)
def _scaled(
    indptr: NDArray[np.int32], indices: NDArray[np.int32], data: NDArray[np.floating], scale: NDArray[np.float64]
) -> NDArray[np.floating]:  # pragma: no cover - compiled
    scaled = np.empty_like(data)
    for i in numba.prange(len(indptr) - 1):
        for link in range(indptr[i], indptr[i + 1]):
            scaled[link] = data[link] * scale[i] * scale[indices[link]]
    return scaled
