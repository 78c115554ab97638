"""CAP: class-aware pseudo-labels, as many positives of each label as its known rate lets expect.

Source: Xie, Xiao, Liu, Niu, Sugiyama, Huang 2023, "Class-distribution-aware pseudo-labeling for semi-supervised
multi-label learning", NeurIPS.
"""

from __future__ import annotations

import numpy as np

from tagweave.data.labels import LabelMatrix
from tagweave.peers.pseudo_targets import Floats, PseudoTargets, expected_positives, ranks

POSITIVE_SHARE, NEGATIVE_SHARE = 1.0, 0.9


def cap(
    scores: Floats, labels: LabelMatrix, positive_share: float = POSITIVE_SHARE, negative_share: float = NEGATIVE_SHARE
) -> PseudoTargets:
    """Call each label's best ranked unknown cells positive, the worst ranked negative, and leave the rest unknown.

    Of a label's N_u unknown cells, at a known rate pi: the first ``positive_share`` pi N_u are positive and the last
    ``negative_share`` (1 - pi) N_u negative, at the weight 1. A label with no known positive gets no pseudo-label at
    all, and one with no known negative no negative.

    Simplified: the scores are one first model's, in place of an averaged teacher's that follows the training; the
    views of an image are one. It is meant for the asymmetric loss (``train.loss = "asymmetric"``).

    Args:
        scores: (N, C), higher is more likely; compared within a label only. labels: (N, C).
        positive_share, negative_share: of the expected numbers, in [0, 1].
    """
    expected, unknown = expected_positives(labels)
    place = ranks(scores, labels)
    positives = np.ceil(positive_share * expected)
    negatives = np.floor(negative_share * (unknown - expected)) * ((labels.positives > 0) & (labels.negatives > 0))
    positive = ~labels.known & (place < positives)
    negative = ~labels.known & (place >= unknown - negatives)
    decided = PseudoTargets(positive.astype(np.float64), (positive | negative).astype(np.float64))
    return decided.known_first(labels)
