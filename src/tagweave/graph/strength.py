"""From neighbours to a symmetric weighted graph: affinity, then the strength of links."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tagweave.errors import InputError
from tagweave.graph.neighbours import Neighbours

AFFINITIES = ("cosine_power", "heat")
STRENGTHS = ("affinity", "wcn")


def affinity_values(
    similarity: NDArray[np.floating], kind: str = "cosine_power", gamma: float = 3.0, tau: float = 0.25
) -> NDArray[np.float64]:
    """Turn cosines s into affinities w >= 0 (METHOD §1.1).

    ``cosine_power``: w = max(s, 0)^gamma in [0, 1]. ``heat``: w = exp(-|x_i - x_j|^2 / (4 tau)) in (0, 1], where
    |x_i - x_j|^2 = 2 - 2 s for unit vectors.

    Raises:
        InputError: unknown kind.
    """
    cosine = similarity.astype(np.float64)
    if kind == "cosine_power":
        return np.maximum(cosine, 0.0) ** gamma
    if kind == "heat":
        return np.exp(-(2.0 - 2.0 * cosine) / (4.0 * tau))
    raise InputError(f"Expected affinity to be one of {', '.join(AFFINITIES)}, but got '{kind}'.")


def affinity_graph(
    near: Neighbours, kind: str = "cosine_power", gamma: float = 3.0, tau: float = 0.25
) -> sparse.csr_array:
    """Return W (N, N), symmetric by maximum, zero diagonal, sorted CSR without stored zeros (METHOD §1.1)."""
    count, k = near.index.shape
    weights = affinity_values(near.similarity, kind, gamma, tau).ravel()
    rows = np.repeat(np.arange(count), k)
    directed = sparse.csr_array((weights, (rows, near.index.ravel())), shape=(count, count))
    graph = directed.maximum(directed.T).tocsr()
    graph.setdiag(0.0)
    graph.eliminate_zeros()
    graph.sort_indices()
    return graph


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
    strength = sparse.csr_array((data, graph.indices, graph.indptr), shape=graph.shape)
    alone = np.asarray(strength.sum(axis=1)).ravel() == 0
    rows = np.repeat(np.arange(graph.shape[0]), np.diff(graph.indptr))
    keep = alone[rows] | alone[graph.indices]
    return sparse.csr_array((np.where(keep, graph.data, data), graph.indices, graph.indptr), shape=graph.shape)


@numba.njit(parallel=True, cache=True)
def _common_neighbour_strength(
    indptr: NDArray[np.int32], indices: NDArray[np.int32], data: NDArray[np.float64]
) -> NDArray[np.float64]:  # pragma: no cover - compiled
    """Merge the two sorted neighbour lists of every link."""
    strength = np.zeros_like(data)
    for a in numba.prange(len(indptr) - 1):
        for link in range(indptr[a], indptr[a + 1]):
            b = indices[link]
            i, j, total = indptr[a], indptr[b], 0.0
            while i < indptr[a + 1] and j < indptr[b + 1]:
                if indices[i] == indices[j]:
                    total += data[i] + data[j]
                    i += 1
                    j += 1
                elif indices[i] < indices[j]:
                    i += 1
                else:
                    j += 1
            strength[link] = total
    return strength


def reweight_by_agreement(graph: sparse.csr_array, distributions: NDArray[np.floating], eta: float) -> sparse.csr_array:
    """Return w_ij (1 + eta cos(f_i, f_j)) of label distributions f (N, C) (METHOD §1.5); cos of a zero row is 0."""
    norm = np.linalg.norm(distributions, axis=1, keepdims=True)
    unit = np.divide(distributions, norm, out=np.zeros_like(distributions), where=norm > 0)
    cosine = _link_cosines(graph.indptr, graph.indices, np.ascontiguousarray(unit))
    return sparse.csr_array((graph.data * (1.0 + eta * cosine), graph.indices, graph.indptr), shape=graph.shape)


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
    degree = np.asarray(strength.sum(axis=1)).ravel()
    scale = np.divide(1.0, np.sqrt(degree), out=np.zeros_like(degree), where=degree > 0)
    rows = np.repeat(np.arange(strength.shape[0]), np.diff(strength.indptr))
    data = strength.data * scale[rows] * scale[strength.indices]
    return sparse.csr_array((data, strength.indices, strength.indptr), shape=strength.shape)
