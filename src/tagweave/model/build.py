"""Assemble our head from a configuration and the data's sizes: the only place that knows both."""

from __future__ import annotations

import torch
from torch import nn

from tagweave.config import ModelConfig
from tagweave.errors import InputError
from tagweave.model.attention import StageAttention, StageAverage
from tagweave.model.cooccurrence import cooccurrence_matrix, normalised_adjacency
from tagweave.model.fusion import DotFusion, MFBFusion
from tagweave.model.global_vector import GlobalConvolutions
from tagweave.model.inputs import HeadInputs, LabelFacts
from tagweave.model.label_gcn import LabelGCN
from tagweave.model.mscnn_lce import MSCNNLCE
from tagweave.model.prior import prior_logits
from tagweave.model.standardised import StandardisedMap


def build_mscnn_lce(config: ModelConfig, inputs: HeadInputs) -> MSCNNLCE:
    """Build an untrained head of ours.

    Raises:
        InputError: switches that do not go together.
    """
    facts, pooled, width = inputs.facts, inputs.pooled(), config.width
    count, depth = inputs.labels, pooled.mean.shape[0]
    use = stages_in_use(config, len(inputs.layout.maps))
    stages = _stages(config, inputs, use)
    convolutions = _convolutions(config, inputs) if config.global_vector == "convolutions" else None
    gcn = _label_gcn(config, facts) if config.embeds_labels else None
    offset = config.prior and config.fusion != "none"
    return MSCNNLCE(
        pooled=pooled,
        stages=stages,
        dense=nn.Linear(depth if convolutions is None else width, width),
        classifiers=[nn.Linear(width, count) for _ in stages],
        gcn=gcn,
        fusion=_fusion(config, width * len(stages) + {"none": 0, "g": width, "pooled": depth}[config.append], count),
        append=config.append,
        prior=prior_logits(facts.rates) if offset else None,
        dropout=config.dropout,
        convolutions=convolutions,
        use=use,
    )


def stages_in_use(config: ModelConfig, count: int) -> tuple[int, ...]:
    """Return the places of the stages that ``config.stages`` names among ``count``, from 0, fine to coarse.

    Raises:
        InputError: it names a stage that the encoder does not have, or one twice.
    """
    if config.stages is None:
        return tuple(range(count))
    places = tuple(number - 1 if number > 0 else count + number for number in config.stages)
    if any(number == 0 for number in config.stages) or not all(0 <= place < count for place in places):
        raise InputError(
            f"Expected model.stages to name some of the encoder's {count} stages, 1 (finest) to {count} or -1 "
            f"(coarsest), but got {list(config.stages)}."
        )
    if len({*places}) < len(places):
        raise InputError(f"Expected every stage once in model.stages, but got {list(config.stages)}.")
    return tuple(sorted(places))


def _stages(config: ModelConfig, inputs: HeadInputs, use: tuple[int, ...]) -> list[StageAttention | StageAverage]:
    stages: list[StageAttention | StageAverage] = []
    for place in use:
        (channels, _, _), (mean, std) = inputs.layout.maps[place], inputs.statistics[place]
        stage = (
            StageAttention(channels, config.width, config.compatibility, config.normalisation)
            if config.attention
            else StageAverage(channels, config.width)
        )
        stage.channel_mean.copy_(mean)
        stage.channel_std.copy_(std)
        stages.append(stage)
    return stages


def _convolutions(config: ModelConfig, inputs: HeadInputs) -> GlobalConvolutions:
    channels = inputs.layout.maps[-1][0]
    return GlobalConvolutions(StandardisedMap(*inputs.statistics[-1]), channels, config.width)


def _label_gcn(config: ModelConfig, facts: LabelFacts) -> LabelGCN:
    matrix = cooccurrence_matrix(facts.conditional, config.phi, config.lam, config.theta, config.normalise)
    adjacency = torch.from_numpy(normalised_adjacency(matrix))
    return LabelGCN(adjacency, torch.from_numpy(facts.vectors), config.gcn_widths)


def _fusion(config: ModelConfig, image_width: int, labels: int) -> MFBFusion | DotFusion | nn.Linear | None:
    label_width = config.gcn_widths[-1]
    if config.fusion == "mfb":
        return MFBFusion(
            image_width, label_width, config.m, config.g, config.fusion_dropout, config.signed_sqrt, config.l2
        )
    if config.fusion == "linear":
        return nn.Linear(image_width, labels, bias=not config.prior)
    return DotFusion(image_width, label_width) if config.fusion == "dot" else None
