"""Label co-occurrence as a fixed graph over labels (METHOD §3; paper eq. 6-8). NumPy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tagweave.data.labels import LabelMatrix
from tagweave.errors import InputError


def cooccurrence_counts(labels: LabelMatrix) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Count over known cells only.

    Returns:
        P (C, C), P_ij the images with both labels (eq. 6); and N (C, C), N_ij the images with label i in which
        label j is known. Where everything is known N_ij is METHOD's N_i.
    """
    positive = labels.values.astype(np.float64)
    known = labels.known.astype(np.float64)
    return positive.T @ positive, positive.T @ known


def conditional_probability(labels: LabelMatrix) -> NDArray[np.float64]:
    """Return P' (C, C), P'_ij = P_ij / N_i = P(j | i) (eq. 7); a label never seen gives an empty row."""
    together, seen = cooccurrence_counts(labels)
    return np.divide(together, seen, out=np.zeros_like(together), where=seen > 0)


def expected_conditional(probabilities: NDArray[np.floating], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return P' (C, C) of calibrated probabilities, labels independent given an image: soft counts for eq. 6 and 7.

    P_ij = sum_n p_ni p_nj over images in which both cells count, P_ii = sum_n p_ni; N_ij = sum_n p_ni where j counts.
    Of 0 and 1 it is ``conditional_probability``.

    Args:
        probabilities: p (N, C) in [0, 1]; 0 or 1 in a given cell.
        known: (N, C) whether the cell counts.
    """
    known_cells = known.astype(np.float64)
    p = probabilities.astype(np.float64) * known_cells
    together, seen = p.T @ p, p.T @ known_cells
    np.fill_diagonal(together, p.sum(axis=0))
    return np.divide(together, seen, out=np.zeros_like(together), where=seen > 0)


def cooccurrence_matrix(
    conditional: NDArray[np.float64], phi: float = 0.1, lam: float = 0.25, theta: float = 1e-6, by: str = "rows"
) -> NDArray[np.float64]:
    """Return M (C, C) (eq. 8): M_ij = lam P'_ij / (sum_j P'_ij + theta) where P'_ij >= phi, else 0; M_ii = 1.

    Args:
        conditional: P'.
        phi: links with a smaller P(j | i) are dropped.
        lam: total weight of a label's neighbours.
        theta: keeps the division finite.
        by: ``rows`` normalises as the paper does, ``columns`` as ML-GCN does.

    Raises:
        InputError: ``by`` is neither.
    """
    if by not in ("rows", "columns"):
        raise InputError(f"Expected co-occurrence to be normalised by rows or columns, but got '{by}'.")
    off = conditional.copy()
    np.fill_diagonal(off, 0.0)
    total = off.sum(axis=1 if by == "rows" else 0, keepdims=True)
    matrix = np.where(off >= phi, lam * off / (total + theta), 0.0)
    np.fill_diagonal(matrix, 1.0)
    return matrix


def normalised_adjacency(matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return Â = Δ^(-1/2) M Δ^(-1/2) (C, C) with Δ the row sums, which are at least 1."""
    scale = 1.0 / np.sqrt(matrix.sum(axis=1))
    return (scale[:, None] * matrix * scale[None, :]).astype(np.float32)
