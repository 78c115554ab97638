"""Dynamic label propagation (Wang, Tu & Tsotsos, ICCV 2013), without ever forming its N x N matrices."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from tagweave.benchmark.problem import Floats, Problem
from tagweave.data.labels import LabelMatrix


def dynamic(problem: Problem, k: int, steps: int, alpha: float = 0.05, lam: float = 0.1) -> Floats:
    """Return scores (I + Q, C) of labels and transitions that change each other.

        Y_t+1 = P_t Y_t, known cells clamped;   P_t+1 = P (P_t + alpha Y_t R Y_tᵀ) Pᵀ + lam I;   P_0 = P

    with P the row-normalised affinities to the k nearest images, and R (C, C) the labels' correlation, see
    ``label_correlation``. With exclusive labels R is the identity, which is the paper's multi-class form. The paper's
    own P_0 is a full kernel; here, as for all methods, only neighbours are known.

    P_t enters only as P_t V and is unrolled into sparse products, ``steps`` squared of them. Memory is that of
    2 ``steps`` + 4 arrays (N, C): 100,000 images with 260 labels take 2.9 GB at 5 steps, where P_t alone would take 80.

    Scores grow from step to step, clamped cells do not: the last step's are returned before clamping, so that
    neighbours of an image outside the graph speak on one scale.
    """
    labels = problem.labels
    affinity = problem.pool.directed(k, gamma=1.0)
    total = np.asarray(affinity.sum(axis=1)).ravel()
    scale = np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)
    transition = sparse.csr_array(sparse.diags_array(scale) @ affinity)
    return problem.place(_propagate(transition, labels, steps, alpha, lam))


def _propagate(transition: sparse.csr_array, labels: LabelMatrix, steps: int, alpha: float, lam: float) -> Floats:
    known, values = labels.known, labels.values.astype(np.float64)
    correlation = label_correlation(labels)
    back = transition.T.tocsr()
    history = [values]
    following = values
    for _ in range(steps):
        following = _transit(transition, back, history, alpha * correlation, lam)
        history.append(np.where(known, values, following))
    return following


def _transit(
    transition: sparse.csr_array, back: sparse.csr_array, history: list[Floats], kernel: Floats, lam: float
) -> Floats:
    """Return P_t Y_t from Y_0 to Y_t and alpha R: down P_t = P (P_t-1 + alpha Y R Yᵀ) Pᵀ + lam I to P_0, and up."""
    t = len(history) - 1
    descent = [history[t]]
    for _ in range(t):
        descent.append(back @ descent[-1])
    result = transition @ descent[t]
    for step in range(1, t + 1):
        inner, past = descent[t - step + 1], history[step - 1]
        result = transition @ (result + past @ (kernel @ (past.T @ inner))) + lam * descent[t - step]
    return result


def label_correlation(labels: LabelMatrix) -> Floats:
    """Return R (C, C), r_cd = <y_c, y_d> / (|y_c| |y_d|) over known cells: the cosine of two labels' columns.

    A label without a known positive correlates with none, itself included. METHOD has no such term; this is how the
    label correlation that the paper speaks of is read.
    """
    values = labels.values.astype(np.float64)
    length = np.linalg.norm(values, axis=0)
    unit = np.divide(values, length, out=np.zeros_like(values), where=length > 0)
    return unit.T @ unit
