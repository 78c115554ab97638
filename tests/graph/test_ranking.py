"""The order of neighbours, against sorted tuples."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from tagweave.graph.ranking import rank


def test_by_hand() -> None:
    # Row 5 searches: itself, a tie of 9 and 2 below a millionth, a similarity beyond 1, and a place without anybody.
    similarity = np.array([[1.0, 0.5000001, 0.5, 1.0000001, 0.1, 0.0]], np.float32)
    index = np.array([[5, 9, 2, 7, 1, -1]])
    found, order = rank(similarity, index, np.array([5]), 4)
    assert order.tolist() == [[7, 2, 9, 1]]
    assert_array_equal(found, np.array([[1.0, 0.5, 0.5, 0.1]], np.float32))


def test_places_without_anybody_hold_the_row_itself() -> None:
    similarity, index = np.array([[1.0, 0.3, -9.0]], np.float32), np.array([[4, 0, -1]])
    found, order = rank(similarity, index, np.array([4]), 3)
    assert order.tolist() == [[0, 4, 4]]
    assert_array_equal(found, np.array([[0.3, -1.0, -1.0]], np.float32))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 8))
def test_equal_to_sorted_tuples(seed: int, k: int) -> None:
    generator = np.random.default_rng(seed)
    similarity = (generator.integers(-3, 4, (5, 8)) / 3).astype(np.float32)
    index = np.argsort(generator.random((5, 30)), axis=1)[:, :8]
    found, order = rank(similarity, index, None, k)
    for row in range(5):
        pairs = sorted(zip(-np.round(similarity[row].astype(float), 6), index[row], strict=True))[:k]
        assert order[row].tolist() == [place for _, place in pairs]
        np.testing.assert_allclose(found[row], [-fall for fall, _ in pairs], atol=1e-6)
