"""Assemble the head from a configuration and the data's sizes: the only place that knows both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tagweave.config import ModelConfig
from tagweave.encoders.backbones import Layout
from tagweave.model.attention import StageAttention
from tagweave.model.cooccurrence import cooccurrence_matrix, normalised_adjacency
from tagweave.model.fusion import DotFusion, MFBFusion
from tagweave.model.joint import JointHead
from tagweave.model.label_gcn import LabelGCN
from tagweave.model.mscnn_lce import MSCNNLCE
from tagweave.model.pooled import PooledFeature, channel_statistics
from tagweave.model.propagated import PropagatedScore

INDUCTIVE = "propagated."  # where a joint head keeps what propagation says
RAREST = 1e-3  # rates are kept this far from 0 and 1 where a logit starts from them


@dataclass(frozen=True)
class LabelFacts:
    """Hold what training labels say about labels: P' (C, C), rates pi (C,), word vectors Z (C, E)."""

    conditional: NDArray[np.float64]
    rates: NDArray[np.float64]
    vectors: NDArray[np.float32]


def build_head(
    config: ModelConfig, layout: Layout, facts: LabelFacts, maps: Sequence[Tensor], mean: Tensor
) -> MSCNNLCE:
    """Build an untrained head.

    Args:
        config: switches and widths.
        layout: of the encoder's records.
        facts: of the labels.
        maps: of a sample of the pool, for the statistics that standardise them.
        mean: of the pool's pooled features (D,).

    Raises:
        InputError: switches that do not go together.
    """
    stages = _stages(config, layout)
    for stage, sample in zip(stages, maps, strict=True):
        channel_mean, channel_std = channel_statistics(sample)
        stage.channel_mean.copy_(channel_mean)
        stage.channel_std.copy_(channel_std)
    return _assemble(config, stages, PooledFeature(mean, layout.parts), facts)


def empty_head(config: ModelConfig, layout: Layout, labels: int) -> MSCNNLCE:
    """Build a folded network of the right shapes for a state to be loaded into."""
    blank = LabelFacts(np.zeros((labels, labels)), np.full(labels, 0.5), np.zeros((labels, 1), dtype=np.float32))
    pooled = PooledFeature(torch.zeros(layout.features), layout.parts)
    network = _assemble(config, _stages(config, layout), pooled, blank)
    network.fold()
    return network


def restore_head(config: ModelConfig, layout: Layout, labels: int, state: Mapping[str, Tensor]) -> MSCNNLCE | JointHead:
    """Build the folded network, or joint head, that ``state`` was saved from."""
    network = empty_head(config, layout, labels)
    head: MSCNNLCE | JointHead = network
    if "share" in state:
        inner = {name.removeprefix(INDUCTIVE): tensor for name, tensor in state.items() if name.startswith(INDUCTIVE)}
        head = JointHead(network, PropagatedScore(inner), *(state[name] for name in ("slope", "offset", "share")))
    head.load_state_dict(dict(state))
    return head.eval()


def _stages(config: ModelConfig, layout: Layout) -> list[StageAttention]:
    return [
        StageAttention(channels, config.width, config.compatibility, config.normalisation)
        for channels, _, _ in layout.maps
    ]


def _assemble(config: ModelConfig, stages: list[StageAttention], pooled: PooledFeature, facts: LabelFacts) -> MSCNNLCE:
    count, width, depth = len(facts.rates), config.width, pooled.mean.shape[0]
    gcn = None if config.fusion == "none" else _label_gcn(config, facts)
    rates = np.clip(facts.rates, RAREST, 1 - RAREST)
    prior = torch.from_numpy(np.log(rates / (1 - rates)).astype(np.float32)) if config.prior and gcn else None
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
