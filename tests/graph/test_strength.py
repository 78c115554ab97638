"""Affinity, link strength and normalisation against loops over dense matrices."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from graph_cases import random_links, threads
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from references import graph as reference
from tagweave.errors import InputError
from tagweave.graph.neighbours import Neighbours, neighbours, pool_mean, unit_features
from tagweave.graph.strength import affinity_graph, affinity_values, link_strength, normalise, reweight_by_agreement

ALGEBRA = 1e-12  # float64 sums of a few dozen terms of order 1
ROUNDED = 5e-6  # similarities carry six decimals, and the third power or the exponential at most triples an error

# Triangle 0-1-2 with a tail 2-3, and node 4 without any link.
TAILED = np.array([[0.0, 1, 2, 0, 0], [1, 0, 3, 0, 0], [2, 3, 0, 4, 0], [0, 0, 4, 0, 0], [0, 0, 0, 0, 0]])
seeds = st.integers(0, 2**32 - 1)


class TestAffinityValues:
    def test_cosine_power_by_hand(self) -> None:
        assert_allclose(affinity_values(np.array([1.0, 0.5, 0.0, -0.5])), [1.0, 0.125, 0.0, 0.0])
        assert_allclose(affinity_values(np.array([0.5]), gamma=1.0), [0.5])

    def test_heat_by_hand(self) -> None:
        found = affinity_values(np.array([1.0, 0.0, -1.0]), "heat", tau=0.5)
        assert_allclose(found, [1.0, math.exp(-1), math.exp(-2)])

    def test_float32_is_raised_in_float64(self) -> None:
        assert affinity_values(np.array([0.9], np.float32)).dtype == np.float64

    def test_refuses_an_unknown_kind(self) -> None:
        with pytest.raises(InputError, match="one of cosine_power, heat, but got 'cosine'"):
            affinity_values(np.zeros(1), "cosine")


class TestAffinityGraph:
    @pytest.mark.parametrize("k", [1, 4, 12])
    @pytest.mark.parametrize(("kind", "gamma", "tau"), [("cosine_power", 3.0, 1.0), ("heat", 1.0, 0.3)])
    def test_equal_to_loops(self, kind: str, gamma: float, tau: float, k: int) -> None:
        features = np.random.default_rng(k).normal(size=(30, 5))
        near = neighbours(unit_features(features, pool_mean(features)), k)
        found = affinity_graph(near, kind, gamma, tau).toarray()
        assert_allclose(found, reference.affinity_reference(features, k, kind, gamma, tau), atol=ROUNDED, rtol=0)

    def test_one_sided_links_become_links_of_both(self) -> None:
        near = Neighbours(np.array([[1], [2], [1]]), np.array([[0.5], [0.8], [0.8]], np.float32))
        found = affinity_graph(near, gamma=1.0).toarray()
        assert_allclose(found, [[0, 0.5, 0], [0.5, 0, 0.8], [0, 0.8, 0]], atol=1e-7)

    def test_is_sorted_and_stores_neither_zeros_nor_a_diagonal(self) -> None:
        features = np.random.default_rng(0).normal(size=(30, 2))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = affinity_graph(neighbours(unit_features(features, pool_mean(features)), 20))
        assert found.has_sorted_indices
        assert (found.data > 0).all()
        assert not found.diagonal().any()
        assert found.nnz < 30 * 20  # some neighbours have a negative cosine

    def test_float32_is_the_rounded_float64(self) -> None:
        features = np.random.default_rng(1).normal(size=(40, 5))
        near = neighbours(unit_features(features, pool_mean(features)), 6)
        wide, narrow = affinity_graph(near), affinity_graph(near, dtype=np.float32)
        assert narrow.dtype == np.float32
        assert_array_equal(narrow.toarray(), wide.toarray().astype(np.float32))
        assert {narrow.indices.dtype, narrow.indptr.dtype, wide.indices.dtype} == {np.dtype(np.int32)}

    @pytest.mark.parametrize("kind", ["cosine_power", "heat"])
    def test_a_row_that_stands_in_for_a_missing_neighbour_is_no_link(self, kind: str) -> None:
        near = Neighbours(np.array([[1, 0], [0, 1], [1, 2]]), np.array([[0.5, -1], [0.5, -1], [0.4, -1]], np.float32))
        assert affinity_graph(near, kind).nnz == 4

    def test_a_row_without_a_direction_is_isolated_under_cosine_power(self) -> None:
        features = np.array([[0.0, 0.0], [1.0, 2.0], [-1.0, -2.0], [2.0, 3.0], [-2.0, -3.0]])
        found = affinity_graph(neighbours(unit_features(features, pool_mean(features)), 3))
        assert not found.toarray()[0].any()


class TestLinkStrength:
    def test_by_hand(self) -> None:
        # 0-1 share 2: w_02 + w_21 = 2 + 3. 0-2 share 1: 1 + 3. 1-2 share 0: 1 + 2. 2-3 share none, and it is all of 3.
        expected = [[0, 5, 4, 0, 0], [5, 0, 3, 0, 0], [4, 3, 0, 4, 0], [0, 0, 4, 0, 0], [0, 0, 0, 0, 0]]
        assert_allclose(link_strength(sparse.csr_array(TAILED)).toarray(), expected, rtol=ALGEBRA)

    @pytest.mark.parametrize("density", [0.03, 0.1, 0.3, 1.0])
    def test_equal_to_loops(self, density: float) -> None:
        graph = random_links(7, density=density)
        found = link_strength(graph, "wcn").toarray()
        assert_allclose(found, reference.wcn_reference(graph.toarray()), rtol=ALGEBRA, atol=ALGEBRA)

    @settings(max_examples=25, deadline=None)
    @given(seed=seeds, density=st.floats(0.02, 0.4))
    def test_equal_to_the_matrix_form(self, seed: int, density: float) -> None:
        graph = random_links(seed, density=density)
        weights = graph.toarray()
        linked = (weights > 0).astype(float)
        common = (weights @ linked + linked @ weights) * linked
        alone = ~common.any(axis=1)
        expected = np.where(alone[:, None] | alone, weights, common)
        found = link_strength(graph).toarray()
        assert_allclose(found, expected, rtol=ALGEBRA, atol=ALGEBRA)
        assert_allclose(found, found.T, rtol=ALGEBRA)
        assert (found.any(axis=1) == weights.any(axis=1)).all()  # nothing is cut off

    @settings(max_examples=15, deadline=None)
    @given(seed=seeds)
    def test_follows_a_permutation_of_the_images(self, seed: int) -> None:
        graph = random_links(seed)
        order = np.random.default_rng(seed).permutation(30)
        moved = link_strength(sparse.csr_array(graph.toarray()[np.ix_(order, order)])).toarray()
        assert_allclose(moved, link_strength(graph).toarray()[np.ix_(order, order)], rtol=ALGEBRA)

    def test_both_directions_of_a_link_have_the_same_bits(self) -> None:
        graph = random_links(4, nodes=120, density=0.3)
        found = link_strength(graph).toarray()
        assert_array_equal(found, found.T)

    def test_float32_stays_float32(self) -> None:
        graph = random_links(5)
        found = link_strength(graph.astype(np.float32))
        assert found.dtype == np.float32
        assert_allclose(found.toarray(), link_strength(graph).toarray(), rtol=1e-5)
        assert normalise(found).dtype == np.float32

    def test_all_graphs_share_the_arrays_of_links(self) -> None:
        graph = random_links(6)
        strength = link_strength(graph)
        for other in (strength, normalise(strength), reweight_by_agreement(graph, np.ones((30, 2)), 1.0)):
            assert np.shares_memory(other.indices, graph.indices)
            assert np.shares_memory(other.indptr, graph.indptr)

    def test_takes_unsorted_lists_of_neighbours(self) -> None:
        graph = sparse.csr_array(TAILED)
        reversed_rows = [
            slice(end - 1, begin - 1 if begin else None, -1)
            for begin, end in zip(graph.indptr, graph.indptr[1:], strict=False)
            if end > begin
        ]
        data = np.concatenate([graph.data[part] for part in reversed_rows])
        indices = np.concatenate([graph.indices[part] for part in reversed_rows])
        shuffled = sparse.csr_array((data, indices, graph.indptr), shape=graph.shape)
        assert_allclose(link_strength(shuffled).toarray(), link_strength(graph).toarray(), rtol=ALGEBRA)

    def test_affinity_is_the_strength_itself(self) -> None:
        graph = sparse.csr_array(TAILED)
        assert_array_equal(link_strength(graph, "affinity").toarray(), TAILED)

    def test_leaves_the_affinity_alone(self) -> None:
        graph = random_links(1)
        before = graph.toarray()
        link_strength(graph)
        assert_array_equal(graph.toarray(), before)

    def test_refuses_an_unknown_kind(self) -> None:
        with pytest.raises(InputError, match="one of affinity, wcn, but got 'common'"):
            link_strength(sparse.csr_array(TAILED), "common")

    def test_same_bits_with_one_and_two_threads(self) -> None:
        graph = random_links(2, nodes=200, density=0.2)
        scores = np.random.default_rng(0).random((200, 7))
        found = []
        for count in (1, 2):
            with threads(count):
                found.append((link_strength(graph).data, reweight_by_agreement(graph, scores, 1.0).data))
        assert_array_equal(found[0][0], found[1][0])
        assert_array_equal(found[0][1], found[1][1])


class TestReweightByAgreement:
    def test_by_hand(self) -> None:
        # cos(0, 1) = 1, cos(0, 2) = 0.6; node 3 has no distribution and keeps its weight.
        scores = np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 4.0], [0.0, 0.0], [1.0, 1.0]])
        found = reweight_by_agreement(sparse.csr_array(TAILED), scores, eta=0.5).toarray()
        expected = [[0, 1.5, 2.6, 0, 0], [1.5, 0, 3.9, 0, 0], [2.6, 3.9, 0, 4, 0], [0, 0, 4, 0, 0], [0, 0, 0, 0, 0]]
        assert_allclose(found, expected, rtol=ALGEBRA)

    def test_without_eta_nothing_changes(self) -> None:
        graph = random_links(3)
        assert_array_equal(reweight_by_agreement(graph, np.random.default_rng(3).random((30, 4)), 0.0).data, graph.data)


class TestNormalise:
    def test_by_hand(self) -> None:
        # Row sums of TAILED are 3, 4, 9, 4 and 0.
        found = normalise(sparse.csr_array(TAILED)).toarray()
        assert found[0, 1] == pytest.approx(1 / math.sqrt(12))
        assert found[1, 2] == pytest.approx(3 / 6)
        assert found[2, 3] == pytest.approx(4 / 6)
        assert not found[4].any()

    @settings(max_examples=15, deadline=None)
    @given(seed=seeds, density=st.floats(0.02, 0.4))
    def test_equal_to_loops_with_a_spectrum_within_one(self, seed: int, density: float) -> None:
        graph = random_links(seed, density=density)
        found = normalise(graph).toarray()
        assert_allclose(found, reference.normalise_reference(graph.toarray()), rtol=ALGEBRA, atol=ALGEBRA)
        assert np.abs(np.linalg.eigvalsh(found)).max() <= 1 + ALGEBRA
