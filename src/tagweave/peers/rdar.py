"""RDAR: an LSTM that aims a spatial transformer at one region after another.

Source: Wang, Chen, Li, Xu, Lin 2017, "Multi-label image recognition by recurrently discovering attentional regions",
ICCV.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from tagweave.config import ModelConfig
from tagweave.model.inputs import HeadInputs
from tagweave.model.losses import bce
from tagweave.model.mscnn_lce import HeadOutput
from tagweave.model.standardised import StandardisedMap
from tagweave.peers.label_layer import label_layer

SIDE = 7  # most samples along a side of a crop
NARROW = 64  # most channels of a crop
LARGEST, SMALLEST = 0.5, 0.1  # alpha and beta of the scale terms
ANCHOR, POSITIVE, PLACE = 0.01, 0.1, 0.1  # lambda_1, lambda_2, gamma: the paper's weights


class RDAR(nn.Module):
    """Score labels by the best of K regions that an LSTM finds one after the other in the coarsest map.

    A region is a box M = (s_x, s_y, t_x, t_y) on the map, whose own corners are (-1, -1) and (1, 1). With
    crop(M) the bilinear samples of the projected map at (s_x u + t_x, s_y v + t_y), u and v on a regular grid:

    - M_0 = (1, 1, 0, 0); f_k = relu(F crop(M_k)); h_k = LSTM(f_k, h_(k-1)); z_k = relu(Z h_k)
    - scores s_k = S z_k (C), k = 1..K; next box M_(k+1) = B z_k
    - logits: max over k = 1..K of s_k

    Training: L = log loss of the logits over known cells + 0.1 (L_S + 0.01 L_A + 0.1 L_P + L_I), means over images and
    regions of
    L_S = sum over axes of max(|s| - 0.5, 0)^2 (not too large), L_A = |t - c_k|^2 / 2 (near the region's own anchor),
    L_P = sum of max(0.1 - s, 0) (positive), and L_I = sum of max(|s| + |t| - 1, 0)^2 (inside). Anchors: the centre,
    then K - 1 points evenly on the circle of radius sqrt(1/2) from 45 degrees on.
    Simplified: log loss in place of the Euclidean loss on normalised label vectors, which has no unknown cells; one
    linear layer on a narrow crop in place of VGG-16's; L_I is ours, as PyTorch pads with zeros outside.

    Args:
        pooled: from the raw pooled feature to x̄; the head itself does not read it.
        standardised: of the coarsest map, of shape ``shape`` (channels, H, W).
        classify: S, from the LSTM's width to C. regions: K.
    """

    anchors: Tensor
    grid: Tensor

    def __init__(
        self, pooled: nn.Module, standardised: StandardisedMap, shape: tuple[int, int, int], classify: nn.Linear,
        regions: int = 5,
    ) -> None:  # fmt: skip
        super().__init__()
        width = classify.in_features
        channels, height, breadth = shape
        narrow, sides = min(width, NARROW), (min(height, SIDE), min(breadth, SIDE))
        self.pooled, self.standardised = pooled, standardised
        self.project = nn.Conv2d(channels, narrow, 1)
        self.see = nn.Linear(narrow * sides[0] * sides[1], width)
        self.cell = nn.LSTMCell(width, width)
        self.reason = nn.Linear(width, width)
        self.classify = classify
        self.aim = nn.Linear(width, 4)
        nn.init.zeros_(self.aim.weight)
        with torch.no_grad():
            self.aim.bias.copy_(torch.tensor([LARGEST, LARGEST, 0.0, 0.0]))
        self.register_buffer("anchors", region_anchors(regions), persistent=False)
        self.register_buffer("grid", sampling_grid(*sides), persistent=False)

    def fold(self) -> None:
        """Leave the head as it is: every part of it depends on the image."""

    def forward(self, maps: Sequence[Tensor], feature: Tensor) -> HeadOutput:
        """Score a batch.

        Args:
            maps: stage maps, of which the last (B, channels, H, W) is read.
            feature: raw pooled feature (B, D), not read.
        """
        return HeadOutput(self.look(maps)[0], None, ())

    def look(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return logits (B, C) and the boxes (B, K, 4) of the regions."""
        projected = self.project(self.standardised(maps[-1]))
        output = projected.new_zeros(projected.shape[0], self.cell.hidden_size)
        state = (output, output)
        box = projected.new_tensor([1.0, 1.0, 0.0, 0.0]).expand(projected.shape[0], 4)
        scores, boxes = [], []
        for number in range(len(self.anchors) + 1):
            seen = functional.relu(self.see(crop(projected, box, self.grid).flatten(1)))
            state = self.cell(seen, state)
            thought = functional.relu(self.reason(state[0]))
            if number:
                scores.append(self.classify(thought))
                boxes.append(box)
            box = self.aim(thought)
        return torch.stack(scores).amax(dim=0), torch.stack(boxes, dim=1)

    def objective(self, maps: Sequence[Tensor], feature: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Return the log loss of the logits over known cells plus the terms that place the regions."""
        logits, boxes = self.look(maps)
        return bce(logits, targets, weights) + PLACE * placement(boxes, self.anchors)


def region_anchors(count: int) -> Tensor:
    """Return anchors c_k (count, 2): the centre, then points evenly on the circle of radius sqrt(1/2)."""
    angles = [math.pi / 4 + 2 * math.pi * number / max(count - 1, 1) for number in range(count - 1)]
    around = [(math.cos(angle) * 0.5**0.5, math.sin(angle) * 0.5**0.5) for angle in angles]
    return torch.tensor([(0.0, 0.0), *around])


def sampling_grid(height: int, width: int) -> Tensor:
    """Return the middles (height, width, 2), as (u, v), of equal cells of the square from (-1, -1) to (1, 1)."""
    v, u = ((2.0 * torch.arange(side) + 1.0) / side - 1.0 for side in (height, width))
    return torch.stack(torch.meshgrid(u, v, indexing="xy"), dim=2)


def crop(maps: Tensor, boxes: Tensor, grid: Tensor) -> Tensor:
    """Return bilinear samples (B, channels, h, w) of maps (B, channels, H, W) in boxes (B, 4) at the places of a grid.

    Outside of the map all values are 0.
    """
    scale, shift = boxes[:, None, None, :2], boxes[:, None, None, 2:]
    return functional.grid_sample(maps, grid * scale + shift, align_corners=False)


def placement(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Return L_S + 0.01 L_A + 0.1 L_P + L_I of boxes (B, K, 4), averaged over images and regions."""
    scale, shift = boxes[..., :2], boxes[..., 2:]
    large = (scale.abs() - LARGEST).clamp(min=0).square()
    far = (shift - anchors).square() / 2
    negative = (SMALLEST - scale).clamp(min=0)
    outside = (scale.abs() + shift.abs() - 1).clamp(min=0).square()
    return (large + ANCHOR * far + POSITIVE * negative + outside).sum(dim=2).mean()


def build_rdar(config: ModelConfig, inputs: HeadInputs) -> RDAR:
    """Build an untrained RDAR."""
    standardised = StandardisedMap(*inputs.statistics[-1])
    shape = inputs.layout.maps[-1]
    return RDAR(inputs.pooled(), standardised, shape, label_layer(config.width, config, inputs), config.regions)
