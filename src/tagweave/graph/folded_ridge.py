"""The teacher's scores of images whose fold is hidden, without fitting it anew for every fold."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from tagweave.data.labels import LabelMatrix
from tagweave.graph.blocks import in_threads, one_blas_thread, row_blocks

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

BLOCK = 8_192  # rows that are turned to float64 at a time


def folded_ridge(
    unit: NDArray[np.floating], labels: LabelMatrix, fold: NDArray[np.integer], penalty: float,
    beforehand: Floats | None = None,
) -> tuple[Floats, Floats]:  # fmt: skip
    """Score every image by the ridge regression of ``fit_teacher`` on the known cells of all folds but its own.

    With more known images than features, products of features are summed once per fold, and the system without a fold
    is their total less its own. Otherwise the system without a fold is solved among its images.

    Args:
        unit: x (N, D), unit length.
        labels: (N, C).
        fold: (N,), the number of each image's fold.
        penalty: of |w|^2, above 0.
        beforehand: (N, C), what a score is before any label is known, ``lift s`` of the teacher.

    Returns:
        Scores (N, C) that start from nothing, 0 of a label that no other fold knows; and those that start from
        ``beforehand``, the same ones without it.
    """
    plain, lifted = np.zeros(labels.known.shape), np.zeros(labels.known.shape)
    folds = [np.flatnonzero(fold == number) for number in np.unique(fold)]
    masks, group = labels.known_masks()
    for number, known in enumerate(masks.T):
        columns = np.flatnonzero(group == number)
        y = labels.values[:, columns].astype(np.float64)
        if beforehand is not None:
            y = np.column_stack([y, y - beforehand[:, columns]])
        # The smaller of the two systems is solved: products of features, or of images.
        fit = _fits_by_features if known.sum() > unit.shape[1] else _fits_by_images
        fits = fit(unit, y, [rows[known[rows]] for rows in folds], penalty)
        with one_blas_thread():
            for rows, weight in zip(folds, fits, strict=True):
                found, cells = unit[rows] @ weight[:-1] + weight[-1], np.ix_(rows, columns)
                plain[cells] = found[:, : len(columns)]
                if beforehand is not None:
                    lifted[cells] = found[:, len(columns) :] + beforehand[cells]
    return plain, plain if beforehand is None else lifted


def _fits_by_features(unit: NDArray[np.floating], y: Floats, folds: list[Rows], penalty: float) -> Floats:
    """Return weights, the bias last (F, D + 1, c), of the fit without each fold.

    (Z'Z + penalty diag(1, ..., 1, 0)) w = Z'y with z = (x, 1).
    """
    width = unit.shape[1] + 1
    squares, products = np.zeros((len(folds), width, width)), np.zeros((len(folds), width, y.shape[1]))

    def add(number: int) -> None:
        for rows, z in _blocks(unit, folds[number]):
            squares[number] += z.T @ z
            products[number] += z.T @ y[rows]

    in_threads(add, range(len(folds)))
    all_squares, all_products = squares.sum(axis=0), products.sum(axis=0)
    all_squares[np.diag_indices(width - 1)] += penalty
    counts = [len(rows) for rows in folds]

    def solve(number: int) -> None:
        if counts[number] < sum(counts):
            system = all_squares - squares[number]
            products[number] = linalg.solve(system, all_products - products[number], assume_a="pos", overwrite_a=True)
        else:
            products[number] = 0.0

    in_threads(solve, range(len(folds)))
    return products


def _blocks(unit: NDArray[np.floating], rows: Rows) -> Iterator[tuple[Rows, Floats]]:
    for block in row_blocks(len(rows), BLOCK):
        chosen = unit[rows[block]].astype(np.float64)
        yield rows[block], np.column_stack([chosen, np.ones(len(chosen))])


def _fits_by_images(unit: NDArray[np.floating], y: Floats, folds: list[Rows], penalty: float) -> Floats:
    """Return the same from w = X' (X X' + penalty I)^-1 (y - mean y), X the centred images of the other folds."""
    weights = np.zeros((len(folds), unit.shape[1] + 1, y.shape[1]))

    def solve(number: int) -> None:
        rest = np.concatenate([rows for other, rows in enumerate(folds) if other != number] or [np.empty(0, np.int64)])
        if not len(rest):
            return
        x = unit[rest].astype(np.float64)
        x_mean, y_mean = x.mean(axis=0), y[rest].mean(axis=0)
        x -= x_mean
        system = x @ x.T
        system[np.diag_indices(len(rest))] += penalty
        weights[number, :-1] = x.T @ linalg.solve(system, y[rest] - y_mean, assume_a="pos", overwrite_a=True)
        weights[number, -1] = y_mean - x_mean @ weights[number, :-1]

    in_threads(solve, range(len(folds)))
    return weights
