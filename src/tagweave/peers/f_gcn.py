"""F-GCN: ML-GCN's two branches, fused by MFB (Wang et al., CIKM 2020)."""

from __future__ import annotations

import torch

from tagweave.config import ModelConfig
from tagweave.model.fusion import MFBFusion
from tagweave.model.inputs import HeadInputs
from tagweave.model.label_gcn import LabelGCN
from tagweave.model.prior import prior_logits
from tagweave.model.standardised import StandardisedMap
from tagweave.peers.ml_gcn import MLGCN, binary_adjacency, word_vectors


def build_f_gcn(config: ModelConfig, inputs: HeadInputs) -> MLGCN:
    """Build F-GCN: for label i, M = sum-pool over groups of g of (U x) ∘ (V w_i), y_i = <o, M> + b.

    x and W_lab are ML-GCN's, and so is the loss; the fusion is ``MFBFusion`` with the configuration's m, g, dropout,
    signed root and norm (m 358, g 2). Simplified: one output layer for all labels, as in our own fusion; with
    ``config.prior`` a learned offset per label starts at its known rate, without which a dozen epochs on few images go
    by before labels differ.

    Raises:
        InputError: no word vectors, or g does not divide m.
    """
    adjacency = torch.from_numpy(binary_adjacency(inputs.facts.conditional))
    gcn = LabelGCN(adjacency, word_vectors(inputs), config.gcn_widths)
    fusion = MFBFusion(
        inputs.layout.maps[-1][0], config.gcn_widths[-1], config.m, config.g, config.fusion_dropout,
        config.signed_sqrt, config.l2,
    )  # fmt: skip
    prior = prior_logits(inputs.facts.rates) if config.prior else None
    return MLGCN(inputs.pooled(), StandardisedMap(*inputs.statistics[-1]), gcn, fusion, prior)
