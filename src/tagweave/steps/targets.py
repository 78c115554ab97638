"""What the network learns from: given cells, then what propagation says of the rest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tagweave.config import TrainConfig
from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import Manifest
from tagweave.errors import InputError
from tagweave.steps.policies import POLICIES, PoolPolicy
from tagweave.training.batches import Source, TrainingSet

Read = Callable[[NDArray[np.int64]], Source]


def training_set(
    propagated: Path, config: TrainConfig, manifest: Manifest, labels: LabelMatrix, read: Read,
    hidden: NDArray[np.int64], policy: PoolPolicy | None = None,
) -> TrainingSet:  # fmt: skip
    """Give every image of the pool its targets and their weights.

    Args:
        propagated: what ``propagate`` left of the pool, with the labels of ``hidden`` hidden.
        config: which cells to trust.
        manifest, labels: of the whole collection, nothing hidden.
        read: gives what the network sees of some rows of the collection.
        hidden: rows (n,) of the collection that take no part.
        policy: another system's, where ``config.targets`` names one.
    """
    with np.load(propagated, allow_pickle=False) as stored:
        pool, probabilities, reached = stored["pool"], stored["probabilities"], stored["reached"]
        values, known = stored["decided_values"], stored["decided_known"]
    given = labels.hide(hidden).take(pool)
    kind = config.targets
    assert (policy is not None) == (kind in POLICIES), kind
    if policy is not None:
        found = policy(pool, given)
        return _assembled(found.values, found.weights, pool, hidden, given, manifest, read)
    if kind == "soft":
        targets, trusted = probabilities, given.known | reached[:, None]
    elif kind == "decided":
        targets, trusted = values.astype(np.float32), known
    else:
        targets, trusted = given.values.astype(np.float32), given.known
    weights = np.where(given.known, 1.0, np.maximum(probabilities, 1 - probabilities) if kind == "decided" else 1.0)
    unknown = ~given.known if kind == "fixmatch" else None
    return _assembled(targets, np.where(trusted, weights, 0.0), pool, hidden, given, manifest, read, unknown)


def _assembled(
    targets: NDArray[np.floating], weights: NDArray[np.floating], pool: NDArray[np.int64], hidden: NDArray[np.int64],
    given: LabelMatrix, manifest: Manifest, read: Read, unknown: NDArray[np.bool_] | None = None,
) -> TrainingSet:  # fmt: skip
    """Return the pool's images that are not hidden and have a cell to learn from; known cells as they are known.

    Args:
        unknown: cells (n, C) of the pool that the network fills in by itself, where it does.

    Raises:
        InputError: there are none.
    """
    can_learn = given.positives > 0
    weights = np.where(can_learn, weights, 0.0)
    unknown = unknown if unknown is None else unknown & can_learn
    cells = weights > 0 if unknown is None else (weights > 0) | unknown
    use = np.flatnonzero(~np.isin(pool, hidden) & cells.any(axis=1))
    if not len(use):
        raise InputError(
            f"Expected a labelled image with a known positive label to train on, but got none among {len(pool):,} "
            "images; label more of them, or raise the label budget."
        )
    rows = pool[use]
    return TrainingSet(
        source=read(rows),
        targets=np.where(given.known, given.values, targets)[use].astype(np.float32),
        weights=weights[use].astype(np.float32),
        labelled=given.labelled[use],
        names=tuple(manifest.paths[row] for row in rows),
        unknown=unknown if unknown is None else unknown[use],
    )
