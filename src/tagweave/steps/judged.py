"""Calibration and thresholds, from images that a network was not trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tagweave.data.labels import LabelMatrix

if TYPE_CHECKING:
    from tagweave.calibration import Calibration

Floats = NDArray[np.float64]


def calibrate(logits: Floats, labels: LabelMatrix) -> Calibration:
    """Fit a calibration on images that were not trained on; without positives there the logits stand as they are."""
    from tagweave.calibration import Calibration, fit_calibration

    if labels.positives.any():
        return fit_calibration(logits, labels)
    return Calibration(np.ones(len(labels.names)), np.zeros(len(labels.names)))


def choose_thresholds(calibration: Calibration, logits: Floats, labels: LabelMatrix) -> Floats:
    """Tune a threshold per label (C,); without positives they are 0.5."""
    from tagweave.calibration import tune_thresholds

    if not labels.positives.any():
        return np.full(len(labels.names), 0.5)
    return tune_thresholds(calibration.apply(logits), labels)
