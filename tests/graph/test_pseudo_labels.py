"""Pseudo-labels against scipy's exact intervals, loops over ranked cells, drawn populations and written-out numbers."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from graph_cases import labels_of, random_labels
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy.stats import binomtest

from tagweave.data.labels import LabelMatrix
from tagweave.errors import InputError
from tagweave.graph.pseudo_labels import (
    NEGATIVE_BELOW,
    POSITIVE_FROM,
    Evidence,
    PseudoLabels,
    accept,
    candidates,
    least_cells,
    measure_precision,
    pseudo_labels,
    supported_threshold,
)


def one_label(known_positives: int, known_negatives: int, probabilities: list[float]) -> tuple[LabelMatrix, np.ndarray]:
    """Put the known cells first and ``probabilities`` of the unknown ones after them."""
    count = known_positives + known_negatives
    values = np.arange(count + len(probabilities)) < known_positives
    known = np.arange(len(values)) < count
    scores = np.concatenate([values[:count], probabilities])
    return labels_of(values[:, None], known[:, None]), scores[:, None]


def evidence_of(*columns: list[tuple[int, float, bool]]) -> Evidence:
    """Return hidden cells, one label per column, each column given as (how many, claim, whether positive)."""
    claims = [[claim for count, claim, _ in column for _ in range(count)] for column in columns]
    right = [[value for count, _, value in column for _ in range(count)] for column in columns]
    return Evidence(np.array(claims, float).T, labels_of(np.array(right).T))


def sure(labels: int = 1) -> Evidence:
    """Return evidence for every probability from 0.6 up."""
    return evidence_of(*([(10, claim / 100, True) for claim in range(60, 101, 5)] for _ in range(labels)))


class TestPrecision:
    @pytest.mark.parametrize(("right", "judged"), [(1, 1), (0, 7), (9, 12), (95, 100), (400, 400)])
    def test_bounds_of_single_cells_are_exact_binomial(self, right: int, judged: int) -> None:
        found = measure_precision(np.arange(judged) < right, np.arange(judged))
        low = binomtest(right, judged, alternative="greater").proportion_ci(0.95, "exact").low
        high = binomtest(right, judged, alternative="less").proportion_ci(0.95, "exact").high
        assert (found.lower, found.upper) == pytest.approx((low, high), abs=1e-9)
        assert found.share == right / judged

    def test_cells_that_always_agree_within_an_image_count_once(self) -> None:
        right, images = np.arange(40) < 31, np.arange(40)
        once, thrice = measure_precision(right, images), measure_precision(np.repeat(right, 3), np.repeat(images, 3))
        assert (thrice.lower, thrice.upper) == pytest.approx((once.lower, once.upper))
        assert (thrice.right, thrice.judged) == (93, 120)

    def test_cells_that_disagree_within_an_image_gain_nothing(self) -> None:
        right = np.array([True, False] * 20)
        apart, together = measure_precision(right, np.arange(40)), measure_precision(right, np.repeat(np.arange(20), 2))
        assert together == apart

    def test_nothing_judged_nothing_known(self) -> None:
        found = measure_precision(np.zeros(0, bool), np.zeros(0, int))
        assert (found.right, found.judged, found.lower, found.upper) == (0, 0, 0.0, 1.0)
        assert math.isnan(found.share)

    @pytest.mark.parametrize("wanted", [0.3, 0.5, 0.8, 0.9, 0.99])
    def test_least_cells_is_the_first_size_that_passes(self, wanted: float) -> None:
        passes = [wanted**size <= 0.05 for size in range(400)]
        assert least_cells(wanted) == passes.index(True)
        size = least_cells(wanted)
        assert measure_precision(np.ones(size, bool), np.arange(size)).lower >= wanted
        assert measure_precision(np.ones(size - 1, bool), np.arange(size - 1)).lower < wanted


class TestSupportedThreshold:
    def find(self, claims: np.ndarray, right: np.ndarray, wanted: float = 0.8) -> tuple[float, int]:
        threshold, found = supported_threshold(claims, right, np.arange(len(claims)), wanted)
        return threshold, found.judged

    def test_all_right_is_accepted_to_the_last(self) -> None:
        claims = np.linspace(0.9, 0.5, 50)
        assert self.find(claims, np.ones(50, bool)) == (0.5, 50)

    def test_thirteen_right_ones_do_not_show_four_fifths_and_fourteen_do(self) -> None:
        claims = np.linspace(0.9, 0.6, 14)
        assert self.find(claims[:13], np.ones(13, bool)) == (math.inf, 13)
        assert self.find(claims, np.ones(14, bool)) == (0.6, 14)

    def test_no_cell_no_threshold(self) -> None:
        assert self.find(np.zeros(0), np.zeros(0, bool)) == (math.inf, 0)

    def test_equal_claims_are_accepted_together(self) -> None:
        claims = np.concatenate([np.full(200, 0.9), np.full(200, 0.6)])
        assert self.find(claims, claims > 0.8) == (0.9, 200)
        assert self.find(claims[:201], claims[:201] > 0.8) == (0.6, 201)

    @pytest.mark.parametrize("seed", range(6))
    def test_the_threshold_is_the_last_of_an_unbroken_row_that_passes(self, seed: int) -> None:
        generator = np.random.default_rng(seed)
        claims = generator.uniform(0.5, 1, 400)
        right = generator.random(400) < claims
        images = generator.integers(0, 150, 400)
        threshold, found = supported_threshold(claims, right, images, 0.8)
        inside = claims >= threshold
        again = measure_precision(right[inside], images[inside])
        assert found == again
        assert again.lower >= 0.8
        assert inside.sum() >= 14

    @pytest.mark.parametrize(("truth", "wanted"), [(1.0, 0.8), (0.8, 0.65)])
    def test_too_low_a_threshold_is_no_likelier_than_stated(self, truth: float, wanted: float) -> None:
        # From t up truth * (1 + t) / 2 of the cells are right, as claimed or fewer: enough from ``enough`` up.
        enough, draws, generator = 2 * wanted / truth - 1, 300, np.random.default_rng(0)
        found = []
        for _ in range(draws):
            claims = generator.uniform(0.5, 1.0, 400)
            found.append(self.find(claims, generator.random(400) < truth * claims, wanted)[0])
        wrong = sum(threshold < enough for threshold in found)
        assert wrong <= 0.05 * draws + 3 * math.sqrt(0.05 * 0.95 * draws)
        if truth == 1.0:
            assert np.median(found) < enough + 0.12
            assert sum(map(math.isinf, found)) < 0.05 * draws

    def test_order_of_the_cells_does_not_matter(self) -> None:
        generator = np.random.default_rng(3)
        claims, images = generator.uniform(0.5, 1, 300), generator.integers(0, 90, 300)
        right, other = generator.random(300) < claims, generator.permutation(300)
        assert supported_threshold(claims, right, images, 0.7) == supported_threshold(
            claims[other], right[other], images[other], 0.7
        )


class TestAccept:
    def test_labels_with_few_positives_share_the_evidence_of_all(self) -> None:
        evidence = evidence_of([(60, 0.7, True), (40, 0.1, False)], [(1, 0.9, True), (99, 0.2, False)])
        found = accept(evidence, np.zeros(2), 0.8)
        assert_array_equal(found.thresholds, [0.7, 0.7])
        assert_array_equal(found.judged, [60, 1])
        assert_array_equal(found.right, [60, 1])
        assert (found.positives.right, found.positives.judged) == (61, 61)

    def test_a_label_contradicted_by_its_own_cells_gets_no_threshold(self) -> None:
        bad = [(1, 0.7, True), (4, 0.7, False), (95, 0.1, False)]
        found = accept(evidence_of([(95, 0.7, True), (5, 0.7, False)], bad), np.zeros(2), 0.8)
        assert_array_equal(found.contradicted, [False, True])  # 1 of 5: at most 66 %
        assert_array_equal(found.thresholds, [0.7, math.inf])
        assert (found.positives.right, found.positives.judged) == (96, 105)  # its cells count against all

    def test_nothing_is_accepted_without_support(self) -> None:
        found = accept(evidence_of([(60, 0.9, True), (60, 0.9, False)]), np.zeros(1), 0.8)
        assert found.threshold == math.inf
        assert_array_equal(found.thresholds, [math.inf])
        assert (found.positives.right, found.positives.judged) == (60, 120)

    def test_limits_and_even_odds_are_never_crossed(self) -> None:
        right = [(100, POSITIVE_FROM - 0.01, True), (100, 0.6, True), (100, 0.8, True)]
        found = accept(evidence_of(right, right, right), np.array([0.0, 0.7, math.inf]), 0.8)
        assert_array_equal(found.thresholds, [0.6, 0.7, math.inf])
        assert_array_equal(found.judged, [200, 100, 0])

    def test_unknown_cells_are_no_evidence(self) -> None:
        claims = np.full((100, 1), 0.9)
        known = np.arange(100)[:, None] < 10
        found = accept(Evidence(claims, labels_of(np.ones((100, 1)), known)), np.zeros(1), 0.8)
        assert (found.threshold, found.positives.judged) == (math.inf, 10)

    def test_negatives_are_measured_too(self) -> None:
        cells = [(3, NEGATIVE_BELOW / 2, True), (97, NEGATIVE_BELOW / 2, False), (9, 0.9, True), (5, 0.3, False)]
        found = accept(evidence_of(cells), np.zeros(1), 0.8)
        assert (found.negatives.right, found.negatives.judged) == (97, 100)
        assert found.denied == 3 / 12

    @pytest.mark.parametrize("wanted", [0.0, 1.0, -1.0, math.nan])
    def test_refuses_a_precision_that_no_sample_can_show(self, wanted: float) -> None:
        with pytest.raises(InputError, match=r"precision above 0 and below 1, which no sample can show, but got"):
            accept(sure(), np.zeros(1), wanted)


class TestCandidates:
    @pytest.mark.parametrize(("positives", "negatives", "cells"), [(7, 18, 25), (14, 11, 25), (7, 93, 100)])
    def test_a_whole_number_of_expected_positives_is_not_rounded_up(
        self, positives: int, negatives: int, cells: int
    ) -> None:
        labels, probabilities = one_label(positives, negatives, [0.99] * cells)
        found = candidates(probabilities, labels, ~labels.known)
        assert found.sum() == positives * cells // (positives + negatives)

    @settings(max_examples=30, deadline=None)
    @given(seed=st.integers(0, 2**32 - 1), known=st.floats(0, 1), rate=st.floats(0, 1))
    def test_equal_to_a_loop_over_ranked_cells(self, seed: int, known: float, rate: float) -> None:
        labels = random_labels(seed, 30, 4, known, rate)
        probabilities = np.random.default_rng(seed).random((30, 4)).round(1)
        found = candidates(probabilities, labels, ~labels.known)
        for c in range(4):
            cells = sorted(np.flatnonzero(~labels.known[:, c]), key=lambda i: (-probabilities[i, c], i))
            judged = int(labels.known[:, c].sum())
            expected = math.ceil(Fraction(int(labels.positives[c]), judged) * len(cells)) if judged else 0
            assert set(np.flatnonzero(found[:, c])) == set(cells[:expected])


class TestPseudoLabels:
    def decide(self, labels: LabelMatrix, probabilities: np.ndarray, evidence: Evidence | None = None) -> PseudoLabels:
        return pseudo_labels(probabilities, labels, np.ones(len(labels), bool), evidence or sure())[0]

    def test_by_hand(self) -> None:
        # Half of the known are positive: 3 of 6 are candidates, of which .7 and .9 reach the supported 0.6.
        labels, probabilities = one_label(2, 2, [0.55, 0.9, 0.1, 0.7, 0.4, 0.02])
        found = self.decide(labels, probabilities)
        assert_array_equal(np.flatnonzero(found.positive), [5, 7])
        assert_array_equal(np.flatnonzero(found.negative), [9])
        assert found.thresholds[0] == 0.6

    def test_share_of_positives_is_held_at_the_known_rate(self) -> None:
        labels, probabilities = one_label(1, 4, [0.99] * 20)
        evidence = evidence_of([(100, 0.99, True)])
        assert self.decide(labels, probabilities, evidence).positive.sum() == 4

    def test_without_support_probable_cells_stay_unknown(self) -> None:
        labels, probabilities = one_label(3, 1, [0.9, 0.8, 0.01])
        found = self.decide(labels, probabilities, evidence_of([(3, 0.9, True)]))
        assert not found.positive.any()
        assert_array_equal(np.flatnonzero(found.negative), [6])

    def test_a_label_without_positives_gets_none(self) -> None:
        labels, probabilities = one_label(0, 4, [1.0, 0.9, 0.01])
        found = self.decide(labels, probabilities)
        assert not found.positive.any()
        assert found.thresholds[0] == math.inf
        assert_array_equal(np.flatnonzero(found.negative), [6])

    def test_a_label_that_nobody_judged_is_left_alone(self) -> None:
        labels, probabilities = one_label(0, 0, [1.0, 0.9, 0.0])
        found = self.decide(labels, probabilities)
        assert not (found.positive | found.negative).any()

    def test_of_a_label_that_is_ranked_by_its_name_nothing_is_decided(self) -> None:
        labels, probabilities = one_label(0, 4, [1.0, 0.9, 0.01])
        everything = np.ones(len(labels), bool)
        found, _ = pseudo_labels(probabilities, labels, everything, sure(), by_name_alone=np.array([True]))
        assert not (found.positive | found.negative).any()

    def test_images_that_nothing_reached_stay_unknown_and_do_not_count(self) -> None:
        labels, probabilities = one_label(2, 2, [0.9, 0.01, 0.9, 0.01])
        reached = np.array([True] * 4 + [False, False, True, True])
        found, _ = pseudo_labels(probabilities, labels, reached, sure(), 0.8)
        assert_array_equal(np.flatnonzero(found.positive), [6])  # half of the two that were reached
        assert_array_equal(np.flatnonzero(found.negative), [7])

    @settings(max_examples=30, deadline=None)
    @given(seed=st.integers(0, 2**32 - 1), known=st.floats(0, 1), rate=st.floats(0, 1))
    def test_decisions_follow_the_thresholds_and_leave_known_cells_alone(
        self, seed: int, known: float, rate: float
    ) -> None:
        generator = np.random.default_rng(seed)
        labels = random_labels(seed, 30, 4, known, rate)
        probabilities, reached = generator.random((30, 4)) ** 2, generator.random(30) < 0.8
        found, acceptance = pseudo_labels(probabilities, labels, reached, sure(4), 0.9)
        open_cells = ~labels.known & reached[:, None]
        likely = candidates(probabilities, labels, open_cells)
        assert_array_equal(found.positive, likely & (probabilities >= acceptance.threshold))
        judged = np.broadcast_to(labels.known.any(axis=0), (30, 4))
        assert_array_equal(found.negative, open_cells & judged & (probabilities < NEGATIVE_BELOW))
        assert_array_equal(found.thresholds, acceptance.thresholds)
        assert (found.thresholds[labels.positives == 0] == math.inf).all()


class TestDecided:
    def test_writes_decisions_and_keeps_what_was_known(self) -> None:
        labels = labels_of([[1, 0, 0], [0, 0, 0]], [[1, 1, 0], [0, 0, 0]])
        positive = np.array([[0, 0, 1], [1, 0, 0]], bool)
        negative = np.array([[0, 0, 0], [0, 1, 0]], bool)
        found = PseudoLabels(positive, negative, np.zeros(3)).decided(labels)
        assert_array_equal(found.values, [[1, 0, 1], [1, 0, 0]])
        assert_array_equal(found.known, [[1, 1, 1], [1, 1, 0]])
        assert found.names == labels.names
