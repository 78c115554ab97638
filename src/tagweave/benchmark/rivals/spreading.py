"""scikit-learn's LabelSpreading and LabelPropagation, one label against the rest."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tagweave.benchmark.problem import Floats, Pool, Problem

UNKNOWN = -1  # scikit-learn's mark
STEPS = 100  # more than LabelSpreading's own 30, so that alpha 0.99 has come near its limit


def label_spreading(problem: Problem, k: int, alpha: float) -> Floats:
    """Spread each label by itself, F = alpha S F + (1 - alpha) Y repeated (Zhou et al. 2004), knn kernel.

    Returns scores (I + Q, C) in [0, 1], see ``one_against_rest``.
    """
    from sklearn.semi_supervised import LabelSpreading

    kernel = knn_kernel(problem.pool, k)
    build = partial(LabelSpreading, kernel=lambda *_: kernel, alpha=alpha, max_iter=STEPS)
    return problem.place(one_against_rest(build, problem))


def label_propagation(problem: Problem, k: int) -> Floats:
    """Propagate each label by itself with known cells clamped (Zhu & Ghahramani 2002), knn kernel.

    Returns scores (I + Q, C) in [0, 1], see ``one_against_rest``.
    """
    from sklearn.semi_supervised import LabelPropagation

    kernel = knn_kernel(problem.pool, k)
    build = partial(LabelPropagation, kernel=lambda *_: kernel.copy(), max_iter=STEPS)
    return problem.place(one_against_rest(build, problem))


def knn_kernel(pool: Pool, k: int) -> sparse.csr_matrix:
    """Return scikit-learn's knn kernel (N, N): 1 from an image to itself and to its k - 1 nearest, directed.

    It is the same for all labels; handed over ready-made it is not sought again for each of them.
    """
    near = pool.nearest(k - 1)
    count = len(near)
    index = np.column_stack([np.arange(count), near])
    rows = np.repeat(np.arange(count), index.shape[1])
    return sparse.csr_matrix((np.ones(index.size), (rows, index.ravel())), shape=(count, count))


def one_against_rest(build: Callable[[], Any], problem: Problem) -> Floats:
    """Return scores (N, C): of each label the distribution over absent and present that a model of its own ends with.

    scikit-learn takes one label at a time (no multi-label targets) and no label with a single known value: such a
    label scores its rate everywhere.
    """
    from sklearn.exceptions import ConvergenceWarning

    labels = problem.labels
    scores = np.broadcast_to(labels.rates(), labels.values.shape).copy()
    rows: NDArray[np.int64] = np.arange(len(labels))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for column in np.flatnonzero((labels.positives > 0) & (labels.negatives > 0)):
            target = np.where(labels.known[:, column], labels.values[:, column], UNKNOWN)
            scores[:, column] = build().fit(rows[:, None], target).label_distributions_[:, 1]
    return scores
