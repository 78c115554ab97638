"""The ridge teacher against fits that really leave images out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graph_cases import labels_of, random_labels, threads
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import Ridge

from references import model as reference
from tagweave.calibration import fit_calibration
from tagweave.data.labels import LabelMatrix
from tagweave.graph import teacher
from tagweave.graph.teacher import PENALTIES, fit_linear, fit_teacher

REFIT = 1e-8  # float64 least squares of a few dozen rows, conditioned by penalties of 0.1 and above


def unit_rows(seed: int, images: int, width: int) -> np.ndarray:
    features = np.random.default_rng(seed).normal(size=(images, width))
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def left_out_by_refitting(unit: np.ndarray, values: np.ndarray, known: np.ndarray, penalty: float) -> np.ndarray:
    found = np.zeros(values.shape)
    for column, cells in enumerate(known.T):
        if cells.any():
            target = values[cells][:, [column]].astype(float)
            found[cells, column] = reference.ridge_loo_reference(unit[cells], target, penalty)[:, 0]
    return found


@pytest.mark.parametrize("width", [5, 60], ids=["more images than features", "more features than images"])
class TestFitTeacher:
    @pytest.mark.parametrize("penalty", PENALTIES)
    def test_left_out_scores_are_those_of_refitting(self, penalty: float, width: int) -> None:
        unit, labels = unit_rows(0, 25, width), random_labels(0, 25, 3, known=1.0)
        found = fit_teacher(unit, labels, (penalty,))
        expected = reference.ridge_loo_reference(unit, labels.values.astype(float), penalty)
        assert_allclose(found.left_out, expected, atol=REFIT, rtol=0)
        assert found.penalty == penalty

    def test_left_out_scores_of_partly_known_labels(self, width: int) -> None:
        unit, labels = unit_rows(1, 40, width), random_labels(1, 40, 4, known=0.5)
        found = fit_teacher(unit, labels, (1.0,)).left_out
        assert_allclose(found, left_out_by_refitting(unit, labels.values, labels.known, 1.0), atol=REFIT, rtol=0)
        assert not found[~labels.known].any()

    def test_scores_are_those_of_scikit_learns_ridge(self, width: int) -> None:
        unit, labels = unit_rows(2, 40, width), random_labels(2, 40, 4, known=0.5)
        new = unit_rows(3, 6, width)
        found = fit_teacher(unit, labels, (0.3,)).score(new)
        for column, cells in enumerate(labels.known.T):
            ridge = Ridge(alpha=0.3).fit(unit[cells], labels.values[cells, column])
            assert_allclose(found[:, column], ridge.predict(new), atol=REFIT, rtol=0)

    def test_chooses_the_penalty_of_least_left_out_error(self, width: int) -> None:
        unit = unit_rows(4, 40, width)
        direction = np.random.default_rng(5).normal(size=(width, 3))
        chosen = set()
        for noise in (0.01, 0.5, 5.0):
            scores = unit @ direction + noise * np.random.default_rng(6).normal(size=(40, 3))
            labels = labels_of(scores > 0, np.random.default_rng(7).random((40, 3)) < 0.8)
            errors = [
                ((left_out_by_refitting(unit, labels.values, labels.known, p) - labels.values)[labels.known] ** 2).sum()
                for p in PENALTIES
            ]
            found = fit_teacher(unit, labels)
            chosen.add(found.penalty)
            assert found.penalty == PENALTIES[int(np.argmin(errors))]
            assert tuple(found.errors) == PENALTIES
            assert_allclose(list(found.errors.values()), np.array(errors) / labels.known.sum(), rtol=1e-6)
        assert len(chosen) > 1

    def test_follows_permutations_of_images_and_of_labels(self, width: int) -> None:
        unit, labels = unit_rows(8, 30, width), random_labels(8, 30, 4, known=0.6)
        rows, columns = (np.random.default_rng(8).permutation(n) for n in (30, 4))
        found = fit_teacher(unit, labels)
        moved = fit_teacher(
            unit[rows], labels_of(labels.values[np.ix_(rows, columns)], labels.known[np.ix_(rows, columns)])
        )
        assert_allclose(moved.left_out, found.left_out[np.ix_(rows, columns)], atol=REFIT, rtol=0)
        assert_allclose(moved.score(unit), found.score(unit)[:, columns], atol=REFIT, rtol=0)

    def test_labels_do_not_touch_each_other_at_one_penalty(self, width: int) -> None:
        unit, labels = unit_rows(9, 30, width), random_labels(9, 30, 3, known=0.6)
        together = fit_teacher(unit, labels, (1.0,)).score(unit)
        for column in range(3):
            alone = labels_of(labels.values[:, [column]], labels.known[:, [column]])
            assert_allclose(fit_teacher(unit, alone, (1.0,)).score(unit)[:, 0], together[:, column], atol=REFIT, rtol=0)

    def test_blocks_of_rows_change_nothing(self, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
        unit, labels = unit_rows(12, 40, width), random_labels(12, 40, 3, known=0.7)
        whole = fit_teacher(unit, labels)
        monkeypatch.setattr(teacher, "BLOCK", 7)
        parts = fit_teacher(unit, labels)
        assert parts.penalty == whole.penalty
        assert_allclose(parts.left_out, whole.left_out, atol=REFIT, rtol=0)
        assert_allclose(parts.score(unit), whole.score(unit), atol=REFIT, rtol=0)

    def test_same_bits_with_one_and_two_threads(self, width: int) -> None:
        unit, labels = unit_rows(13, 90, width), random_labels(13, 90, 3, known=0.9)
        found = []
        for count in (1, 2):
            with threads(count):
                found.append(fit_teacher(unit, labels))
        assert_array_equal(found[0].weight, found[1].weight)
        assert_array_equal(found[0].left_out, found[1].left_out)

    def test_unknown_images_have_no_say(self, width: int) -> None:
        unit, labels = unit_rows(10, 30, width), random_labels(10, 30, 2, known=0.5)
        labels = labels.hide(np.arange(20, 30))
        other = unit.copy()
        other[20:] = unit_rows(11, 10, width)
        assert_array_equal(fit_teacher(other, labels).weight, fit_teacher(unit, labels).weight)


class TestDegenerate:
    def test_a_label_without_known_cells_scores_zero(self) -> None:
        labels = random_labels(0, 20, 3, known=1.0)
        known = labels.known.copy()
        known[:, 1] = False
        found = fit_teacher(unit_rows(0, 20, 5), labels_of(labels.values, known))
        assert not found.score(unit_rows(1, 4, 5))[:, 1].any()
        assert not found.left_out[:, 1].any()

    def test_nothing_known_scores_zero(self) -> None:
        found = fit_teacher(unit_rows(0, 6, 3), labels_of(np.zeros((6, 2)), np.zeros((6, 2))))
        assert not found.score(unit_rows(1, 4, 3)).any()

    @pytest.mark.parametrize("present", [False, True])
    def test_a_label_known_once_scores_its_one_value(self, present: bool) -> None:
        known = np.zeros((6, 1), bool)
        known[2] = True
        found = fit_teacher(unit_rows(0, 6, 3), labels_of(np.full((6, 1), present), known))
        assert_allclose(found.score(unit_rows(1, 4, 3)), float(present), atol=REFIT)
        assert found.left_out[2, 0] == float(present)

    def test_a_label_known_twice_leaves_the_other_value(self) -> None:
        # Without image 0 only image 1 is left, and the fit to one image is constant.
        found = fit_teacher(unit_rows(0, 2, 3), labels_of([[1], [0]]), (1.0,))
        assert_allclose(found.left_out, [[0.0], [1.0]], atol=REFIT)

    def test_equal_images(self) -> None:
        unit = np.repeat(unit_rows(0, 1, 4), 5, axis=0)
        labels = labels_of([[1], [0], [0], [1], [1]])
        found = fit_teacher(unit, labels)
        assert_allclose(found.score(unit), 0.6, atol=REFIT)
        # All others' mean.
        assert_allclose(found.left_out[:, 0], [0.5, 0.75, 0.75, 0.5, 0.5], atol=REFIT)

    def test_float32_features_are_solved_in_float64(self) -> None:
        unit, labels = unit_rows(0, 25, 5).astype(np.float32), random_labels(0, 25, 2, known=1.0)
        expected = reference.ridge_loo_reference(unit.astype(np.float64), labels.values.astype(float), 0.1)
        assert_allclose(fit_teacher(unit, labels, (0.1,)).left_out, expected, atol=REFIT, rtol=0)


class TestFitLinear:
    def test_is_calibrated_on_the_left_out_scores_of_the_labelled_images(self) -> None:
        unit, labels = unit_rows(3, 40, 6), random_labels(3, 40, 3, known=0.5).hide(np.arange(30, 40))
        found, calibration = fit_linear(unit, labels)
        expected: Any = left_out_by_refitting(unit, labels.values, labels.known, found.penalty)
        again = fit_calibration(expected[:30], labels.take(np.arange(30)))
        assert_allclose(calibration.slope, again.slope, rtol=1e-5)  # Newton steps stop at 1e-7
        assert_allclose(calibration.offset, again.offset, rtol=1e-5)


def spreads(labels: LabelMatrix) -> np.ndarray:
    rate = (labels.positives + 0.5) / (labels.known.sum(axis=0) + 1)
    return np.sqrt(rate * (1 - rate))


@pytest.mark.parametrize("width", [5, 60], ids=["more images than features", "more features than images"])
class TestPrior:
    @pytest.mark.parametrize("known", [0.6, 1.1])
    def test_strength_and_left_out_scores_are_those_of_refitting(self, width: int, known: float) -> None:
        unit, labels = unit_rows(0, 30, width), random_labels(0, 30, 4, known=known)
        values = labels.values.copy()
        values[:, 3] = False  # no positive: it has no say in the strength
        labels = labels_of(values, labels.known)
        prior = np.random.default_rng(1).normal(size=labels.values.shape) + values
        found = fit_teacher(unit, labels, (0.3,), prior)
        spread = spreads(labels)
        own_scores = left_out_by_refitting(unit, values, labels.known, 0.3)
        other = left_out_by_refitting(unit, spread * prior, labels.known, 0.3)
        cross, square = np.zeros(4), np.zeros(4)
        for label in range(3):
            cells = labels.known[:, label]
            error = values[cells, label] - own_scores[cells, label]
            before = spread[label] * prior[cells, label] - other[cells, label]
            cross[label] = (error @ before) / spread[label] ** 2
            square[label] = (before @ before) / spread[label] ** 2
        common = cross.sum() / square.sum()
        assert found.strength == pytest.approx(common, abs=1e-9)
        assert found.strength > 0
        rarer = np.minimum(labels.positives, labels.known.sum(axis=0) - labels.positives)
        own = [cross[label] / square[label] if label < 3 else 0.0 for label in range(4)]
        lift = spread * [max(0.0, (n * rho + 10 * common) / (n + 10)) for n, rho in zip(rarer, own, strict=True)]
        assert_allclose(found.lift, lift, atol=REFIT, rtol=0)
        without = left_out_by_refitting(unit, values - lift * prior, labels.known, 0.3)
        wanted = np.where(labels.known, without + lift * prior, 0.0)
        assert_allclose(found.left_out, wanted, atol=REFIT, rtol=0)
        error = ((own_scores - values)[labels.known] ** 2).mean()  # the penalty is chosen without what is known before
        assert found.errors[0.3] == pytest.approx(error, rel=1e-9)

    def test_scores_start_from_the_prior(self, width: int) -> None:
        unit, labels = unit_rows(2, 30, width), random_labels(2, 30, 3, known=1.1)
        prior = np.random.default_rng(3).normal(size=labels.values.shape) + 2 * labels.values
        found = fit_teacher(unit, labels, (1.0,), prior)
        new, of_new = unit_rows(4, 7, width), np.random.default_rng(5).normal(size=(7, 3))
        for label in range(3):
            ridge = Ridge(alpha=1.0).fit(unit, labels.values[:, label] - found.lift[label] * prior[:, label])
            wanted = ridge.predict(new) + found.lift[label] * of_new[:, label]
            assert_allclose(found.score(new, of_new)[:, label], wanted, atol=REFIT, rtol=0)

    def test_what_is_known_of_a_label_that_nobody_labelled_stands(self, width: int) -> None:
        unit, labels = unit_rows(2, 30, width), random_labels(2, 30, 3, known=1.1)
        known = labels.known.copy()
        known[:, 1] = False
        prior = np.random.default_rng(3).normal(size=labels.values.shape) + 2 * labels.values
        found = fit_teacher(unit, labels_of(labels.values, known), (1.0,), prior)
        assert found.strength > 0
        assert found.lift[1] == pytest.approx(found.strength / 2)
        assert_allclose(found.score(unit, prior)[:, 1], found.lift[1] * prior[:, 1], atol=REFIT)

    def test_keeps_the_teacher_to_whom_nothing_was_known(self, width: int) -> None:
        unit, labels = unit_rows(8, 30, width), random_labels(8, 30, 3, known=0.7)
        prior = np.random.default_rng(9).normal(size=labels.values.shape) + 2 * labels.values
        found, alone = fit_teacher(unit, labels, prior=prior), fit_teacher(unit, labels)
        assert alone.plain is None
        assert found.plain is not None
        assert not np.allclose(found.weight, alone.weight)
        assert (found.plain.penalty, found.plain.strength) == (alone.penalty, 0.0)
        for name in ("weight", "bias", "left_out"):
            assert_allclose(getattr(found.plain, name), getattr(alone, name), atol=REFIT, rtol=0)

    def test_a_misleading_prior_counts_for_nothing(self, width: int) -> None:
        unit, labels = unit_rows(6, 40, width), random_labels(6, 40, 3, known=1.1)
        prior = np.random.default_rng(7).normal(size=labels.values.shape) - 2 * labels.values
        found, plain = fit_teacher(unit, labels, prior=prior), fit_teacher(unit, labels)
        assert found.strength == 0
        assert not found.lift.any()
        assert_allclose(found.weight, plain.weight, atol=REFIT, rtol=0)
        assert found.penalty == plain.penalty
