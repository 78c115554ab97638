"""Ridge regression of the propagated labels on the stage maps, read as a whole and place by place."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tagweave.model.mscnn_lce import HeadOutput

SHARPNESS = 8.0  # T: near 0 all places count alike, far above only the best one does (docs/log.md)
AT_ONCE = 128  # labels whose places are scored at once: with batches of 256 and 14 x 14 places, 26 MB an array


class LocalRidge(nn.Module):
    """Score labels by the whole image and by its best places.

    m (B, K, H, W) are the stage maps side by side, each brought to H x W of the last, the coarsest (averages over whole
    blocks, then bilinear). With their averages a and maxima b over places,

    - f_c = <v_c, a> + <w_c, b> + o_c is ridge regression of the labels' probabilities;
    - s_c(p) = <v_c + w_c, m(p)> + o_c is f_c of an image that looked everywhere as it does at place p;
    - z_c = f_c + 1/T log mean_p exp(T s_c(p)), and the logit is slope_c z_c + offset_c.

    What is small fills few places: it hardly moves a and f_c, but it does move the best s_c(p). Places are compared in
    prediction only; learned on whole images, they need no labels of their own, as in class activation maps.

    Args:
        average, maximum: v and w (C, K). bias: o (C,).
        slope, offset: (C,) from z to logits.

    Source: Zhou et al. 2016, "Learning deep features for discriminative localization"; Pinheiro & Collobert 2015,
    "From image-level to pixel-level labeling" (the soft maximum). Learned in closed form, and from propagated labels,
    by us.
    """

    average: Tensor
    maximum: Tensor
    bias: Tensor
    slope: Tensor
    offset: Tensor

    def __init__(self, average: Tensor, maximum: Tensor, bias: Tensor, slope: Tensor, offset: Tensor) -> None:
        super().__init__()
        self.register_buffer("average", average)
        self.register_buffer("maximum", maximum)
        self.register_buffer("bias", bias)
        self.register_buffer("slope", slope)
        self.register_buffer("offset", offset)

    def forward(self, maps: Sequence[Tensor], feature: Tensor) -> HeadOutput:
        """Score a batch: L stage maps (B, channels, H, W); the raw pooled features (B, D) are not used."""
        return HeadOutput(self.scores(maps) * self.slope + self.offset, None, ())

    def scores(self, maps: Sequence[Tensor]) -> Tensor:
        """Return z (B, C)."""
        m = side_by_side(maps)
        whole = m.mean(dim=(2, 3)) @ self.average.T + m.amax(dim=(2, 3)) @ self.maximum.T + self.bias
        weights, biases = (part.split(AT_ONCE) for part in (self.average + self.maximum, self.bias))
        best = [
            torch.logsumexp(SHARPNESS * (weight @ m.flatten(2) + bias.unsqueeze(1)), dim=2)
            for weight, bias in zip(weights, biases, strict=True)
        ]
        return whole + (torch.cat(best, dim=1) - math.log(m.shape[2] * m.shape[3])) / SHARPNESS

    def places(self, maps: Sequence[Tensor]) -> Tensor:
        """Return where each label is seen: softmax over p of T s_c(p) (B, C, H, W), by how much a place moves z."""
        m = side_by_side(maps)
        by_place = (self.average + self.maximum) @ m.flatten(2) + self.bias.unsqueeze(1)
        return torch.softmax(SHARPNESS * by_place, dim=2).unflatten(2, m.shape[2:])


def side_by_side(maps: Sequence[Tensor]) -> Tensor:
    """Return m (B, K, H, W) of L stage maps (B, channels, H, W)."""
    height, width = maps[-1].shape[-2:]
    return torch.cat([_resized(stage, height, width) for stage in maps], dim=1)


def _resized(stage: Tensor, height: int, width: int) -> Tensor:
    step = min(stage.shape[-2] // height, stage.shape[-1] // width)
    if step > 1:  # bilinear alone would leave out what lies between its points
        stage = nn.functional.avg_pool2d(stage, step)
    if stage.shape[-2:] == (height, width):
        return stage
    return nn.functional.interpolate(stage, size=(height, width), mode="bilinear", align_corners=False)
