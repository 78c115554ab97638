"""Pseudo-labels against written-out decisions and a loop over ranked cells."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from graph_cases import labels_of, random_labels
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from tagweave.data.labels import LabelMatrix
from tagweave.graph.pseudo_labels import NEGATIVE_BELOW, PseudoLabels, pseudo_labels


def decide_by_loops(
    probabilities: np.ndarray, labels: LabelMatrix, reached: np.ndarray, precision: float
) -> tuple[np.ndarray, np.ndarray]:
    positive, negative = np.zeros_like(labels.values), np.zeros_like(labels.values)
    for c in range(len(labels.names)):
        cells = [i for i in range(len(labels)) if reached[i] and not labels.known[i, c]]
        cells.sort(key=lambda i: (-probabilities[i, c], i))
        judged = int(labels.known[:, c].sum())
        share = Fraction(int(labels.positives[c]), judged) if judged else Fraction(0)
        expected = math.ceil(share * len(cells))
        total, open_still = 0.0, True
        for rank, i in enumerate(cells):
            total += probabilities[i, c]
            open_still = open_still and rank < expected and total / (rank + 1) >= precision
            positive[i, c] = open_still
            below = rank >= expected or probabilities[i, c] < NEGATIVE_BELOW
            negative[i, c] = judged > 0 and not positive[i, c] and below
    return positive, negative


def one_label(known_positives: int, known_negatives: int, probabilities: list[float]) -> tuple[LabelMatrix, np.ndarray]:
    """Put the known cells first and ``probabilities`` of the unknown ones after them."""
    count = known_positives + known_negatives
    values = np.arange(count + len(probabilities)) < known_positives
    known = np.arange(len(values)) < count
    scores = np.concatenate([values[:count], probabilities])
    return labels_of(values[:, None], known[:, None]), scores[:, None]


def decide(labels: LabelMatrix, probabilities: np.ndarray, precision: float = 0.8) -> PseudoLabels:
    return pseudo_labels(probabilities, labels, np.ones(len(labels), bool), precision)


class TestPseudoLabels:
    def test_by_hand(self) -> None:
        # Half of the known are positive: 3 of 6 are candidates. The mean of .9 and .8 is .85, with .5 it is .73.
        labels, probabilities = one_label(2, 2, [0.5, 0.9, 0.1, 0.8, 0.4, 0.02])
        found = decide(labels, probabilities)
        assert_array_equal(np.flatnonzero(found.positive), [5, 7])
        assert_array_equal(np.flatnonzero(found.negative), [6, 8, 9])
        assert found.thresholds[0] == 0.8

    def test_share_of_positives_is_held_at_the_known_rate(self) -> None:
        labels, probabilities = one_label(1, 4, [0.99] * 20)
        assert decide(labels, probabilities).positive.sum() == 4

    @pytest.mark.parametrize(("positives", "negatives", "cells"), [(7, 18, 25), (14, 11, 25), (7, 93, 100)])
    def test_a_whole_number_of_expected_positives_is_not_rounded_up(
        self, positives: int, negatives: int, cells: int
    ) -> None:
        labels, probabilities = one_label(positives, negatives, [0.99] * cells)
        assert decide(labels, probabilities).positive.sum() == positives * cells // (positives + negatives)

    @pytest.mark.parametrize("precision", [0.5, 0.8, 0.95, 1.0])
    def test_claimed_precision_is_held_and_the_next_cell_would_break_it(self, precision: float) -> None:
        probabilities = np.random.default_rng(0).beta(2, 1, 60)
        labels, scores = one_label(9, 1, probabilities.tolist())
        accepted = scores[decide(labels, scores, precision).positive]
        ranked = np.sort(probabilities)[::-1]
        assert_array_equal(np.sort(accepted)[::-1], ranked[: len(accepted)])
        if len(accepted):
            assert accepted.mean() >= precision
        if len(accepted) < 54:
            assert ranked[: len(accepted) + 1].mean() < precision

    def test_doubtful_candidates_stay_unknown(self) -> None:
        labels, probabilities = one_label(3, 1, [0.6, 0.5, 0.3, 0.2])
        found = decide(labels, probabilities)
        assert not found.positive.any()
        assert_array_equal(np.flatnonzero(found.negative), [7])  # the only one below the candidates
        assert found.thresholds[0] == math.inf

    def test_a_candidate_that_is_almost_surely_absent_is_negative(self) -> None:
        labels, probabilities = one_label(3, 1, [0.6, 0.04, 0.03, 0.02])
        assert_array_equal(np.flatnonzero(decide(labels, probabilities).negative), [5, 6, 7])

    def test_a_label_without_positives_gets_none(self) -> None:
        labels, probabilities = one_label(0, 4, [1.0, 0.9, 0.1])
        found = decide(labels, probabilities)
        assert not found.positive.any()
        assert found.thresholds[0] == math.inf

    def test_a_label_that_nobody_judged_is_left_alone(self) -> None:
        labels, probabilities = one_label(0, 0, [1.0, 0.9, 0.0])
        found = decide(labels, probabilities)
        assert not (found.positive | found.negative).any()

    def test_images_that_nothing_reached_stay_unknown_and_do_not_count(self) -> None:
        labels, probabilities = one_label(2, 2, [0.9, 0.9, 0.9, 0.9])
        reached = np.array([True] * 4 + [False, False, True, True])
        found = pseudo_labels(probabilities, labels, reached)
        assert_array_equal(np.flatnonzero(found.positive), [6])  # half of the two that were reached
        assert_array_equal(np.flatnonzero(found.negative), [7])

    @settings(max_examples=40, deadline=None)
    @given(
        seed=st.integers(0, 2**32 - 1),
        known=st.floats(0, 1),
        rate=st.floats(0, 1),
        precision=st.sampled_from([0.3, 0.6, 0.8]),
    )
    def test_equal_to_a_loop_over_ranked_cells(self, seed: int, known: float, rate: float, precision: float) -> None:
        generator = np.random.default_rng(seed)
        labels = random_labels(seed, 30, 4, known, rate)
        probabilities, reached = generator.random((30, 4)) ** 2, generator.random(30) < 0.8
        found = pseudo_labels(probabilities, labels, reached, precision)
        positive, negative = decide_by_loops(probabilities, labels, reached, precision)
        assert_array_equal(found.positive, positive)
        assert_array_equal(found.negative, negative)
        assert not (found.positive & found.negative).any()
        assert not ((found.positive | found.negative) & labels.known).any()
        accepted = found.positive.any(axis=0)
        lowest = np.where(found.positive, probabilities, np.inf).min(axis=0)
        assert_array_equal(found.thresholds, np.where(accepted, lowest, np.inf))


class TestDecided:
    def test_writes_decisions_and_keeps_what_was_known(self) -> None:
        labels = labels_of([[1, 0, 0], [0, 0, 0]], [[1, 1, 0], [0, 0, 0]])
        positive = np.array([[0, 0, 1], [1, 0, 0]], bool)
        negative = np.array([[0, 0, 0], [0, 1, 0]], bool)
        found = PseudoLabels(positive, negative, np.zeros(3)).decided(labels)
        assert_array_equal(found.values, [[1, 0, 1], [1, 0, 0]])
        assert_array_equal(found.known, [[1, 1, 1], [1, 1, 0]])
        assert found.names == labels.names
