"""One linear layer on pooled features: the baselines that every other head has to beat."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from tagweave.config import ModelConfig
from tagweave.model.inputs import HeadInputs
from tagweave.model.losses import asymmetric
from tagweave.model.mscnn_lce import HeadOutput
from tagweave.model.standardised import StandardisedMap
from tagweave.peers.label_layer import label_layer


def average_over_space(stage: Tensor) -> Tensor:
    """Return the mean (B, channels) over positions of a map (B, channels, H, W)."""
    return stage.mean(dim=(2, 3))


def max_over_space(stage: Tensor) -> Tensor:
    """Return the maximum (B, channels) over positions of a map (B, channels, H, W)."""
    return stage.amax(dim=(2, 3))


def both_over_space(stage: Tensor) -> Tensor:
    """Return mean and maximum (B, 2 channels) over positions of a map (B, channels, H, W)."""
    return torch.cat([average_over_space(stage), max_over_space(stage)], dim=1)


class PooledLinear(nn.Module):
    """Score y = P pool(x) + b, x the coarsest map (B, channels, H, W), standardised per channel.

    The head of ResNet-101 and its like: with average pooling the usual baseline, with max pooling the one that small
    objects ask for. Trained with the task's loss.

    Args:
        pooled: from the raw pooled feature to x̄.
        standardised: of the coarsest map.
        pool: from a map to a vector per image.
        linear: P and b.
    """

    def __init__(
        self, pooled: nn.Module, standardised: StandardisedMap, pool: Callable[[Tensor], Tensor], linear: nn.Linear
    ) -> None:
        super().__init__()
        self.pooled, self.standardised, self.pool, self.linear = pooled, standardised, pool, linear

    def fold(self) -> None:
        """Do nothing: no part is constant."""

    def forward(self, maps: Sequence[Tensor], feature: Tensor) -> HeadOutput:
        """Score a batch: L stage maps (B, channels, H, W); the raw pooled features (B, D) are not used."""
        return HeadOutput(self.linear(self.pool(self.standardised(maps[-1]))), None, ())


class ASLLinear(nn.Module):
    """Score y = P x̄ + b, trained with the asymmetric loss (Ridnik et al. 2021: γ- 4, γ+ 0, clip 0.05).

    Args:
        pooled: from the raw pooled feature (B, D) to x̄.
        linear: P and b.
    """

    def __init__(self, pooled: nn.Module, linear: nn.Linear) -> None:
        super().__init__()
        self.pooled, self.linear = pooled, linear

    def fold(self) -> None:
        """Do nothing: no part is constant."""

    def forward(self, maps: Sequence[Tensor], feature: Tensor) -> HeadOutput:
        """Score a batch: raw pooled features (B, D); the stage maps are not used."""
        return HeadOutput(self.linear(self.pooled(feature)), None, ())

    def objective(self, maps: Sequence[Tensor], feature: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Return the asymmetric loss over known cells: targets (B, C) in [0, 1], weights (B, C), 0 where unknown."""
        return asymmetric(self(maps, feature).logits, targets, weights)


def build_average_pool(config: ModelConfig, inputs: HeadInputs) -> PooledLinear:
    """Build a linear layer on the coarsest map's averages."""
    return _pooled_linear(config, inputs, average_over_space, 1)


def build_max_pool(config: ModelConfig, inputs: HeadInputs) -> PooledLinear:
    """Build a linear layer on the coarsest map's maxima."""
    return _pooled_linear(config, inputs, max_over_space, 1)


def build_both_pool(config: ModelConfig, inputs: HeadInputs) -> PooledLinear:
    """Build a linear layer on the coarsest map's averages and maxima."""
    return _pooled_linear(config, inputs, both_over_space, 2)


def build_asl_linear(config: ModelConfig, inputs: HeadInputs) -> ASLLinear:
    """Build a linear layer on x̄."""
    return ASLLinear(inputs.pooled(), label_layer(inputs.layout.features, config, inputs))


def _pooled_linear(
    config: ModelConfig, inputs: HeadInputs, pool: Callable[[Tensor], Tensor], parts: int
) -> PooledLinear:
    channels = inputs.layout.maps[-1][0]
    linear = label_layer(parts * channels, config, inputs)
    return PooledLinear(inputs.pooled(), StandardisedMap(*inputs.statistics[-1]), pool, linear)
