"""Every method against another way to write it: closed forms, dense loops, scikit-learn's own."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from drawn_problems import SETTINGS, cosines, drawn_data, drawn_problem, nearest_affinity
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from tagweave.benchmark.methods import METHODS, missing_package
from tagweave.benchmark.problem import Problem
from tagweave.benchmark.rivals.dynamic import dynamic, label_correlation
from tagweave.benchmark.rivals.iscen import iscen
from tagweave.benchmark.rivals.linear import asymmetric, fit_logistic, logistic, ridge
from tagweave.benchmark.rivals.ours import default, exclusive_totals, graph_alone
from tagweave.benchmark.rivals.poisson import laplace, poisson
from tagweave.benchmark.rivals.spreading import knn_kernel, label_propagation, label_spreading
from tagweave.benchmark.rivals.voting import nearest_vote
from tagweave.data.labels import LabelMatrix
from tagweave.graph.propagation import propagate
from tagweave.graph.totals import dynamic_totals, single_label

Array = NDArray[np.float64]
EXACT = 1e-9  # float64 algebra
FLOAT32 = 1e-5  # the points are float32
SOLVER = 1e-3  # conjugate gradient to 1e-6 of the right side, normalised to shares


def symmetric_normalised(weights: Array) -> Array:
    degree = weights.sum(axis=1)
    return np.array([[w / np.sqrt(degree[i] * degree[j]) for j, w in enumerate(row)] for i, row in enumerate(weights)])


@pytest.fixture(scope="module")
def inside() -> Problem:
    return drawn_problem(inside=True)


@pytest.fixture(scope="module")
def outside() -> Problem:
    return drawn_problem()


# --- scikit-learn


@pytest.mark.parametrize("name", ["LabelSpreading", "LabelPropagation"])
def test_scikit_learn_equals_its_own_one_against_rest(inside: Problem, name: str) -> None:
    from sklearn import semi_supervised

    options: dict[str, Any] = {"alpha": 0.9} if name == "LabelSpreading" else {}
    score = label_spreading if name == "LabelSpreading" else label_propagation
    scores = score(inside, k=7, **options)
    model = getattr(semi_supervised, name)(kernel="knn", n_neighbors=7, max_iter=100, **options)
    for column in range(4):
        target = [int(v) if k else -1 for v, k in zip(*_column(inside.labels, column), strict=True)]
        own = model.fit(inside.pool.graph.points, target).label_distributions_[:, 1]
        np.testing.assert_allclose(scores[:, column], own[inside.inside], atol=EXACT)


def _column(labels: LabelMatrix, column: int) -> tuple[Any, Any]:
    return labels.values[:, column], labels.known[:, column]


def test_the_kernel_holds_the_image_itself_and_its_nearest(inside: Problem) -> None:
    from sklearn.neighbors import kneighbors_graph

    own = kneighbors_graph(inside.pool.graph.points, 5, include_self=True)
    np.testing.assert_array_equal(knn_kernel(inside.pool, 5).toarray(), own.toarray())


def test_scikit_learn_cannot_take_a_label_with_one_value_so_its_rate_stands(inside: Problem) -> None:
    values = inside.labels.values.copy()
    values[:, 0] = False
    never = replace(inside, labels=LabelMatrix(values, inside.labels.known, inside.labels.names))
    assert (label_spreading(never, k=5, alpha=0.5)[:, 0] == 0).all()


# --- Iscen et al.


def test_iscen_is_the_inverse_with_rows_normalised(inside: Problem) -> None:
    directed = nearest_affinity(inside, k=9, gamma=3.0)
    spread = symmetric_normalised(directed + directed.T)
    seeds = inside.labels.values / inside.labels.values.sum(axis=0)
    z = np.linalg.inv(np.eye(len(spread)) - 0.9 * spread) @ seeds
    expected = z / z.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(iscen(inside, k=9, alpha=0.9), expected[inside.inside], atol=SOLVER)


def test_iscen_speaks_of_labelled_images_by_their_labels() -> None:
    problem = drawn_problem(inside=True)
    labelled = replace(problem, inside=np.arange(5))  # asking for known images shows what neighbours outside would get
    values = problem.labels.values[:5].astype(float)
    expected = values / np.maximum(values.sum(axis=1, keepdims=True), 1)
    np.testing.assert_allclose(iscen(labelled, k=9), expected, atol=EXACT)


# --- dynamic label propagation


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_dynamic_equals_the_papers_dense_matrices(inside: Problem, steps: int) -> None:
    affinity = nearest_affinity(inside, k=6, gamma=1.0)
    p = affinity / affinity.sum(axis=1, keepdims=True)
    labels, alpha, lam = inside.labels, 0.05, 0.1
    y0 = labels.values.astype(float)
    correlation = 1 - cdist(y0.T, y0.T, "cosine")
    y, transition = y0.copy(), p.copy()
    for _ in range(steps):
        unclamped = transition @ y
        transition = p @ (transition + alpha * y @ correlation @ y.T) @ p.T + lam * np.eye(len(p))
        y = np.where(labels.known, y0, unclamped)
    np.testing.assert_allclose(dynamic(inside, k=6, steps=steps), unclamped[inside.inside], rtol=FLOAT32)


def test_exclusive_labels_do_not_correlate_and_one_without_positives_does_not_either() -> None:
    values = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 1, 0]], dtype=bool)
    found = label_correlation(LabelMatrix(values, np.ones_like(values), ("a", "b", "c", "d")))
    half = 1 / np.sqrt(2)
    np.testing.assert_allclose(found, [[1, 0, 0, 0], [0, 1, half, 0], [0, half, 1, 0], [0, 0, 0, 0]], atol=EXACT)


# --- Laplace and Poisson learning


def _pretend_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for graphlearning: the same equations, solved densely."""
    package = ModuleType("graphlearning")
    package.ssl = SimpleNamespace(laplace=_Laplace, poisson=_Poisson)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "graphlearning", package)


class _Laplace:
    def __init__(self, weights: Any, tau: float = 0.0) -> None:
        self.w, self.tau = weights.toarray(), tau

    def fit(self, rows: Any, classes: Any) -> Array:
        lap = np.diag(self.w.sum(axis=1)) - self.w + self.tau * np.eye(len(self.w))
        free = np.setdiff1d(np.arange(len(self.w)), rows)
        u = np.eye(2)[np.where(np.isin(np.arange(len(self.w)), rows), 1, 0)]
        u[rows] = np.eye(2)[classes]
        u[free] = np.linalg.lstsq(lap[np.ix_(free, free)], -lap[np.ix_(free, rows)] @ u[rows], rcond=None)[0]
        return u


class _Poisson:
    def __init__(self, weights: Any) -> None:
        self.w = weights.toarray()

    def fit(self, rows: Any, classes: Any) -> Array:
        source = np.zeros((len(self.w), 2))
        source[rows] = np.eye(2)[classes] - np.eye(2)[classes].mean(axis=0)
        degree = self.w.sum(axis=1)
        u = np.linalg.pinv(np.diag(degree) - self.w) @ source
        return u - degree @ u / degree.sum()  # the equation leaves a constant free


def test_laplace_is_harmonic_off_the_known_cells(inside: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    _pretend_package(monkeypatch)
    everyone = replace(inside, inside=np.arange(len(inside.labels)))
    u = laplace(everyone, k=6, tau=0.0)
    directed = nearest_affinity(inside, k=6, gamma=3.0)
    w = np.maximum(directed, directed.T)
    np.testing.assert_array_equal(u[inside.labels.known], inside.labels.values[inside.labels.known])
    for row in np.flatnonzero(~inside.labels.labelled):
        np.testing.assert_allclose(u[row], w[row] @ u / w[row].sum(), atol=FLOAT32)


def test_laplace_with_everything_known_solves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    _pretend_package(monkeypatch)
    problem = drawn_problem(images=60, labelled=60)  # the pool's 40 images, all of them
    assert problem.labels.known.all()
    everyone = replace(problem, inside=np.arange(40), outside=problem.outside[:0])
    np.testing.assert_array_equal(laplace(everyone, k=5, tau=0.1), problem.labels.values)


def test_poisson_balances_its_sources_on_the_largest_part(inside: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    _pretend_package(monkeypatch)
    everyone = replace(inside, inside=np.arange(len(inside.labels)))
    u = poisson(everyone, k=6)
    directed = nearest_affinity(inside, k=6, gamma=3.0)
    w = np.maximum(directed, directed.T)
    labelled = inside.labels.labelled
    source = np.where(labelled[:, None], inside.labels.values - inside.labels.values[labelled].mean(axis=0), 0.0)
    np.testing.assert_allclose((np.diag(w.sum(axis=1)) - w) @ u, source, atol=FLOAT32)


@pytest.mark.skipif(missing_package(METHODS["laplace"]) is not None, reason="graphlearning is not installed")
@pytest.mark.parametrize(("name", "choice"), [("laplace", {"k": 6, "tau": 0.1}), ("poisson", {"k": 6})])
def test_the_real_package_solves_the_same(name: str, choice: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = drawn_problem(inside=True)
    real = METHODS[name].score(problem, **choice)
    _pretend_package(monkeypatch)
    np.testing.assert_allclose(real, METHODS[name].score(problem, **choice), atol=5e-3)  # its tolerance is 1e-3


# --- votes and linear classifiers


def test_the_vote_counts_known_cells_of_the_nearest_labelled(inside: Problem) -> None:
    known = inside.labels.known.copy()
    known[::3, 1] = False  # of some images one label is unknown
    problem = replace(inside, labels=LabelMatrix(inside.labels.values, known, inside.labels.names))
    scores, s, rates = nearest_vote(problem, k=5), cosines(inside), problem.labels.rates()
    labelled = np.flatnonzero(problem.labels.labelled)
    for place, row in enumerate(problem.inside):
        near = sorted(labelled, key=lambda j: -s[row, j])[:5]
        for column in range(4):
            votes = [(max(s[row, j], 0), problem.labels.values[j, column]) for j in near if known[j, column]]
            mass = sum(w for w, _ in votes)
            expected = sum(w for w, v in votes if v) / mass if mass else rates[column]
            assert scores[place, column] == pytest.approx(expected, abs=FLOAT32)


@pytest.mark.parametrize("width", [5, 40])  # fewer and more features than images
def test_logistic_equals_scikit_learns(width: int) -> None:
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(3)
    x, values = rng.normal(size=(30, width)), rng.random((30, 3)) < 0.4
    known = rng.random((30, 3)) < 0.8
    weight, bias = fit_logistic(x, LabelMatrix(values, known, ("a", "b", "c")), c=2.0)
    for column in range(3):
        rows = known[:, column]
        own = LogisticRegression(C=2.0, tol=1e-8, max_iter=1000).fit(x[rows], values[rows, column])
        np.testing.assert_allclose(weight[:, column], own.coef_[0], atol=2e-3)  # stopped at 1e-4 of the first slope
        assert bias[column] == pytest.approx(own.intercept_[0], abs=2e-3)


@pytest.mark.parametrize(("score", "choice"), [(logistic, {"c": 30.0}), (asymmetric, {"scale": 1.0}), (ridge, {})])
def test_linear_classifiers_learn_half_spaces(score: Any, choice: Any) -> None:
    from tagweave.metrics import average_precisions

    problem, data = drawn_problem(images=200, labelled=150), drawn_data(images=200)
    scores = score(problem, **choice)
    assert scores.shape == (20, 4)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert np.nanmean(average_precisions(scores, data.labels.take(data.test))) > 0.8


def test_a_label_with_one_value_scores_its_rate(outside: Problem) -> None:
    values = outside.labels.values.copy()
    values[:, 2] = False
    never = replace(outside, labels=LabelMatrix(values, outside.labels.known, outside.labels.names))
    assert (logistic(never, c=1.0)[:, 2] == 0).all()


# --- ours


def test_default_is_what_the_package_predicts(outside: Problem) -> None:
    found = propagate(outside.pool.graph, outside.labels, outside.seed)
    np.testing.assert_array_equal(default(outside), found.score_new(outside.outside))


def test_default_inside_the_graph_is_what_the_package_propagates(inside: Problem) -> None:
    found = propagate(inside.pool.graph, inside.labels, inside.seed)
    np.testing.assert_array_equal(default(inside), found.probabilities[inside.inside])


def test_graph_alone_has_no_teacher() -> None:
    without = drawn_problem(settings=replace(SETTINGS, teacher=False))
    np.testing.assert_array_equal(graph_alone(drawn_problem()), default(without))


def test_exclusive_totals_follow_the_papers_rule(inside: Problem) -> None:
    expected = single_label(dynamic_totals(inside.pool.graph, inside.labels))
    np.testing.assert_array_equal(exclusive_totals(inside).argmax(axis=1), expected[inside.inside])


# --- all


@pytest.mark.parametrize("name", [name for name in METHODS if not METHODS[name].requires])
@pytest.mark.parametrize("place", ["inside", "outside"])
def test_every_method_scores_every_image_asked_for(name: str, place: str, inside: Problem, outside: Problem) -> None:
    method, problem = METHODS[name], inside if place == "inside" else outside
    scores = method.score(problem, **method.tries[0])
    assert scores.shape == (20, 4)
    assert np.isfinite(scores).all()
    assert len(np.unique(scores[:, 0])) > 10  # images differ
