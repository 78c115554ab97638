"""The graph that settings name, exact and approximate, from arrays and from files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from graph_cases import clustered_features, random_labels, threads
from numpy.testing import assert_allclose, assert_array_equal

from tagweave.errors import InputError
from tagweave.graph.image_graph import GraphSettings, ImageGraph, build_graph
from tagweave.graph.totals import dynamic_totals

APPROXIMATE = GraphSettings(k=10, strength="wcn", exact_below=1_000)
EXACT = replace(APPROXIMATE, exact_below=1_001)


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    return clustered_features(0, 20, 50, 12, noise=0.5)[0].astype(np.float32)


@pytest.fixture(scope="module")
def approximate(features: np.ndarray) -> ImageGraph:
    return build_graph(features, APPROXIMATE)


def test_an_exact_graph_has_float64_links_and_recall_one(features: np.ndarray) -> None:
    graph = build_graph(features, EXACT)
    assert (graph.recall, graph.weights.dtype, graph.normalised.dtype) == (1.0, np.float64, np.float64)


def test_an_approximate_graph_keeps_its_recall_and_float32_links(approximate: ImageGraph) -> None:
    assert 0.95 <= approximate.recall <= 1.0
    assert (approximate.weights.dtype, approximate.normalised.dtype) == (np.float32, np.float32)


def test_both_lead_to_nearly_the_same_totals(features: np.ndarray, approximate: ImageGraph) -> None:
    labels = random_labels(0, len(features), 3)
    expected = dynamic_totals(build_graph(features, EXACT), labels)
    found = dynamic_totals(approximate, labels)
    assert_allclose(found.scores.mean(axis=0), expected.scores.mean(axis=0), atol=0.01)
    assert np.abs(found.scores - expected.scores).mean() < 0.01  # a twentieth of the links at most is missing


@pytest.mark.parametrize("settings", [EXACT, APPROXIMATE], ids=["exact", "approximate"])
def test_same_bits_again_with_any_number_of_threads_and_from_a_file(
    settings: GraphSettings, features: np.ndarray, tmp_path: Path
) -> None:
    labels = random_labels(1, len(features), 3)
    mapped = np.memmap(tmp_path / "features", np.float32, "w+", shape=features.shape)
    mapped[:] = features
    found = []
    for count, given in ((1, features), (2, features), (2, mapped)):
        with threads(count):
            graph = build_graph(given, replace(settings, pca=8))
            found.append((graph.normalised, dynamic_totals(graph, labels)))
    for normalised, totals in found[1:]:
        assert_array_equal(normalised.indices, found[0][0].indices)
        assert_array_equal(normalised.data, found[0][0].data)
        assert_array_equal(totals.scores, found[0][1].scores)


def test_w_and_the_normalised_graph_share_their_links(approximate: ImageGraph) -> None:
    assert np.shares_memory(approximate.weights.indices, approximate.normalised.indices)


def test_progress_of_the_search_and_of_the_diffusion(features: np.ndarray) -> None:
    reports: list[tuple[int, int]] = []
    graph = build_graph(features, EXACT, progress=lambda done, total: reports.append((done, total)))
    assert reports == [(1, 1)]  # one tile
    dynamic_totals(graph, random_labels(2, len(features), 3), lambda done, total: reports.append((done, total)))
    assert reports[-1][0] == reports[-1][1] > 10


def test_settings_out_of_range_are_all_named() -> None:
    with pytest.raises(InputError) as caught:
        GraphSettings(gamma=-1.0, tau=0.0, kappa=float("nan"), folds=1, alpha=1.0, recall=0.0)
    assert caught.value.problems == (
        "Expected graph setting folds to be at least 2, but got 1.",
        "Expected graph setting gamma to be above 0, but got -1.0.",
        "Expected graph setting tau to be above 0, but got 0.0.",
        "Expected graph setting kappa to be at least 0, but got nan.",
        "Expected graph setting alpha to be in [0, 1), but got 1.0.",
        "Expected graph setting recall to be in (0, 1], but got 0.0.",
    )
