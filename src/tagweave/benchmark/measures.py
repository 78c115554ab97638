"""How good scores of any scale are: by ranking alone, no threshold."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagweave.data.labels import LabelMatrix
from tagweave.metrics import Counts, average_precisions, macro_micro, top_k

TOP = 5
MEASURES = ("mAP", "mAP_10", "precision", "recall", "F1", "N+")


def measure(scores: NDArray[np.floating], labels: LabelMatrix) -> dict[str, Any]:
    """Return the measures of scores (N, C) against the known cells of ``labels``.

    ``mAP`` is the mean average precision over labels with a known positive, ``mAP_10`` over those with at least ten,
    each with its number of labels. ``precision``, ``recall``, ``F1`` are those of the five highest labels of each
    image: the means over labels with a positive and their harmonic mean; ``N+`` the number of labels with recall
    above 0 (Duygulu et al. 2002). A measure without a label is None.

    Raises:
        InputError: shapes disagree or a known score is not finite.
    """
    areas, positives = average_precisions(scores, labels), labels.positives
    some, ten = positives >= 1, positives >= 10
    counts = Counts.of(top_k(scores, labels.known, TOP), labels)
    means = macro_micro(counts)
    return {
        "mAP": float(areas[some].mean()) if some.any() else None,
        "labels": int(some.sum()),
        "mAP_10": float(areas[ten].mean()) if ten.any() else None,
        "labels_10": int(ten.sum()),
        "precision": means["CP"],
        "recall": means["CR"],
        "F1": means["CF1"],
        "N+": int((counts.hits > 0).sum()),
    }
