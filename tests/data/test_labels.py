from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from tagweave.data.labels import LabelMatrix
from tagweave.errors import InputError


def matrix(seed: int, rows: int = 7, columns: int = 5) -> LabelMatrix:
    rng = np.random.default_rng(seed)
    names = tuple(f"label {number}" for number in range(columns))
    return LabelMatrix(rng.random((rows, columns)) < 0.5, rng.random((rows, columns)) < 0.5, names)


def test_counts_and_rates_read_known_cells_only() -> None:
    values = np.array([[1, 1], [1, 0], [0, 1]], bool)
    known = np.array([[1, 0], [1, 1], [1, 0]], bool)
    labels = LabelMatrix(values, known, ("a", "b"))
    assert labels.values.tolist() == [[True, False], [True, False], [False, False]]
    assert labels.positives.tolist() == [2, 0]
    assert labels.negatives.tolist() == [1, 1]
    assert labels.rates().tolist() == pytest.approx([2 / 3, 0])


def test_hidden_rows_are_unknown_and_the_original_stays() -> None:
    labels = matrix(0)
    hidden = labels.hide(np.array([2, 3]))
    assert not hidden.known[2:4].any()
    assert not hidden.values[2:4].any()
    assert_array_equal(hidden.known[[0, 1, 4, 5, 6]], labels.known[[0, 1, 4, 5, 6]])
    assert labels.known[2:4].any()


@given(st.integers(0, 10_000))
def test_known_masks_rebuild_the_known_cells(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = matrix(seed)
    labels = LabelMatrix(labels.values, labels.known[:, rng.integers(0, 3, 5)], labels.names)
    masks, group = labels.known_masks()
    assert_array_equal(masks[:, group], labels.known)
    assert len({column.tobytes() for column in masks.T}) == masks.shape[1]


def test_wrong_shapes_and_repeated_names_are_refused() -> None:
    with pytest.raises(InputError, match=r"Expected values and known of shape \(images, 1 labels\)"):
        LabelMatrix(np.zeros((2, 2), bool), np.zeros((2, 2), bool), ("a",))
    with pytest.raises(InputError, match="Expected distinct label names, but got a more than once"):
        LabelMatrix(np.zeros((2, 2), bool), np.zeros((2, 2), bool), ("a", "a"))
