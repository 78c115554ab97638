"""Calibration and thresholds, from images that a network was not trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tagweave.data.labels import LabelMatrix

if TYPE_CHECKING:
    from tagweave.calibration import Calibration

Floats = NDArray[np.float64]

TOGETHER = 1e9  # positives that outweigh any label's own


def calibrate(logits: Floats, labels: LabelMatrix) -> Calibration:
    """Fit a calibration on images that were not trained on; without positives there the logits stand as they are."""
    from tagweave.calibration import Calibration, fit_calibration

    if labels.positives.any():
        return fit_calibration(logits, labels)
    return Calibration(np.ones(len(labels.names)), np.zeros(len(labels.names)))


def common_curve(logits: Floats, labels: LabelMatrix) -> tuple[float, float]:
    """Return the slope and offset of one calibration for all labels, from images that were not trained on.

    Between labels nothing is moved: what a label's rate on few images says of it would outweigh what was learned.
    Without positives the logits stand as they are.
    """
    from tagweave.calibration import fit_calibration

    some = np.flatnonzero(labels.positives)
    if not len(some):
        return 1.0, 0.0
    seen = LabelMatrix(labels.values[:, some], labels.known[:, some], tuple(labels.names[c] for c in some))
    found = fit_calibration(logits[:, some], seen, shrink=TOGETHER)
    return float(found.slope[0]), float(found.offset[0])


def choose_thresholds(calibration: Calibration, logits: Floats, labels: LabelMatrix) -> Floats:
    """Tune a threshold per label (C,); without positives they are 0.5."""
    from tagweave.calibration import tune_thresholds

    if not labels.positives.any():
        return np.full(len(labels.names), 0.5)
    return tune_thresholds(calibration.apply(logits), labels)
