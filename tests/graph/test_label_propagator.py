"""The scikit-learn estimator: scikit-learn's own checks, and what it says against the functions underneath."""

from __future__ import annotations

import inspect
import pickle
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graph_cases import clustered_features, labels_of
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from references import graph as reference
from tagweave.calibration import tune_thresholds
from tagweave.errors import InputError
from tagweave.graph import GraphSettings, LabelPropagator, propagate
from tagweave.graph.image_graph import build_graph
from tagweave.graph.label_propagator import class_matrix, class_shares
from tagweave.graph.totals import Totals, dynamic_totals, single_label

REASONS = {
    "check_classifiers_classes": "has -1 as a class; here -1 is unlabelled, as in sklearn.semi_supervised",
    "check_supervised_y_2d": "passes a column of three classes; a column is one label of 1, 0 and NaN here",
}
DOCS = Path(__file__).parents[2] / "docs" / "propagation.md"


@parametrize_with_checks([LabelPropagator()], expected_failed_checks=lambda estimator: REASONS, xfail_strict=True)
def test_scikit_learns_own_checks(estimator: LabelPropagator, check: Any) -> None:
    check(estimator)


def cells_case(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Clusters with their own of four labels each; a third labelled, a tenth of those cells unknown."""
    generator = np.random.default_rng(seed)
    features, cluster = clustered_features(seed, clusters=6, each=20, width=6)
    cells = (generator.random((6, 4)) < 0.5)[cluster].astype(float)
    cells[(generator.random((120, 1)) > 0.33) | (generator.random((120, 4)) < 0.1)] = np.nan
    return features, cells


def classes_case(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    features, cluster = clustered_features(seed, clusters=4, each=20, width=6)
    y = np.full(80, -1)
    for each in range(4):
        rows = np.flatnonzero(cluster == each)[:2]
        y[rows] = 10 * cluster[rows]
    return features, y, 10 * cluster


class TestParameters:
    def test_are_the_graphs_with_its_defaults(self) -> None:
        own = {name: parameter.default for name, parameter in inspect.signature(LabelPropagator).parameters.items()}
        assert own.pop("random_state") == 0
        theirs = {field.name: field.default for field in fields(GraphSettings)}
        assert own == {name: theirs[name] for name in own}
        assert set(theirs) - set(own) <= {"exact_below", "recall"}

    def test_clone_and_set_params(self) -> None:
        model = clone(LabelPropagator(k=5).set_params(strength="wcn"))
        assert (model.k, model.strength) == (5, "wcn")
        features, cells = cells_case()
        fitted, plain = model.fit(features, cells), LabelPropagator(k=5).fit(features, cells)
        assert not np.array_equal(fitted.label_distributions_, plain.label_distributions_)

    @pytest.mark.parametrize("random_state", [None, np.random.RandomState(3), np.int64(3)])
    def test_random_state_may_be_any_of_scikit_learns(self, random_state: Any) -> None:
        features, cells = cells_case()
        found = LabelPropagator(random_state=random_state).fit(features, cells)
        assert np.isfinite(found.label_distributions_).all()

    def test_random_state_is_the_seed_of_the_folds(self) -> None:
        features, cells = cells_case()
        one, same, other = (
            LabelPropagator(random_state=seed).fit(features, cells).label_distributions_ for seed in (1, 1, 2)
        )
        assert_array_equal(one, same)
        assert not np.array_equal(one, other)


class TestManyLabels:
    def test_says_what_propagate_says(self) -> None:
        features, cells = cells_case()
        model, found = LabelPropagator(k=8).fit(features, cells), propagate(features, cells, GraphSettings(k=8))
        assert_array_equal(model.label_distributions_, found.probabilities)
        assert_array_equal(model.reached_, found.reached)
        assert_array_equal(model.transduction_, found.probabilities > 0.5)
        assert_array_equal(model.classes_, [0, 1, 2, 3])
        new = np.random.default_rng(0).normal(size=(7, 6))
        assert_array_equal(model.predict_proba(new), found.score_new(new))
        assert_array_equal(model.predict(new), found.score_new(new) > 0.5)
        assert model.n_iter_ == 1

    def test_keeps_what_was_known(self) -> None:
        features, cells = cells_case()
        known = ~np.isnan(cells)
        assert_array_equal(LabelPropagator().fit(features, cells).transduction_[known], cells[known])

    def test_thresholds_are_tuned_on_out_of_fold_probabilities(self) -> None:
        features, cells = cells_case()
        found = propagate(features, cells)
        expected = tune_thresholds(found.calibration.apply(found.out_of_fold), found.labels.take(found.labelled_rows))
        assert_array_equal(LabelPropagator().fit(features, cells).thresholds_, expected)

    def test_one_label_is_a_column(self) -> None:
        features, cells = cells_case()
        model = LabelPropagator().fit(features, cells[:, [2]])
        assert model.transduction_.shape == model.label_distributions_.shape == (120, 1)
        assert model.predict(features[:3]).shape == (3, 1)

    def test_a_second_fit_forgets_the_first(self) -> None:
        features, cells = cells_case()
        other, y, _ = classes_case()
        model = LabelPropagator().fit(features, cells).fit(other, y)
        assert model.thresholds_ is None
        assert_array_equal(model.predict_proba(other), LabelPropagator().fit(other, y).predict_proba(other))


class TestClasses:
    def test_the_largest_total_wins(self) -> None:
        features, y, truth = classes_case()
        model = LabelPropagator(k=6).fit(features, y)
        labels = labels_of(y[:, None] == [0, 10, 20, 30], np.tile((y != -1)[:, None], 4))
        totals = dynamic_totals(build_graph(features, GraphSettings(k=6)), labels)
        assert_array_equal(model.transduction_, np.array([0, 10, 20, 30])[single_label(totals)])
        assert_array_equal(model.transduction_, truth)
        assert_array_equal(model.predict(features), truth)
        assert model.score(features, truth) == 1.0

    def test_new_points_follow_the_inductive_rule(self) -> None:
        features, y, _ = classes_case()
        model = LabelPropagator(k=6).fit(features, y)
        new = np.random.default_rng(1).normal(size=(9, 6))
        rates = np.full(4, 0.25)
        expected = reference.inductive_reference(features, model.label_distributions_, new, rates, 6)
        assert_allclose(model.predict_proba(new), expected, atol=1e-4)  # similarities carry six decimals
        assert_allclose(model.predict_proba(new).sum(axis=1), 1.0)

    def test_unreached_images_get_the_classes_rates(self) -> None:
        features, y, truth = classes_case()
        y = np.where(truth == 30, -1, y)
        y[np.flatnonzero(truth == 0)[:4]] = 0
        model = LabelPropagator(k=3).fit(features, y)
        assert_array_equal(model.reached_, truth != 30)
        labelled = y[y != -1]
        rates = [(labelled == each).mean() for each in (0, 10, 20)]
        assert_allclose(model.label_distributions_[truth == 30], np.tile(rates, (20, 1)))

    def test_texts_go_with_a_number_of_minus_one(self) -> None:
        features, y, truth = classes_case()
        texts = np.array([f"kind {each}" for each in y], dtype=object)
        texts[y == -1] = -1
        model = LabelPropagator().fit(features, texts)
        assert_array_equal(model.classes_, ["kind 0", "kind 10", "kind 20", "kind 30"])
        assert_array_equal(model.transduction_, [f"kind {each}" for each in truth])

    def test_shares_by_hand(self) -> None:
        a = np.array([[0.3, 0.1], [0.0, 0.0], [0.2, 0.6]])
        labels = labels_of([[0, 1], [0, 0], [0, 0]], [[1, 1], [0, 0], [0, 0]])
        assert_allclose(class_shares(Totals(a, a, a, a), labels), [[0, 1], [0, 1], [0.25, 0.75]])

    def test_class_matrix_by_hand(self) -> None:
        classes, labels = class_matrix(np.array([7, -1, 3]))
        assert_array_equal(classes, [3, 7])
        assert_array_equal(labels.values, [[0, 1], [0, 0], [1, 0]])
        assert_array_equal(labels.known, [[1, 1], [0, 0], [1, 1]])


class TestRefusals:
    @pytest.mark.parametrize(
        ("y", "message"),
        [
            (np.full(80, -1), "at least one labelled image to propagate from, but got -1 throughout"),
            (np.where(np.arange(80) < 9, 1.0, np.nan), "Expected -1, as a number, for an unlabelled image"),
            (np.array(["-1", "cat"] * 40), "write texts and -1 together in an array of dtype object"),
            (np.linspace(0, 1, 80), "Unknown label type: continuous"),
            (np.full((80, 2), 2), "Expected labels of 1, 0 and NaN for unknown, but got 2 in row 0, column 0"),
            (np.zeros(79), "one row of y per row of X, but got 79 and 80"),
        ],
    )
    def test_targets(self, y: np.ndarray, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            LabelPropagator().fit(classes_case()[0], y)

    def test_features_that_are_not_finite_are_named(self) -> None:
        features, y, _ = classes_case()
        broken = features.copy()
        broken[5, 1] = np.nan
        with pytest.raises(InputError, match=r"in 1 rows, first \[5\]"):
            LabelPropagator().fit(broken, y)
        with pytest.raises(InputError, match=r"in 1 rows, first \[5\]"):
            LabelPropagator().fit(features, y).predict(broken)

    def test_predict_before_fit(self) -> None:
        with pytest.raises(NotFittedError):
            LabelPropagator().predict(np.zeros((2, 3)))


class TestCompany:
    @pytest.mark.parametrize("many", [False, True])
    def test_pickling_keeps_every_bit(self, many: bool) -> None:
        features, y, _ = classes_case()
        model = LabelPropagator().fit(*(cells_case() if many else (features, y)))
        again = pickle.loads(pickle.dumps(model))
        assert_array_equal(again.predict_proba(features), model.predict_proba(features))

    def test_pipeline_and_cross_validation(self) -> None:
        features, _, truth = classes_case()
        scores = cross_val_score(make_pipeline(StandardScaler(), LabelPropagator(k=5)), features, truth, cv=4)
        assert scores.min() > 0.9


def test_the_page_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 5
    names: dict[str, Any] = {}
    for block in blocks:
        exec(block, names)
