"""DiCaP: weights are the share of right pseudo-labels of the same confidence, on labels held back."""

from __future__ import annotations

import numpy as np
import pytest

from tagweave.data.labels import LabelMatrix
from tagweave.peers.dicap import BINS, confidence_bins, dicap, measure_reliability


def case(images: int = 60, seed: int = 0) -> tuple[np.ndarray, LabelMatrix, np.ndarray]:
    random = np.random.default_rng(seed)
    known = np.zeros((images, 3), bool)
    known[:30] = random.random((30, 3)) < 0.8
    labels = LabelMatrix(random.random((images, 3)) < 0.4, known, ("a", "b", "c"))
    return random.random((images, 3)), labels, np.arange(20, 30)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_weights_by_loops(seed: int) -> None:
    p, labels, held = case(seed=seed)
    found = dicap(p, labels, held)
    pseudo = np.zeros((60, 3), bool)
    for c in range(3):
        seen = [i for i in range(60) if labels.known[i, c] and i not in held]
        others = [i for i in range(60) if i not in seen]
        wanted = -(-sum(bool(labels.values[i, c]) for i in seen) * len(others) // len(seen))
        pseudo[sorted(others, key=lambda i: -p[i, c])[:wanted], c] = True
    cells = [(i, c) for i in held for c in range(3) if labels.known[i, c]]

    def kind(i: int, c: int) -> tuple[bool, int]:
        sure = p[i, c] if pseudo[i, c] else 1 - p[i, c]
        return bool(pseudo[i, c]), min(int(sure * BINS), BINS - 1)

    for i in range(60):
        for c in range(3):
            if labels.known[i, c]:
                assert (found.values[i, c], found.weights[i, c]) == (labels.values[i, c], 1.0)
                continue
            same = [cell for cell in cells if kind(*cell) == kind(i, c)]
            right = sum(pseudo[cell] == labels.values[cell] for cell in same)
            assert found.values[i, c] == pseudo[i, c]
            assert found.weights[i, c] == pytest.approx((right + 1) / (len(same) + 2))


def test_weights_come_near_the_truth_where_the_model_claims_too_much() -> None:
    """The model says 0.95 or 0.05 and is right in seven cells of ten."""
    random = np.random.default_rng(0)
    truth = random.random((2000, 1)) < 0.5
    said = np.where(random.random((2000, 1)) < 0.7, truth, ~truth)
    p = np.where(said, 0.95, 0.05) + 0.001 * random.random((2000, 1))
    known = np.arange(2000)[:, None] < 1000
    found = dicap(p, LabelMatrix(truth, known, ("a",)), np.arange(500, 1000))
    hidden = ~known[:, 0]
    right = (found.values == truth)[hidden].mean()
    assert right == pytest.approx(0.7, abs=0.03)
    assert found.weights[hidden].mean() == pytest.approx(right, abs=0.03)


def test_a_label_of_which_the_model_saw_no_positive_gets_nothing() -> None:
    p, labels, held = case()
    values = labels.values.copy()
    values[:20, 1] = False
    values[held, 1] = True
    found = dicap(p, LabelMatrix(values, labels.known, labels.names), held)
    assert not found.weights[~labels.known[:, 1], 1].any()
    assert found.weights[~labels.known[:, 0], 0].all()


def test_with_nothing_held_back_every_weight_is_a_half() -> None:
    p, labels, _ = case()
    found = dicap(p, labels, np.empty(0, dtype=np.int64))
    assert (found.weights[~labels.known] == 0.5).all()


def test_bins_and_reliability_by_hand() -> None:
    values = np.array([[True, True], [False, False]])
    p = np.array([[1.0, 0.91], [0.0, 0.25]])
    assert confidence_bins(values, p).tolist() == [[9, 9], [9, 7]]
    labels = LabelMatrix(np.array([[True, False], [False, True]]), np.ones((2, 2), bool), ("a", "b"))
    found = measure_reliability(values, p, labels).absent_present
    assert found[1, 9] == (1 + 1) / (2 + 2)
    assert found[0, 9] == (1 + 1) / (1 + 2)
    assert found[0, 7] == (0 + 1) / (1 + 2)
    assert found[0, 0] == 0.5
