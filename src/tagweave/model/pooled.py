"""The pooled feature made ready for a linear layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PooledFeature(nn.Module):
    """Centre and L2-normalise the parts of a pooled feature, then scale to unit variance: x̄ (B, D).

    The same unit features that the graph compares, times sqrt(D).

    Args:
        mean: the pool's mean feature (D,).
        parts: equal parts (average, maximum) that are normalised on their own.
    """

    mean: Tensor

    def __init__(self, mean: Tensor, parts: int) -> None:
        super().__init__()
        self.parts = parts
        self.register_buffer("mean", mean)

    def forward(self, feature: Tensor) -> Tensor:
        """Return x̄ (B, D) of raw pooled features (B, D)."""
        centred = (feature - self.mean).unflatten(1, (self.parts, -1))
        unit = nn.functional.normalize(centred, dim=2, eps=1e-12)
        return unit.flatten(1) * (feature.shape[1] / self.parts) ** 0.5


def channel_statistics(stage: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation per channel of maps (N, channels, H, W), over images and positions."""
    mean = stage.mean(dim=(0, 2, 3))
    return mean, torch.sqrt(((stage - mean.view(1, -1, 1, 1)) ** 2).mean(dim=(0, 2, 3)) + 1e-6)
