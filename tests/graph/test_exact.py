"""The exact search against sorted lists of all products, over many small tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from graph_cases import threads
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from tagweave.graph import exact, pairs
from tagweave.graph.exact import exact_neighbours
from tagweave.graph.neighbours import unit_features

GAP = 2e-6  # similarities nearer than this may be rounded either way


def points(seed: int, count: int, width: int = 6) -> np.ndarray:
    return unit_features(np.random.default_rng(seed).normal(size=(count, width)), np.zeros(width, np.float32))


def signs(seed: int, count: int) -> np.ndarray:
    """Rows of ±1/2: their products are exact, and nearly all are ties."""
    return np.random.default_rng(seed).choice([-0.5, 0.5], (count, 4)).astype(np.float32)


def sorted_lists(rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    cosine = np.round(rows.astype(np.float64) @ rows.astype(np.float64).T, 6)
    index = [
        sorted((j for j in range(len(rows)) if j != i), key=lambda j: (-cosine[i, j], j))[:k] for i in range(len(rows))
    ]
    return np.array(index), np.take_along_axis(cosine, np.array(index), axis=1)


@pytest.fixture(params=[7, 64, exact.TILE])
def tile(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(exact, "TILE", request.param)
    return request.param


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(2, 90), k=st.integers(1, 12))
def test_ties_go_to_the_lower_index_in_any_tiling(tile: int, seed: int, count: int, k: int) -> None:
    rows, k = signs(seed, count), min(k, count - 1)
    index, similarity = exact_neighbours(rows, k)
    expected, cosine = sorted_lists(rows, k)
    assert_array_equal(index, expected)
    assert_array_equal(similarity, cosine.astype(np.float32))


def test_equal_to_sorted_products(tile: int) -> None:
    rows = points(0, 200)
    index, similarity = exact_neighbours(rows, 15)
    expected, cosine = sorted_lists(rows, 15)
    assert_allclose(similarity, cosine, atol=GAP, rtol=0)
    apart = np.abs(np.diff(cosine, axis=1)).min(axis=1) > GAP
    assert apart.sum() > 190
    assert_array_equal(index[apart, :-1], expected[apart, :-1])


def test_same_bits_for_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "TILE", 16)
    rows = np.concatenate([points(1, 150, 40), np.repeat(points(2, 1, 40), 50, axis=0)])
    found = []
    for count in (1, 2, 5):
        with monkeypatch.context() as patch:
            patch.setattr("tagweave.graph.blocks.available_threads", lambda count=count: count)
            found.append(exact_neighbours(rows, 9))
    for index, similarity in found[1:]:
        assert_array_equal(index, found[0][0])
        assert_array_equal(similarity, found[0][1])


def test_a_memory_map_is_read_as_it_is(tmp_path: Path) -> None:
    rows = points(3, 80)
    mapped = np.memmap(tmp_path / "rows", np.float32, "w+", shape=rows.shape)
    mapped[:] = rows
    for found, expected in zip(exact_neighbours(mapped, 5), exact_neighbours(rows, 5), strict=True):
        assert_array_equal(found, expected)


def test_reports_every_pair_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "TILE", 10)
    monkeypatch.setattr(pairs, "BATCH", 2)
    reports: list[tuple[int, int]] = []
    with threads(2):
        exact_neighbours(points(4, 35), 3, lambda done, total: reports.append((done, total)))
    assert reports == [(done, 5) for done in range(1, 6)]  # 4 blocks: 4 pairs with themselves, 6 with another
