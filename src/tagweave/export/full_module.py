"""The whole classifier as one torch module: the only place that says how its parts follow each other."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from tagweave.encoders.cache import FLOAT16_MAX
from tagweave.model.fusion import MFBFusion
from tagweave.model.joint import JointHead
from tagweave.predict import Classifier


class UnchunkedFusion(nn.Module):
    """Fuse all labels at once: how many chunks there are would depend on the batch, which a graph leaves open.

    Args:
        fusion: whose parameters and formula are used.
    """

    def __init__(self, fusion: MFBFusion) -> None:
        super().__init__()
        self.fusion = fusion

    def forward(self, feature: Tensor, projected: Tensor) -> Tensor:
        """Return logits (B, C) of image features F (B, image_width) with M2 (C, m)."""
        return self.fusion._fuse(self.fusion.U(feature), projected)


class RecordScorer(nn.Module):
    """Map records (B, R) to calibrated probabilities (B, C), as ``Classifier.probabilities`` does.

    Records are rounded to float16 first: that is what the head was trained on and what caches give back.

    Args:
        classifier: of a run.
    """

    slope: Tensor
    offset: Tensor

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.layout = classifier.layout
        self.head = deepcopy(classifier.head).cpu().eval()
        self.head.fold()  # type: ignore[operator]
        network = self.head.network if isinstance(self.head, JointHead) else self.head
        fusion = getattr(network, "fusion", None)
        if isinstance(fusion, MFBFusion):
            network.fusion = UnchunkedFusion(fusion)
        self.register_buffer("slope", torch.from_numpy(classifier.calibration.slope).float())
        self.register_buffer("offset", torch.from_numpy(classifier.calibration.offset).float())

    def forward(self, records: Tensor) -> Tensor:
        """Return probabilities (B, C), float32."""
        stored = records.clamp(-FLOAT16_MAX, FLOAT16_MAX).half().float()
        maps, start = [], 0
        for channels, height, width in self.layout.maps:
            end = start + channels * height * width
            maps.append(stored[:, start:end].unflatten(1, (channels, height, width)))
            start = end
        return torch.sigmoid(self.head(maps, stored[:, start:]).logits * self.slope + self.offset)


def full_module(classifier: Classifier) -> nn.Sequential:
    """Return the module from pixels (B, S, S, 3) uint8 to calibrated probabilities (B, C) float32, on the CPU.

    Its parts are ``encoder``, which normalises, and ``scorer``. The resize stays outside: Pillow takes columns or rows
    first, rounding to 8 bits between, by a rule that changes with its version, so that no graph gives its pixels.
    """
    encoder = classifier.built_encoder
    module = nn.Sequential()
    module.add_module("encoder", deepcopy(encoder.module).cpu())
    module.add_module("scorer", RecordScorer(classifier))
    return module.eval()
