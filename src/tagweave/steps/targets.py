"""What the network learns from: given cells, then what propagation says of the rest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tagweave.config import TrainConfig
from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import Manifest
from tagweave.training.batches import Source, TrainingSet


def training_set(
    propagated: Path, config: TrainConfig, manifest: Manifest, labels: LabelMatrix,
    read: Callable[[NDArray[np.int64]], Source], hidden: NDArray[np.int64],
) -> TrainingSet:  # fmt: skip
    """Give every image of the pool its targets and their weights.

    Args:
        propagated: what ``propagate`` left of the pool, with the labels of ``hidden`` hidden.
        config: which cells to trust.
        manifest, labels: of the whole collection, nothing hidden.
        read: gives what the network sees of some rows of the collection.
        hidden: rows (n,) of the collection that take no part.
    """
    with np.load(propagated, allow_pickle=False) as stored:
        pool, probabilities, reached = stored["pool"], stored["probabilities"], stored["reached"]
        values, known = stored["decided_values"], stored["decided_known"]
    given = labels.hide(hidden).take(pool)
    kind = config.targets
    if kind == "soft":
        targets, trusted = probabilities, given.known | reached[:, None]
    elif kind == "decided":
        targets, trusted = values.astype(np.float32), known
    else:
        targets, trusted = given.values.astype(np.float32), given.known
    weights = np.where(given.known, 1.0, np.maximum(probabilities, 1 - probabilities) if kind == "decided" else 1.0)
    weights = np.where(trusted, weights, 0.0).astype(np.float32)
    weights[:, given.positives == 0] = 0.0  # without a known positive nothing can be learned
    use = np.flatnonzero(~np.isin(pool, hidden) & (weights > 0).any(axis=1))
    rows = pool[use]
    return TrainingSet(
        source=read(rows),
        targets=np.where(given.known, given.values, targets)[use].astype(np.float32),
        weights=weights[use],
        labelled=given.labelled[use],
        names=tuple(manifest.paths[row] for row in rows),
    )
