"""Co-occurrence against counting loops, with labels partly known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from references import model as reference
from tagweave.data.labels import LabelMatrix
from tagweave.errors import InputError
from tagweave.model.cooccurrence import (
    conditional_probability,
    cooccurrence_counts,
    cooccurrence_matrix,
    expected_conditional,
    normalised_adjacency,
)

ALGEBRA = 1e-12  # float64 sums of a few counts
FLOAT32 = 1e-6  # Â is given in float32
seeds = st.integers(0, 2**32 - 1)


def labels_of(values: object, known: object = None) -> LabelMatrix:
    values = np.asarray(values, dtype=bool)
    known = np.ones_like(values) if known is None else np.asarray(known, dtype=bool)
    return LabelMatrix(values, known, tuple(f"label{column}" for column in range(values.shape[1])))


def random_labels(seed: int, known: float) -> LabelMatrix:
    generator = np.random.default_rng(seed)
    values = generator.random((25, 5)) < 0.4
    values[:, 4] = False
    return labels_of(values, generator.random((25, 5)) < known)


HAND = labels_of([[1, 1, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])


class TestCounts:
    def test_by_hand(self) -> None:
        together, seen = cooccurrence_counts(HAND)
        assert_array_equal(together, [[3, 2, 0], [2, 3, 0], [0, 0, 0]])
        assert_array_equal(seen, [[3, 3, 3], [3, 3, 3], [0, 0, 0]])

    def test_unknown_cells_count_neither_for_nor_against(self) -> None:
        labels = labels_of(HAND.values, [[1, 1, 1], [1, 0, 1], [1, 0, 0], [1, 1, 1]])
        together, seen = cooccurrence_counts(labels)
        assert_array_equal(together, [[3, 1, 0], [1, 2, 0], [0, 0, 0]])
        assert_array_equal(seen, [[3, 1, 2], [2, 2, 2], [0, 0, 0]])
        assert conditional_probability(labels)[0, 1] == 1.0


class TestConditionalProbability:
    def test_by_hand(self) -> None:
        third = 2 / 3
        assert_allclose(conditional_probability(HAND), [[1, third, 0], [third, 1, 0], [0, 0, 0]])

    @pytest.mark.parametrize("known", [0.0, 0.5, 1.0])
    def test_equal_to_loops(self, known: float) -> None:
        labels = random_labels(0, known)
        counts, conditional, _ = reference.cooccurrence_reference(labels.values, labels.known)
        assert_array_equal(cooccurrence_counts(labels)[0], counts)
        assert_allclose(conditional_probability(labels), conditional, rtol=ALGEBRA)


class TestMatrix:
    def test_by_hand(self) -> None:
        conditional = np.array([[1.0, 0.6, 0.2], [0.05, 1.0, 0.3], [0.0, 0.0, 0.0]])
        found = cooccurrence_matrix(conditional, phi=0.1, lam=0.25, theta=0.0 + 1e-9)
        expected = [[1, 0.25 * 0.6 / 0.8, 0.25 * 0.2 / 0.8], [0, 1, 0.25 * 0.3 / 0.35], [0, 0, 1]]
        assert_allclose(found, expected, atol=1e-8)  # theta

    def test_columns_by_hand(self) -> None:
        conditional = np.array([[1.0, 0.6, 0.2], [0.05, 1.0, 0.3], [0.0, 0.2, 1.0]])
        found = cooccurrence_matrix(conditional, phi=0.1, lam=0.25, theta=1e-9, by="columns")
        expected = [[1, 0.25 * 0.6 / 0.8, 0.25 * 0.2 / 0.5], [0, 1, 0.25 * 0.3 / 0.5], [0, 0.25 * 0.2 / 0.8, 1]]
        assert_allclose(found, expected, atol=1e-8)  # theta

    @pytest.mark.parametrize(("phi", "lam", "theta"), [(0.1, 0.25, 1e-6), (0.4, 0.5, 1e-6), (0.0, 1.0, 0.1)])
    @pytest.mark.parametrize("known", [0.0, 0.6, 1.0])
    def test_equal_to_loops(self, known: float, phi: float, lam: float, theta: float) -> None:
        labels = random_labels(1, known)
        expected = reference.cooccurrence_reference(labels.values, labels.known, phi, lam, theta)[2]
        found = cooccurrence_matrix(conditional_probability(labels), phi, lam, theta)
        assert_allclose(found, expected, rtol=ALGEBRA, atol=ALGEBRA)

    def test_neighbours_of_a_label_weigh_lam_at_most(self) -> None:
        found = cooccurrence_matrix(conditional_probability(random_labels(2, 1.0)), phi=0.0)
        off = found.sum(axis=1) - 1.0
        assert_allclose(off[:4], 0.25, atol=1e-5)  # theta
        assert off[4] == 0.0

    def test_a_link_at_phi_is_kept(self) -> None:
        found = cooccurrence_matrix(np.array([[1.0, 0.1], [0.0999, 1.0]]), phi=0.1)
        assert found[0, 1] > 0
        assert found[1, 0] == 0.0

    def test_leaves_the_probabilities_alone(self) -> None:
        conditional = conditional_probability(HAND)
        before = conditional.copy()
        cooccurrence_matrix(conditional)
        assert_array_equal(conditional, before)

    def test_refuses_an_unknown_direction(self) -> None:
        with pytest.raises(InputError, match="normalised by rows or columns, but got 'row'"):
            cooccurrence_matrix(np.eye(2), by="row")

    @settings(max_examples=15, deadline=None)
    @given(seed=seeds, known=st.floats(0, 1))
    def test_follows_a_permutation_of_the_labels(self, seed: int, known: float) -> None:
        labels = random_labels(seed, known)
        order = np.random.default_rng(seed).permutation(5)
        moved = labels_of(labels.values[:, order], labels.known[:, order])
        found = cooccurrence_matrix(conditional_probability(labels))
        assert_allclose(cooccurrence_matrix(conditional_probability(moved)), found[np.ix_(order, order)], rtol=ALGEBRA)


class TestNormalisedAdjacency:
    def test_by_hand(self) -> None:
        found = normalised_adjacency(np.array([[1.0, 3.0], [0.0, 1.0]]))
        assert_allclose(found, [[0.25, 1.5], [0.0, 1.0]], atol=FLOAT32)
        assert found.dtype == np.float32

    def test_equal_to_loops(self) -> None:
        matrix = cooccurrence_matrix(conditional_probability(random_labels(3, 0.8)))
        assert_allclose(normalised_adjacency(matrix), reference.a_hat_reference(matrix), atol=FLOAT32, rtol=0)


class TestExpectedConditional:
    def test_equal_to_loops(self) -> None:
        generator = np.random.default_rng(3)
        probabilities, known = generator.random((25, 5)), generator.random((25, 5)) < 0.7
        known[:, 4] = False
        found = expected_conditional(probabilities, known)
        assert_allclose(found, reference.expected_reference(probabilities, known), rtol=ALGEBRA)

    def test_of_given_labels_it_is_the_plain_one(self) -> None:
        labels = random_labels(4, 0.6)
        found = expected_conditional(labels.values.astype(np.float32), labels.known)
        assert_allclose(found, conditional_probability(labels), rtol=ALGEBRA)

    def test_by_hand(self) -> None:
        # Label a is sure in one image and half sure in the other; b is sure where a is, and does not count elsewhere.
        found = expected_conditional(np.array([[1.0, 1.0], [0.5, 0.9]]), np.array([[True, True], [True, False]]))
        assert_allclose(found, [[1, 1], [1, 1]])
        found = expected_conditional(np.array([[1.0, 1.0], [0.5, 0.0]]), np.ones((2, 2), bool))
        assert_allclose(found, [[1, 1 / 1.5], [1, 1]])


@pytest.mark.parametrize("phi", [0.0, 0.1, 0.4])
def test_columns_are_normalised_as_ml_gcn_does(phi: float) -> None:
    conditional = conditional_probability(random_labels(5, 1.0))
    found = cooccurrence_matrix(conditional, phi, 0.25, by="columns")
    assert_allclose(found, reference.ml_gcn_reference(conditional, phi, 0.25), rtol=ALGEBRA)
