"""Measures by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tagweave.benchmark.measures import measure
from tagweave.data.labels import LabelMatrix
from tagweave.errors import InputError


def labels_of(values: list[list[int]]) -> LabelMatrix:
    cells = np.array(values, dtype=bool)
    return LabelMatrix(cells, np.ones_like(cells), tuple(f"w{column}" for column in range(cells.shape[1])))


def test_top_five_of_seven_words_by_hand() -> None:
    # Image 1 is annotated w0..w4, image 2 w2..w6.
    scores = np.array([[7, 6, 5, 4, 3, 2, 1], [1, 2, 3, 4, 5, 6, 7]], dtype=float)
    truth = labels_of([[1, 0, 0, 0, 0, 1, 0], [0, 0, 1, 0, 0, 0, 1]])
    found = measure(scores, truth)
    # Words with a positive: w0 (1 of 1 right, found), w2 (1 of 2), w5 (0 of 1, missed), w6 (1 of 1).
    assert found["precision"] == pytest.approx((1 + 1 / 2 + 0 + 1) / 4)
    assert found["recall"] == pytest.approx((1 + 1 + 0 + 1) / 4)
    p, r = 2.5 / 4, 3 / 4
    assert found["F1"] == pytest.approx(2 * p * r / (p + r))
    assert found["N+"] == 3


def test_mean_average_precision_counts_labels_with_positives_and_those_with_ten() -> None:
    values = np.zeros((24, 3), dtype=int)
    values[:10, 0] = values[3, 1] = 1
    scores = np.zeros((24, 3))
    scores[:, 0] = -np.arange(24)  # ten best are right
    scores[:, 1] = np.arange(24)  # the right one ranks 21st
    found = measure(scores, labels_of(values.tolist()))
    assert (found["labels"], found["labels_10"]) == (2, 1)
    assert found["mAP"] == pytest.approx((1 + 1 / 21) / 2)
    assert found["mAP_10"] == pytest.approx(1.0)


def test_nothing_to_measure_is_none() -> None:
    found = measure(np.zeros((3, 2)), labels_of([[0, 0]] * 3))
    assert found["mAP"] is found["mAP_10"] is found["F1"] is None
    assert found["N+"] == 0


def test_scores_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(InputError, match="finite"):
        measure(np.full((2, 2), np.nan), labels_of([[1, 0], [0, 1]]))
