"""Scores with a fold hidden against fits that never saw the fold."""

from __future__ import annotations

import numpy as np
import pytest
from graph_cases import labels_of, random_labels
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import Ridge

from tagweave.data.labels import LabelMatrix
from tagweave.graph.folded_ridge import folded_ridge
from tagweave.graph.teacher import fit_teacher

REFIT = 1e-8  # float64 least squares of a few dozen rows, conditioned by penalties of 0.1 and above


def case(seed: int, width: int, images: int = 40, known: float = 1.0) -> tuple[np.ndarray, LabelMatrix, np.ndarray]:
    generator = np.random.default_rng(seed)
    unit = generator.normal(size=(images, width))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    return unit, random_labels(seed, images, 3, known), generator.integers(4, size=images)


@pytest.mark.parametrize("width", [6, 90], ids=["more images than features", "more features than images"])
class TestFoldedRidge:
    @pytest.mark.parametrize("penalty", [0.1, 10.0])
    @pytest.mark.parametrize("known", [0.5, 1.1])
    def test_equal_to_scikit_learns_ridge_fitted_without_each_fold(
        self, width: int, known: float, penalty: float
    ) -> None:
        unit, labels, fold = case(0, width, known=known)
        found, _ = folded_ridge(unit, labels, fold, penalty)
        for number in range(4):
            hidden = fold == number
            for column, cells in enumerate(labels.known.T):
                seen = cells & ~hidden
                ridge = Ridge(alpha=penalty).fit(unit[seen], labels.values[seen, column])
                assert_allclose(found[hidden, column], ridge.predict(unit[hidden]), atol=REFIT, rtol=0)

    @settings(max_examples=15, deadline=None)
    @given(seed=st.integers(0, 2**32 - 1), known=st.floats(0, 1), images=st.integers(2, 30))
    def test_equal_to_the_teacher_fitted_without_each_fold(
        self, width: int, seed: int, known: float, images: int
    ) -> None:
        unit, labels, fold = case(seed, width, images, known)
        found, _ = folded_ridge(unit, labels, fold, 0.3)
        for number in np.unique(fold):
            hidden = fold == number
            refit = fit_teacher(unit, labels.hide(hidden), (0.3,))
            assert_allclose(found[hidden], refit.score(unit[hidden]), atol=REFIT, rtol=0)

    def test_a_fold_has_no_say_in_its_own_scores(self, width: int) -> None:
        unit, labels, fold = case(1, width)
        flipped = labels_of(labels.values ^ (fold == 2)[:, None], labels.known)
        found, again = (folded_ridge(unit, each, fold, 1.0)[0] for each in (labels, flipped))
        assert_allclose(again[fold == 2], found[fold == 2], atol=REFIT, rtol=0)
        assert not np.allclose(again[fold != 2], found[fold != 2])

    def test_a_label_that_no_other_fold_knows_scores_zero(self, width: int) -> None:
        unit, labels, fold = case(2, width)
        known = labels.known.copy()
        known[:, 1] = fold == 3
        found, _ = folded_ridge(unit, labels_of(labels.values, known), fold, 1.0)
        assert not found[fold == 3, 1].any()
        assert_array_equal(folded_ridge(unit, labels, np.zeros(len(unit), int), 1.0)[0], 0.0)

    @pytest.mark.parametrize("known", [0.5, 1.1])
    def test_what_is_known_beforehand_is_taken_off_and_put_back(self, width: int, known: float) -> None:
        unit, labels, fold = case(4, width, known=known)
        beforehand = np.random.default_rng(5).normal(size=labels.values.shape)
        plain, lifted = folded_ridge(unit, labels, fold, 0.3, beforehand)
        assert_allclose(plain, folded_ridge(unit, labels, fold, 0.3)[0], atol=REFIT, rtol=0)
        for number in range(4):
            hidden = fold == number
            for column, cells in enumerate(labels.known.T):
                seen = cells & ~hidden
                ridge = Ridge(alpha=0.3).fit(unit[seen], labels.values[seen, column] - beforehand[seen, column])
                wanted = ridge.predict(unit[hidden]) + beforehand[hidden, column]
                assert_allclose(lifted[hidden, column], wanted, atol=REFIT, rtol=0)
