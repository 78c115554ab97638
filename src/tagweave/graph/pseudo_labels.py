"""From calibrated probabilities to labels: positive, negative, or still unknown (METHOD §1.6)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tagweave.data.labels import LabelMatrix

NEGATIVE_BELOW = 0.05  # a cell this unlikely is taken as absent even where it ranks among a rare label's best


@dataclass(frozen=True)
class PseudoLabels:
    """Hold decisions over the cells that nobody labelled.

    Attributes:
        positive, negative: (N, C), disjoint, False on known cells; what is in neither stays unknown.
        thresholds: (C,) the probability from which a cell is positive; infinite where none is accepted.
    """

    positive: NDArray[np.bool_]
    negative: NDArray[np.bool_]
    thresholds: NDArray[np.float64]

    def spread_over(self, rows: NDArray[np.int64], count: int) -> PseudoLabels:
        """Return the same decisions for ``rows`` of a larger collection of ``count`` images, none for the others."""
        positive, negative = (np.zeros((count, self.positive.shape[1]), dtype=bool) for _ in range(2))
        positive[rows], negative[rows] = self.positive, self.negative
        return PseudoLabels(positive, negative, self.thresholds)

    def decided(self, labels: LabelMatrix) -> LabelMatrix:
        """Return ``labels`` with the decisions written into the unknown cells."""
        return LabelMatrix(labels.values | self.positive, labels.known | self.positive | self.negative, labels.names)


def pseudo_labels(
    probabilities: NDArray[np.floating], labels: LabelMatrix, reached: NDArray[np.bool_], precision: float = 0.8
) -> PseudoLabels:
    """Decide unknown cells per label.

    Of the cells of label c that nobody labelled, the best ranked are candidates, as many as the label's known rate
    lets expect (class-aware, as CAP). Among them a cell is positive while the mean calibrated probability of it and
    all better ones stays at ``precision`` or above; other candidates stay unknown. Cells below the candidates are
    negative. Images that no label mass reached stay unknown, and a label with no known positive gets no positives.

    Args:
        probabilities: (N, C), calibrated.
        labels: (N, C), what is known.
        reached: (N,).
        precision: wanted share of right ones among the accepted, in (0, 1].
    """
    open_cells = ~labels.known & reached[:, None]
    positive = np.zeros_like(labels.values)
    thresholds = np.full(len(labels.names), np.inf)
    candidates = np.zeros_like(labels.values)
    positives, judged = labels.positives, np.maximum(labels.known.sum(axis=0), 1)
    for c in range(len(labels.names)):
        rows = np.flatnonzero(open_cells[:, c])
        expected = -(-positives[c] * len(rows) // judged[c])  # rounded up, in whole numbers: 7 / 25 * 25 is above 7
        best = rows[np.argsort(-probabilities[rows, c], kind="stable")][:expected]
        candidates[best, c] = True
        means = np.cumsum(probabilities[best, c]) / np.arange(1, len(best) + 1)
        accepted = int(np.searchsorted(-means, -precision, side="right")) if positives[c] else 0
        if accepted:
            positive[best[:accepted], c] = True
            thresholds[c] = probabilities[best[accepted - 1], c]
    negative = open_cells & ~positive & (~candidates | (probabilities < NEGATIVE_BELOW))
    negative &= labels.known.any(axis=0)  # of a label that nobody ever judged nothing is decided
    return PseudoLabels(positive, negative, thresholds)
