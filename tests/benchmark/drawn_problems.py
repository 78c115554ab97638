"""Drawn features in clusters, and problems over them, that the tests of this folder share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tagweave.benchmark.dataset import BenchmarkData
from tagweave.benchmark.problem import Problem, build_pool
from tagweave.data.labels import LabelMatrix
from tagweave.graph.image_graph import GraphSettings

SETTINGS = GraphSettings(k=6)


def drawn_data(seed: int = 0, images: int = 80, labels: int = 4, width: int = 10, test: int = 20) -> BenchmarkData:
    """Draw images whose labels are half-spaces of their features; the last ``test`` of them are the test."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(images, width)).astype(np.float32)
    values = features @ rng.normal(size=(width, labels)) + 0.3 * rng.normal(size=(images, labels)) > 0.8
    names = tuple(f"label{number}" for number in range(labels))
    marks = np.arange(images) >= images - test
    truth = LabelMatrix(values, np.ones_like(values), names)
    return BenchmarkData("drawn", "points", features, truth, marks, (width // 2, width - width // 2))


def drawn_problem(
    seed: int = 0, images: int = 80, labelled: int = 30, settings: GraphSettings = SETTINGS, inside: bool = False
) -> Problem:
    """Return the problem of scoring the test images of ``drawn_data``, in the graph or not."""
    data = drawn_data(seed, images)
    rows = np.arange(images) if inside else np.flatnonzero(~data.test)
    known = data.labels.hide(np.arange(images) >= labelled).take(rows)
    pool, test = build_pool(data.features[rows], settings), np.flatnonzero(data.test)
    none = np.zeros(0, dtype=np.int64)
    return Problem(pool, known, test if inside else none, data.features[none if inside else test], seed)


def cosines(problem: Problem) -> NDArray[np.float64]:
    """Return the cosines (N, N) of a pool, each image's with itself at -1."""
    points = problem.pool.graph.points.astype(np.float64)
    found = points @ points.T
    np.fill_diagonal(found, -1.0)
    return found


def nearest_affinity(problem: Problem, k: int, gamma: float) -> NDArray[np.float64]:
    """Return the directed affinities (N, N) of a pool row by row, densely."""
    s = cosines(problem)
    weights = np.zeros_like(s)
    for i, row in enumerate(s):
        for j in sorted(range(len(row)), key=lambda j: (-row[j], j))[:k]:
            weights[i, j] = max(row[j], 0.0) ** gamma
    return weights
