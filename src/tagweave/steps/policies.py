"""Other systems' ways of using unlabelled images, as targets that the network of any head can be trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from tagweave.data.labels import LabelMatrix
from tagweave.data.splits import stratified_split
from tagweave.graph.neighbours import pool_mean, unit_features
from tagweave.model.pooled import PooledFeature
from tagweave.peers.cap import cap
from tagweave.peers.dicap import HELD_SHARE, dicap
from tagweave.peers.lp_deepssl import lp_deepssl
from tagweave.peers.pseudo_targets import PseudoTargets
from tagweave.training.batches import MapSource
from tagweave.training.linear import train_linear

Features = NDArray[np.floating]
Policy = Callable[[Features, Sequence[int], LabelMatrix, int], PseudoTargets]
"""From raw pooled features (N, D) of a pool, the widths of their parts, labels (N, C) and a seed to targets."""
PoolPolicy = Callable[[NDArray[np.int64], LabelMatrix], PseudoTargets]
"""The same from the pool's rows (N,) in a collection and its labels (N, C)."""


def by_diffusion(features: Features, parts: Sequence[int], labels: LabelMatrix, seed: int) -> PseudoTargets:
    """Return LP-DeepSSL's targets, over the unit features that our graph compares."""
    return lp_deepssl(unit_features(features, pool_mean(features), parts), labels)


def by_rates(features: Features, parts: Sequence[int], labels: LabelMatrix, seed: int) -> PseudoTargets:
    """Return CAP's targets, from a first model that learnt from all labelled images."""
    return cap(first_model(features, parts, labels, seed), labels)


def by_reliability(features: Features, parts: Sequence[int], labels: LabelMatrix, seed: int) -> PseudoTargets:
    """Return DiCaP's targets, from a first model that learnt without a part of the labelled images."""
    rows = np.flatnonzero(labels.labelled)
    part = stratified_split(labels.take(rows), [1.0 - HELD_SHARE, HELD_SHARE], seed)
    held = rows[part == 1]
    return dicap(first_model(features, parts, labels.hide(held), seed), labels, held)


def first_model(features: Features, parts: Sequence[int], labels: LabelMatrix, seed: int) -> NDArray[np.float64]:
    """Return probabilities (N, C) by a linear layer trained on the labelled images with the asymmetric loss."""
    mean = torch.from_numpy(pool_mean(features))
    with torch.inference_mode():
        x = PooledFeature(mean, parts)(torch.from_numpy(features.astype(np.float32)))
    layer = train_linear(x.numpy()[labels.labelled], labels.take(labels.labelled), seed)
    with torch.inference_mode():
        probabilities: NDArray[np.float64] = layer(x).sigmoid().numpy().astype(np.float64)
    return probabilities


POLICIES: dict[str, Policy] = {"lp_deepssl": by_diffusion, "cap": by_rates, "dicap": by_reliability}


def policy_over(source: MapSource, name: str, seed: int) -> PoolPolicy | None:
    """Return the policy ``name`` over the frozen records of a collection, None where no other system is named."""
    if name not in POLICIES:
        return None

    def over_pool(pool: NDArray[np.int64], labels: LabelMatrix) -> PseudoTargets:
        features = source.cache.features(source.positions[pool])
        return POLICIES[name](features, source.cache.layout.parts, labels, seed)

    return over_pool
