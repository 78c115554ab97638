"""Label propagation as a scikit-learn estimator."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from tagweave.calibration import tune_thresholds
from tagweave.data.labels import LabelMatrix
from tagweave.errors import InputError
from tagweave.graph.arrays import label_matrix
from tagweave.graph.image_graph import GraphSettings, ImageGraph, build_graph
from tagweave.graph.neighbours import unit_features
from tagweave.graph.propagation import REACHED, inductive_scores, propagate
from tagweave.graph.totals import Totals, dynamic_totals

if TYPE_CHECKING:
    from sklearn.utils import Tags

Floats = NDArray[np.float64]
UNLABELLED = -1
# NaN and infinity in the features are left to the graph, whose errors name the rows.
OF_NEW_IMAGES = {"dtype": (np.float64, np.float32), "ensure_all_finite": False}
OF_IMAGES = {**OF_NEW_IMAGES, "ensure_min_samples": 2}
OF_TARGETS = {"dtype": None, "ensure_2d": False, "ensure_all_finite": "allow-nan"}


class LabelPropagator(ClassifierMixin, BaseEstimator):
    """Classify many images from the labels of a few, over the graph of the most similar ones (METHOD §1).

    Takes two kinds of targets:

    - ``y`` (N, C), any number of labels per image: 1, 0, or NaN for unknown. Graph and closed-form teacher, blended
      and calibrated by cross-fitting, as ``tagweave.graph.propagate``.
    - ``y`` (N,), one class per image, -1 for unlabelled, as ``sklearn.semi_supervised.LabelSpreading`` takes it. The
      class with the largest label total over the graph wins; neither teacher nor calibration take part.

    Images are compared by direction, centred on their mean: features should be embeddings, not coordinates.

    Args:
        k, affinity, gamma, tau, strength, diffusion, t, alpha, kappa, rounds, eta, tol, teacher, folds, parts, pca,
        whiten: as in ``GraphSettings``.
        random_state: of the folds of the cross-fit.

    Attributes:
        classes_: the classes (C,), sorted; the columns' numbers where y is (N, C).
        label_distributions_: (N, C) probabilities of the images given to ``fit``, known cells 0 or 1; where y is
            (N,), each class's share of the label mass that arrived, in rows that sum to 1.
        transduction_: (N,) their classes, or (N, C) their labels, where the probability is above 0.5.
        thresholds_: (C,) probabilities of best F1, for ``predict_proba(X) >= thresholds_``; None where y is (N,).
        reached_: (N,) whether label mass arrived along links. n_iter_: rounds of dynamic strength.
    """

    def __init__(
        self,
        *,
        k: int = 20,
        affinity: str = "cosine_power",
        gamma: float = 3.0,
        tau: float = 0.25,
        strength: str = "affinity",
        diffusion: str = "heat",
        t: float = 4.0,
        alpha: float = 0.9,
        kappa: float = 0.03,
        rounds: int = 1,
        eta: float = 1.0,
        tol: float = 1e-3,
        teacher: bool = True,
        folds: int = 5,
        parts: tuple[int, ...] = (),
        pca: int = 0,
        whiten: float = 0.5,
        random_state: int | RandomState | None = 0,
    ) -> None:
        self.k = k
        self.affinity = affinity
        self.gamma = gamma
        self.tau = tau
        self.strength = strength
        self.diffusion = diffusion
        self.t = t
        self.alpha = alpha
        self.kappa = kappa
        self.rounds = rounds
        self.eta = eta
        self.tol = tol
        self.teacher = teacher
        self.folds = folds
        self.parts = parts
        self.pca = pca
        self.whiten = whiten
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Propagate the known labels of the images X (N, D), labelled and unlabelled together.

        Raises:
            InputError: a feature is not finite, a label is not as said above, or nothing is known.
        """
        images, targets = validate_data(self, X, y, validate_separately=(OF_IMAGES, OF_TARGETS))
        if len(images) != len(targets):
            raise InputError(f"Expected one row of y per row of X, but got {len(targets)} and {len(images)}.")
        exclusive = targets.ndim == 1
        classes, labels = class_matrix(targets) if exclusive else column_matrix(targets)
        choices = self.get_params(deep=False)
        random_state = choices.pop("random_state")
        graph = build_graph(images, GraphSettings(**choices), labels=len(classes))
        self.classes_: NDArray[Any] = classes
        if exclusive:
            self._fit_classes(graph, labels)
        else:
            self._fit_labels(graph, labels, _seed(random_state))
        return self

    def _fit_labels(self, graph: ImageGraph, labels: LabelMatrix, seed: int) -> None:
        found = propagate(graph, labels, seed)
        self.label_distributions_ = found.probabilities
        self.transduction_ = _above_half(found.probabilities)
        out_of_fold = found.calibration.apply(found.out_of_fold)
        self.thresholds_: Floats | None = tune_thresholds(out_of_fold, labels.take(found.labelled_rows))
        self.reached_, self.n_iter_ = found.reached, found.rounds
        self._score_new: Callable[[NDArray[np.floating]], Floats] = found.score_new

    def _fit_classes(self, graph: ImageGraph, labels: LabelMatrix) -> None:
        totals = dynamic_totals(graph, labels)
        self.label_distributions_ = class_shares(totals, labels)
        self.transduction_ = self.classes_[self.label_distributions_.argmax(axis=1)]
        self.thresholds_ = None
        self.reached_, self.n_iter_ = np.asarray((totals.b > REACHED).any(axis=1)), totals.rounds
        self._score_new = partial(_class_scores, graph, self.label_distributions_, labels.rates())

    def predict_proba(self, X: ArrayLike) -> Floats:
        """Return probabilities (Q, C) of images that need not be in the graph, from their features (Q, D).

        The inductive rule (METHOD §1.7) over the K nearest images given to ``fit``, blended and calibrated as there.

        Raises:
            InputError: a feature is not finite.
            sklearn.exceptions.NotFittedError: ``fit`` comes first.
        """
        check_is_fitted(self)
        probabilities: Floats = self._score_new(validate_data(self, X, reset=False, **OF_NEW_IMAGES))
        return probabilities

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the most probable class (Q,), or 1 and 0 (Q, C) where the probability is above 0.5 and not.

        Of images given to ``fit``, ``transduction_`` says more: it keeps what was known.
        """
        probabilities = self.predict_proba(X)
        if self.thresholds_ is None:
            return np.asarray(self.classes_[probabilities.argmax(axis=1)])
        return _above_half(probabilities)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.target_tags.multi_output = True
        return tags


def column_matrix(y: NDArray[Any]) -> tuple[NDArray[np.int64], LabelMatrix]:
    """Return the columns' numbers (C,) of y (N, C), and y as a LabelMatrix, see ``label_matrix``."""
    labels = label_matrix(y)
    return np.arange(len(labels.names)), labels


def class_matrix(y: NDArray[Any]) -> tuple[NDArray[Any], LabelMatrix]:
    """Return the sorted classes (C,) of y (N,), and y as one label per class; rows of -1 are unknown.

    Raises:
        InputError: NaN in y, or "-1" among texts.
        ValueError: y holds no classes but continuous numbers, in scikit-learn's words.
    """
    text = y.dtype.kind in "US"
    if (text and (y == str(UNLABELLED)).any()) or (y.dtype.kind == "f" and np.isnan(y).any()):
        raise InputError(
            "Expected -1, as a number, for an unlabelled image in y (N,), but got NaN or the text '-1'; "
            "write texts and -1 together in an array of dtype object."
        )
    labelled = np.ones(len(y), dtype=bool) if text else np.asarray(y != UNLABELLED)
    if not labelled.any():
        raise InputError("Expected at least one labelled image to propagate from, but got -1 throughout.")
    check_classification_targets(y[labelled])
    classes, codes = np.unique(y[labelled], return_inverse=True)
    values = np.zeros((len(y), len(classes)), dtype=bool)
    values[np.flatnonzero(labelled), codes] = True
    known = np.broadcast_to(labelled[:, None], values.shape)
    return classes, LabelMatrix(values, known, tuple(map(str, range(len(classes)))))


def class_shares(totals: Totals, labels: LabelMatrix) -> Floats:
    """Return each class's share of the label mass that arrived, a_ic / sum_c a_ic (N, C), in rows that sum to 1.

    Where nothing arrived, the classes' rates; known rows are 0 and 1. The largest is the paper's rule, see
    ``totals.single_label``.
    """
    mass = totals.a.sum(axis=1, keepdims=True)
    rates = np.broadcast_to(labels.rates(), totals.a.shape).copy()
    shares = np.divide(totals.a, mass, out=rates, where=mass > REACHED)
    return np.where(labels.known, labels.values, shares)


def _class_scores(graph: ImageGraph, shares: Floats, rates: Floats, features: NDArray[Any]) -> Floats:
    return inductive_scores(graph, shares, rates, unit_features(features, graph.mean, graph.settings.parts))


def _above_half(probabilities: Floats) -> NDArray[np.int64]:
    return (probabilities > 0.5).astype(np.int64)


def _seed(random_state: int | RandomState | None) -> int:
    """Return an integer as it is, and another random state's next draw."""
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
