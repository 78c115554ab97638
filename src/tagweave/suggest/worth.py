"""What there is to learn of an image, as one number per image (N,)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tagweave.errors import InputError
from tagweave.suggest.pool import Pool

Floats = NDArray[np.float64]


def doubts(pool: Pool, rows: NDArray[np.int64] | slice = slice(None)) -> Floats:
    """Return p (1 - p) of every cell (n, C) of ``rows`` by the graph's probability, 0 where the cell is known."""
    graph = pool.graph[rows]
    return np.where(pool.labels.known[rows], 0.0, graph * (1.0 - graph))


def apart(pool: Pool, rows: NDArray[np.int64] | slice = slice(None)) -> Floats:
    """Return |p - q| of every cell (n, C) of ``rows``, q the second opinion, 0 where known or without one."""
    graph = pool.graph[rows]
    model = graph if pool.model is None else pool.model[rows]
    return np.where(pool.labels.known[rows], 0.0, np.abs(graph - model))


def doubt(pool: Pool) -> Floats:
    """Return u_i = sum_c p_ic (1 - p_ic) over unknown cells."""
    return np.asarray(doubts(pool).sum(axis=1))


def rare_doubt(pool: Pool) -> Floats:
    """Return u_i = sum_c p_ic (1 - p_ic) / (n_c + 1) over unknown cells, n_c the known positives of label c.

    A doubt about a label with few examples counts more: mean average precision asks every label the same.
    """
    return np.asarray(doubts(pool) @ (1.0 / (pool.labels.positives + 1.0)))


def disagreement(pool: Pool) -> Floats:
    """Return sum_c |p_ic - q_ic| over unknown cells, q the second opinion.

    Raises:
        InputError: there is no second opinion.
    """
    if pool.model is None:
        raise InputError(
            "Expected a second opinion beside the graph's, but there is none; take another strategy or run "
            "'tagweave train' first."
        )
    return np.asarray(apart(pool).sum(axis=1))
