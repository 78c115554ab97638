"""Improved label propagation (METHOD §1): from a graph and a few labels to scores for every image and label."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tagweave.calibration import Calibration, fit_calibration
from tagweave.data.labels import LabelMatrix
from tagweave.data.splits import stratified_split
from tagweave.errors import InputError
from tagweave.graph.folded_ridge import folded_ridge
from tagweave.graph.image_graph import ImageGraph
from tagweave.graph.neighbours import has_direction, search, unit_features
from tagweave.graph.strength import affinity_values
from tagweave.graph.teacher import Teacher, fit_teacher
from tagweave.graph.totals import dynamic_totals
from tagweave.metrics import average_precisions, log_loss

Floats = NDArray[np.float64]

REACHED = 1e-9  # label mass below this came from the tail of the series, not along links
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the graph in the blend with the teacher


@dataclass(frozen=True)
class Blend:
    """Hold how one share of the graph in the blend with the teacher did on hidden labels.

    Attributes:
        log_loss: of calibrated probabilities. mean_average_precision: over labels with a positive, nan without any.
    """

    share: float
    log_loss: float
    mean_average_precision: float


@dataclass(frozen=True)
class Prior:
    """Hold what is known of the labels without any labelled image, as standardised scores; see ``fit_teacher``.

    Attributes:
        pool: (N, C) of the images of the graph. score: gives the same (Q, C) of other images' features (Q, D).
        tells: (C,) whether it may find a label that no labelled image has.
    """

    pool: NDArray[np.floating]
    score: Callable[[NDArray[np.floating]], NDArray[np.floating]]
    tells: NDArray[np.bool_]


@dataclass(frozen=True)
class Propagation:
    """Hold what propagation says about a pool of N images and C labels.

    Attributes:
        labels: what was known.
        scores: (N, C) blended scores, known cells clamped. probabilities: (N, C) calibrated, known cells 0 or 1.
        reached: (N,) whether label mass arrived along links.
        out_of_fold: (n, C) blended scores of the labelled rows, each scored with its fold hidden.
        labelled_rows: (n,) their row numbers.
        share: of the graph in the blend, 1 without a teacher. blends: the shares that were tried, none without one.
        teacher, calibration: as fitted on all known cells. prior: what the teacher started from.
        rounds: of dynamic strength. seconds: per part.
    """

    graph: ImageGraph
    labels: LabelMatrix
    scores: Floats
    probabilities: Floats
    reached: NDArray[np.bool_]
    out_of_fold: Floats
    labelled_rows: NDArray[np.int64]
    share: float
    blends: tuple[Blend, ...]
    teacher: Teacher | None
    calibration: Calibration
    rounds: int
    seconds: dict[str, float] = field(compare=False)
    graph_scores: Floats = field(repr=False)
    prior: Prior | None = field(default=None, repr=False)

    @property
    def name_strength(self) -> float:
        """How much the prior counts: the teacher's ``strength``, 0 where the teacher has no share."""
        return self.teacher.strength if self.teacher is not None and self.share < 1.0 else 0.0

    @property
    def by_name_alone(self) -> NDArray[np.bool_]:
        """(C,) whether a label has no known positive, but a prior that tells it and counts."""
        if self.prior is None or self.name_strength == 0:
            return np.zeros(len(self.labels.names), dtype=bool)
        return (self.labels.positives == 0) & self.prior.tells

    def unit_of(self, features: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the unit features (Q, D) of images outside the graph, centred as the pool's."""
        return unit_features(features, self.graph.mean, self.graph.settings.parts)

    def score_new(self, features: NDArray[np.floating]) -> Floats:
        """Return calibrated probabilities (Q, C) of images outside the graph, from their features (Q, D).

        The inductive rule (METHOD §1.7): the affinity-weighted mean of the K nearest images' scores, known cells
        clamped; the labels' rates where no affinity is positive. Blended with the teacher as in the pool.
        """
        unit = self.unit_of(features)
        scores = inductive_scores(self.graph, self.graph_scores, self.labels.rates(), unit)
        if self.teacher is not None:
            known = None if self.prior is None else self.prior.score(features)
            scores = self.share * scores + (1.0 - self.share) * self.teacher.score(unit, known)
        return self.calibration.apply(scores)


def inductive_scores(graph: ImageGraph, scores: Floats, rates: Floats, unit: NDArray[np.float32]) -> Floats:
    """Return f (Q, C) = sum_j w_qj f_j / sum_j w_qj over the K nearest pool images j of each row of ``unit`` (Q, D)."""
    settings = graph.settings
    queries = graph.projection.apply(unit)
    similarity, index = search(graph.points, queries, min(settings.k, len(graph.unit)))
    squares = has_direction(queries)[:, None].astype(np.float64) + has_direction(graph.points)[index]
    weights = affinity_values(similarity, settings.affinity, settings.gamma, settings.tau, squares)
    mass = weights.sum(axis=1, keepdims=True)
    shares = np.divide(weights, mass, out=np.zeros_like(weights), where=mass > 0)
    rows = np.repeat(np.arange(len(unit)), index.shape[1])
    mixing = sparse.csr_array((shares.ravel(), (rows, index.ravel())), shape=(len(unit), len(graph.unit)))
    return np.where(mass > 0, mixing @ scores, rates)


def propagate(graph: ImageGraph, labels: LabelMatrix, seed: int = 0, prior: Prior | None = None) -> Propagation:
    """Propagate the known labels of a pool to all its images, cross-fitted and calibrated (METHOD §1.4 to §1.6).

    The labelled images are split in folds; each fold is hidden once and scored by the others. Those out-of-fold
    scores choose the graph's share in the blend with the teacher (by log loss) and fit the calibration.

    Args:
        graph: over the N images of the pool.
        labels: (N, C) what is known of them.
        seed: of the folds.
        prior: what the teacher starts from; of no use without one.

    Raises:
        InputError: nothing is known, or the lengths differ.
    """
    if len(labels) != len(graph.unit):
        raise InputError(f"Expected one label row per image of the graph, but got {len(labels)} and {len(graph.unit)}.")
    rows = np.flatnonzero(labels.labelled)
    if not len(rows):
        raise InputError("Expected at least one labelled image to propagate from, but got none.")
    clock = _Clock()
    totals = dynamic_totals(graph, labels)
    clock.lap("totals")
    before = None if prior is None else prior.pool
    teacher = fit_teacher(graph.unit, labels, prior=before) if graph.settings.teacher else None
    clock.lap("teacher")
    by_graph, by_teacher = _cross_fit(graph, labels, rows, teacher, seed, before)
    # The share as without a prior: what names add to the teacher makes it no better a judge of common labels.
    share, out_of_fold, blends = _choose_share(by_graph, by_teacher and by_teacher[0], labels.take(rows))
    if by_teacher is not None:
        out_of_fold = share * by_graph + (1.0 - share) * by_teacher[1]
    calibration = fit_calibration(out_of_fold, labels.take(rows))
    clock.lap("cross-fit")
    scores = totals.unclamped
    if teacher is not None:
        scores = share * scores + (1.0 - share) * teacher.score(graph.unit, before)
    known = labels.known
    return Propagation(
        graph=graph,
        labels=labels,
        scores=np.where(known, labels.values, scores),
        probabilities=np.where(known, labels.values, calibration.apply(scores)),
        reached=np.asarray((totals.b > REACHED).any(axis=1)),
        out_of_fold=out_of_fold,
        labelled_rows=rows,
        share=share,
        blends=blends,
        teacher=teacher,
        calibration=calibration,
        rounds=totals.rounds,
        seconds=clock.laps,
        graph_scores=totals.scores,
        prior=prior,
    )


def _cross_fit(
    graph: ImageGraph, labels: LabelMatrix, rows: NDArray[np.int64], teacher: Teacher | None, seed: int,
    prior: NDArray[np.floating] | None,
) -> tuple[Floats, tuple[Floats, Floats] | None]:  # fmt: skip
    """Return graph and teacher scores (n, C) of the labelled rows, each with its fold hidden; of one fold, the rates.

    The teacher's twice, without and with the prior. Of the teacher only the penalty and the prior's lift, which is the
    same for all images, were chosen with the hidden labels in view.
    """
    seen, folds = labels.take(rows), min(graph.settings.folds, len(rows))
    by_graph = np.tile(labels.rates(), (len(rows), 1))
    if folds < 2:
        return by_graph, (by_graph, by_graph) if teacher is not None else None
    # The same folds for both: one image left out at a time lowers the rate of a label of few positives just there,
    # so that ridge looks worse than it is.
    fold = stratified_split(seen, [1.0 / folds] * folds, seed)
    for number in np.unique(fold):
        hidden = fold == number
        if not hidden.all():
            by_graph[hidden] = dynamic_totals(graph, labels.hide(rows[hidden])).unclamped[rows[hidden]]
    if teacher is None:
        return by_graph, None
    beforehand = None if prior is None else teacher.lift * prior[rows]
    return by_graph, folded_ridge(graph.unit[rows], seen, fold, teacher.penalty, beforehand)


def _choose_share(
    by_graph: Floats, by_teacher: Floats | None, labels: LabelMatrix
) -> tuple[float, Floats, tuple[Blend, ...]]:
    """Return the graph's share of least out-of-fold log loss, the scores blended with it, and how each share did.

    Every cell counts in the log loss, so that it tells blends apart on few images, where mean average precision is
    noise; it is taken of calibrated probabilities, as the scores of graph and teacher are on different scales.
    """
    if by_teacher is None:
        return 1.0, by_graph, ()
    blended = {share: share * by_graph + (1.0 - share) * by_teacher for share in SHARES}
    blends = tuple(_judge(share, scores, labels) for share, scores in blended.items())
    share = min(blends, key=lambda blend: blend.log_loss).share
    return share, blended[share], blends


def _judge(share: float, scores: Floats, labels: LabelMatrix) -> Blend:
    areas = average_precisions(scores, labels)
    mean = float(np.nanmean(areas)) if labels.positives.any() else float("nan")
    return Blend(share, log_loss(fit_calibration(scores, labels).apply(scores), labels), mean)


class _Clock:
    """Measure the seconds of consecutive parts."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name], self._last = round(now - self._last, 3), now
