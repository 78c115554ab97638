"""LP-DeepSSL: pseudo-labels by diffusion over a graph of neighbours, weighted by how sure and how frequent they are.

Source: Iscen, Tolias, Avrithis, Chum 2019, "Label propagation for deep semi-supervised learning", CVPR.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tagweave.data.labels import LabelMatrix
from tagweave.errors import InputError
from tagweave.graph.diffusion import spread
from tagweave.graph.neighbours import Neighbours, neighbours
from tagweave.graph.strength import affinity_values, normalise
from tagweave.peers.pseudo_targets import Floats, PseudoTargets

GAMMA = 3.0


def lp_deepssl(
    unit: NDArray[np.floating], labels: LabelMatrix, k: int = 50, alpha: float = 0.99, exclusive: bool = False
) -> PseudoTargets:
    """Give every unknown cell a pseudo-label, weighted by certainty and by the size of its class.

    W = A + A', a_ij = max(s_ij, 0)^3 over the k nearest; Ŝ = Δ^(-1/2) W Δ^(-1/2); (I - alpha Ŝ) z = y by conjugate
    gradient, for each class the known members at 1 over their number; p = max(z, 0) over its sum over classes;
    pseudo-label the most probable class, weight 1 - H(p) / log(number of classes).

    Labels that exclude each other are the classes of one such problem. Otherwise each label is a problem of its own
    with the classes present and absent, and a label with no known positive or no known negative gets nothing. Class
    weights, 1 over the number of (pseudo-)members, scaled to mean 1 over the cells of a problem, multiply all weights,
    known ones too. An image that no label mass reaches gets nothing.

    Simplified: once, on the frozen encoder's features, not in every epoch on new ones; the system is solved to 1e-6,
    without the limit of 20 steps.

    Args:
        unit: (N, D), unit length. labels: (N, C).
        k: neighbours, fewer where there are not as many. alpha: share of the neighbours.
        exclusive: labels exclude each other; every labelled row is wholly known, with one positive.

    Raises:
        InputError: ``exclusive`` labels that do not exclude each other.
    """
    if exclusive and not excludes_itself(labels):
        raise InputError("Expected one positive in every labelled row of exclusive labels, but got another number.")
    graph = _graph(neighbours(unit, min(k, len(unit) - 1)))
    return _exclusive(graph, labels, alpha) if exclusive else _one_against_rest(graph, labels, alpha)


def excludes_itself(labels: LabelMatrix) -> bool:
    """Return whether every labelled row is wholly known and has one positive, of more than one label."""
    rows = labels.take(labels.labelled)
    alone = rows.known.all() and (rows.values.sum(axis=1) == 1).all()
    return bool(len(labels.names) > 1 and len(rows) and alone)


def _graph(near: Neighbours) -> sparse.csr_array:
    count, k = near.index.shape
    weights = affinity_values(near.similarity, gamma=GAMMA)
    starts = np.arange(0, count * k + 1, k)
    directed = sparse.csr_array((weights.ravel(), near.index.ravel(), starts), shape=(count, count))
    both = (directed + directed.T).tocsr()
    both.eliminate_zeros()
    return normalise(both)


def _exclusive(graph: sparse.csr_array, labels: LabelMatrix, alpha: float) -> PseudoTargets:
    shares, reached = _shares(spread(graph, labels.values / np.maximum(labels.positives, 1), alpha)[:, None])
    given = labels.labelled
    chosen = np.where(given, labels.values.argmax(axis=1), shares[:, 0].argmax(axis=1))
    sure = np.where(given, 1.0, certainty(shares)[:, 0] * reached[:, 0])
    weights = (sure * class_weights(chosen, given | reached[:, 0], len(labels.names)))[:, None]
    values = np.eye(len(labels.names))[chosen]
    weights = np.broadcast_to(weights, values.shape) * (labels.positives > 0)
    return PseudoTargets(values, weights)


def _one_against_rest(graph: sparse.csr_array, labels: LabelMatrix, alpha: float) -> PseudoTargets:
    masks, group = labels.known_masks()
    solved = spread(graph, np.column_stack([labels.values, masks]), alpha)  # linear: absent = known - present
    present, known = solved[:, : len(group)], solved[:, len(group) :][:, group]
    sizes = np.stack([labels.negatives, labels.positives], axis=1)
    z = np.stack([known - present, present], axis=2) / np.maximum(sizes, 1)
    shares, reached = _shares(z)
    chosen = np.where(labels.known, labels.values, shares.argmax(axis=2))
    judged = (labels.positives > 0) & (labels.negatives > 0)
    used = np.where(labels.known, labels.positives > 0, reached & judged)
    weights = np.where(labels.known, 1.0, certainty(shares)) * used
    for c in range(len(labels.names)):
        weights[:, c] *= class_weights(chosen[:, c], used[:, c], 2)
    return PseudoTargets(chosen.astype(np.float64), weights)


def _shares(z: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Return p (N, M, classes) from z (N, M, classes), and which (N, M) any mass reached; the others are even."""
    mass = np.maximum(z, 0.0)
    total = mass.sum(axis=2, keepdims=True)
    even = np.full_like(mass, 1.0 / z.shape[2])
    return np.divide(mass, total, out=even, where=total > 0), total[..., 0] > 0


def certainty(shares: Floats) -> Floats:
    """Return 1 - H(p) / log(classes), in [0, 1], of distributions over the last axis."""
    entropy = -(shares * np.log(np.maximum(shares, 1e-300))).sum(axis=-1)
    return np.clip(1.0 - entropy / np.log(shares.shape[-1]), 0.0, 1.0)


def class_weights(chosen: NDArray[np.integer], used: NDArray[np.bool_], classes: int) -> Floats:
    """Return (N,) 1 over the number of used members of the own class, scaled to mean 1 over used cells; else 0."""
    counts = np.bincount(chosen[used], minlength=classes)
    weights = np.where(used, 1.0 / np.maximum(counts[chosen], 1), 0.0)
    return weights * used.sum() / max(weights.sum(), 1e-300)
