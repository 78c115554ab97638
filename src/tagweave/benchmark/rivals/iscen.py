"""LP-DeepSSL's label propagation, on fixed features (Iscen et al. 2019)."""

from __future__ import annotations

import numpy as np

from tagweave.benchmark.problem import Floats, Problem
from tagweave.graph.diffusion import spread
from tagweave.graph.strength import normalise

GAMMA = 3.0


def iscen(problem: Problem, k: int = 50, alpha: float = 0.99) -> Floats:
    """Return scores (I + Q, C) by the rule of Iscen et al. 2019: pseudo-labels by diffusion, row-normalised.

    W = A + Aᵀ with a_ij = max(s_ij, 0)^3 over the k nearest, Ŝ = Δ^(-1/2) W Δ^(-1/2), (I - alpha Ŝ) z_c = y_c by
    conjugate gradient, y_c the known positives of label c at 1 over their number; p_ic = max(z_ic, 0) over its sum
    over c. Labelled images keep their own labels, row-normalised as well. The paper's weights (1 - entropy, class
    size) tell a training loss what to trust and change no ranking. It is made for exclusive labels: of several labels,
    each is a column, and known negatives are not used.
    """
    labels = problem.labels
    directed = problem.pool.directed(k, GAMMA)
    seeds = labels.values / np.maximum(labels.positives, 1)
    # A positive factor of z is lost in p; tol and the number of steps only need to be enough.
    z = np.maximum(spread(normalise((directed + directed.T).tocsr()), seeds, alpha), 0.0)
    return problem.place(_row_shares(np.where(labels.known, labels.values, _row_shares(z))))


def _row_shares(values: Floats) -> Floats:
    total = values.sum(axis=1, keepdims=True)
    return np.divide(values, total, out=np.zeros_like(values), where=total > 0)
