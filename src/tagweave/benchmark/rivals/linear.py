"""Linear classifiers of the unit features, trained on the labelled images only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize, special

from tagweave.benchmark.problem import Floats, Problem
from tagweave.data.labels import LabelMatrix

STEPS = 300
TOLERANCE = 1e-4  # of the gradient, by its own scale at the start


def logistic(problem: Problem, c: float) -> Floats:
    """Return probabilities (I + Q, C) of linear classifiers trained with binary cross-entropy.

    min over w, b of |w|^2 / 2 + c sum over known cells of the cross-entropy, b free, each label for itself: the form
    of scikit-learn's LogisticRegression, solved for all labels at once.
    """
    labels, rows = problem.labels.take(problem.labelled), problem.labelled
    taught = np.flatnonzero((labels.positives > 0) & (labels.negatives > 0))
    scores = np.broadcast_to(labels.rates(), (len(problem.queries), len(labels.names))).copy()
    if len(taught):
        chosen = LabelMatrix(labels.values[:, taught], labels.known[:, taught], tuple(labels.names[i] for i in taught))
        weight, bias = fit_logistic(problem.pool.graph.unit[rows].astype(np.float64), chosen, c)
        scores[:, taught] = special.expit(problem.queries @ weight + bias)
    return scores


def fit_logistic(x: Floats, labels: LabelMatrix, c: float) -> tuple[Floats, Floats]:
    """Return weight (D, C) and bias (C,) of ``logistic`` from features (n, D) and labels (n, C)."""
    basis, coordinates = _span(x)
    width, count = coordinates.shape[1], len(labels.names)
    values, known = labels.values.astype(np.float64), labels.known.astype(np.float64)

    def objective(flat: Floats) -> tuple[float, Floats]:
        weight, bias = flat[: width * count].reshape(width, count), flat[width * count :]
        logits = coordinates @ weight + bias
        loss = c * float((known * (np.logaddexp(0.0, logits) - values * logits)).sum()) + 0.5 * float((weight**2).sum())
        slope = c * known * (special.expit(logits) - values)
        return loss, np.concatenate([(coordinates.T @ slope + weight).ravel(), slope.sum(axis=0)])

    rates = np.clip(labels.rates(), 1e-6, 1 - 1e-6)
    start = np.concatenate([np.zeros(width * count), special.logit(rates)])
    steep = TOLERANCE * float(np.abs(objective(start)[1]).max())
    options = {"maxiter": STEPS, "maxfun": 2 * STEPS, "gtol": steep, "ftol": 0.0}
    found = optimize.minimize(objective, start, jac=True, method="L-BFGS-B", options=options).x
    return basis @ found[: width * count].reshape(width, count), found[width * count :]


def _span(x: Floats) -> tuple[Floats, Floats]:
    """Return an orthonormal basis (D, r) of the rows' span and their coordinates (n, r): the penalty keeps w in it."""
    if len(x) >= x.shape[1]:
        return np.eye(x.shape[1]), x
    basis, triangle = linalg.qr(x.T, mode="economic")
    return basis, triangle.T


def asymmetric(problem: Problem, scale: float) -> Floats:
    """Return probabilities (I + Q, C) of a linear layer trained with the asymmetric loss (Ridnik et al. 2021).

    ``scale`` is the features' standard deviation; under Adam it acts as the learning rate of the weights.
    """
    import torch

    from tagweave.threads import limit_threads
    from tagweave.training.linear import train_linear

    limit_threads()
    factor = _standard(problem.pool.graph.unit) * np.float32(scale)
    torch.manual_seed(problem.seed)
    x = problem.pool.graph.unit[problem.labelled] * factor
    layer = train_linear(x, problem.labels.take(problem.labelled), problem.seed)
    with torch.inference_mode():
        logits = layer(torch.from_numpy(problem.queries * factor)).numpy()
    return special.expit(logits.astype(np.float64))


def _standard(unit: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the factor (D,) that gives each feature unit variance over the pool; a constant one stays."""
    deviation = unit.std(axis=0)
    return np.divide(1.0, deviation, out=np.ones_like(deviation), where=deviation > 0)


def ridge(problem: Problem) -> Floats:
    """Return calibrated probabilities (I + Q, C) of ridge regression, its penalty chosen by leaving one out."""
    from tagweave.graph.teacher import fit_linear

    teacher, calibration = fit_linear(problem.pool.graph.unit, problem.labels)
    return calibration.apply(teacher.score(problem.queries))
