"""Neighbours against sorted lists of exact cosines, with ties, duplicates and rows without a direction."""

from __future__ import annotations

import importlib
import math
from pathlib import Path

import numpy as np
import pytest
from graph_cases import threads
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from references import graph as reference
from tagweave.errors import InputError
from tagweave.graph.neighbours import (
    Neighbours,
    fit_projection,
    neighbours,
    pool_mean,
    search,
    unit_features,
)

module = importlib.import_module("tagweave.graph.neighbours")  # the package has a function of this name
FLOAT32 = 1e-6  # similarities are float32 products, rounded to six decimals


def nearest(features: np.ndarray, k: int) -> Neighbours:
    return neighbours(unit_features(features, pool_mean(features)), k)


def assert_equals_reference(features: np.ndarray, k: int) -> None:
    found = nearest(features, k)
    index, similarity = reference.knn_reference(features, k)
    assert_array_equal(found.index, index)
    assert_allclose(found.similarity, similarity, atol=FLOAT32, rtol=0)


class TestPoolMean:
    def test_is_the_mean_of_the_columns(self) -> None:
        assert_allclose(pool_mean(np.array([[1.0, 2.0], [3.0, 6.0]])), [2.0, 4.0])

    def test_adds_many_float32_rows_without_losing_digits(self) -> None:
        features = np.full((200_000, 1), 0.1, np.float32)
        assert pool_mean(features)[0] == np.float32(0.1)

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_refuses_what_is_not_finite_and_names_the_rows(self, value: float) -> None:
        features = np.zeros((9, 3))
        features[[3, 7], [0, 2]] = value
        with pytest.raises(InputError, match=r"finite features, but got NaN or infinity in 2 rows, first \[3, 7\]"):
            pool_mean(features)


class TestUnitFeatures:
    def test_by_hand(self) -> None:
        unit = unit_features(np.array([[4.0, 5.0], [1.0, 2.0]]), np.array([1.0, 1.0], np.float32))
        assert_allclose(unit, [[0.6, 0.8], [0.0, 1.0]], atol=FLOAT32)
        assert unit.dtype == np.float32

    def test_equal_parts_are_normalised_apart_and_weigh_the_same(self) -> None:
        features = np.array([[3.0, 4.0, 0.03, 0.04], [0.0, 0.0, 5.0, 12.0]])
        unit = unit_features(features, np.zeros(4, np.float32), parts=(2, 2))
        root = math.sqrt(0.5)
        assert_allclose(unit[0], [0.6 * root, 0.8 * root, 0.6 * root, 0.8 * root], atol=FLOAT32)
        assert_allclose(unit[1], [0.0, 0.0, 5 / 13 * root, 12 / 13 * root], atol=FLOAT32)

    def test_rows_equal_to_the_mean_stay_zero(self) -> None:
        features = np.full((7, 3), 0.1)
        assert not unit_features(features, pool_mean(features)).any()

    @pytest.mark.parametrize("seed", range(5))
    def test_a_row_that_differs_from_the_mean_by_rounding_has_no_direction(self, seed: int) -> None:
        features = np.random.default_rng(seed).normal(5.0, 1.0, (29, 6)).astype(np.float32)
        features = np.vstack([features, features.mean(axis=0)])
        unit = unit_features(features, pool_mean(features))
        assert not unit[-1].any()
        assert_allclose(np.linalg.norm(unit[:-1], axis=1), 1.0, atol=FLOAT32)

    def test_refuses_what_is_not_finite(self) -> None:
        with pytest.raises(InputError, match=r"in 1 rows, first \[1\]"):
            unit_features(np.array([[1.0, 0.0], [math.nan, 1.0]]), np.zeros(2, np.float32))

    def test_leaves_its_input_alone(self) -> None:
        features = np.array([[1.0, 2.0], [3.0, 5.0]], np.float32)
        before = features.copy()
        unit_features(features, pool_mean(features))
        assert_array_equal(features, before)

    def test_blocks_of_rows_and_a_memory_map_change_no_bit(self, tmp_path: Path, monkeypatch) -> None:
        features = np.random.default_rng(5).normal(size=(50, 6)).astype(np.float32)
        mean, whole = pool_mean(features), unit_features(features, pool_mean(features), parts=(3, 3))
        mapped = np.memmap(tmp_path / "features", np.float32, "w+", shape=features.shape)
        mapped[:] = features
        monkeypatch.setattr(module, "BLOCK", 7)
        assert_array_equal(pool_mean(mapped), mean)
        found = unit_features(mapped, mean, parts=(3, 3))
        assert_array_equal(found, whole)
        assert type(found) is np.ndarray

    def test_the_rows_of_every_block_are_checked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "BLOCK", 4)
        features = np.zeros((20, 2))
        features[[3, 9, 19]] = np.nan
        with pytest.raises(InputError, match=r"in 3 rows, first \[3, 9, 19\]"):
            pool_mean(features)


class TestNeighbours:
    def test_by_hand(self) -> None:
        # Centred on (10, 20): (.8, .6), (.6, .8), (-1, 0), (0, -1).
        found = nearest(np.array([[14.0, 23.0], [13.0, 24.0], [3.0, 20.0], [10.0, 13.0]]), 2)
        assert_array_equal(found.index, [[1, 3], [0, 2], [3, 1], [2, 0]])
        assert_allclose(found.similarity, [[0.96, -0.6], [0.96, -0.6], [0, -0.6], [0, -0.6]], atol=FLOAT32)
        assert (found.index.dtype, found.similarity.dtype) == (np.int32, np.float32)

    @pytest.mark.parametrize("k", [1, 5, 20, 39])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_equal_to_sorted_exact_cosines(self, k: int, dtype: type) -> None:
        assert_equals_reference(np.random.default_rng(k).normal(2.0, 1.0, (40, 6)).astype(dtype), k)

    def test_k_beyond_the_pool_gives_all_others(self) -> None:
        features = np.random.default_rng(0).normal(size=(6, 4))
        for k in (5, 6, 100):
            found = nearest(features, k)
            assert_array_equal(np.sort(found.index, axis=1), [[j for j in range(6) if j != i] for i in range(6)])

    def test_two_images_are_each_others_neighbour(self) -> None:
        found = nearest(np.array([[0.0, 1.0], [2.0, 5.0]]), 3)
        assert_array_equal(found.index, [[1], [0]])
        assert_allclose(found.similarity, [[-1], [-1]], atol=FLOAT32)

    @pytest.mark.parametrize("copies", [8, 10, 60])
    def test_among_many_equal_images_the_lowest_indices_win(self, copies: int) -> None:
        # More of them than places: a list that stops inside the tie must still have the lowest.
        generator = np.random.default_rng(copies)
        features = np.vstack([generator.normal(size=(10, 5)), np.repeat(generator.normal(size=(1, 5)), copies, axis=0)])
        assert_equals_reference(features[generator.permutation(len(features))], 4)

    def test_all_images_equal_are_all_at_similarity_zero(self) -> None:
        found = nearest(np.full((50, 3), 0.3), 3)
        assert_array_equal(found.index[[0, 1, 2, 3, 49]], [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2], [0, 1, 2]])
        assert not found.similarity.any()

    def test_a_zero_row_is_at_similarity_zero_to_all(self) -> None:
        features = np.array([[0.0, 0.0], [1.0, 2.0], [-1.0, -2.0], [2.0, -1.0], [-2.0, 1.0]])
        found = nearest(features, 3)
        assert_array_equal(found.index[0], [1, 2, 3])
        assert not found.similarity[0].any()
        assert_equals_reference(features, 3)

    @settings(max_examples=30, deadline=None)
    @given(
        seed=st.integers(0, 2**32 - 1),
        copies=st.lists(st.integers(1, 14), min_size=2, max_size=6),
        k=st.integers(1, 12),
    )
    def test_equal_rows_are_settled_by_index(self, seed: int, copies: list[int], k: int) -> None:
        generator = np.random.default_rng(seed)
        features = np.repeat(generator.normal(size=(len(copies), 5)), copies, axis=0)
        features = features[generator.permutation(len(features))]
        found = nearest(features, k)
        unit = unit_features(features, pool_mean(features)).astype(np.float64)
        for row in range(len(features)):
            cosine = unit @ unit[row]
            ranked = sorted((j for j in range(len(unit)) if j != row), key=lambda j: (-round(cosine[j], 4), j))
            assert found.index[row].tolist() == ranked[:k]

    @pytest.mark.parametrize(("images", "k"), [(1, 3), (5, 0)])
    def test_refuses_what_makes_no_graph(self, images: int, k: int) -> None:
        with pytest.raises(InputError, match=f"at least 2 images and k >= 1 .* got {images} images and k {k}"):
            neighbours(np.zeros((images, 2), np.float32), k)

    def test_same_bits_with_one_and_two_threads(self) -> None:
        features = np.random.default_rng(1).normal(size=(600, 40))
        features[100:300] = features[:1]
        found = []
        for count in (1, 2):
            with threads(count):
                found.append(nearest(features, 12))
        assert_array_equal(found[0].index, found[1].index)
        assert_array_equal(found[0].similarity, found[1].similarity)


class TestSearch:
    def test_finds_the_nearest_base_rows_of_each_query(self) -> None:
        generator = np.random.default_rng(3)
        base, queries = (unit_features(generator.normal(size=(n, 5)), np.zeros(5, np.float32)) for n in (30, 7))
        similarity, index = search(base, queries, 4)
        for row, query in enumerate(queries.astype(np.float64)):
            cosine = base.astype(np.float64) @ query
            assert_array_equal(index[row], np.argsort(-cosine)[:4])
            assert_allclose(similarity[row], np.sort(cosine)[::-1][:4], atol=FLOAT32)

    def test_ties_go_to_the_lower_index(self) -> None:
        base = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]], np.float32)
        similarity, index = search(base, base[:2], 4)
        assert index.tolist() == [[0, 2, 1, 3], [1, 3, 0, 2]]
        assert similarity.tolist() == [[1, 1, 0, 0], [1, 1, 0, 0]]

    def test_similarity_never_leaves_its_range(self) -> None:
        base = unit_features(np.random.default_rng(4).normal(size=(50, 300)), np.zeros(300, np.float32))
        similarity, _ = search(base, np.concatenate([base, -base]), 50)
        assert similarity.min() >= -1.0
        assert similarity.max() <= 1.0


class TestProjection:
    @pytest.mark.parametrize("shape", [(40, 12), (12, 40)])
    def test_full_whitening_gives_all_components_the_same_variance(self, shape: tuple[int, int]) -> None:
        features = np.random.default_rng(0).standard_normal(shape) * np.linspace(0.1, 5, shape[1])
        unit = unit_features(features, pool_mean(features))
        found = fit_projection(unit, 6, whiten=1.0)
        assert found.matrix is not None
        raw = (unit - found.mean) @ found.matrix
        # float32 features: sums of some dozens of products
        np.testing.assert_allclose(raw.T @ raw / len(raw), np.eye(6), atol=1e-4)

    def test_plain_components_are_those_of_an_independent_decomposition(self) -> None:
        features = np.random.default_rng(1).standard_normal((50, 9)) * np.arange(1, 10)
        unit = unit_features(features, pool_mean(features))
        found = fit_projection(unit, 3, whiten=0.0)
        assert found.matrix is not None
        right = np.linalg.svd(unit - unit.mean(axis=0))[2][:3]
        np.testing.assert_allclose(found.matrix @ found.matrix.T, right.T @ right, atol=1e-4)

    def test_points_have_unit_length_and_no_components_leave_the_features(self) -> None:
        features = np.random.default_rng(2).standard_normal((30, 8))
        unit = unit_features(features, pool_mean(features))
        assert fit_projection(unit, 0).apply(unit) is unit
        points = fit_projection(unit, 5).apply(unit)
        np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1, atol=1e-6)

    def test_points_have_the_same_bits_in_any_blocks_and_threads(self, monkeypatch: pytest.MonkeyPatch) -> None:
        features = np.random.default_rng(3).standard_normal((64, 20))
        unit = unit_features(features, pool_mean(features))
        found = []
        for count in (1, 2):
            with threads(count):
                found.append(fit_projection(unit, 5).apply(unit))
        assert_array_equal(found[0], found[1])
        monkeypatch.setattr(module, "BLOCK", 16)
        assert_allclose(fit_projection(unit, 5).apply(unit), found[0], atol=FLOAT32)

    def test_equal_images_stay_equal(self) -> None:
        unit = np.zeros((5, 4), dtype=np.float32)
        assert fit_projection(unit, 3).apply(unit) is unit
