"""tagweave as a scikit-learn classifier, of features and of image files."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.metrics import average_precision_score
from sklearn.model_selection import GridSearchCV

import tagweave
from drawn import NAMES, SETTINGS, Drawn
from tagweave.data.labels import LabelMatrix
from tagweave.errors import InputError
from tagweave.estimator import TagWeaveClassifier, common_folder, link_images
from tagweave.graph import LabelPropagator, propagate

Problem = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
QUIET = {"encoder": {**SETTINGS["encoder"], "name": "test_efficientnet", "weights": "random"}}


@pytest.fixture(scope="module")
def problem() -> Problem:
    """Features (150, 8) of eight kinds, the truth (150, 3), and what is known of it."""
    generator = np.random.default_rng(5)
    kind = generator.integers(8, size=150)
    features = generator.normal(size=(8, 8))[kind] * 2 + 0.3 * generator.normal(size=(150, 8))
    truth = (np.arange(8)[:, None] >> np.arange(3) & 1)[kind].astype(float)
    known = np.full(truth.shape, np.nan)
    known[:60] = truth[:60]
    known[:10, 2] = np.nan
    return features, truth, known


def test_features_are_propagated(problem: Problem) -> None:
    features, truth, known = problem
    made = tagweave.TagWeaveClassifier(label_names=["sea", "sun", "sand"]).fit(features, known)
    expected = propagate(features, known)
    np.testing.assert_array_equal(made.label_distributions_, expected.probabilities)
    np.testing.assert_array_equal(made.predict_proba(features[:5]), expected.score_new(features[:5]))
    assert made.classes_.tolist() == ["sea", "sun", "sand"]
    assert (made.predict(features) == truth).mean() > 0.95
    rows = [[made.classes_[c] for c in np.flatnonzero(row)] for row in made.predict(features[:9])]
    assert [sorted(row) for row in made.decision_names(features[:9])] == [sorted(row) for row in rows]


def test_score_is_map_over_known_cells(problem: Problem) -> None:
    features, _, known = problem
    made = TagWeaveClassifier().fit(features, known)
    scores = made.predict_proba(features)
    known_truth = np.where(np.isnan(known), 0, known)
    rows = ~np.isnan(known)
    areas = [average_precision_score(known_truth[rows[:, c], c], scores[rows[:, c], c]) for c in range(3)]
    assert made.score(features, known) == pytest.approx(np.mean(areas))


def test_the_three_forms_of_targets_are_one(problem: Problem) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed; pip install 'tagweave[pandas]'")
    features, _, known = problem
    labels = LabelMatrix(known == 1, ~np.isnan(known), ("a", "b", "c"))
    by_array = TagWeaveClassifier(label_names=("a", "b", "c")).fit(features, known)
    for targets in (labels, labels.to_pandas(), pandas.DataFrame(known, columns=["a", "b", "c"])):
        made = TagWeaveClassifier().fit(features, targets)
        assert made.classes_.tolist() == ["a", "b", "c"]
        np.testing.assert_array_equal(made.label_distributions_, by_array.label_distributions_)


def test_it_lives_in_scikit_learn(problem: Problem) -> None:
    features, truth, _ = problem
    made = TagWeaveClassifier(propagator=LabelPropagator(k=5), random_state=2)
    assert clone(made).get_params()["propagator__k"] == 5
    search = GridSearchCV(made, {"propagator__k": [5, 10]}, cv=2).fit(features, truth.astype(int))
    assert search.best_score_ > 0.9
    assert search.best_estimator_.propagator_.k == search.best_params_["propagator__k"]


@pytest.mark.parametrize(
    ("rows", "names", "told"),
    [
        (149, None, r"^Expected one row of Y per row of X, but got 149 and 150\.$"),
        (150, ("a", "b"), r"^Expected 3 label names, but got 2\.$"),
    ],
)
def test_what_does_not_fit(problem: Problem, rows: int, names: tuple[str, ...] | None, told: str) -> None:
    with pytest.raises(InputError, match=told):
        TagWeaveClassifier(label_names=names).fit(problem[0], problem[2][:rows])


def test_a_folder_is_no_list(problem: Problem) -> None:
    with pytest.raises(InputError, match=r"^Expected a list of image files or features .* 'photos'; see tagweave\.fit"):
        TagWeaveClassifier().fit("photos", problem[2])


@pytest.fixture(scope="module")
def fitted(drawn: Drawn, tmp_path_factory: pytest.TempPathFactory) -> tuple[TagWeaveClassifier, list[Path]]:
    """Thirty-nine pictures and a file that is none, half of them labelled, in an order of their own."""
    folder = tmp_path_factory.mktemp("estimator")
    (folder / "broken.png").write_text("no picture")
    files = sorted(drawn.images.iterdir())[:39]
    order = np.random.default_rng(0).permutation(40)
    paths = [[*files, folder / "broken.png"][place] for place in order]
    cells = np.vstack([drawn.values[:39].astype(float), np.full((1, 4), np.nan)])[order]
    cells[:8] = np.nan
    made = TagWeaveClassifier(
        label_names=NAMES[::-1], out=folder / "run", preset="tiny",
        settings={**SETTINGS, **QUIET, "data": {"val_fraction": 0.3}, "train": {"epochs": 1, "batch": 16}},
    )  # fmt: skip
    with pytest.warns(UserWarning, match=r"^1 images could not be used \(.*broken\.png\); see quarantine\.csv"):
        made.fit(paths, cells[:, ::-1])
    return made, paths


def test_files_go_through_the_whole_job(fitted: tuple[TagWeaveClassifier, list[Path]], drawn: Drawn) -> None:
    made, paths = fitted
    assert made.classes_.tolist() == list(NAMES[::-1])
    unread = [path.name for path in paths].index("broken.png")
    assert np.isnan(made.label_distributions_[unread]).all()
    assert np.isnan(made.label_distributions_).sum() == 4
    row = next(row for row in range(10, 40) if row != unread)
    number = int(paths[row].stem)
    assert made.label_distributions_[row].tolist() == drawn.values[number, ::-1].astype(float).tolist()
    files = [path for path in paths if path.name != "broken.png"][:5]
    scored = made.run_.predict(files)
    by_name = [scored.names.index(name) for name in made.classes_]
    np.testing.assert_array_equal(made.predict_proba(files), scored.probabilities[:, by_name])
    assert made.decision_names(files) == scored.labels()


def test_files_that_cannot_be_scored_and_the_other_kind(fitted: tuple[TagWeaveClassifier, list[Path]]) -> None:
    made, paths = fitted
    broken = [path for path in paths if path.name == "broken.png"]
    with pytest.raises(InputError, match=r"broken\.png: is not an image: .*; leave it out$"):
        made.predict_proba(broken)
    with pytest.raises(InputError, match=r"^Expected paths of images as in fit, but got features\.$"):
        made.predict_proba(np.zeros((2, 3)))


def test_links_follow_what_is_given(tmp_path: Path) -> None:
    files = [tmp_path / "photos" / name for name in ("a.png", "sub/a.png", "b.png")]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(file.name)
    whole = common_folder(files)
    assert whole == tmp_path / "photos"
    assert link_images(files, whole, tmp_path / "links") == ["a.png", "sub/a.png", "b.png"]
    assert link_images(files[:2], whole, tmp_path / "links") == ["a.png", "sub/a.png"]
    found = sorted(os.path.relpath(path, tmp_path) for path in (tmp_path / "links").rglob("*.png"))
    assert found == ["links/a.png", "links/sub/a.png"]
    with pytest.raises(InputError, match=r"^Expected each image once, but got .*a\.png more than once\.$"):
        link_images([files[0], files[0]], whole, tmp_path / "links")


def test_no_warning_without_a_reason(problem: Problem) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TagWeaveClassifier().fit(problem[0], problem[2])
