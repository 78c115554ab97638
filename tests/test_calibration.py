"""Calibration against scikit-learn, scipy's optimiser, brute force and numbers worked out by hand."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from tagweave.calibration import (
    Calibration,
    Curve,
    cross_fit,
    expected_calibration_error,
    fit_calibration,
    fit_curve,
    reliability,
    tune_thresholds,
)
from tagweave.data.labels import LabelMatrix
from tagweave.errors import InputError

ALONE, TOGETHER = 1e-9, 1e12  # values of shrink: no prior, nothing but the prior


def labels_of(values: Any, known: Any = None) -> LabelMatrix:
    values = np.asarray(values, dtype=bool)
    known = np.ones_like(values) if known is None else np.asarray(known, dtype=bool)
    return LabelMatrix(values, known, tuple(f"label{column}" for column in range(values.shape[1])))


def logistic_case(
    seed: int, images: int, slope: Any, offset: Any, known: float = 1.1
) -> tuple[np.ndarray, LabelMatrix, np.ndarray]:
    """Draw scores, labels with P = sigmoid(slope z + offset), and return P as well."""
    generator = np.random.default_rng(seed)
    slope, offset = np.broadcast_arrays(np.asarray(slope, float), np.asarray(offset, float))
    scores = 2.0 * generator.normal(size=(images, len(slope))) - 1.0
    truth = expit(slope * scores + offset)
    values = generator.random(truth.shape) < truth
    return scores, labels_of(values, generator.random(truth.shape) < known), truth


def platt_targets(labels: LabelMatrix) -> np.ndarray:
    positives, negatives = labels.positives.sum(), labels.negatives.sum()
    return np.where(labels.values, (positives + 1) / (positives + 2), 1 / (negatives + 2))


def logistic_by_scikit_learn(scores: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """Fit soft targets as two weighted copies of every cell."""
    twice = np.concatenate([scores, scores])[:, None]
    classes = np.repeat([1, 0], len(scores))
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    model.fit(twice, classes, sample_weight=np.concatenate([targets, 1 - targets]))
    return float(model.coef_[0, 0]), float(model.intercept_[0])


class TestCalibration:
    def test_maps_scores_through_each_labels_sigmoid(self) -> None:
        calibration = Calibration(np.array([1.0, 2.0]), np.array([0.0, -1.0]))
        found = calibration.apply(np.array([[0.0, 0.5], [math.log(3), 1.0]], np.float32))
        assert found == pytest.approx(np.array([[0.5, 0.5], [0.75, 1 / (1 + math.exp(-1))]]))
        assert found.dtype == np.float64

    def test_survives_json_to_the_bit(self) -> None:
        scores, labels, _ = logistic_case(0, 80, np.ones(3), [-1.0, 0.0, 1.0])
        calibration = fit_calibration(scores, labels)
        again = Calibration.from_json(json.loads(json.dumps(calibration.to_json())))
        assert np.array_equal(again.slope, calibration.slope)
        assert np.array_equal(again.offset, calibration.offset)

    @pytest.mark.parametrize("slope", [0.0, -1.0, math.nan, math.inf])
    def test_refuses_a_slope_that_is_not_above_zero(self, slope: float) -> None:
        with pytest.raises(InputError, match="finite slopes above 0"):
            Calibration(np.array([slope]), np.zeros(1))

    def test_refuses_missing_and_mismatched_parameters(self) -> None:
        with pytest.raises(InputError, match="with slope and offset, but offset is missing"):
            Calibration.from_json({"slope": [1.0]})
        with pytest.raises(InputError, match=r"one slope and one offset per label, but got \(2,\) and \(1,\)"):
            Calibration(np.ones(2), np.ones(1))
        with pytest.raises(InputError, match=r"shape \(images, 2 labels\), but got \(5, 3\)"):
            Calibration(np.ones(2), np.ones(2)).apply(np.ones((5, 3)))


class TestFit:
    def test_global_map_is_platts_scaling_of_all_known_cells(self) -> None:
        scores, labels, _ = logistic_case(1, 150, [0.5, 1.0, 2.0], [-2.0, -1.0, 0.5], known=0.8)
        cells = labels.known
        slope, offset = logistic_by_scikit_learn(scores[cells], platt_targets(labels)[cells])
        found = fit_calibration(scores, labels, shrink=TOGETHER)
        assert found.slope == pytest.approx(np.full(3, slope), rel=1e-4)  # lbfgs stops there
        assert found.offset == pytest.approx(np.full(3, offset), rel=1e-4)

    def test_without_shrinkage_each_label_stands_alone(self) -> None:
        # the ridge that keeps the systems regular shows in the third digit
        scores, labels, _ = logistic_case(2, 400, [0.5, 1.0, 2.0], [-2.0, -1.0, 0.5], known=0.8)
        targets = platt_targets(labels)
        found = fit_calibration(scores, labels, shrink=ALONE)
        for column, cells in enumerate(labels.known.T):
            slope, offset = logistic_by_scikit_learn(scores[cells, column], targets[cells, column])
            assert found.slope[column] == pytest.approx(slope, rel=2e-3)
            assert found.offset[column] == pytest.approx(offset, rel=2e-3)

    def test_is_the_maximum_of_the_stated_posterior(self) -> None:
        scores, labels, _ = logistic_case(3, 120, [0.5, 1.0, 2.5], [-3.0, -1.0, 0.5], known=0.9)
        scores = (scores - scores[labels.known].mean()) / scores[labels.known].std()
        shrink, targets = 15.0, platt_targets(labels)
        together = fit_calibration(scores, labels, shrink=TOGETHER)
        slope, offset = together.slope[0], together.offset[0]
        information = np.zeros((2, 2))
        for z in scores[labels.known]:
            p, direction = expit(slope * z + offset), np.array([slope * z, 1.0])
            information += p * (1 - p) * np.outer(direction, direction)
        precision = shrink * information / labels.positives.sum()

        def posterior(theta: np.ndarray, column: int) -> float:
            cells = labels.known[:, column]
            x = np.exp(theta[0]) * scores[cells, column] + theta[1]
            away = theta - [np.log(slope), offset]
            return float((np.logaddexp(0, x) - targets[cells, column] * x).sum() + 0.5 * away @ precision @ away)

        found = fit_calibration(scores, labels, shrink)
        for column in range(3):
            best = minimize(posterior, [np.log(slope), offset], args=(column,), method="Nelder-Mead", tol=1e-10).x
            assert np.log(found.slope[column]) == pytest.approx(best[0], abs=1e-3)  # the ridge, which this leaves out
            assert found.offset[column] == pytest.approx(best[1], abs=1e-3)

    def test_shrink_is_the_number_of_positives_that_outweigh_half_the_global_map(self) -> None:
        # label 0 has an offset of its own; all others agree with one another, so they are the global map
        offset = np.full(40, -1.0)
        offset[0] = -1.3
        scores, labels, _ = logistic_case(4, 3000, np.ones(40), offset)
        own, common = (fit_calibration(scores, labels, shrink).offset[0] for shrink in (ALONE, TOGETHER))
        between = fit_calibration(scores, labels, shrink=float(labels.positives[0])).offset[0]
        assert (between - common) / (own - common) == pytest.approx(0.5, abs=0.06)

    def test_few_positives_stay_near_the_global_map_and_many_find_their_own(self) -> None:
        scores, labels, _ = logistic_case(5, 4000, np.ones(30), np.full(30, -2.0))
        odd_scores, odd, _ = logistic_case(6, 4000, [3.0], [-4.0])
        both = np.hstack([scores, odd_scores])
        shares = []
        for images in (30, 300, 4000):
            column = odd.hide(np.arange(images, 4000))
            joined = labels_of(np.hstack([labels.values, column.values]), np.hstack([labels.known, column.known]))
            steepness = [np.log(fit_calibration(both, joined, s).slope[-1]) for s in (TOGETHER, 20.0, ALONE)]
            shares.append((steepness[1] - steepness[0]) / (steepness[2] - steepness[0]))
        assert shares[0] < 0.2 < shares[1] < 0.6 < 0.8 < shares[2]

    def test_recovers_a_known_logistic_and_lowers_the_calibration_error(self) -> None:
        generator = np.random.default_rng(7)
        slope, offset = np.exp(0.5 * generator.normal(size=20)), -2 + generator.normal(size=20)
        scores, labels, truth = logistic_case(8, 4000, slope, offset)
        train, test = np.arange(3000), np.arange(3000, 4000)
        calibration = fit_calibration(scores[train], labels.take(train))
        found = calibration.apply(scores[test])
        assert np.abs(found - truth[test]).mean() < 0.01
        raw = expected_calibration_error(expit(scores[test]), labels.take(test))
        assert expected_calibration_error(found, labels.take(test)) < 0.01 < 0.1 < raw

    def test_keeps_the_order_of_each_labels_scores(self) -> None:
        scores, labels, _ = logistic_case(9, 50, [-2.0, 0.1, 1.0], [0.0, -1.0, 1.0])
        calibration = fit_calibration(scores, labels)
        rising = np.sort(scores, axis=0)
        assert (np.diff(calibration.apply(rising), axis=0) >= 0).all()
        assert (calibration.slope > 0).all()

    @pytest.mark.parametrize(("scale", "shift"), [(1e-9, 0.0), (1e6, 1e7), (100.0, -3.0)])
    def test_does_not_depend_on_the_scale_of_the_scores(self, scale: float, shift: float) -> None:
        scores, labels, _ = logistic_case(10, 200, [1.0, 1.5], [-1.0, 0.0])
        expected = fit_calibration(scores, labels).apply(scores)
        moved = scores * scale + shift
        assert fit_calibration(moved, labels).apply(moved) == pytest.approx(expected, abs=1e-6)

    @settings(max_examples=15, deadline=None)
    @given(st.integers(0, 10_000), st.sampled_from([math.nan, math.inf, -1e300, 7.0]))
    def test_never_reads_unknown_cells(self, seed: int, filler: float) -> None:
        scores, labels, _ = logistic_case(seed, 25, np.ones(4), [-2.0, -1.0, 0.0, 1.0], known=0.6)
        found = fit_calibration(np.where(labels.known, scores, filler), labels)
        expected = fit_calibration(scores, labels)
        assert np.array_equal(found.slope, expected.slope)
        assert np.array_equal(found.offset, expected.offset)

    def test_follows_the_labels_in_any_order_and_more_blocks_than_one(self) -> None:
        scores, labels, _ = logistic_case(11, 20_000, np.linspace(0.5, 2, 13), np.linspace(-4, 0, 13), known=0.5)
        order = np.random.default_rng(0).permutation(13)
        names = tuple(labels.names[column] for column in order)
        permuted = LabelMatrix(labels.values[:, order], labels.known[:, order], names)
        before, after = fit_calibration(scores, labels), fit_calibration(scores[:, order], permuted)
        assert after.slope == pytest.approx(before.slope[order], rel=1e-6)  # tolerance of the Newton steps
        assert after.offset == pytest.approx(before.offset[order], rel=1e-6)


class TestFitAtTheEdges:
    def test_a_label_without_positives_claims_its_smoothed_rate_at_most(self) -> None:
        scores, labels, _ = logistic_case(12, 300, np.ones(4), [0.0, 1.0, -1.0, 0.0])
        values, known = labels.values.copy(), labels.known.copy()
        values[:, 2] = False
        known[:, 3] = False
        found = fit_calibration(scores, labels_of(values, known))
        highest = scores[:, [2]].max(), scores[known].max()
        common = fit_calibration(scores, labels_of(values, known), TOGETHER)
        assert found.slope[2:] == pytest.approx(common.slope[:2], rel=1e-9)
        assert found.apply(np.full((1, 4), highest[0]))[0, 2] <= 1 / 302 + 1e-12
        assert found.apply(np.full((1, 4), highest[1]))[0, 2] > 1 / 302  # what scores higher is not ruled out
        assert found.apply(np.full((1, 4), scores[:, :3].mean()))[0, 3] <= 1 / 2 + 1e-12

    def test_an_unlikely_global_map_is_not_raised_for_an_unknown_label(self) -> None:
        scores, labels, _ = logistic_case(13, 500, [1.0, 1.0], [-6.0, -6.0])
        known = labels.known.copy()
        known[:, 1] = False
        found = fit_calibration(scores, labels_of(labels.values, known))
        common = fit_calibration(scores, labels_of(labels.values, known), TOGETHER)
        assert found.offset[1] == pytest.approx(common.offset[0], rel=1e-9)

    @pytest.mark.parametrize("shrink", [1e-6, 20.0, 1e6])
    def test_separable_scores_give_finite_steep_maps(self, shrink: float) -> None:
        scores = np.random.default_rng(14).normal(size=(400, 5))
        found = fit_calibration(scores, labels_of(scores > 0.8), shrink)
        probabilities = found.apply(scores)
        assert ((probabilities > 0.5) == (scores > 0.8)).mean() > 0.99
        assert (found.slope < 1e4).all()

    def test_constant_scores_give_the_rates(self) -> None:
        values = np.zeros((200, 2), bool)
        values[:80, 0] = values[:40, 1] = True
        found = fit_calibration(np.full((200, 2), 1e6), labels_of(values), shrink=ALONE).apply(np.full((1, 2), 1e6))
        assert found[0] == pytest.approx([0.4, 0.2], abs=0.003)

    def test_misleading_scores_flatten_to_the_rate(self) -> None:
        scores, labels, _ = logistic_case(15, 400, [-2.0, -2.0], [0.0, 0.0])
        found = fit_calibration(scores, labels, TOGETHER).apply(scores)
        assert found == pytest.approx(np.full(found.shape, labels.values.mean()), abs=0.01)

    @pytest.mark.parametrize("value", [True, False])
    def test_one_answer_for_all_cells_stays_inside_0_and_1(self, value: bool) -> None:
        scores = np.random.default_rng(16).normal(size=(30, 2))
        found = fit_calibration(scores, labels_of(np.full((30, 2), value))).apply(scores)
        assert ((found > 0) & (found < 1)).all()
        assert (found > 0.9).all() if value else (found < 0.1).all()

    @pytest.mark.parametrize("shape", [(0, 3), (5, 0), (5, 3), (1, 1)])
    def test_nothing_known_is_no_error(self, shape: tuple[int, int]) -> None:
        labels = LabelMatrix.unlabelled(shape[0], [f"label{column}" for column in range(shape[1])])
        found = fit_calibration(np.full(shape, math.nan), labels)
        assert found.slope.shape == (shape[1],)
        assert np.isfinite(found.offset).all()
        assert (tune_thresholds(np.zeros(shape), labels) == 0.5).all()

    def test_single_known_cell(self) -> None:
        found = fit_calibration(np.array([[3.0]]), labels_of([[1]])).apply(np.array([[3.0]]))
        assert found[0, 0] == pytest.approx(2 / 3, abs=0.01)  # Platt's (1 + 1) / (1 + 2)

    def test_refuses_faulty_scores_and_shrink(self) -> None:
        labels = labels_of([[1, 0]])
        with pytest.raises(InputError, match=r"got 1 that are not, most of them \(1\) for label 'label0'"):
            fit_calibration(np.array([[math.nan, 0.0]]), labels)
        with pytest.raises(InputError, match=r"scores of shape \(1, 2\) \(images, labels\), but got \(2, 2\)"):
            fit_calibration(np.zeros((2, 2)), labels)
        with pytest.raises(InputError, match=r"shrink above 0, but got 0\.0"):
            fit_calibration(np.zeros((1, 2)), labels, shrink=0.0)


def claims_of(*groups: tuple[float, int, int]) -> tuple[np.ndarray, LabelMatrix]:
    """Return one label's cells, in groups of (claim, cells, positives among them)."""
    claims = np.concatenate([np.full(cells, claim) for claim, cells, _ in groups])
    values = np.concatenate([np.arange(cells) < positives for _, cells, positives in groups])
    return claims[:, None], labels_of(values[:, None])


class TestCurve:
    def test_gives_the_numbers_worked_out_by_hand(self) -> None:
        # 20 claimed positives make a bin: two of equal claims; the prior is worth 3 / 0.25 and 3 / 0.5 cells.
        found = fit_curve(*claims_of((0.25, 80, 40), (0.5, 80, 60)), prior=3.0)
        assert expit(found.claimed) == pytest.approx([0.25, 0.5])
        assert expit(found.found) == pytest.approx([(40 + 3) / (80 + 12), (60 + 3) / (80 + 6)])

    def test_bins_out_of_order_become_one_knot_at_their_mean(self) -> None:
        found = fit_curve(*claims_of((0.25, 80, 60), (0.5, 80, 40)), prior=3.0)
        assert expit(found.claimed) == pytest.approx([0.375])
        assert expit(found.found) == pytest.approx([(60 + 3 + 40 + 3) / (80 + 12 + 80 + 6)])

    def test_is_linear_in_log_odds_and_of_slope_one_beyond_the_knots(self) -> None:
        curve = Curve(np.array([-2.0, 0.0]), np.array([-1.0, 3.0]))
        found = logit(curve.apply(expit(np.array([[-5.0, -2.0, -1.5], [0.0, 0.5, 4.0]]))))
        assert found == pytest.approx(np.array([[-4.0, -1.0, 0.0], [3.0, 3.5, 7.0]]))

    def test_keeps_certainty_and_changes_nothing_without_knots(self) -> None:
        sure, none = np.array([[0.0, 1.0]]), Curve(np.empty(0), np.empty(0))
        assert np.array_equal(Curve(np.array([0.5]), np.array([-0.5])).apply(sure), sure)
        probabilities = np.random.default_rng(0).random((5, 3))
        assert np.array_equal(none.apply(probabilities), probabilities)
        assert len(fit_curve(probabilities, LabelMatrix.unlabelled(5, "abc")).claimed) == 0

    def test_mends_claims_that_are_too_sure_at_both_ends(self) -> None:
        _, labels, truth = logistic_case(30, 8000, np.ones(3), [-2.0, -1.0, 0.0])
        bent = expit(1.8 * logit(truth))
        mended = fit_curve(bent, labels).apply(bent)
        before, after = (expected_calibration_error(p, labels) for p in (bent, mended))
        assert after < before / 3
        assert np.abs(mended - truth).mean() < np.abs(bent - truth).mean() / 3

    def test_claims_that_hold_stay_what_they_are(self) -> None:
        _, labels, truth = logistic_case(31, 8000, np.ones(3), [-2.0, -1.0, 0.0])
        assert fit_curve(truth, labels).apply(truth) == pytest.approx(truth, abs=0.05)

    @settings(max_examples=25, deadline=None)
    @given(st.integers(0, 10_000), st.floats(0.2, 4), st.floats(0, 0.9))
    def test_rises_strictly_and_never_reads_unknown_cells(self, seed: int, bend: float, rounding: float) -> None:
        _, labels, truth = logistic_case(seed, 300, np.ones(2), [-1.0, 0.5], known=0.7)
        claims = expit(bend * logit(truth))
        if rounding > 0.5:
            claims = claims.round(1)  # many equal ones, and some of exactly 0 and 1
        curve = fit_curve(claims, labels)
        other = fit_curve(np.where(labels.known, claims, 0.123), labels)
        assert np.array_equal(curve.claimed, other.claimed)
        assert np.array_equal(curve.found, other.found)
        rising = np.linspace(0.0, 1.0, 201)[:, None]
        assert (np.diff(curve.apply(rising), axis=0) > 0).all()

    def test_refuses_scores(self) -> None:
        with pytest.raises(InputError, match=r"in 0\.\.1, but got 2 to 2"):
            fit_curve(np.array([[2.0]]), labels_of([[1]]))


class TestCrossFit:
    def test_each_fold_is_mapped_by_the_others(self) -> None:
        scores, labels, _ = logistic_case(40, 90, np.ones(3), [-1.0, 0.0, 1.0], known=0.8)
        folds = np.arange(90) % 3
        found = cross_fit(fit_calibration, scores, labels, folds)
        for fold in range(3):
            others = folds != fold
            expected = fit_calibration(scores[others], labels.take(others)).apply(scores[~others])
            assert found[~others] == pytest.approx(expected, abs=1e-6)

    @pytest.mark.parametrize("fit", [fit_calibration, fit_curve])
    def test_a_row_never_sees_its_own_label(self, fit: Any) -> None:
        scores, labels, truth = logistic_case(41, 60, np.ones(2), [-1.0, 1.0])
        folds = np.arange(60) % 4
        values = labels.values.copy()
        values[folds == 2] ^= True
        inputs = truth if fit is fit_curve else scores
        before, after = (cross_fit(fit, inputs, labels_of(v), folds) for v in (labels.values, values))
        assert np.array_equal(before[folds == 2], after[folds == 2])
        assert not np.array_equal(before[folds != 2], after[folds != 2])


def best_f1_by_trying(probabilities: np.ndarray, values: np.ndarray) -> float:
    """Return the best F1 of any threshold."""
    return max(f1_score(values, probabilities >= cut) for cut in np.unique(probabilities))


class TestThresholds:
    def test_lies_midway_between_the_neighbours(self) -> None:
        probabilities = np.array([[0.9], [0.8], [0.4], [0.2]])
        assert tune_thresholds(probabilities, labels_of([[1], [1], [0], [0]]), shrink=0.0) == pytest.approx([0.6])
        assert tune_thresholds(probabilities, labels_of([[1], [1], [1], [1]]), shrink=0.0) == pytest.approx([0.1])

    def test_takes_the_highest_of_equal_maxima(self) -> None:
        # F1 is 2/3 with the first cell alone and with all four
        probabilities = np.array([[0.9], [0.7], [0.5], [0.3]])
        found = tune_thresholds(probabilities, labels_of([[1], [0], [0], [1]]), shrink=0.0)
        assert found == pytest.approx([0.8])

    @pytest.mark.parametrize("seed", range(5))
    def test_no_threshold_does_better(self, seed: int) -> None:
        generator = np.random.default_rng(seed)
        probabilities = np.round(generator.random((40, 6)), 1 + seed % 2)
        labels = labels_of(generator.random((40, 6)) < probabilities, generator.random((40, 6)) < 0.7)
        found = tune_thresholds(probabilities, labels, shrink=0.0)
        for column, cells in enumerate(labels.known.T):
            known, values = probabilities[cells, column], labels.values[cells, column]
            assert f1_score(values, known >= found[column]) == pytest.approx(best_f1_by_trying(known, values))

    def test_goes_to_the_global_threshold_as_positives_get_few(self) -> None:
        generator = np.random.default_rng(3)
        probabilities = generator.random((60, 3))
        labels = labels_of(generator.random((60, 3)) < probabilities * [1.0, 0.3, 0.0])
        own = tune_thresholds(probabilities, labels, shrink=0.0)
        common = own[2]  # no positives
        pooled = (probabilities >= common).ravel()
        best = best_f1_by_trying(probabilities.ravel(), labels.values.ravel())
        assert f1_score(labels.values.ravel(), pooled) == pytest.approx(best)
        weight = labels.positives / (labels.positives + 10.0)
        assert tune_thresholds(probabilities, labels) == pytest.approx(weight * own + (1 - weight) * common)

    def test_stays_strictly_between_0_and_1(self) -> None:
        found = tune_thresholds(np.array([[1.0, 0.0], [1.0, 0.0]]), labels_of([[1, 1], [1, 1]]), shrink=0.0)
        assert ((found > 0) & (found < 1)).all()
        below_one = np.nextafter(1.0, 0.0)
        found = tune_thresholds(np.array([[1.0], [below_one]]), labels_of([[1], [0]]), shrink=0.0)
        assert found[0] < 1

    def test_separates_adjacent_floats(self) -> None:
        low = 0.3
        for _ in range(4):
            high = np.nextafter(low, 1.0)
            found = tune_thresholds(np.array([[high], [low]]), labels_of([[1], [0]]), shrink=0.0)
            assert low < found[0] <= high
            low = high

    @settings(max_examples=15, deadline=None)
    @given(st.integers(0, 10_000), st.sampled_from([math.nan, 9.0, 0.5]))
    def test_never_reads_unknown_cells(self, seed: int, filler: float) -> None:
        scores, labels, _ = logistic_case(seed, 20, np.ones(3), [-1.0, 0.0, 1.0], known=0.6)
        other = np.where(labels.known, expit(scores), filler)
        assert np.array_equal(tune_thresholds(other, labels), tune_thresholds(expit(scores), labels))
        assert reliability(other, labels) == reliability(expit(scores), labels)

    def test_refuses_logits_and_negative_shrink(self) -> None:
        with pytest.raises(InputError, match=r"in 0\.\.1, but got 2 to 2; apply a calibration or a sigmoid"):
            tune_thresholds(np.array([[2.0]]), labels_of([[1]]))
        with pytest.raises(InputError, match=r"shrink of at least 0, but got -1\.0"):
            tune_thresholds(np.array([[0.5]]), labels_of([[1]]), shrink=-1.0)


class TestReliability:
    def test_gives_the_numbers_worked_out_by_hand(self) -> None:
        probabilities = np.array([[0.1, 0.2], [0.25, 0.9], [1.0, 0.6]])
        labels = labels_of([[0, 1], [0, 1], [1, 0]], [[1, 1], [1, 1], [1, 0]])
        assert reliability(probabilities, labels, bins=4) == {
            "edges": [0.0, 0.25, 0.5, 0.75, 1.0],
            "mean_probability": [pytest.approx(0.15), 0.25, None, pytest.approx(0.95)],
            "positive_share": [0.5, 0.0, None, 1.0],
            "cells": [2, 1, 0, 2],
        }
        expected = (2 * 0.35 + 1 * 0.25 + 2 * 0.05) / 5
        assert expected_calibration_error(probabilities, labels, bins=4) == pytest.approx(expected)

    def test_equals_a_loop_over_cells_in_many_blocks(self) -> None:
        scores, labels, _ = logistic_case(20, 30_000, np.ones(7), np.linspace(-2, 1, 7), known=0.9)
        probabilities = expit(1.7 * scores)
        cells, values = probabilities[labels.known], labels.values[labels.known]
        error, edges = 0.0, np.linspace(0, 1, 16)
        for low, high in pairwise(edges):
            inside = (cells >= low) & (cells < high)
            error += inside.sum() * abs(cells[inside].mean() - values[inside].mean()) / len(cells)
        assert expected_calibration_error(probabilities, labels) == pytest.approx(error, abs=1e-12)
        assert sum(reliability(probabilities, labels)["cells"]) == labels.known.sum()

    def test_is_near_zero_for_the_true_probabilities(self) -> None:
        _, labels, truth = logistic_case(21, 20_000, np.ones(4), np.zeros(4))
        assert expected_calibration_error(truth, labels) < 0.01

    def test_is_undefined_when_nothing_is_known(self) -> None:
        labels = LabelMatrix.unlabelled(2, ("a",))
        assert math.isnan(expected_calibration_error(np.zeros((2, 1)), labels))
        found = reliability(np.zeros((2, 1)), labels, bins=2)
        assert json.loads(json.dumps(found, allow_nan=False))["positive_share"] == [None, None]

    def test_refuses_no_bins(self) -> None:
        with pytest.raises(InputError, match="at least 1 bin, but got 0"):
            reliability(np.zeros((1, 1)), labels_of([[1]]), bins=0)
