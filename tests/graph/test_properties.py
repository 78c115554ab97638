"""What must hold from features to probabilities for any pool and any labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graph_cases import clustered_features, labels_of, random_labels, threads
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from threadpoolctl import threadpool_limits

from references import graph as reference
from tagweave.data.labels import LabelMatrix
from tagweave.errors import InputError
from tagweave.graph import GraphSettings, propagate
from tagweave.graph.image_graph import build_graph
from tagweave.graph.neighbours import neighbours, pool_mean, unit_features
from tagweave.graph.propagation import Propagation
from tagweave.graph.strength import affinity_graph
from tagweave.graph.totals import dynamic_totals

ROUNDED = 1e-4  # similarities carry six decimals, the series is cut at 1e-6 of a column, and kappa 0.03 may divide both
SETTINGS = {
    "static": GraphSettings(k=5),
    "paper": GraphSettings(k=6, strength="wcn", rounds=3, tol=0.0, teacher=False),
    "spread": GraphSettings(k=5, diffusion="spread", affinity="heat"),
}
seeds = st.integers(0, 2**32 - 1)


def features_of(seed: int, images: int = 30) -> np.ndarray:
    return np.random.default_rng(seed).normal(3.0, 1.0, (images, 6))


def graph_scores(features: np.ndarray, labels: LabelMatrix, chosen: GraphSettings) -> np.ndarray:
    return dynamic_totals(build_graph(features, chosen), labels).scores


def assert_sound(found: Propagation) -> None:
    """Known cells are kept, all others are probabilities."""
    known = found.labels.known
    assert_array_equal(found.probabilities[known], found.labels.values[known])
    assert ((found.probabilities >= 0) & (found.probabilities <= 1)).all()
    assert np.isfinite(found.scores).all()


@pytest.mark.parametrize("chosen", SETTINGS.values(), ids=SETTINGS)
class TestAnySettings:
    @settings(max_examples=8, deadline=None)
    @given(seed=seeds, known=st.floats(0, 1), rate=st.floats(0, 1))
    def test_any_labels_give_probabilities_and_the_same_bits_again(
        self, chosen: GraphSettings, seed: int, known: float, rate: float
    ) -> None:
        labels = random_labels(seed, known=known, rate=rate)
        if not labels.labelled.any():
            return
        one, again = (propagate(features_of(seed), labels, chosen) for _ in range(2))
        assert_sound(one)
        assert_array_equal(one.probabilities, again.probabilities)
        assert_array_equal(one.scores, again.scores)

    @settings(max_examples=8, deadline=None)
    @given(seed=seeds)
    def test_graph_follows_permutations_of_images_and_labels(self, chosen: GraphSettings, seed: int) -> None:
        features, labels = features_of(seed), random_labels(seed)
        rows, columns = (np.random.default_rng(seed).permutation(n) for n in (30, 4))
        moved = labels_of(labels.values[np.ix_(rows, columns)], labels.known[np.ix_(rows, columns)])
        found = graph_scores(features, labels, chosen)[np.ix_(rows, columns)]
        assert_allclose(graph_scores(features[rows], moved, chosen), found, atol=ROUNDED)

    @settings(max_examples=5, deadline=None)
    @given(seed=seeds, row=st.integers(0, 29))
    def test_one_known_image(self, chosen: GraphSettings, seed: int, row: int) -> None:
        labels = random_labels(seed, known=1.1).hide(np.delete(np.arange(30), row))
        assert_sound(propagate(features_of(seed), labels, chosen))

    def test_all_known(self, chosen: GraphSettings) -> None:
        labels = random_labels(0, known=1.1)
        assert_array_equal(propagate(features_of(0), labels, chosen).probabilities, labels.values)

    @settings(max_examples=5, deadline=None)
    @given(seed=seeds)
    def test_a_label_without_positives_stays_below_its_chance(self, chosen: GraphSettings, seed: int) -> None:
        labels = random_labels(seed, known=0.6)
        labels = labels_of(labels.values & [True, False, True, True], labels.known)
        found = propagate(features_of(seed), labels, chosen).probabilities[:, 1]
        assert found.max() <= 0.5

    def test_duplicated_images(self, chosen: GraphSettings) -> None:
        features, labels = np.repeat(features_of(1, 6), 5, axis=0), random_labels(1)
        found = propagate(features, labels, chosen)
        assert_sound(found)
        copies = found.graph.normalised.toarray()
        assert_allclose(copies, copies.T)

    def test_all_images_equal(self, chosen: GraphSettings) -> None:
        assert_sound(propagate(np.full((30, 6), 0.3), random_labels(2), chosen))

    def test_images_without_a_direction(self, chosen: GraphSettings) -> None:
        # Pairs x, -x keep the mean at zero, so that zero rows have no direction after centring.
        half = features_of(3, 13)
        features = np.vstack([half, -half, np.zeros((4, 6))])
        found = propagate(features, random_labels(3), chosen)
        assert_sound(found)
        assert not found.graph.unit[26:].any()
        if chosen.affinity == "cosine_power":
            assert not found.graph.weights.toarray()[26:].any()

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_what_is_not_finite_is_refused_with_its_row(self, chosen: GraphSettings, value: float) -> None:
        features = features_of(4)
        features[17, 2] = value
        with pytest.raises(InputError, match=r"in 1 rows, first \[17\]"):
            propagate(features, random_labels(4), chosen)


class TestParts:
    def case(self) -> tuple[np.ndarray, Any, LabelMatrix]:
        features, cluster = clustered_features(1, clusters=3, each=20, width=4, noise=0.01)
        values = np.random.default_rng(1).random((60, 4)) < 0.5
        return features, cluster, labels_of(values, np.tile((np.arange(60) % 3 == 0)[:, None], 4))

    def test_a_part_without_labels_is_not_reached_and_scores_the_rates(self) -> None:
        features, cluster, labels = self.case()
        labels = labels.hide(cluster == 2)
        found = propagate(features, labels, GraphSettings(k=5, teacher=False))
        assert_array_equal(found.reached, cluster != 2)
        assert_allclose(found.scores[cluster == 2], np.tile(labels.rates(), (20, 1)))

    def test_labels_of_one_part_have_no_say_in_another(self) -> None:
        features, cluster, labels = self.case()
        flipped = labels_of(labels.values ^ (cluster == 1)[:, None], labels.known)
        chosen = GraphSettings(k=5, kappa=0.0)  # the rates, which kappa weighs, are all that parts share
        found, again = (graph_scores(features, each, chosen) for each in (labels, flipped))
        assert_allclose(again[cluster != 1], found[cluster != 1], atol=1e-12)
        assert not np.allclose(again[cluster == 1], found[cluster == 1])

    def test_labels_do_not_touch_each_other_over_a_static_graph(self) -> None:
        features, _, labels = self.case()
        together = graph_scores(features, labels, GraphSettings(k=5))
        for column in range(4):
            alone = labels_of(labels.values[:, [column]], labels.known[:, [column]])
            assert_allclose(graph_scores(features, alone, GraphSettings(k=5))[:, 0], together[:, column], atol=1e-12)


def test_threads_of_no_library_change_a_bit() -> None:
    features, cluster = clustered_features(0, clusters=12, each=60, width=300)
    values = (np.random.default_rng(0).random((12, 8)) < 0.3)[cluster]
    labels = labels_of(values, np.tile((np.arange(720) % 2 == 0)[:, None], 8))
    found = []
    for count in (1, 2):
        with threads(count), threadpool_limits(count, "blas"):
            found.append(propagate(features, labels, GraphSettings(k=8, strength="wcn", pca=16, rounds=2)))
    new = features[::7] + 0.1
    assert_array_equal(found[0].probabilities, found[1].probabilities)
    assert_array_equal(found[0].scores, found[1].scores)
    assert_array_equal(found[0].out_of_fold, found[1].out_of_fold)
    assert_array_equal(found[0].score_new(new), found[1].score_new(new))


def test_heat_affinity_of_images_without_a_direction() -> None:
    features = np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 2.0], [-1.0, -2.0], [2.0, 3.0], [-2.0, -3.0]])
    near = neighbours(unit_features(features, pool_mean(features)), 5)
    found = affinity_graph(near, "heat", tau=0.5).toarray()
    assert_allclose(found, reference.affinity_reference(features, 5, "heat", tau=0.5), atol=1e-5)
