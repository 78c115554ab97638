"""LP-DeepSSL against dense algebra, and on groups that a few labels tell apart."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tagweave.data.labels import LabelMatrix
from tagweave.errors import InputError
from tagweave.peers.lp_deepssl import certainty, class_weights, excludes_itself, lp_deepssl

NAMES = ("a", "b", "c")


def unit(images: int, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(images, 6))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def dense_solution(x: np.ndarray, seeds: np.ndarray, k: int, alpha: float) -> np.ndarray:
    """Return (I - alpha Ŝ)^(-1) y with everything written out."""
    x = x.astype(np.float64)
    cosine = x @ x.T
    np.fill_diagonal(cosine, -np.inf)
    a = np.zeros_like(cosine)
    for i, row in enumerate(cosine):
        for j in np.argsort(-row)[:k]:
            a[i, j] = max(row[j], 0.0) ** 3
    w = a + a.T
    d = w.sum(axis=1)
    return np.linalg.solve(np.eye(len(x)) - alpha * w / np.sqrt(np.outer(d, d)), seeds)


def entropy_weight(p: np.ndarray) -> float:
    return 1 + sum(q * math.log(q) for q in p if q > 0) / math.log(len(p))


def test_exclusive_labels_by_dense_algebra() -> None:
    x, k, alpha = unit(24), 5, 0.9
    known = np.zeros((24, 3), bool)
    known[:9] = True
    values = np.eye(3, dtype=bool)[np.arange(24) % 3]
    values[:2] = np.eye(3, dtype=bool)[0]  # classes of different size
    labels = LabelMatrix(values, known, NAMES)
    found = lp_deepssl(x, labels, k, alpha, exclusive=True)
    z = np.maximum(dense_solution(x, labels.values / labels.positives, k, alpha), 0)
    p = z / z.sum(axis=1, keepdims=True)
    chosen = np.where(known[:, 0], labels.values.argmax(axis=1), p.argmax(axis=1))
    sure = [1.0 if known[i, 0] else entropy_weight(p[i]) for i in range(24)]
    scale = np.array([1 / (chosen == c).sum() for c in chosen])
    expected = np.array(sure) * scale / scale.mean()
    np.testing.assert_array_equal(found.values, np.eye(3)[chosen])
    np.testing.assert_allclose(found.weights, np.tile(expected[:, None], (1, 3)), atol=1e-4)


def test_labels_that_do_not_exclude_each_other_are_refused_as_exclusive() -> None:
    labels = LabelMatrix(np.ones((4, 3), bool), np.ones((4, 3), bool), NAMES)
    with pytest.raises(InputError, match="Expected one positive in every labelled row"):
        lp_deepssl(unit(4), labels, 2, exclusive=True)


def test_several_labels_are_one_against_the_rest_each() -> None:
    x, k, alpha = unit(20, seed=1), 5, 0.9
    random = np.random.default_rng(2)
    known = random.random((20, 3)) < 0.5
    labels = LabelMatrix(random.random((20, 3)) < 0.5, known, NAMES)
    found = lp_deepssl(x, labels, k, alpha)
    for c in range(3):
        y, o = labels.values[:, c], known[:, c]
        seeds = np.stack([(o & ~y) / max((o & ~y).sum(), 1), y / max(y.sum(), 1)], axis=1)
        z = np.maximum(dense_solution(x, seeds, k, alpha), 0)
        p = z / z.sum(axis=1, keepdims=True)
        chosen = np.where(o, y, p[:, 1] > p[:, 0]).astype(int)
        sure = np.array([1.0 if o[i] else entropy_weight(p[i]) for i in range(20)])
        scale = np.array([1 / (chosen == own).sum() for own in chosen])
        np.testing.assert_array_equal(found.values[:, c], chosen)
        np.testing.assert_allclose(found.weights[:, c], sure * scale / scale.mean(), atol=1e-4)


def test_groups_are_filled_from_a_few_labels() -> None:
    random = np.random.default_rng(0)
    group = np.repeat(np.arange(3), 40)
    x = 3 * np.eye(3)[group] + 0.4 * random.normal(size=(120, 3))
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    known = np.zeros((120, 3), bool)
    known[random.permutation(120)[:15]] = True
    found = lp_deepssl(x, LabelMatrix(np.eye(3, dtype=bool)[group], known, NAMES), k=10, exclusive=True)
    assert (found.values.argmax(axis=1) == group).mean() > 0.97
    assert (found.weights >= 0).all()


def test_a_label_without_a_known_positive_gets_nothing() -> None:
    known = np.zeros((12, 3), bool)
    known[:6] = True
    values = np.zeros((12, 3), bool)
    values[:3, 0] = values[2:5, 1] = True
    found = lp_deepssl(unit(12), LabelMatrix(values, known, NAMES), k=3)
    assert not found.weights[:, 2].any()
    assert not found.values[:, 2].any()
    assert found.weights[6:, :2].any()


def test_an_image_without_neighbours_that_labels_reach_gets_nothing() -> None:
    x = np.array([[1, 0], [1, 0.1], [0.9, 0], [-1, 0], [-1, 0.1], [-1, -0.1]], dtype=np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    known = np.zeros((6, 1), bool)
    known[:2] = True
    values = np.array([[True], [False], [False], [False], [False], [False]])
    found = lp_deepssl(x, LabelMatrix(values, known, ("a",)), k=2)
    assert not found.weights[3:].any()
    assert found.weights[:2].all()


@pytest.mark.parametrize(
    ("values", "known", "expected"),
    [
        ([[1, 0], [0, 1], [0, 0]], [[1, 1], [1, 1], [0, 0]], True),
        ([[1, 0], [1, 1], [0, 0]], [[1, 1], [1, 1], [0, 0]], False),
        ([[1, 0], [0, 0], [0, 0]], [[1, 1], [1, 1], [0, 0]], False),
        ([[1, 0], [0, 1], [0, 0]], [[1, 0], [1, 1], [0, 0]], False),
        ([[0, 0], [0, 0]], [[0, 0], [0, 0]], False),
    ],
)
def test_exclusive_means_one_positive_in_every_wholly_known_row(
    values: list[list[int]], known: list[list[int]], expected: bool
) -> None:
    assert excludes_itself(LabelMatrix(np.array(values, bool), np.array(known, bool), ("a", "b"))) == expected
    assert not excludes_itself(LabelMatrix(np.ones((2, 1), bool), np.ones((2, 1), bool), ("a",)))


def test_certainty_and_class_weights_by_hand() -> None:
    shares = np.array([[1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3], [0.5, 0.5, 0.0]])
    np.testing.assert_allclose(certainty(shares), [1.0, 0.0, 1 - math.log(2) / math.log(3)], atol=1e-12)
    weights = class_weights(np.array([0, 0, 0, 1, 1]), np.array([True, True, True, True, False]), 2)
    np.testing.assert_allclose(weights, [2 / 3, 2 / 3, 2 / 3, 2.0, 0.0])
