"""Assemble our head from a configuration and the data's sizes: the only place that knows both."""

from __future__ import annotations

import torch
from torch import nn

from tagweave.config import ModelConfig
from tagweave.model.attention import StageAttention
from tagweave.model.cooccurrence import cooccurrence_matrix, normalised_adjacency
from tagweave.model.fusion import DotFusion, MFBFusion
from tagweave.model.inputs import HeadInputs, LabelFacts
from tagweave.model.label_gcn import LabelGCN
from tagweave.model.mscnn_lce import MSCNNLCE
from tagweave.model.prior import prior_logits


def build_mscnn_lce(config: ModelConfig, inputs: HeadInputs) -> MSCNNLCE:
    """Build an untrained head of ours.

    Raises:
        InputError: switches that do not go together.
    """
    facts, pooled, width = inputs.facts, inputs.pooled(), config.width
    count, depth = inputs.labels, pooled.mean.shape[0]
    stages = _stages(config, inputs)
    gcn = None if config.fusion == "none" else _label_gcn(config, facts)
    prior = prior_logits(facts.rates) if config.prior and gcn else None
    return MSCNNLCE(
        pooled=pooled,
        stages=stages,
        dense=nn.Linear(depth, width),
        classifiers=[nn.Linear(width, count) for _ in stages],
        gcn=gcn,
        fusion=_fusion(config, width * len(stages) + {"none": 0, "g": width, "pooled": depth}[config.append]),
        append=config.append,
        prior=prior,
        dropout=config.dropout,
    )


def _stages(config: ModelConfig, inputs: HeadInputs) -> list[StageAttention]:
    stages = []
    for (channels, _, _), (mean, std) in zip(inputs.layout.maps, inputs.statistics, strict=True):
        stage = StageAttention(channels, config.width, config.compatibility, config.normalisation)
        stage.channel_mean.copy_(mean)
        stage.channel_std.copy_(std)
        stages.append(stage)
    return stages


def _label_gcn(config: ModelConfig, facts: LabelFacts) -> LabelGCN:
    matrix = cooccurrence_matrix(facts.conditional, config.phi, config.lam, config.theta, config.normalise)
    adjacency = torch.from_numpy(normalised_adjacency(matrix))
    return LabelGCN(adjacency, torch.from_numpy(facts.vectors), config.gcn_widths)


def _fusion(config: ModelConfig, image_width: int) -> MFBFusion | DotFusion | None:
    label_width = config.gcn_widths[-1]
    if config.fusion == "mfb":
        return MFBFusion(
            image_width, label_width, config.m, config.g, config.fusion_dropout, config.signed_sqrt, config.l2
        )
    return DotFusion(image_width, label_width) if config.fusion == "dot" else None
