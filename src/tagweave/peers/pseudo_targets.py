"""Targets for the cells that nobody labelled, with a weight for each: what a semi-supervised policy hands over."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tagweave.data.labels import LabelMatrix

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PseudoTargets:
    """Hold targets t (N, C) in [0, 1] and weights w (N, C) >= 0; 0 marks a cell that stays unknown."""

    values: Floats
    weights: Floats

    def known_first(self, labels: LabelMatrix) -> PseudoTargets:
        """Return the same with known cells as they are known, at the weight 1."""
        values = np.where(labels.known, labels.values, self.values)
        return PseudoTargets(values, np.where(labels.known, 1.0, self.weights))


def expected_positives(labels: LabelMatrix) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many positives (C,) the known rates let expect among each label's unknown cells, and those (C,).

    Rounded up, in whole numbers; 0 for a label with no known positive.
    """
    unknown = (~labels.known).sum(axis=0)
    known = np.maximum(labels.known.sum(axis=0), 1)
    return -(-labels.positives * unknown // known), unknown


def ranks(scores: Floats, labels: LabelMatrix) -> NDArray[np.int64]:
    """Return each unknown cell's place (N, C) in its label by falling score, from 0, ties by row; N for known cells."""
    hidden = np.where(labels.known, np.inf, -scores)
    order = np.argsort(hidden, axis=0, kind="stable")
    places = np.empty_like(order)
    np.put_along_axis(places, order, np.broadcast_to(np.arange(len(scores))[:, None], order.shape), axis=0)
    return np.where(labels.known, len(scores), places)
