"""A linear classifier of given and propagated labels, in closed form."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import linalg
from torch import nn

from tagweave.data.labels import LabelMatrix
from tagweave.graph.teacher import fit_teacher

Floats = NDArray[np.float64]

PENALTY = 1.0
MOST_ROWS = 20_000  # more images say nothing new to a linear classifier, and their products take minutes


def fit_linear_student(
    x: NDArray[np.float32], parts: Sequence[int], targets: NDArray[np.float32], labels: LabelMatrix, seed: int
) -> nn.Linear:
    """Average two ridge classifiers: one of the propagated labels of all images, one of the given labels alone.

    The first minimises sum_i |t_i - V x_i - v|^2 + penalty |V|^2 over the pool. Trained on many soft labels it is
    better than the teacher that helped to propagate them: calibrated probabilities are a bent image of its scores, and
    unlabelled images show where they agree. The second is ``fit_teacher``'s, brought to the first one's mean and
    spread per label.

    Args:
        x: x̄ (N, D) of the pool, its parts of unit variance; penalties count in units of parts of unit length.
        parts: widths of the parts of x̄.
        targets: t (N, C) in [0, 1], calibrated probabilities, given cells 0 or 1.
        labels: (N, C) what is given.
        seed: of the rows that are left out where there are more than ``MOST_ROWS``.

    Returns:
        a layer from x̄ to probabilities, in general a little outside [0, 1].
    """
    scale = np.concatenate([np.full(width, (width * len(parts)) ** -0.5, dtype=np.float32) for width in parts])
    rows = _choose_rows(labels.labelled, seed)
    unit = x[rows] * scale
    weight, bias = _soft_ridge(unit, targets[rows])
    teacher = fit_teacher(unit, labels.take(rows))
    student_scores, teacher_scores = unit @ weight + bias, teacher.score(unit)
    spread = teacher_scores.std(axis=0)
    ratio = np.divide(student_scores.std(axis=0), spread, out=np.zeros_like(spread), where=spread > 0)
    matched = student_scores.mean(axis=0) + ratio * (teacher.bias - teacher_scores.mean(axis=0))
    layer = nn.Linear(x.shape[1], targets.shape[1]).requires_grad_(False)
    layer.weight.copy_(torch.from_numpy((0.5 * (weight + ratio * teacher.weight) * scale[:, None]).T))
    layer.bias.copy_(torch.from_numpy(0.5 * (bias + matched)))
    return layer


def _soft_ridge(unit: NDArray[np.float32], targets: NDArray[np.float32]) -> tuple[Floats, Floats]:
    """Return V (D, C) and v (C,), by the smaller of the two Gram matrices."""
    centre, rate = unit.mean(axis=0, dtype=np.float64), targets.mean(axis=0, dtype=np.float64)
    points, wanted = unit - centre, targets - rate
    if len(points) < points.shape[1]:
        gram = points @ points.T + PENALTY * np.eye(len(points))
        weight = points.T @ linalg.solve(gram, wanted, assume_a="pos")
    else:
        gram = points.T @ points + PENALTY * np.eye(points.shape[1])
        weight = linalg.solve(gram, points.T @ wanted, assume_a="pos")
    return weight, rate - centre @ weight


def _choose_rows(labelled: NDArray[np.bool_], seed: int) -> NDArray[np.int64]:
    """Return all rows, or ``MOST_ROWS`` drawn ones, labelled ones first."""
    order = np.random.default_rng(seed).permutation(len(labelled))
    order = order[np.argsort(~labelled[order], kind="stable")]
    return np.sort(order[:MOST_ROWS])
