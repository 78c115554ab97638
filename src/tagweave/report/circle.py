"""An order of labels round a circle in which linked labels are near each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SWEEPS = 20


def circle_order(weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return an order that keeps sum_ij w_ij d_ij small, d the number of steps between two places on the circle.

    A greedy chain, then swaps of two labels while one helps: the same weights give the same order.

    Args:
        weights: (C, C) symmetric, non-negative; the diagonal does not matter.

    Returns:
        (C,) label numbers, in the order of their places.
    """
    weights = np.asarray(weights, dtype=np.float64) * (1 - np.eye(len(weights)))
    steps = np.abs(np.subtract.outer(np.arange(len(weights)), np.arange(len(weights))))
    distances = np.minimum(steps, len(weights) - steps).astype(np.float64)
    order = _chain(weights)
    for _ in range(SWEEPS):
        if not _swap_all(order, weights, distances):
            break
    return order


def _chain(weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """Start at the label of the largest total and go on with the one closest to the places just filled."""
    order: list[int] = []
    pull = weights.sum(axis=1) * 1e-9
    free = np.ones(len(weights), dtype=bool)
    for _ in range(len(weights)):
        chosen = int(np.argmax(np.where(free, pull, -1.0)))
        order.append(chosen)
        free[chosen] = False
        pull = pull / 2 + weights[chosen]
    return np.array(order, dtype=np.int64)


def _swap_all(order: NDArray[np.int64], weights: NDArray[np.float64], distances: NDArray[np.float64]) -> bool:
    """Swap pairs of places, in place, wherever that shortens the links; tell whether any did."""
    swapped = False
    for first in range(len(order)):
        gains = _swap_gains(first, weights[np.ix_(order, order)], distances)
        second = int(np.argmax(gains))
        if gains[second] > 1e-9:
            order[[first, second]] = order[[second, first]]
            swapped = True
    return swapped


def _swap_gains(first: int, weights: NDArray[np.float64], distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return by how much the links shorten when the label at ``first`` changes places with each other one (C,).

    The link between the two keeps its length but is counted as if it fell to 0 twice, which the last term undoes.
    """
    here = weights[first] @ distances[first] + (weights * distances).sum(axis=1)
    there = distances @ weights[first] + weights @ distances[first]
    return here - there - 2 * weights[first] * distances[first]
