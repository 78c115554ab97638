"""Laplace and Poisson learning by their authors' package (PyPI ``graphlearning``), one label against the rest."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from tagweave.benchmark.problem import Floats, Problem
from tagweave.data.labels import LabelMatrix

GAMMA = 3.0


def laplace(problem: Problem, k: int, tau: float) -> Floats:
    """Solve (tau + L) u_c = 0 off the known cells, u_c = y_c on them (Zhu, Ghahramani & Lafferty 2003).

    L is the combinatorial Laplacian of the symmetric k-nearest graph. Returns scores (I + Q, C) in [0, 1].
    """
    package = importlib.import_module("graphlearning")
    labels, weights = problem.labels, _symmetric(problem, k)
    scores = np.broadcast_to(labels.rates(), labels.values.shape).copy()
    columns = np.flatnonzero(_two_valued(labels) & ~labels.known.all(axis=0))
    scores[:, columns] = _one_against_rest(labels, columns, lambda: package.ssl.laplace(weights, tau=tau))
    return problem.place(np.where(labels.known, labels.values, scores))


def poisson(problem: Problem, k: int) -> Floats:
    """Solve L u_c = sum over known cells j of delta_j (y_jc - mean y_c) (Calder et al. 2020).

    The equation asks for a connected graph: it is solved on the largest connected part of the k-nearest graph, and
    images outside that score 0, the mean by degree. Returns scores (I + Q, C), of any sign.
    """
    package = importlib.import_module("graphlearning")
    weights = _symmetric(problem, k)
    part = connected_components(weights, directed=False)[1]
    rows = np.flatnonzero(part == np.bincount(part).argmax())
    inner, labels = weights[rows][:, rows], problem.labels.take(rows)
    scores = np.zeros(problem.labels.values.shape)
    columns = np.flatnonzero(_two_valued(labels))
    scores[np.ix_(rows, columns)] = _one_against_rest(labels, columns, lambda: package.ssl.poisson(inner))
    return problem.place(scores)


def _symmetric(problem: Problem, k: int) -> sparse.csr_matrix:
    """Return W (N, N) in the older of SciPy's sparse types, which the package computes with."""
    directed = problem.pool.directed(k, GAMMA)
    return sparse.csr_matrix(directed.maximum(directed.T))


def _two_valued(labels: LabelMatrix) -> NDArray[np.bool_]:
    """Tell which labels (C,) have a known positive and a known negative: the package takes two classes, not one."""
    return (labels.positives > 0) & (labels.negatives > 0)


def _one_against_rest(labels: LabelMatrix, columns: NDArray[np.int64], build: Callable[[], Any]) -> Floats:
    """Return scores (N, len(columns)): of each label the column "present" of a model of its own."""
    scores = np.zeros((len(labels), len(columns)))
    for place, column in enumerate(columns):
        known = np.flatnonzero(labels.known[:, column])
        # Where no positive has an unknown neighbour the package's solver divides 0 by 0; the solution there is 0.
        with np.errstate(invalid="ignore", divide="ignore"):
            present = build().fit(known, labels.values[known, column].astype(np.int64))[:, 1]
        scores[:, place] = np.nan_to_num(present)
    return scores
