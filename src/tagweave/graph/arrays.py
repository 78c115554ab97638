"""Label propagation on plain arrays: from features and partly known labels, without images or files."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from tagweave.data.labels import LabelMatrix
from tagweave.errors import InputError
from tagweave.graph.neighbours import Neighbours, pool_mean, unit_features
from tagweave.graph.neighbours import neighbours as nearest_units

if TYPE_CHECKING:
    from tagweave.graph.image_graph import GraphSettings
    from tagweave.graph.propagation import Propagation

SYMMETRIC = 1e-9  # largest difference of a link's two directions, by the largest strength


def neighbours(features: ArrayLike, k: int) -> Neighbours:
    """Find the K nearest other rows of every row (METHOD §1.1).

    By the cosine s_ij of the rows, centred on their mean; ties by index. Rows equal to the mean have similarity 0 to
    all.

    Args:
        features: (N, D), finite.
        k: K; at most N - 1 are returned.

    Raises:
        InputError: not a matrix of numbers, a row is not finite, fewer than two rows, or k below 1.
    """
    rows = feature_matrix(features)
    return nearest_units(unit_features(rows, pool_mean(rows)), k)


def diffuse(graph: sparse.sparray, seeds: ArrayLike, t: float) -> NDArray[np.float64]:
    """Spread seeds over a graph by heat: F(t) = exp(-t (I - Ŝ)) F(0), Ŝ = Δ^(-1/2) S Δ^(-1/2) (METHOD §1.3).

    Args:
        graph: S (N, N), symmetric, not below 0, as ``link_strength`` returns it; normalised here.
        seeds: F(0) (N, C), columns that do not touch each other.
        t: diffusion time; 0 returns the seeds.

    Returns:
        F(t) (N, C), each column within 1e-6 of its length.

    Raises:
        InputError: S is not as said, the numbers of rows differ, or t is negative or not finite.
    """
    from tagweave.graph.diffusion import heat
    from tagweave.graph.strength import normalise

    strength = sparse.csr_array(graph, dtype=np.float64)
    start = np.asarray(seeds, dtype=np.float64)
    if start.ndim != 2 or strength.shape != (len(start), len(start)):
        raise InputError(
            f"Expected a graph (N, N) and seeds (N, C), but got {strength.shape} and {start.shape}; "
            "write one column of seeds as seeds[:, None]."
        )
    _check_links(strength)
    return heat(normalise(strength), start, t)


def _check_links(strength: sparse.csr_array) -> None:
    largest = float(strength.max()) if strength.nnz else 0.0
    if strength.nnz and not (np.isfinite(largest) and strength.min() >= 0.0):
        raise InputError("Expected finite link strengths of 0 and above, but got others.")
    if abs(strength - strength.T).max() > SYMMETRIC * largest:
        raise InputError("Expected a symmetric graph, but got links of two strengths; take graph.maximum(graph.T).")


def propagate(
    features: ArrayLike, labels: LabelMatrix | ArrayLike, settings: GraphSettings | None = None, seed: int = 0
) -> Propagation:
    """Propagate the known labels of N images to all of them (METHOD §1).

    Builds the graph over all rows, then as ``tagweave.graph.propagation.propagate``.

    Args:
        features: (N, D), finite: the embedding of each image.
        labels: (N, C): 1, 0, or NaN for unknown; or a LabelMatrix.
        settings: of the graph; the defaults when None.
        seed: of the folds.

    Returns:
        Among others ``scores`` and calibrated ``probabilities`` (N, C), ``reached`` (N,), ``rounds`` and ``seconds``
        per part.

    Raises:
        InputError: the lengths differ, a feature is not finite, a label is none of 1, 0 and NaN, nothing is known.
    """
    from tagweave.graph.image_graph import GraphSettings, build_graph
    from tagweave.graph.propagation import propagate as propagate_over

    rows, known = feature_matrix(features), label_matrix(labels)
    if len(rows) != len(known):
        raise InputError(f"Expected one label row per row of features, but got {len(known)} and {len(rows)}.")
    started = time.perf_counter()
    graph = build_graph(rows, settings or GraphSettings(), labels=len(known.names))
    seconds = {"graph": round(time.perf_counter() - started, 3)}
    found = propagate_over(graph, known, seed)
    return replace(found, seconds={**seconds, **found.seconds})


def feature_matrix(features: ArrayLike) -> NDArray[np.floating]:
    """Return features as an array (N, D) of numbers.

    Raises:
        InputError: not a matrix of real numbers.
    """
    rows = np.asarray(features)
    if rows.ndim != 2 or rows.dtype.kind not in "fiub":
        raise InputError(f"Expected features (images, width) of numbers, but got shape {rows.shape} of {rows.dtype}.")
    return rows if rows.dtype in (np.float32, np.float64) else rows.astype(np.float64)


def label_matrix(labels: LabelMatrix | ArrayLike) -> LabelMatrix:
    """Return labels (N, C) of 1, 0 and NaN for unknown as a LabelMatrix whose names are the columns' numbers.

    Raises:
        InputError: another shape or value; the first cell is named.
    """
    if isinstance(labels, LabelMatrix):
        return labels
    cells = np.asarray(labels)
    if cells.ndim != 2 or cells.dtype.kind not in "fiub":
        raise InputError(
            f"Expected labels (images, labels) of 1, 0 and NaN for unknown, but got shape {cells.shape} of "
            f"{cells.dtype}; classes that exclude each other go to LabelPropagator."
        )
    known = ~np.isnan(cells)
    strange = np.argwhere(known & (cells != 0) & (cells != 1))
    if len(strange):
        row, column = strange[0].tolist()
        raise InputError(
            f"Expected labels of 1, 0 and NaN for unknown, but got {cells[row, column]:g} in row {row}, "
            f"column {column}, and {len(strange)} such cells in all."
        )
    return LabelMatrix(known & (cells == 1), known, tuple(map(str, range(cells.shape[1]))))
