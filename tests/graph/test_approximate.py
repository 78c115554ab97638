"""The approximate search against the exact one: recall, order, the same bits again, and what it says of itself."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from graph_cases import clustered_features, threads
from numpy.testing import assert_allclose, assert_array_equal

from tagweave.graph import approximate
from tagweave.graph.approximate import Approximation, approximate_neighbours
from tagweave.graph.exact import exact_neighbours
from tagweave.graph.neighbours import neighbours, unit_features

ROUNDED = 2e-6  # the two searches add the same products in another order, and round to millionths
K = 10


def clustered(seed: int = 0, count: int = 3_000, width: int = 16) -> np.ndarray:
    features, _ = clustered_features(seed, count // 50, 50, width, noise=0.6)
    return unit_features(features, np.zeros(width, np.float32))


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return clustered()


@pytest.fixture(scope="module")
def found(rows: np.ndarray) -> Approximation:
    return approximate_neighbours(rows, K, target=0.95)


def share_found(rows: np.ndarray, found: Approximation) -> float:
    _, similarity = exact_neighbours(rows, K)
    return float((found.similarity >= similarity[:, -1:] - ROUNDED).mean())


def test_measures_its_recall(rows: np.ndarray, found: Approximation) -> None:
    # On a third of the rows; the standard error of a share near 0.95 over as many rows is below 0.01.
    assert found.recall >= 0.95
    assert share_found(rows, found) == pytest.approx(found.recall, abs=0.02)


def test_a_higher_wanted_recall_is_reached(rows: np.ndarray) -> None:
    assert share_found(rows, approximate_neighbours(rows, K, target=0.99)) > 0.985


def test_similarities_are_those_of_the_neighbours_in_the_one_order(rows: np.ndarray, found: Approximation) -> None:
    cosine = np.einsum("nd,nkd->nk", rows.astype(np.float64), rows[found.index].astype(np.float64))
    assert_allclose(found.similarity, cosine, atol=ROUNDED, rtol=0)
    assert not (found.index == np.arange(len(rows))[:, None]).any()
    falls = np.diff(found.similarity, axis=1)
    assert (falls <= 0).all()
    assert (np.diff(found.index, axis=1)[falls == 0] > 0).all()


def test_same_bits_again_and_with_any_number_of_threads(rows: np.ndarray, found: Approximation) -> None:
    for count in (1, 2):
        with threads(count):
            again = approximate_neighbours(rows, K, target=0.95)
        assert_array_equal(again.index, found.index)
        assert_array_equal(again.similarity, found.similarity)
        assert again.recall == found.recall


def test_says_what_it_found(rows: np.ndarray, found: Approximation, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "tagweave"):
        approximate_neighbours(rows, K, target=0.95)
    (message,) = caplog.messages
    assert message.startswith(
        f"Approximate search among 3,000 images: recall {found.recall:.3f} of the 10 nearest, each of 219 lists "
        "compared with "
    )


def test_warns_where_the_wanted_recall_is_out_of_reach(caplog: pytest.LogCaptureFixture) -> None:
    noise = np.random.default_rng(0).normal(size=(1_000, 64))
    with caplog.at_level(logging.WARNING, "tagweave"):
        found = approximate_neighbours(unit_features(noise, np.zeros(64, np.float32)), K, target=0.95)
    assert found.recall < 0.9
    assert caplog.messages == [
        f"The approximate search finds {found.recall:.3f} of the 10 nearest images, below the wanted 0.95: raise "
        "exact_below above 1000 for an exact search, or set pca to search in fewer dimensions."
    ]


def test_lists_beyond_the_size_of_a_tile_are_split(rows: np.ndarray, found: Approximation, monkeypatch) -> None:
    monkeypatch.setattr(approximate, "TILE", 5)
    again = approximate_neighbours(rows, K, target=0.95)
    assert again.recall == found.recall
    assert_allclose(again.similarity, found.similarity, atol=ROUNDED, rtol=0)


def test_equal_rows_are_settled_by_index_within_a_list() -> None:
    rows = np.repeat(np.eye(12, 16), 4, axis=0)[np.random.default_rng(0).permutation(48)].astype(np.float32)
    found = approximate_neighbours(rows, 2, target=1.0)
    for row in range(48):
        equal = np.flatnonzero((rows == rows[row]).all(axis=1))
        assert found.index[row].tolist() == [other for other in equal if other != row][:2]


def test_places_that_nobody_takes_hold_the_row_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approximate, "WIDEST", 0.0)
    rows = np.repeat(np.eye(12, 16), 4, axis=0).astype(np.float32)  # lists of four equal rows, or two such fours
    found = approximate_neighbours(rows, 9, target=0.9)
    stand_ins = found.index == np.arange(48)[:, None]
    assert stand_ins.any(axis=1).all()
    assert (found.similarity[stand_ins] == -1.0).all()
    assert (found.similarity[~stand_ins] >= 0.0).all()


def test_reports_its_progress(rows: np.ndarray) -> None:
    reports: list[tuple[int, int]] = []
    approximate_neighbours(rows, K, 0.9, lambda done, total: reports.append((done, total)))
    assert reports == [(done, len(reports)) for done in range(1, len(reports) + 1)]


def test_is_used_from_the_stated_size_on(rows: np.ndarray, found: Approximation) -> None:
    chosen = neighbours(rows, K, exact_below=len(rows))
    assert_array_equal(chosen.index, found.index)
    assert chosen.recall == found.recall
    exact = neighbours(rows, K, exact_below=len(rows) + 1)
    assert_array_equal(exact.index, exact_neighbours(rows, K)[0])
    assert exact.recall == 1.0
