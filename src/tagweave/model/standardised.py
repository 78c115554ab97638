"""Stage maps made ready: standardised per channel by the pool's statistics."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class StandardisedMap(nn.Module):
    """Map x (B, channels, H, W) to (x - mean) / std per channel.

    Args:
        mean, std: of the channel over the pool's images and positions (channels,).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.view(1, -1, 1, 1).clone())
        self.register_buffer("std", std.view(1, -1, 1, 1).clone())

    def forward(self, stage: Tensor) -> Tensor:
        """Return the standardised map."""
        return (stage - self.mean) / self.std


def standardised_maps(statistics: Sequence[tuple[Tensor, Tensor]]) -> nn.ModuleList:
    """Return one ``StandardisedMap`` per stage."""
    return nn.ModuleList(StandardisedMap(mean, std) for mean, std in statistics)
