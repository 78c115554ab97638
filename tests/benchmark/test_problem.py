"""All methods see the same neighbours; images outside the graph are reached by one rule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from drawn_problems import SETTINGS, drawn_problem, nearest_affinity


def test_directed_affinities_are_those_of_the_nearest() -> None:
    problem = drawn_problem()
    expected = nearest_affinity(problem, k=4, gamma=3.0)
    np.testing.assert_allclose(problem.pool.directed(4, 3.0).toarray(), expected, atol=1e-5)


def test_images_outside_get_the_weighted_mean_of_their_neighbours_scores() -> None:
    problem = drawn_problem()
    scores = np.random.default_rng(1).random((60, 4))
    points = problem.pool.graph.points.astype(float)
    for query, found in zip(problem.queries.astype(float), problem.place(scores), strict=True):
        s = points @ query
        near = np.argsort(-s)[: SETTINGS.k]
        weights = np.maximum(s[near], 0) ** 3
        np.testing.assert_allclose(found, weights @ scores[near] / weights.sum(), atol=1e-5)


def test_images_inside_have_their_own_scores_and_come_first() -> None:
    problem = replace(drawn_problem(), inside=np.array([7, 3]))
    scores = np.random.default_rng(1).random((60, 4))
    placed = problem.place(scores)
    assert placed.shape == (len(problem.queries), 4) == (22, 4)
    np.testing.assert_array_equal(placed[:2], scores[[7, 3]])


def test_hidden_rows_are_asked_for_and_nothing_is_known_of_them() -> None:
    hidden = drawn_problem().hide(np.array([2, 5]))
    assert not hidden.labels.known[[2, 5]].any()
    assert hidden.labels.known[[3, 4]].all()
    assert hidden.inside.tolist() == [2, 5]
    assert len(hidden.queries) == 2
