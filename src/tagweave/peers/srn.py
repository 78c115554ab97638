"""SRN, the spatial regularisation network: attention maps of all labels, and what they say of each other.

After Zhu et al., CVPR 2017.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tagweave.config import ModelConfig
from tagweave.model.inputs import HeadInputs
from tagweave.model.losses import bce
from tagweave.model.mscnn_lce import HeadOutput
from tagweave.model.standardised import StandardisedMap
from tagweave.peers.label_layer import label_layer
from tagweave.peers.pooling import average_over_space

KERNELS = 4  # of the whole map's size, for each channel of the regularisation
PASSING = 2  # epochs at most in a stage that does not bring the prediction forward, so that patience lasts

STAGES = ("main", "attention", "regularisation", "joint")


def stage_of(epoch: int, epochs: int) -> str:
    """Return which part learns in ``epoch`` (from 0) of ``epochs``.

    The main head for a third of the epochs; attention, then regularisation, for a quarter, two epochs at most; all
    jointly for the rest, which is never empty.
    """
    passing = min(PASSING, epochs // 4)
    ends = (epochs // 3, epochs // 3 + passing, epochs // 3 + 2 * passing)
    return STAGES[sum(epoch >= end for end in ends)]


class SpatialRegularisation(nn.Module):
    """Map weighted label maps U (B, C, H, W) to logits (B, C), by convolutions that see where labels lie.

    conv 1x1 to E, conv 1x1, then a grouped convolution with 4 kernels of the map's size for each of E channels, ReLU
    after each, then a linear layer, which starts at 0 so that an untrained one says nothing of any image.

    Args:
        labels: C.
        width: E.
        side: H and W.
        linear: from 4 E to C.
    """

    def __init__(self, labels: int, width: int, side: tuple[int, int], linear: nn.Linear) -> None:
        super().__init__()
        self.mix = nn.Sequential(nn.Conv2d(labels, width, 1), nn.ReLU(), nn.Conv2d(width, width, 1), nn.ReLU())
        self.layout = nn.Conv2d(width, KERNELS * width, side, groups=width)
        self.linear = linear
        nn.init.zeros_(linear.weight)

    def forward(self, weighted: Tensor) -> Tensor:
        """Return logits (B, C)."""
        logits: Tensor = self.linear(self.layout(self.mix(weighted)).relu().flatten(1))
        return logits


class SRN(nn.Module):
    """Score by the average of a main head and a head that regularises label attention in space.

    With x the coarsest map, standardised per channel:

    - main: y = P mean(x) + b
    - attention: A = softmax over positions of conv 1x1 (relu conv 3x3 (relu conv 1x1 (x))), one map per label;
      confidence S = conv 1x1 (x); its own prediction sum over positions of A ∘ S, the auxiliary logits
    - regularisation: ``SpatialRegularisation`` of U = H W A ∘ sigmoid(S)
    - logits (y + y_reg) / 2

    Loss, by epoch (``stage_of``): binary cross-entropy of y; of the attention's prediction; of y_reg with U held
    fixed; jointly of y and y_reg. Simplified: convolutions are ``config.width`` wide (the paper's 512), no batch
    norm, and U times H W, a constant that starts the next layer at ordinary size.

    Args:
        pooled: from the raw pooled feature to x̄.
        standardised: of the coarsest map.
        main: P and b.
        attend: from x to C maps of compatibility. confide: from x to S.
        regularise: from U to y_reg.
    """

    def __init__(
        self, pooled: nn.Module, standardised: StandardisedMap, main: nn.Linear,
        attend: nn.Module, confide: nn.Module, regularise: nn.Module,
    ) -> None:  # fmt: skip
        super().__init__()
        self.pooled, self.standardised, self.main = pooled, standardised, main
        self.attend, self.confide, self.regularise = attend, confide, regularise
        self.stage = STAGES[-1]

    def fold(self) -> None:
        """Do nothing: no part is constant."""

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Choose what ``objective`` trains."""
        self.stage = stage_of(epoch, epochs)

    def attention(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return A and S, both (B, C, H, W), of standardised maps; A sums to 1 over positions."""
        compatibility = self.attend(x)
        weights = compatibility.flatten(2).softmax(dim=2).view_as(compatibility)
        return weights, self.confide(x)

    def forward(self, maps: Sequence[Tensor], feature: Tensor) -> HeadOutput:
        """Score a batch: L stage maps (B, channels, H, W); the raw pooled features (B, D) are not used."""
        x = self.standardised(maps[-1])
        weights, confidence = self.attention(x)
        regularised = self.regularise(_weighted(weights, confidence))
        logits = (self.main(average_over_space(x)) + regularised) / 2
        return HeadOutput(logits, (weights * confidence).sum(dim=(2, 3)), ())

    def objective(self, maps: Sequence[Tensor], feature: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Return the stage's loss over known cells: targets (B, C) in [0, 1], weights (B, C), 0 where unknown."""
        x = self.standardised(maps[-1])
        main = bce(self.main(average_over_space(x)), targets, weights)
        if self.stage == "main":
            return main
        attention, confidence = self.attention(x)
        if self.stage == "attention":
            return bce((attention * confidence).sum(dim=(2, 3)), targets, weights)
        weighted = _weighted(attention, confidence)
        if self.stage == "regularisation":
            return bce(self.regularise(weighted.detach()), targets, weights)
        return main + bce(self.regularise(weighted), targets, weights)


def _weighted(attention: Tensor, confidence: Tensor) -> Tensor:
    """Return U (B, C, H, W)."""
    return attention.shape[2] * attention.shape[3] * attention * torch.sigmoid(confidence)


def build_srn(config: ModelConfig, inputs: HeadInputs) -> SRN:
    """Build SRN with convolutions ``config.width`` wide."""
    (channels, height, width), count, inner = inputs.layout.maps[-1], inputs.labels, config.width
    attend = nn.Sequential(
        nn.Conv2d(channels, inner, 1), nn.ReLU(), nn.Conv2d(inner, inner, 3, padding=1), nn.ReLU(),
        nn.Conv2d(inner, count, 1),
    )  # fmt: skip
    last = label_layer(KERNELS * inner, config, inputs)
    return SRN(
        pooled=inputs.pooled(),
        standardised=StandardisedMap(*inputs.statistics[-1]),
        main=label_layer(channels, config, inputs),
        attend=attend,
        confide=nn.Conv2d(channels, count, 1),
        regularise=SpatialRegularisation(count, inner, (height, width), last),
    )
