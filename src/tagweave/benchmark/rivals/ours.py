"""Our propagation, as the package does it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tagweave.benchmark.problem import Floats, Problem
from tagweave.graph.propagation import propagate
from tagweave.graph.totals import dynamic_totals


def default(problem: Problem) -> Floats:
    """Return probabilities (I + Q, C) of ``propagate`` with the settings of the problem's graph."""
    found = propagate(problem.pool.graph, problem.labels, problem.seed)
    inside = found.probabilities[problem.inside]
    return np.concatenate([inside, found.score_new(problem.outside)]) if len(problem.outside) else inside


def graph_alone(problem: Problem) -> Floats:
    """Return the same with the closed-form teacher off: label totals over the graph (METHOD §1.4)."""
    graph = problem.pool.graph
    without = replace(graph, settings=replace(graph.settings, teacher=False))
    return default(replace(problem, pool=replace(problem.pool, graph=without)))


def exclusive_totals(problem: Problem) -> Floats:
    """Return scores (I + Q, C) whose arg max is the paper's rule for exclusive labels (METHOD §1.4).

    Inside the graph it is arg max over c of the total a_ic; here a_i is divided by its sum, which moves no arg max, so
    that neighbours of an image outside have equal say. Known cells are clamped.
    """
    totals = dynamic_totals(problem.pool.graph, problem.labels)
    mass = totals.a.sum(axis=1, keepdims=True)
    shares = np.divide(totals.a, mass, out=np.zeros_like(totals.a), where=mass > 0)
    return problem.place(np.where(problem.labels.known, problem.labels.values, shares))
