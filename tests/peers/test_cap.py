"""CAP and what the class-aware policies share: counts and ranks."""

from __future__ import annotations

import numpy as np
import pytest

from tagweave.data.labels import LabelMatrix
from tagweave.peers.cap import cap
from tagweave.peers.pseudo_targets import PseudoTargets, expected_positives, ranks


def case(images: int = 40, seed: int = 0) -> tuple[np.ndarray, LabelMatrix]:
    random = np.random.default_rng(seed)
    known = random.random((images, 4)) < 0.4
    values = random.random((images, 4)) < 0.35
    values[:, 3] = False
    return np.round(random.random((images, 4)), 1), LabelMatrix(values, known, ("a", "b", "c", "never"))


@pytest.mark.parametrize(("positive_share", "negative_share"), [(1.0, 0.9), (1.0, 1.0), (0.5, 0.3), (0.0, 0.0)])
def test_each_label_gets_its_best_and_its_worst(positive_share: float, negative_share: float) -> None:
    scores, labels = case()
    found = cap(scores, labels, positive_share, negative_share)
    for c in range(4):
        rows = [i for i in range(40) if not labels.known[i, c]]
        rows.sort(key=lambda i: (-scores[i, c], i))
        seen, there = labels.known[:, c].sum(), labels.values[:, c].sum()
        expected = -(-there * len(rows) // seen)
        best = rows[: int(np.ceil(positive_share * expected))]
        worst = rows[len(rows) - int(np.floor(negative_share * (len(rows) - expected))) :] if there else []
        for i in range(40):
            if labels.known[i, c]:
                assert (found.values[i, c], found.weights[i, c]) == (labels.values[i, c], 1.0)
            else:
                assert found.weights[i, c] == (i in best or i in worst)
                assert found.values[i, c] == (i in best)
    assert not (found.values[:, 3]).any()
    assert not found.weights[~labels.known[:, 3], 3].any()


def test_by_default_a_tenth_of_the_expected_negatives_stays_unknown() -> None:
    known = np.zeros((110, 1), bool)
    known[:10] = True
    values = np.zeros((110, 1), bool)
    values[:2] = True
    found = cap(np.arange(110.0)[:, None], LabelMatrix(values, known, ("a",)))
    assert found.values[10:, 0].sum() == 20
    assert (found.weights[10:, 0] == 0).sum() == 8
    assert found.values[90:].all()


def test_a_label_known_only_as_present_gets_no_negatives() -> None:
    labels = LabelMatrix(np.ones((4, 1), bool), np.array([[True], [False], [False], [False]]), ("a",))
    found = cap(np.array([[0.9], [0.8], [0.1], [0.2]]), labels)
    assert found.values[:, 0].tolist() == [1.0] * 4  # the known rate is 1
    assert not cap(np.zeros((4, 1)), labels, positive_share=0.0).weights[1:].any()


def test_nothing_unknown_leaves_everything_as_known() -> None:
    scores, labels = case()
    whole = LabelMatrix(labels.values, np.ones_like(labels.known), labels.names)
    found = cap(scores, whole)
    np.testing.assert_array_equal(found.values, whole.values)
    assert (found.weights == 1).all()


def test_counts_and_ranks_by_hand() -> None:
    known = np.array([[True, True], [True, True], [False, False], [False, False], [False, True]])
    values = np.array([[True, False], [False, False], [False, False], [False, False], [False, False]])
    labels = LabelMatrix(values, known, ("a", "b"))
    expected, unknown = expected_positives(labels)
    assert expected.tolist() == [2, 0]
    assert unknown.tolist() == [3, 2]
    scores = np.array([[0.9, 0.9], [0.8, 0.8], [0.1, 0.5], [0.7, 0.5], [0.1, 0.6]])
    assert ranks(scores, labels).tolist() == [[5, 5], [5, 5], [1, 0], [0, 1], [2, 5]]


def test_known_cells_come_before_pseudo_labels() -> None:
    labels = LabelMatrix(np.array([[True, False]]), np.array([[True, False]]), ("a", "b"))
    found = PseudoTargets(np.array([[0.2, 0.3]]), np.array([[0.4, 0.5]])).known_first(labels)
    assert found.values.tolist() == [[1.0, 0.3]]
    assert found.weights.tolist() == [[1.0, 0.5]]
