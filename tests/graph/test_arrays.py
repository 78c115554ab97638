"""The public functions on plain arrays, against dense references, and what they refuse."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from graph_cases import labels_of, random_labels, random_links
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

import tagweave.graph as library
from references import graph as reference
from tagweave.errors import InputError
from tagweave.graph import GraphSettings, affinity_graph, diffuse, link_strength, neighbours, propagate
from tagweave.graph.arrays import label_matrix
from tagweave.graph.image_graph import build_graph
from tagweave.graph.propagation import propagate as propagate_over

SOLVED = 1e-6  # of a column's length, the stated bound of the series


def features_of(seed: int, images: int = 30, width: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).normal(3.0, 1.0, (images, width))


class TestPublicSurface:
    def test_every_name_is_there(self) -> None:
        for name in library.__all__:
            assert callable(getattr(library, name))

    def test_neighbours_stays_the_function_when_its_module_is_imported(self) -> None:
        code = (
            "import tagweave.graph.neighbours, tagweave.graph; tagweave.graph.neighbours([[0, 1], [1, 0], [1, 1]], 1)"
        )
        subprocess.run([sys.executable, "-c", code], check=True)

    def test_scikit_learn_waits_for_its_estimator(self) -> None:
        code = "import sys, tagweave.graph; print('sklearn' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "False"

    def test_an_unknown_name_is_an_attribute_error(self) -> None:
        with pytest.raises(AttributeError, match="has no attribute 'spred'"):
            _ = library.spred


class TestParts:
    def test_chain_is_equal_to_dense_references(self) -> None:
        features, seeds = features_of(0), np.random.default_rng(0).random((30, 3))
        links = affinity_graph(neighbours(features, 6), gamma=2.0)
        weights = reference.affinity_reference(features, 6, gamma=2.0)
        assert_allclose(links.toarray(), weights, atol=5e-6)  # similarities carry six decimals
        strength = reference.wcn_reference(links.toarray())
        found = link_strength(links)
        assert_allclose(found.toarray(), strength, atol=1e-12)
        expected = reference.heat_reference(reference.normalise_reference(strength), seeds, 4.0)
        assert_allclose(diffuse(found, seeds, 4.0), expected, atol=SOLVED * np.linalg.norm(seeds, axis=0).max())

    def test_neighbours_are_those_of_centred_rows_of_any_length(self) -> None:
        features = features_of(1) * np.linspace(1, 5, 30)[:, None]
        index, similarity = reference.knn_reference(features, 7)
        found = neighbours(features.tolist(), 7)
        assert_array_equal(found.index, index)
        assert_allclose(found.similarity, similarity, atol=1e-6)

    def test_diffuse_takes_other_sparse_formats_and_an_empty_graph(self) -> None:
        links, seeds = random_links(2), np.eye(30)[:, :2]
        assert_array_equal(diffuse(links.tocoo(), seeds, 1.0), diffuse(links, seeds, 1.0))
        assert_allclose(diffuse(sparse.csr_array((30, 30)), seeds, 1.0), np.exp(-1) * seeds, atol=SOLVED)

    @pytest.mark.parametrize(
        ("shape", "seeds", "message"),
        [
            ((3, 3), (4, 1), r"graph \(N, N\) and seeds \(N, C\), but got \(3, 3\) and \(4, 1\)"),
            ((3, 3), (3,), r"one column of seeds as seeds\[:, None\]"),
            ((3, 2), (3, 1), r"but got \(3, 2\) and \(3, 1\)"),
        ],
    )
    def test_diffuse_refuses_other_shapes(self, shape: tuple[int, int], seeds: tuple[int, ...], message: str) -> None:
        with pytest.raises(InputError, match=message):
            diffuse(sparse.csr_array(shape), np.zeros(seeds), 1.0)

    @pytest.mark.parametrize(
        ("links", "message"),
        [
            ([[0, 1], [2, 0]], r"symmetric graph, .* graph.maximum\(graph.T\)"),
            ([[0, -1], [-1, 0]], "link strengths of 0 and above"),
            ([[0, np.nan], [np.nan, 0]], "finite link strengths"),
        ],
    )
    def test_diffuse_refuses_what_is_no_graph_of_strengths(self, links: list[list[float]], message: str) -> None:
        with pytest.raises(InputError, match=message):
            diffuse(sparse.csr_array(np.array(links)), np.ones((2, 1)), 1.0)


class TestLabelMatrix:
    def test_nan_is_unknown(self) -> None:
        found = label_matrix([[1.0, 0.0], [np.nan, 1.0]])
        assert_array_equal(found.values, [[True, False], [False, True]])
        assert_array_equal(found.known, [[True, True], [False, True]])
        assert found.names == ("0", "1")

    @pytest.mark.parametrize("dtype", [bool, int, np.float32])
    def test_other_numbers_are_taken_as_they_are(self, dtype: type) -> None:
        found = label_matrix(np.array([[1, 0], [0, 1]], dtype))
        assert found.known.all()
        assert_array_equal(found.values, [[True, False], [False, True]])

    def test_a_label_matrix_passes(self) -> None:
        labels = random_labels(0)
        assert label_matrix(labels) is labels

    def test_names_the_first_strange_cell(self) -> None:
        with pytest.raises(InputError, match=r"NaN for unknown, but got -1 in row 1, column 0, and 2 such cells"):
            label_matrix([[1, 0], [-1, 1], [0, -1]])

    @pytest.mark.parametrize("labels", [np.zeros(3), np.array([["cat"], ["dog"]])])
    def test_refuses_lists_of_classes_and_texts(self, labels: np.ndarray) -> None:
        with pytest.raises(
            InputError, match=r"but got shape \(.*classes that exclude each other go to LabelPropagator"
        ):
            label_matrix(labels)


class TestPropagate:
    def test_is_the_graph_and_propagation_over_it(self) -> None:
        features, labels = features_of(3), random_labels(3)
        cells = np.where(labels.known, labels.values, np.nan)
        settings = GraphSettings(k=6, rounds=2)
        found = propagate(features, cells, settings, seed=2)
        expected = propagate_over(build_graph(features, settings), labels_of(labels.values, labels.known), 2)
        for name in ("scores", "probabilities", "reached"):
            assert_array_equal(getattr(found, name), getattr(expected, name))
        assert found.rounds == expected.rounds
        assert list(found.seconds) == ["graph", "totals", "teacher", "cross-fit"]

    def test_names_the_rows_that_are_not_finite(self) -> None:
        features = features_of(4)
        features[[3, 7], 1] = np.nan
        with pytest.raises(InputError, match=r"NaN or infinity in 2 rows, first \[3, 7\]"):
            propagate(features, random_labels(4))

    def test_refuses_other_lengths_and_shapes(self) -> None:
        with pytest.raises(InputError, match="one label row per row of features, but got 30 and 29"):
            propagate(features_of(5)[:29], random_labels(5))
        with pytest.raises(
            InputError, match=r"features \(images, width\) of numbers, but got shape \(30,\) of float64"
        ):
            propagate(features_of(5)[:, 0], random_labels(5))
        with pytest.raises(InputError, match="at least one labelled image"):
            propagate(features_of(5), np.full((30, 2), np.nan))
