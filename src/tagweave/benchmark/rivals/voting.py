"""The nearest labelled images vote."""

from __future__ import annotations

import numpy as np

from tagweave.benchmark.problem import Floats, Problem
from tagweave.graph.neighbours import search


def nearest_vote(problem: Problem, k: int) -> Floats:
    """Return f_qc = sum_j w_qj O_jc Y_jc / sum_j w_qj O_jc over the k nearest labelled images j, w = max(s, 0).

    Where nothing of the label is known among them, the label's rate. Scores (I + Q, C) in [0, 1].
    """
    graph, labels = problem.pool.graph, problem.labels
    rows = problem.labelled
    similarity, index = search(graph.points[rows], graph.projection.apply(problem.queries), min(k, len(rows)))
    weights = np.maximum(similarity, 0.0).astype(np.float64)
    values, known = labels.values[rows].astype(np.float64), labels.known[rows].astype(np.float64)
    shape = (len(weights), len(labels.names))
    votes, mass = np.zeros(shape), np.zeros(shape)
    for rank in range(index.shape[1]):
        votes += weights[:, rank, None] * values[index[:, rank]]
        mass += weights[:, rank, None] * known[index[:, rank]]
    return np.divide(votes, mass, out=np.broadcast_to(labels.rates(), shape).copy(), where=mass > 0)
