"""Propagation against dense operators and loops, and what must hold for any pool and any labels."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graph_cases import clustered_features, labels_of, random_labels, random_links, threads
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from references import graph as reference
from tagweave.calibration import fit_calibration
from tagweave.data.labels import LabelMatrix
from tagweave.data.splits import stratified_split
from tagweave.errors import InputError
from tagweave.graph import propagation, totals
from tagweave.graph.diffusion import build_diffusion
from tagweave.graph.image_graph import GraphSettings, ImageGraph, build_graph
from tagweave.graph.neighbours import Projection
from tagweave.graph.propagation import Propagation, inductive_scores, propagate
from tagweave.graph.strength import link_strength, normalise
from tagweave.graph.teacher import fit_teacher
from tagweave.graph.totals import Totals, dynamic_totals, label_totals, single_label
from tagweave.metrics import average_precisions, log_loss

ALGEBRA = 1e-9  # float64, with a series cut off at 1e-12
CUT_OFF = 1e-4  # the series of the default diffusion is cut off at 1e-6 of a column, which kappa 0.03 may divide
SERIES = build_diffusion("heat", t=3.0, tol=1e-12)
GRAPH_ONLY = GraphSettings(k=5, teacher=False)
seeds = st.integers(0, 2**32 - 1)


def image_graph(links: sparse.csr_array, settings: GraphSettings = GRAPH_ONLY) -> ImageGraph:
    """Wrap given links as the graph over a pool."""
    nodes = links.shape[0]
    unit, mean = np.eye(nodes, dtype=np.float32), np.zeros(nodes, np.float32)
    strength = normalise(link_strength(links, settings.strength))
    return ImageGraph(unit, mean, Projection(mean, None), unit, links, strength, settings)


def permuted(labels: LabelMatrix, rows: Any = slice(None), columns: Any = slice(None)) -> LabelMatrix:
    return labels_of(labels.values[rows][:, columns], labels.known[rows][:, columns])


class TestBuildGraph:
    @pytest.mark.parametrize(("strength", "affinity"), [("affinity", "cosine_power"), ("wcn", "heat")])
    def test_equal_to_loops(self, strength: str, affinity: str) -> None:
        features = np.random.default_rng(0).normal(size=(30, 5))
        graph = build_graph(features, GraphSettings(k=4, strength=strength, affinity=affinity, gamma=2.0, tau=0.4))
        weights = reference.affinity_reference(features, 4, affinity, 2.0, 0.4)
        strong = reference.wcn_reference(weights) if strength == "wcn" else weights
        rounded = 1e-5  # similarities carry six decimals
        assert_allclose(graph.weights.toarray(), weights, atol=rounded, rtol=0)
        assert_allclose(graph.normalised.toarray(), reference.normalise_reference(strong), atol=rounded, rtol=0)
        assert_allclose(graph.mean, features.mean(axis=0), atol=1e-6)

    def test_diffusion_is_the_one_that_the_settings_name(self) -> None:
        features = np.random.default_rng(1).normal(size=(20, 5))
        start = np.eye(20)
        for settings_ in (GraphSettings(t=1.5), GraphSettings(diffusion="spread", alpha=0.6)):
            graph = build_graph(features, settings_)
            dense = graph.normalised.toarray()
            expected = (
                reference.heat_reference(dense, start, 1.5)
                if settings_.diffusion == "heat"
                else reference.spread_reference(dense, start, 0.6)
            )
            assert_allclose(graph.diffusion(graph.normalised, start), expected, atol=1e-5)  # solvers stop at 1e-6

    def test_refuses_features_that_are_not_finite(self) -> None:
        features = np.ones((4, 2))
        features[2, 1] = np.nan
        with pytest.raises(InputError, match=r"in 1 rows, first \[2\]"):
            build_graph(features)


class TestLabelTotals:
    @pytest.mark.parametrize("kappa", [0.0, 0.03, 2.0])
    @pytest.mark.parametrize("known", [0.1, 0.5, 1.0])
    def test_equal_to_loops_with_partly_known_labels(self, known: float, kappa: float) -> None:
        graph, labels = normalise(random_links(0)), random_labels(0, known=known)
        operator = reference.heat_reference(graph.toarray(), np.eye(30), 3.0)
        a, b, f = reference.label_totals_reference(operator, labels.values, labels.known, kappa)
        found = label_totals(graph, labels, SERIES, kappa)
        assert_allclose(found.a, a, atol=ALGEBRA, rtol=0)
        assert_allclose(found.b, b, atol=ALGEBRA, rtol=0)
        assert_allclose(found.scores, f, atol=1e-7, rtol=0)  # division by a mass b of 0.01 and above
        assert_array_equal(found.scores[labels.known], labels.values[labels.known])
        assert_allclose(found.unclamped[~labels.known], f[~labels.known], atol=1e-7, rtol=0)

    def test_two_nodes_by_hand(self) -> None:
        # H = (1 ± e^-2t) / 2; node 0 is positive, node 1 unknown: a_1 = b_1 = H_10 and pi = 1.
        graph = sparse.csr_array(np.array([[0.0, 1.0], [1.0, 0.0]]))
        found = label_totals(graph, labels_of([[1, 0], [0, 0]], [[1, 1], [0, 0]]), SERIES, 0.5)
        mass = (1 - math.exp(-6)) / 2
        assert_allclose(found.b[1], [mass, mass], atol=ALGEBRA)
        assert_allclose(found.scores[1], [1.0, 0.0], atol=ALGEBRA)

    @settings(max_examples=30, deadline=None)
    @given(seed=seeds, known=st.floats(0, 1), rate=st.floats(0, 1), t=st.sampled_from([0.1, 4.0, 30.0]))
    def test_scores_stay_in_their_range(self, seed: int, known: float, rate: float, t: float) -> None:
        labels = random_labels(seed, known=known, rate=rate)
        graph = normalise(random_links(seed, density=0.1))
        for diffusion in (build_diffusion("heat", t=t), build_diffusion("spread")):
            found = label_totals(graph, labels, diffusion, 0.0)
            assert found.unclamped.min() >= 0
            assert found.unclamped.max() <= 1
            assert (found.a <= found.b).all()

    @settings(max_examples=15, deadline=None)
    @given(seed=seeds)
    def test_follows_a_permutation_of_the_images(self, seed: int) -> None:
        links, labels = random_links(seed).toarray(), random_labels(seed)
        order = np.random.default_rng(seed).permutation(30)
        found = label_totals(normalise(sparse.csr_array(links)), labels, SERIES, 0.03)
        moved_graph = normalise(sparse.csr_array(links[np.ix_(order, order)]))
        moved = label_totals(moved_graph, permuted(labels, order), SERIES, 0.03)
        assert_allclose(moved.scores, found.scores[order], atol=ALGEBRA, rtol=0)

    @settings(max_examples=15, deadline=None)
    @given(seed=seeds)
    def test_follows_a_permutation_of_the_labels(self, seed: int) -> None:
        graph, labels = normalise(random_links(seed)), random_labels(seed)
        order = np.random.default_rng(seed).permutation(4)
        moved = label_totals(graph, permuted(labels, columns=order), SERIES, 0.03)
        found = label_totals(graph, labels, SERIES, 0.03)
        assert_allclose(moved.scores, found.scores[:, order], atol=ALGEBRA, rtol=0)

    @settings(max_examples=15, deadline=None)
    @given(seed=seeds)
    def test_labels_do_not_touch_each_other(self, seed: int) -> None:
        graph, labels = normalise(random_links(seed)), random_labels(seed)
        found = label_totals(graph, labels, SERIES, 0.03)
        for column in range(4):
            alone = label_totals(graph, permuted(labels, columns=[column]), SERIES, 0.03)
            assert_allclose(alone.scores[:, 0], found.scores[:, column], atol=ALGEBRA, rtol=0)

    @settings(max_examples=15, deadline=None)
    @given(seed=seeds)
    def test_an_isolated_image_scores_the_rate(self, seed: int) -> None:
        links, labels = random_links(seed).toarray(), random_labels(seed).hide(np.array([4]))
        links[4] = links[:, 4] = 0.0
        for kappa in (0.0, 0.03):
            found = label_totals(normalise(sparse.csr_array(links)), labels, SERIES, kappa)
            assert_allclose(found.scores[4], labels.rates(), atol=ALGEBRA)
            assert not found.b[4].any()

    @settings(max_examples=15, deadline=None)
    @given(seed=seeds)
    def test_a_part_without_labels_scores_the_rate(self, seed: int) -> None:
        links, labels = random_links(seed).toarray(), random_labels(seed).hide(np.arange(20, 30))
        links[:20, 20:] = links[20:, :20] = 0.0
        found = label_totals(normalise(sparse.csr_array(links)), labels, SERIES, 0.03)
        assert_allclose(found.scores[20:], np.tile(labels.rates(), (10, 1)), atol=ALGEBRA)
        alone = label_totals(normalise(sparse.csr_array(links[:20, :20])), labels.take(np.arange(20)), SERIES, 0.03)
        assert_allclose(found.scores[:20], alone.scores, atol=ALGEBRA)

    @settings(max_examples=15, deadline=None)
    @given(seed=seeds, present=st.booleans())
    def test_a_label_with_one_value_scores_that_value_wherever_it_reaches(self, seed: int, present: bool) -> None:
        known = np.random.default_rng(seed).random((30, 1)) < 0.3
        labels = labels_of(np.full((30, 1), present), known)
        for kappa in (0.0, 0.5):
            found = label_totals(normalise(random_links(seed)), labels, SERIES, kappa)
            assert_allclose(found.scores, float(present and known.any()), atol=1e-7)

    @settings(max_examples=10, deadline=None)
    @given(seed=seeds)
    def test_all_known_gives_the_labels_back(self, seed: int) -> None:
        labels = random_labels(seed, known=1.1)
        assert_array_equal(label_totals(normalise(random_links(seed)), labels, SERIES, 0.03).scores, labels.values)

    @settings(max_examples=10, deadline=None)
    @given(seed=seeds, row=st.integers(0, 29))
    def test_one_known_image_gives_its_labels_to_all_it_reaches(self, seed: int, row: int) -> None:
        labels = random_labels(seed, known=1.1)
        labels = labels.hide(np.delete(np.arange(30), row))
        found = label_totals(normalise(random_links(seed)), labels, SERIES, 0.03)
        assert_allclose(found.scores, np.tile(labels.values[row], (30, 1)), atol=1e-7)

    @settings(max_examples=15, deadline=None)
    @given(seed=seeds)
    def test_unknown_values_are_not_read(self, seed: int) -> None:
        labels = random_labels(seed)
        noisy = labels_of(labels.values, labels.known)
        object.__setattr__(noisy, "values", labels.values | ~labels.known)
        graph = normalise(random_links(seed))
        found, again = (label_totals(graph, each, SERIES, 0.03).a for each in (labels, noisy))
        assert_array_equal(found, again)


class TestDynamicTotals:
    @pytest.mark.parametrize("eta", [0.5, 2.0])
    @pytest.mark.parametrize("rounds", [1, 3])
    def test_equal_to_dense_rounds(self, rounds: int, eta: float) -> None:
        chosen = GraphSettings(strength="wcn", t=2.0, kappa=0.1, rounds=rounds, eta=eta, tol=0.0)
        graph, labels = image_graph(random_links(1), chosen), random_labels(1)
        expected = reference.dynamic_reference(
            graph.weights.toarray(), labels.values, labels.known, 2.0, 0.1, rounds, eta
        )
        found = dynamic_totals(graph, labels)
        for got, wanted in zip((found.a, found.b, found.scores), expected, strict=True):
            assert_allclose(got, wanted, atol=CUT_OFF, rtol=0)
        assert found.rounds == rounds

    def test_series_is_the_only_difference_from_dense_rounds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(totals, "build_diffusion", lambda *choices, **others: SERIES)
        chosen = GraphSettings(strength="wcn", kappa=0.1, rounds=3, eta=1.0, tol=0.0)
        graph, labels = image_graph(random_links(2), chosen), random_labels(2)
        expected = reference.dynamic_reference(graph.weights.toarray(), labels.values, labels.known, 3.0, 0.1, 3, 1.0)
        assert_allclose(dynamic_totals(graph, labels).scores, expected[2], atol=1e-8, rtol=0)

    def test_agreeing_images_draw_closer(self) -> None:
        # 1 is unknown between 0 (label 0) and 2 (label 1), with the stronger link to 0: rounds make it stronger still.
        links = sparse.csr_array(np.array([[0, 0.9, 0], [0.9, 0, 0.6], [0, 0.6, 0]]))
        labels = labels_of([[1, 0], [0, 0], [0, 1]], [[1, 1], [0, 0], [1, 1]])
        one, many = (dynamic_totals(image_graph(links, replace(GRAPH_ONLY, rounds=n, tol=0.0)), labels) for n in (1, 4))
        assert many.scores[1, 0] > one.scores[1, 0] > 0.5

    def test_stops_when_the_scores_move_less_than_tol(self) -> None:
        graph = image_graph(random_links(3), replace(GRAPH_ONLY, rounds=50, tol=1e-3))
        labels = random_labels(3)
        found = dynamic_totals(graph, labels)
        assert 2 <= found.rounds < 50
        before, last = (
            dynamic_totals(replace(graph, settings=replace(GRAPH_ONLY, rounds=n, tol=0.0)), labels).scores
            for n in (found.rounds - 1, found.rounds)
        )
        assert_array_equal(found.scores, last)
        assert np.abs(last - before).mean() < 1e-3

    @settings(max_examples=10, deadline=None)
    @given(seed=seeds)
    def test_follows_permutations_of_images_and_of_labels(self, seed: int) -> None:
        links, labels = random_links(seed), random_labels(seed)
        chosen = GraphSettings(strength="wcn", rounds=3, tol=0.0)
        rows, columns = (np.random.default_rng(seed).permutation(n) for n in (30, 4))
        found = dynamic_totals(image_graph(links, chosen), labels).scores
        moved_links = sparse.csr_array(links.toarray()[np.ix_(rows, rows)])
        moved = dynamic_totals(image_graph(moved_links, chosen), permuted(labels, rows, columns)).scores
        assert_allclose(moved, found[np.ix_(rows, columns)], atol=ALGEBRA, rtol=0)


class TestSingleLabel:
    def test_by_hand(self) -> None:
        a = np.array([[0.2, 0.7, 0.1], [0.5, 0.1, 0.5], [0.0, 0.0, 0.0]])
        assert_array_equal(single_label(Totals(a, a, a, a)), [1, 0, 0])

    def test_equal_to_loops_and_true_to_known_images_in_clusters(self) -> None:
        features, cluster = clustered_features(0, clusters=4, each=15, width=8)
        values = cluster[:, None] == np.arange(4)
        known = np.zeros_like(values)
        known[[np.flatnonzero(cluster == c)[0] for c in range(4)]] = True
        totals = dynamic_totals(build_graph(features, GRAPH_ONLY), labels_of(values, known))
        assert_array_equal(single_label(totals), reference.single_label_reference(totals.a))
        assert_array_equal(single_label(totals), cluster)


class TestInductiveScores:
    @pytest.mark.parametrize(("affinity", "gamma", "tau"), [("cosine_power", 3.0, 1.0), ("heat", 1.0, 0.3)])
    @pytest.mark.parametrize("k", [1, 6, 50])
    def test_equal_to_loops(self, affinity: str, gamma: float, tau: float, k: int) -> None:
        generator = np.random.default_rng(k)
        features, new = generator.normal(1.0, 1.0, (30, 5)), generator.normal(1.0, 1.0, (8, 5))
        scores, rates = generator.random((30, 3)), np.array([0.1, 0.2, 0.3])
        graph = build_graph(features, GraphSettings(k=k, affinity=affinity, gamma=gamma, tau=tau))
        unit = propagation.unit_features(new, graph.mean)
        expected = reference.inductive_reference(features, scores, new, rates, min(k, 30), affinity, gamma, tau)
        # weights carry six decimals and are divided by a sum of 0.1 and above
        assert_allclose(inductive_scores(graph, scores, rates, unit), expected, atol=5e-5, rtol=0)

    def test_an_image_without_a_direction_scores_the_rates(self) -> None:
        graph = build_graph(np.random.default_rng(0).normal(size=(20, 4)), GRAPH_ONLY)
        rates = np.array([0.1, 0.7])
        scores = np.random.default_rng(1).random((20, 2))
        assert_array_equal(inductive_scores(graph, scores, rates, np.zeros((1, 4), np.float32)), [rates])

    def test_heat_measures_an_image_without_a_direction_from_zero(self) -> None:
        pool = np.array([[1.0, 2.0], [-1.0, -2.0], [2.0, 3.0], [-2.0, -3.0], [0.0, 0.0]])  # the last is the mean
        graph = build_graph(pool, GraphSettings(k=5, affinity="heat", tau=0.5, teacher=False))
        scores = np.arange(5.0)[:, None]
        weights = np.exp(-np.array([1.0, 1.0, 1.0, 1.0, 0.0]) / 2.0)  # squared distances from zero
        expected = weights @ scores / weights.sum()
        found = inductive_scores(graph, scores, np.zeros(1), np.zeros((1, 2), np.float32))
        assert_allclose(found[0], expected, atol=1e-6)
        inside = graph.weights.toarray()[4, :4]
        assert_allclose(inside, weights[:4], atol=1e-6)

    def test_of_many_equal_pool_images_the_lowest_indices_count(self) -> None:
        generator = np.random.default_rng(2)
        pool = np.vstack([generator.normal(size=(10, 5)), np.repeat(generator.normal(size=(1, 5)), 40, axis=0)])
        scores, rates = generator.random((50, 2)), np.zeros(2)
        graph = build_graph(pool, GRAPH_ONLY)
        new = pool[[-1, -1]] + [[0.0], [0.01]]
        expected = reference.inductive_reference(pool, scores, new, rates, 5)
        unit = propagation.unit_features(new, graph.mean)
        assert_allclose(inductive_scores(graph, scores, rates, unit), expected, atol=5e-5, rtol=0)


def pool_case(seed: int = 0, known: float = 0.5, width: int = 6) -> tuple[np.ndarray, LabelMatrix]:
    """Draw clusters with two labels that follow them, one that follows a direction, and one at random."""
    features, cluster = clustered_features(seed, clusters=6, each=15, width=width, noise=0.6)
    generator = np.random.default_rng(seed)
    values = np.stack([cluster < 2, cluster % 2 == 0, features[:, 0] > 0.5, generator.random(90) < 0.3], axis=1)
    rows = generator.random((90, 1)) < known
    return features, labels_of(values, rows & (generator.random((90, 4)) < 0.9))


class TestPropagate:
    def test_known_cells_are_clamped_and_probabilities_are_the_calibrated_scores(self) -> None:
        features, labels = pool_case()
        found = propagate(build_graph(features, GraphSettings(k=8)), labels)
        assert_array_equal(found.scores[labels.known], labels.values[labels.known])
        assert_array_equal(found.probabilities[labels.known], labels.values[labels.known])
        free = ~labels.known
        assert_allclose(found.probabilities[free], found.calibration.apply(found.scores)[free])
        assert_array_equal(found.labelled_rows, np.flatnonzero(labels.labelled))
        assert set(found.seconds) == {"totals", "teacher", "cross-fit"}

    def test_scores_blend_graph_and_teacher(self) -> None:
        features, labels = pool_case()
        graph = build_graph(features, GraphSettings(k=8))
        found = propagate(graph, labels)
        teacher = fit_teacher(graph.unit, labels).score(graph.unit)
        blend = found.share * dynamic_totals(graph, labels).unclamped + (1 - found.share) * teacher
        assert_allclose(found.scores[~labels.known], blend[~labels.known], atol=ALGEBRA)

    def test_without_a_teacher_the_graph_is_all(self) -> None:
        features, labels = pool_case()
        graph = build_graph(features, GraphSettings(k=8, teacher=False))
        found = propagate(graph, labels)
        assert found.teacher is None
        assert found.share == 1.0
        assert_array_equal(found.scores, dynamic_totals(graph, labels).scores)

    def test_tells_what_label_mass_reached(self) -> None:
        features, cluster = clustered_features(1, clusters=2, each=20, width=3, noise=0.01)
        labels = labels_of(cluster[:, None] == 0).hide(cluster == 1)
        found = propagate(build_graph(features, GRAPH_ONLY), labels)
        assert_array_equal(found.reached, cluster == 0)

    def test_same_seed_same_bits_with_one_and_two_threads(self) -> None:
        features, labels = pool_case(width=64)
        found = []
        for count in (1, 2):
            with threads(count):
                graph = build_graph(features, GraphSettings(k=8, strength="wcn", rounds=2))
                found.append(propagate(graph, labels))
        assert_array_equal(found[0].graph.normalised.data, found[1].graph.normalised.data)
        assert_array_equal(found[0].scores, found[1].scores)
        assert_array_equal(found[0].probabilities, found[1].probabilities)

    def test_duplicated_images_get_equal_scores(self) -> None:
        features, labels = pool_case()
        twice = labels_of(np.tile(labels.values, (2, 1)), np.vstack([labels.known, np.zeros_like(labels.known)]))
        # All copies must be neighbours of each other's neighbours alike, so K takes in the whole pool.
        chosen = GraphSettings(k=179, affinity="heat")
        scores = dynamic_totals(build_graph(np.vstack([features, features]), chosen), twice).unclamped
        unknown = ~labels.labelled
        assert_allclose(scores[:90][unknown], scores[90:][unknown], atol=CUT_OFF)

    @pytest.mark.parametrize("count", [1, 2, 3])
    def test_very_few_labelled_images_are_enough(self, count: int) -> None:
        features, labels = pool_case(known=1.1)
        labels = labels.hide(np.arange(count, 90))
        found = propagate(build_graph(features, GraphSettings(k=8)), labels)
        assert found.out_of_fold.shape == (count, 4)
        assert np.isfinite(found.probabilities).all()
        assert ((found.probabilities >= 0) & (found.probabilities <= 1)).all()

    def test_all_known_gives_the_labels_back(self) -> None:
        features, labels = pool_case()
        labels = labels_of(labels.values)
        found = propagate(build_graph(features, GRAPH_ONLY), labels)
        assert_array_equal(found.probabilities, labels.values)

    def test_a_label_without_positives_stays_unlikely(self) -> None:
        features, labels = pool_case()
        values = labels.values.copy()
        values[:, 1] = False
        found = propagate(build_graph(features, GraphSettings(k=8)), labels_of(values, labels.known))
        assert found.probabilities[:, 1].max() < 0.1

    def test_refuses_to_propagate_nothing(self) -> None:
        graph = build_graph(np.random.default_rng(0).normal(size=(5, 3)), GRAPH_ONLY)
        with pytest.raises(InputError, match="at least one labelled image to propagate from, but got none"):
            propagate(graph, LabelMatrix.unlabelled(5, ["cat"]))
        with pytest.raises(InputError, match="one label row per image of the graph, but got 4 and 5"):
            propagate(graph, LabelMatrix.unlabelled(4, ["cat"]))


class TestCrossFit:
    def test_every_image_is_scored_with_its_fold_hidden(self) -> None:
        features, labels = pool_case(2)
        graph = build_graph(features, GraphSettings(k=8, folds=4))
        found = propagate(graph, labels, seed=3)
        rows, teacher = found.labelled_rows, found.teacher
        fold = stratified_split(labels.take(rows), [0.25] * 4, 3)
        assert teacher is not None
        for number in range(4):
            hidden = fold == number
            rest = labels.hide(rows[hidden])
            by_graph = dynamic_totals(graph, rest).scores[rows[hidden]]
            by_teacher = fit_teacher(graph.unit, rest, (teacher.penalty,)).score(graph.unit)[rows[hidden]]
            blend = found.share * by_graph + (1 - found.share) * by_teacher
            assert_allclose(found.out_of_fold[hidden], blend, atol=ALGEBRA)

    def test_a_fold_never_sees_its_own_labels(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def by_position(labels: LabelMatrix, fractions: list[float], seed: int) -> np.ndarray:
            return np.arange(len(labels)) % len(fractions)

        monkeypatch.setattr(propagation, "stratified_split", by_position)
        features, labels = pool_case(3)
        graph = build_graph(features, GraphSettings(k=8, teacher=False, folds=3))
        found = propagate(graph, labels)
        own = np.arange(len(found.out_of_fold)) % 3 == 1
        values = labels.values.copy()
        values[found.labelled_rows[own]] ^= True
        flipped = propagate(graph, labels_of(values, labels.known))
        assert_array_equal(flipped.out_of_fold[own], found.out_of_fold[own])
        assert not np.allclose(flipped.out_of_fold[~own], found.out_of_fold[~own])

    def test_calibration_is_fitted_on_out_of_fold_scores(self) -> None:
        features, labels = pool_case(4)
        found = propagate(build_graph(features, GraphSettings(k=8)), labels)
        again = fit_calibration(found.out_of_fold, labels.take(found.labelled_rows))
        assert_array_equal(found.calibration.slope, again.slope)
        assert_array_equal(found.calibration.offset, again.offset)

    def test_seed_decides_the_folds(self) -> None:
        features, labels = pool_case(5)
        graph = build_graph(features, GRAPH_ONLY)
        one, same, other = (propagate(graph, labels, seed).out_of_fold for seed in (0, 0, 1))
        assert_array_equal(one, same)
        assert not np.array_equal(one, other)


class TestShareOfTheGraph:
    def test_is_nothing_where_the_graph_is_useless(self) -> None:
        # Labels follow directions of little variance; neighbours are decided by the others, which say nothing.
        generator = np.random.default_rng(0)
        features = np.hstack([0.3 * generator.normal(size=(400, 6)), generator.normal(size=(400, 12))])
        labels = labels_of(features[:, :6] > 0)
        found = propagate(build_graph(features, GraphSettings(k=10)), labels)
        assert found.share == 0.0

    def test_is_at_least_half_where_only_the_graph_tells(self) -> None:
        # Many clusters with labels at random: no direction separates them, neighbours do.
        features, cluster = clustered_features(0, clusters=60, each=8, width=6, noise=0.05)
        labels = labels_of((np.random.default_rng(0).random((60, 6)) < 0.4)[cluster])
        graph = build_graph(features, GraphSettings(k=6))
        found = propagate(graph, labels)
        graph_alone = propagate(replace(graph, settings=replace(graph.settings, teacher=False)), labels)
        assert found.share >= 0.5
        assert found.teacher is not None
        by_teacher, by_graph, by_both = (
            average_precisions(scores, labels).mean()
            for scores in (found.teacher.left_out, graph_alone.out_of_fold, found.out_of_fold)
        )
        assert by_teacher < 0.7 < 0.95 < min(by_graph, by_both)

    def test_is_the_one_of_least_log_loss(self) -> None:
        rng = np.random.default_rng(6)
        labels = labels_of(rng.random((80, 3)) < 0.3)
        told, noise = labels.values + rng.normal(0, 0.3, (80, 3)), rng.normal(0, 0.3, (80, 3))
        assert propagation._choose_share(told, noise, labels)[0] >= 0.75
        assert propagation._choose_share(noise, told, labels)[0] <= 0.25
        other = labels.values + rng.normal(0, 0.3, (80, 3))
        share, blend, tried = propagation._choose_share(told, other, labels)
        assert share in (0.25, 0.5, 0.75)  # two voices that err apart
        losses = [log_loss(fit_calibration(scores, labels).apply(scores), labels) for scores in (blend, told)]
        assert losses[0] < losses[1]
        assert [one.share for one in tried] == list(propagation.SHARES)
        for one in tried:
            scores = one.share * told + (1 - one.share) * other
            assert one.log_loss == pytest.approx(log_loss(fit_calibration(scores, labels).apply(scores), labels))
            assert one.mean_average_precision == pytest.approx(average_precisions(scores, labels).mean())


class TestScoreNew:
    def fitted(self, teacher: bool) -> tuple[np.ndarray, LabelMatrix, Propagation]:
        features, labels = pool_case(7)
        return features, labels, propagate(build_graph(features, GraphSettings(k=8, teacher=teacher)), labels)

    @pytest.mark.parametrize("teacher", [False, True])
    def test_blends_the_inductive_rule_with_the_teacher(self, teacher: bool) -> None:
        features, labels, fit = self.fitted(teacher)
        new = np.random.default_rng(0).normal(size=(10, 6))
        graph_scores = dynamic_totals(fit.graph, labels).scores
        expected = reference.inductive_reference(features, graph_scores, new, labels.rates(), 8)
        if fit.teacher is not None:
            unit = propagation.unit_features(new, fit.graph.mean)
            expected = fit.share * expected + (1 - fit.share) * fit.teacher.score(unit)
        # weights carry six decimals; the calibration's slope multiplies what that leaves
        assert_allclose(fit.score_new(new), fit.calibration.apply(expected), atol=1e-3)

    def test_refuses_features_that_are_not_finite(self) -> None:
        _, _, fit = self.fitted(True)
        with pytest.raises(InputError, match=r"in 1 rows, first \[1\]"):
            fit.score_new(np.array([[0.0] * 6, [np.inf] * 6]))
