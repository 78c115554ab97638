"""How good scores and predictions are, on the cells that are known.

Every measure reads the known mask: an unknown cell is neither positive nor negative and takes no place in a ranking.
Shares lie in 0..1. A measure that is not defined, such as a recall without a positive, is nan or, in JSON, None.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from tagweave.calibration import blocks_of, check_probabilities, check_scores, expected_calibration_error
from tagweave.data.labels import LabelMatrix
from tagweave.errors import InputError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Counts:
    """Hold per label the known cells that are predicted and positive, predicted, and positive, each (C,)."""

    hits: NDArray[np.int64]
    predicted: NDArray[np.int64]
    positives: NDArray[np.int64]

    @classmethod
    def of(cls, predicted: NDArray[np.bool_], labels: LabelMatrix) -> Counts:
        """Count predictions (N, C) against the known cells of ``labels``."""
        hits, chosen = predicted & labels.values, predicted & labels.known
        return cls(hits.sum(axis=0), chosen.sum(axis=0), labels.positives)


def average_precision(scores: NDArray[Any], values: NDArray[np.bool_], known: NDArray[np.bool_]) -> float:
    """Return the average precision of one label: all points, not interpolated.

    AP = sum_k (R_k - R_k-1) P_k over the distinct known scores k from high to low, P_k and R_k the precision and
    recall of all known cells that score at least k: tied cells enter together. nan without a known positive.

    Args:
        scores: (N,), any scale.
        values: (N,), read where ``known``.
        known: (N,).

    Raises:
        InputError: lengths differ or a known score is nan.
    """
    if not scores.shape == values.shape == known.shape or scores.ndim != 1:
        raise InputError(
            f"Expected scores, values and known of one length, but got {scores.shape}, {values.shape}, {known.shape}."
        )
    scores, values = scores[known], values[known].astype(bool)
    if np.isnan(scores).any():
        raise InputError(f"Expected scores without nan in known cells, but got {np.isnan(scores).sum()} nan.")
    if not values.any():
        return float("nan")
    step, steps = _recall_steps(scores, values)
    counted = np.bincount(step, minlength=steps)[:steps].cumsum()
    hits = np.bincount(step[values], minlength=steps)
    return float((hits * (hits.cumsum() / counted)).sum() / hits.sum())


def average_precisions(scores: NDArray[Any], labels: LabelMatrix) -> Floats:
    """Return the average precision (C,) of every label for scores (N, C), nan for one without a known positive.

    Raises:
        InputError: shapes disagree or a known score is not finite.
    """
    check_scores(scores, labels)
    columns = zip(scores.T, labels.values.T, labels.known.T, strict=True)
    return np.array([average_precision(*column) for column in columns], dtype=np.float64)


def log_loss(probabilities: NDArray[Any], labels: LabelMatrix) -> float:
    """Return the mean of -log p of what is true, over known cells; p is kept 1e-6 from 0 and 1. NaN without any."""
    if not labels.known.any():
        return math.nan
    p = np.clip(probabilities[labels.known], 1e-6, 1.0 - 1e-6)
    return float(-np.log(np.where(labels.values[labels.known], p, 1.0 - p)).mean())


def mean_average_precision_interval(
    scores: NDArray[Any], labels: LabelMatrix, draws: int = 200, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % percentile interval of ``mean_average_precision_draws``, (nan, nan) when none holds a positive.

    Raises:
        InputError: as there.
    """
    return percentile_interval(mean_average_precision_draws(scores, labels, draws, seed))


def percentile_interval(values: Floats) -> tuple[float, float]:
    """Return the bounds of the middle 95 % of ``values``, those that are nan left out; (nan, nan) of none."""
    kept = values[~np.isnan(values)]
    if not len(kept):
        return float("nan"), float("nan")
    low, high = np.percentile(kept, [2.5, 97.5])
    return float(low), float(high)


def mean_average_precision_draws(
    scores: NDArray[Any], labels: LabelMatrix, draws: int = 200, seed: int = 0
) -> Floats:  # fmt: skip
    """Return mAP in each of the bootstrap draws over images (draws,), nan in one without a positive.

    Images with a known cell are drawn with replacement, whole rows, so that the dependence between labels is kept;
    each draw's mAP is the mean over the labels with a positive in it. Costs about ``draws`` additions per known cell.
    The same seed draws the same images whatever the scores: the draws of two systems may be taken from each other.

    Raises:
        InputError: shapes disagree, a known score is not finite, or ``draws`` is below 1.
    """
    check_scores(scores, labels)
    if draws < 1:
        raise InputError(f"Expected at least 1 draw, but got {draws}.")
    weights = _resampled_weights(labels.labelled, draws, seed)
    total, counted = np.zeros(draws), np.zeros(draws)
    for label in np.flatnonzero(labels.positives):
        rows = np.flatnonzero(labels.known[:, label])
        areas = _weighted_average_precisions(scores[rows, label], labels.values[rows, label], weights[rows])
        total += np.nan_to_num(areas)
        counted += ~np.isnan(areas)
    return np.divide(total, counted, out=np.full(draws, np.nan), where=counted > 0)


def top_k(scores: NDArray[Any], known: NDArray[np.bool_], k: int) -> NDArray[np.bool_]:
    """Mark the k highest known scores of each image (N, C); of tied ones the first columns; all if fewer are known."""
    chosen = np.zeros(known.shape, dtype=bool)
    k = min(k, known.shape[1])
    if k < 1:
        return chosen
    for rows in blocks_of(*known.shape):
        ranked = np.where(known[rows], scores[rows], -np.inf)
        last_in = np.partition(ranked, -k, axis=1)[:, -k, None]
        above, tied = ranked > last_in, ranked == last_in
        room = k - above.sum(axis=1, keepdims=True)
        chosen[rows] = (above | (tied & (tied.cumsum(axis=1) <= room))) & known[rows]
    return chosen


def evaluate(
    probabilities: NDArray[Any], labels: LabelMatrix, thresholds: NDArray[Any] | None = None
) -> dict[str, Any]:
    """Return all measures of probabilities (N, C) against the known cells of ``labels``, JSON-ready.

    With h_c, p_c, n_c the known cells of label c that are predicted and positive, predicted, and positive, and
    "mean" over labels with n_c > 0, "sum" over all:

        CP = mean h_c / p_c (0 where p_c = 0)    CR = mean h_c / n_c        CF1 = 2 CP CR / (CP + CR)
        OP = sum h_c / sum p_c                   OR = sum h_c / sum n_c     OF1 = 2 OP OR / (OP + OR)

    Predicted are: ``at_half`` p >= 0.5; ``at_tuned`` p >= thresholds_c (None without thresholds); ``top3`` the three
    highest of each image; ``top3_at_half`` those of them with p >= 0.5; ``top5`` the five highest (the protocol of
    image annotation: precision, recall and F1 are CP, CR and CF1, ``recalled_labels`` the labels with h_c > 0).

    mAP is the mean AP over labels with a known positive, mAP_10 over those with at least ten. ``hamming_error`` is
    the share of known cells that ``at_half`` has wrong, ``micro_f1_error`` its 1 - OF1, ``one_error`` the share of
    images with a known positive whose highest known label is not positive, ``ece`` the expected calibration error.
    ``per_label`` uses the tuned thresholds where given, else 0.5; a label without a positive has None there.

    Args:
        probabilities: (N, C) in 0..1; unknown cells are not read.
        labels: Y and O (N, C).
        thresholds: (C,), from ``tune_thresholds`` on other images.

    Raises:
        InputError: shapes disagree or a known probability lies outside 0..1.

    Source: Chen et al. 2019 (ML-GCN) for CP to OF1; Duygulu et al. 2002 for ``top5``.
    """
    check_probabilities(probabilities, labels)
    if thresholds is not None and np.shape(thresholds) != (len(labels.names),):
        raise InputError(f"Expected one threshold for each of {len(labels.names)} labels, got {np.shape(thresholds)}.")
    at_half = probabilities >= 0.5
    half = Counts.of(at_half, labels)
    tuned = None if thresholds is None else Counts.of(probabilities >= thresholds, labels)
    areas = average_precisions(probabilities, labels)
    overall = macro_micro(half)
    return {
        "images": int(labels.labelled.sum()),
        "cells": int(labels.known.sum()),
        **_mean_areas(areas, labels),
        "at_half": overall,
        "at_tuned": None if tuned is None else macro_micro(tuned),
        **_top_measures(probabilities, at_half, labels),
        "hamming_error": _share((half.predicted + half.positives - 2 * half.hits).sum(), labels.known.sum()),
        "one_error": _one_error(probabilities, labels),
        "micro_f1_error": None if overall["OF1"] is None else 1.0 - overall["OF1"],
        "ece": _defined(expected_calibration_error(probabilities, labels)),
        "per_label": _per_label(areas, half if tuned is None else tuned, labels, thresholds),
    }


def macro_micro(counts: Counts) -> dict[str, float | None]:
    """Return CP, CR, CF1, OP, OR, OF1 as ``evaluate`` defines them, all None when no label has a positive."""
    seen = counts.positives > 0
    if not seen.any():
        return dict.fromkeys(("CP", "CR", "CF1", "OP", "OR", "OF1"))
    hits, predicted, positives = counts.hits[seen], counts.predicted[seen], counts.positives[seen]
    macro = float((hits / np.maximum(predicted, 1)).mean()), float((hits / positives).mean())
    total = counts.hits.sum()
    micro = float(total / max(counts.predicted.sum(), 1)), float(total / counts.positives.sum())
    return {
        "CP": macro[0],
        "CR": macro[1],
        "CF1": _harmonic_mean(*macro),
        "OP": micro[0],
        "OR": micro[1],
        "OF1": _harmonic_mean(*micro),
    }


def single_label_error(scores: NDArray[Any], classes: NDArray[Any]) -> float:
    """Return the share of images whose highest score (N, C) is not at their class (N,), an index into 0..C-1.

    Raises:
        InputError: there is no image, or not one class for each.
    """
    if scores.ndim != 2 or not len(scores) or classes.shape != (len(scores),):
        raise InputError(
            f"Expected scores (images, classes) and a class per image, got {scores.shape}, {classes.shape}."
        )
    return float((scores.argmax(axis=1) != classes).mean())


def _recall_steps(scores: NDArray[Any], values: NDArray[np.bool_]) -> tuple[NDArray[np.int64], int]:
    """Return for each cell the first threshold, of the distinct positive scores from high to low, that lets it in.

    Recall rises at these thresholds only. A cell below them all gets their number, which is also returned.
    """
    levels = np.unique(scores[values])
    return len(levels) - np.searchsorted(levels, scores, side="right"), len(levels)


def _resampled_weights(rows: NDArray[np.bool_], draws: int, seed: int) -> Floats:
    """Return how often each image (N,) occurs in each bootstrap draw over the chosen rows: (N, draws)."""
    generator = np.random.default_rng(seed)
    chosen = np.flatnonzero(rows)
    weights = np.zeros((len(rows), draws))
    for draw in range(draws if len(chosen) else 0):
        weights[:, draw] = np.bincount(generator.choice(chosen, len(chosen)), minlength=len(rows))
    return weights


def _weighted_average_precisions(scores: NDArray[Any], values: NDArray[np.bool_], weights: Floats) -> Floats:
    """Return one label's average precision (draws,) with its n cells weighted by (n, draws), nan without a positive."""
    step, steps = _recall_steps(scores, values)
    below = (np.ones(len(step)), (step, np.arange(len(step))))
    # a sparse product adds the weights by step without a sorted copy of them
    counted = (csr_array(below, shape=(steps + 1, len(step))) @ weights)[:steps].cumsum(axis=0)
    positive = step[values]
    by_step = csr_array((np.ones(len(positive)), (positive, np.arange(len(positive)))), shape=(steps, len(positive)))
    hits = by_step @ weights[values]
    area = (hits * (hits.cumsum(axis=0) / np.maximum(counted, 1.0))).sum(axis=0)
    total = hits.sum(axis=0)
    return np.divide(area, total, out=np.full(len(total), np.nan), where=total > 0)


def _mean_areas(areas: Floats, labels: LabelMatrix) -> dict[str, Any]:
    """Return mAP and mAP_10, each with the number of labels in it."""
    some, ten = labels.positives >= 1, labels.positives >= 10
    return {
        "mAP": _share(areas[some].sum(), some.sum()),
        "labels_with_positives": int(some.sum()),
        "mAP_10": _share(areas[ten].sum(), ten.sum()),
        "labels_with_10_positives": int(ten.sum()),
    }


def _top_measures(probabilities: NDArray[Any], at_half: NDArray[np.bool_], labels: LabelMatrix) -> dict[str, Any]:
    """Return the measures of the three and of the five highest labels of each image."""
    top3 = top_k(probabilities, labels.known, 3)
    top5 = Counts.of(top_k(probabilities, labels.known, 5), labels)
    annotation = macro_micro(top5)
    return {
        "top3": macro_micro(Counts.of(top3, labels)),
        "top3_at_half": macro_micro(Counts.of(top3 & at_half, labels)),
        "top5": {
            "precision": annotation["CP"],
            "recall": annotation["CR"],
            "F1": annotation["CF1"],
            "recalled_labels": int((top5.hits > 0).sum()),
        },
    }


def _one_error(probabilities: NDArray[Any], labels: LabelMatrix) -> float | None:
    """Return the share of images with a known positive whose highest known label is not positive."""
    counted = labels.values.any(axis=1)
    right = (top_k(probabilities, labels.known, 1) & labels.values).any(axis=1)
    return _share((counted & ~right).sum(), counted.sum())


def _per_label(
    areas: Floats, counts: Counts, labels: LabelMatrix, thresholds: NDArray[Any] | None
) -> list[dict[str, Any]]:
    """Return one JSON-ready row per label."""
    cut = np.full(len(areas), 0.5) if thresholds is None else thresholds
    seen = counts.positives > 0
    precision = np.where(seen, counts.hits / np.maximum(counts.predicted, 1), np.nan)
    recall = np.where(seen, counts.hits / np.maximum(counts.positives, 1), np.nan)
    f1 = np.where(seen, 2.0 * counts.hits / np.maximum(counts.predicted + counts.positives, 1), np.nan)
    columns = {
        "label": labels.names,
        "positives": counts.positives.tolist(),
        "negatives": labels.negatives.tolist(),
        "AP": [_defined(value) for value in areas.tolist()],
        "threshold": cut.tolist(),
        "precision": [_defined(value) for value in precision.tolist()],
        "recall": [_defined(value) for value in recall.tolist()],
        "F1": [_defined(value) for value in f1.tolist()],
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _harmonic_mean(precision: float, recall: float) -> float:
    return 2.0 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0


def _share(part: Any, whole: Any) -> float | None:
    return float(part / whole) if whole else None


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else value
