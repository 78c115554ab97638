"""DiCaP: pseudo-labels weighted by how often labels as sure as these turned out right on labels held back.

Source: the description of DiCaP (AAAI 2026): calibrated weights of class-aware pseudo-labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tagweave.data.labels import LabelMatrix
from tagweave.peers.pseudo_targets import Floats, PseudoTargets, expected_positives, ranks

BINS = 10
HELD_SHARE = 0.3  # of the labelled images that are treated as unlabelled


@dataclass(frozen=True)
class Reliability:
    """Hold P(right) of a pseudo-label by its confidence: (2, BINS), for absent and present."""

    absent_present: Floats

    def weigh(self, values: NDArray[np.bool_], probabilities: Floats) -> Floats:
        """Return P(right) (N, C) of pseudo-labels ``values`` at the model's ``probabilities``."""
        return self.absent_present[values.astype(np.int64), confidence_bins(values, probabilities)]


def dicap(probabilities: Floats, labels: LabelMatrix, held: NDArray[np.int64]) -> PseudoTargets:
    """Give every unknown cell a class-aware pseudo-label with the weight P(right | its confidence).

    Pseudo-label: positive for as many of a label's best ranked unknown cells as its known rate lets expect, else
    negative. Images ``held`` are labelled, but the model has not seen their labels: they are pseudo-labelled with the
    unlabelled ones, and the share of right ones among their known cells estimates P(right), in equal bins of the
    confidence p of a positive and 1 - p of a negative, all labels together. Each bin's estimate counts one right and
    one wrong cell more than there are (Laplace), so that an empty bin says 1/2. A label of which the model has seen no
    positive gets no pseudo-label and is not judged.

    Simplified: one first model in place of one that goes on learning.

    Args:
        probabilities: (N, C) of a model that learnt from the labelled images but ``held``.
        labels: (N, C), of all labelled images. held: rows.
    """
    hidden = labels.hide(held)
    expected, _ = expected_positives(hidden)
    values = ranks(probabilities, hidden) < expected
    learnt = hidden.positives > 0
    judged = LabelMatrix(labels.values[held], labels.known[held] & learnt, labels.names)
    found = measure_reliability(values[held], probabilities[held], judged)
    weights = np.where(learnt, found.weigh(values, probabilities), 0.0)
    return PseudoTargets(values.astype(np.float64), weights).known_first(labels)


def measure_reliability(values: NDArray[np.bool_], probabilities: Floats, labels: LabelMatrix) -> Reliability:
    """Return how often pseudo-labels (n, C) are right on the known cells of ``labels`` (n, C)."""
    known = labels.known
    cell = values[known] * BINS + confidence_bins(values, probabilities)[known]
    judged = np.bincount(cell, minlength=2 * BINS)
    right = np.bincount(cell, weights=values[known] == labels.values[known], minlength=2 * BINS)
    return Reliability(((right + 1.0) / (judged + 2.0)).reshape(2, BINS))


def confidence_bins(values: NDArray[np.bool_], probabilities: Floats) -> NDArray[np.int64]:
    """Return the bin 0..BINS-1 of each pseudo-label's confidence, p where it is positive and 1 - p elsewhere."""
    confidence = np.where(values, probabilities, 1.0 - probabilities)
    return np.clip((confidence * BINS).astype(np.int64), 0, BINS - 1)
