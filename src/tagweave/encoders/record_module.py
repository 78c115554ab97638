"""The frozen backbone as one module: pixels in, one row of numbers per image out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

Shape = tuple[int, int, int]


class RecordModule(nn.Module):
    """Map pixels (B, S, S, 3) uint8 to records (B, R) float32: the stage maps, flattened, then the pooled feature.

    Args:
        trunk: a timm model with ``forward_intermediates``.
        mean, std: per channel, of pixels in 0..255.
        taps: the numbers of the stages to keep, from fine to coarse.
        map_side: larger maps are average-pooled to at most this side.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, trunk: nn.Module, mean: Sequence[float], std: Sequence[float], taps: Sequence[int], map_side: int
    ) -> None:
        super().__init__()
        self.trunk, self.taps, self.map_side = trunk, list(taps), map_side
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def stages(self, pixels: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the backbone's own maps, and its final map (B, channels, H, W)."""
        x = (pixels.permute(0, 3, 1, 2).float() - self.mean) / self.std
        last, maps = self.trunk.forward_intermediates(x, indices=self.taps)  # type: ignore[operator]
        if last.ndim == 3:  # tokens (B, T, D) -> (B, D, T, 1), leaving class and register tokens out
            last = last[:, getattr(self.trunk, "num_prefix_tokens", 0) :].transpose(1, 2).unsqueeze(3)
        elif getattr(self.trunk, "output_fmt", "NCHW") == "NHWC":  # Swin and its like
            last = last.permute(0, 3, 1, 2)
        return maps, last

    def forward(self, pixels: Tensor) -> Tensor:
        """Return records (B, R)."""
        maps, last = self.stages(pixels)
        stored = [self._shrink(stage) for stage in maps]
        return torch.cat([*(stage.flatten(1) for stage in stored), *_pooled(stored, last)], dim=1)

    @torch.inference_mode()
    def shapes(self, size: int) -> tuple[tuple[Shape, ...], tuple[int, ...], tuple[int, ...]]:
        """Return the stored maps' shapes, the strides of the backbone's own maps, and the pooled parts' widths."""
        maps, last = self.stages(torch.zeros(1, size, size, 3, dtype=torch.uint8))
        stored = [self._shrink(stage) for stage in maps]
        shapes = tuple(tuple(int(side) for side in stage.shape[1:]) for stage in stored)
        parts = tuple(int(part.shape[1]) for part in _pooled(stored, last))
        return shapes, tuple(round(size / stage.shape[2]) for stage in maps), parts  # type: ignore[return-value]

    def _shrink(self, stage: Tensor) -> Tensor:
        factor = -(-stage.shape[2] // self.map_side)
        if factor <= 1:
            return stage
        # A side that the factor does not divide keeps its edge: the last cells average what is left.
        return nn.functional.avg_pool2d(stage, factor, ceil_mode=True, count_include_pad=False)


def _pooled(stored: Sequence[Tensor], last: Tensor) -> list[Tensor]:
    """Return average and maximum of the final map and of the stored ones, but the finest and what is final."""
    coarse = stored[1:-1] if last.shape[1] == stored[-1].shape[1] else stored[1:]
    return [pooled for stage in (last, *coarse) for pooled in (stage.mean(dim=(2, 3)), stage.amax(dim=(2, 3)))]
