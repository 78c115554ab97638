"""The pooled feature made ready for a linear layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class PooledFeature(nn.Module):
    """Centre and L2-normalise the parts of a pooled feature, then scale to unit variance: x̄ (B, D).

    The same unit features that the graph compares, each part times the root of its width.

    Args:
        mean: the pool's mean feature (D,).
        parts: widths of the parts (averages, maxima) that are normalised on their own.
    """

    mean: Tensor

    def __init__(self, mean: Tensor, parts: Sequence[int]) -> None:
        super().__init__()
        self.parts = list(parts)
        self.register_buffer("mean", mean)

    def forward(self, feature: Tensor) -> Tensor:
        """Return x̄ (B, D) of raw pooled features (B, D)."""
        parts = (feature - self.mean).split(self.parts, dim=1)
        return torch.cat([nn.functional.normalize(part, eps=1e-12) * part.shape[1] ** 0.5 for part in parts], dim=1)


def channel_statistics(stage: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation per channel of maps (N, channels, H, W), over images and positions."""
    mean = stage.mean(dim=(0, 2, 3))
    return mean, torch.sqrt(((stage - mean.view(1, -1, 1, 1)) ** 2).mean(dim=(0, 2, 3)) + 1e-6)


def joined_statistics(parts: Sequence[tuple[int, Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Return μ = Σ w_p μ_p and σ = sqrt(Σ w_p (σ_p² + (μ_p - μ)²)) of parts of n_p images, w_p = n_p / n.

    One part is given back as it is.
    """
    counts, means, deviations = zip(*parts, strict=True)
    weights = (torch.tensor(counts, dtype=torch.float64) / sum(counts)).unsqueeze(1)
    own, spread = torch.stack(means).double(), torch.stack(deviations).double()
    mean = (weights * own).sum(dim=0)
    return mean.float(), (weights * (spread**2 + (own - mean) ** 2)).sum(dim=0).sqrt().float()
