"""How likely a given label is wrong, and how many of the most suspect ones are expected to be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tagweave.calibration import check_probabilities
from tagweave.data.labels import LabelMatrix
from tagweave.errors import InputError

Floats = NDArray[np.float64]

ERROR_SHARE = 0.05
CERTAIN = 1e-9  # no probability is taken as surer than this


def wrongness(held_out: NDArray[np.floating], labels: LabelMatrix, error_share: float = ERROR_SHARE) -> Floats:
    """Return the probability (n, C) that a known cell is wrong, 0 where nothing is known.

    p is the probability that the label is there, by what never saw the cell. With e the share of present labels that
    were given as absent, and a = e r / (1 - r), r the share of positives among known cells, that of absent ones given
    as present (so that both errors are equally many), Bayes' rule says of a given cell
    present: a (1 - p) / (a (1 - p) + (1 - e) p), absent: e p / (e p + (1 - a) (1 - p)).
    Within each kind the order is that of the contrary's probability; e decides how the kinds mix, and what is claimed.
    The only known positive of a label was judged by images that all lack it: n of them show no less than 1 / (n + 2)
    (Laplace), so that its p is not taken to be lower.

    Args:
        held_out: p (n, C), calibrated. labels: Y and O (n, C).
        error_share: e in (0, 0.5).

    Raises:
        InputError: shapes disagree, a known probability lies outside 0..1, or ``error_share`` outside (0, 0.5).
    """
    check_probabilities(held_out, labels)
    if not 0 < error_share < 0.5:
        raise InputError(f"Expected a share of errors above 0 and below 0.5, but got {error_share:g}.")
    share = labels.positives.sum() / max(int(labels.known.sum()), 1)
    false = min(error_share * share / max(1.0 - share, CERTAIN), 0.5)
    p = np.clip(np.where(labels.known, held_out, 0.5).astype(np.float64), CERTAIN, 1.0 - CERTAIN)
    single = labels.values & (labels.positives == 1)
    p = np.where(single, np.maximum(p, 1.0 / (labels.known.sum(axis=0) + 2.0)), p)
    present = false * (1 - p) / (false * (1 - p) + (1 - error_share) * p)
    absent = error_share * p / (error_share * p + (1 - false) * (1 - p))
    return np.where(labels.known, np.where(labels.values, present, absent), 0.0)


def ranked(wrong: Floats, labels: LabelMatrix) -> NDArray[np.int64]:
    """Return the known cells (k, 2) as row and column, the most likely wrong first."""
    cells = np.argwhere(labels.known)
    return cells[np.argsort(-wrong[labels.known], kind="stable")]


def suspects_at(wrong: NDArray[np.floating], precision: float) -> int:
    """Return how many of the most suspect cells have a mean probability of being wrong of at least ``precision``.

    Args:
        wrong: (k,), falling.
    """
    means = np.cumsum(wrong) / np.arange(1, len(wrong) + 1)
    return int((means >= precision).sum())  # the mean of a falling row falls
