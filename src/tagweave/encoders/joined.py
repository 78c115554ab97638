"""Several backbones that see the same pixels, as one module."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tagweave.encoders.record_module import RecordModule


class JoinedRecords(nn.Module):
    """Map pixels (B, S, S, 3) uint8 to records (B, R): the stage maps of all backbones, then their pooled features.

    Backbones of different widths err differently; what learns from both errs less.

    Args:
        encoders: one record module per backbone.
        map_values: numbers in the maps of each one's record.
    """

    def __init__(self, encoders: Sequence[RecordModule], map_values: Sequence[int]) -> None:
        super().__init__()
        self.encoders, self.map_values = nn.ModuleList(encoders), list(map_values)

    @property
    def trunk(self) -> nn.ModuleList:
        """The backbones themselves, whose state is that of all of them."""
        return nn.ModuleList(encoder.trunk for encoder in self.encoders)  # type: ignore[misc]

    def forward(self, pixels: Tensor) -> Tensor:
        """Return records (B, R)."""
        records = [encoder(pixels) for encoder in self.encoders]
        maps = [record[:, :count] for record, count in zip(records, self.map_values, strict=True)]
        features = [record[:, count:] for record, count in zip(records, self.map_values, strict=True)]
        return torch.cat([*maps, *features], dim=1)
