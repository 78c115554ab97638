"""The order of labels round a circle."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tagweave.report.circle import circle_order


def length(weights: np.ndarray, order: np.ndarray) -> float:
    """Add up the links one by one."""
    place = {int(label): at for at, label in enumerate(order)}
    total = 0.0
    for i in range(len(weights)):
        for j in range(i):
            steps = abs(place[i] - place[j])
            total += weights[i, j] * min(steps, len(weights) - steps)
    return total


def symmetric(seed: int, labels: int) -> np.ndarray:
    weights = np.random.default_rng(seed).random((labels, labels)) ** 4
    return weights + weights.T


def test_a_ring_is_found_again() -> None:
    shuffled = np.random.default_rng(1).permutation(12)
    weights = np.zeros((12, 12))
    for at in range(12):
        weights[shuffled[at], shuffled[at - 1]] = weights[shuffled[at - 1], shuffled[at]] = 1
    assert length(weights, circle_order(weights)) == 12


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), labels=st.integers(0, 30))
def test_an_order_holds_every_label_once_and_no_swap_helps(seed: int, labels: int) -> None:
    weights = symmetric(seed, labels)
    order = circle_order(weights)
    assert sorted(order.tolist()) == list(range(labels))
    now = length(weights, order)
    for i in range(labels):
        for j in range(i):
            swapped = order.copy()
            swapped[[i, j]] = swapped[[j, i]]
            assert length(weights, swapped) >= now - 1e-6
    np.testing.assert_array_equal(circle_order(weights), order)


def test_it_is_near_the_best_of_all_orders() -> None:
    weights = symmetric(3, 7)
    best = min(length(weights, np.array(order)) for order in permutations(range(7)))
    assert length(weights, circle_order(weights)) <= 1.05 * best
