"""The network and a closed-form linear classifier, averaged into one head."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tagweave.model.mscnn_lce import MSCNNLCE, HeadOutput

LEAST = 1e-4  # probabilities are kept this far from 0 and 1, so that their logits are finite


class JointHead(nn.Module):
    """Average two probabilities per label: p = (sigmoid(a z + b) + clip(V x̄ + v, 0, 1)) / 2, given as its logit.

    z are the network's logits, a and b (C,) their calibration, x̄ the pooled feature made ready. On few labels the two
    err differently, and their mean errs less than either.

    Args:
        network: the trained network.
        scale, shift: a and b.
        linear: V and v, from x̄ to a probability per label.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, network: MSCNNLCE, scale: Tensor, shift: Tensor, linear: nn.Linear) -> None:
        super().__init__()
        self.network, self.linear = network, linear
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)

    def fold(self) -> None:
        """Replace the network's label side by one constant tensor."""
        self.network.fold()

    def forward(self, maps: Sequence[Tensor], feature: Tensor) -> HeadOutput:
        """Score a batch: L stage maps (B, channels, H, W) and raw pooled features (B, D)."""
        output = self.network(maps, feature)
        by_network = torch.sigmoid(output.logits * self.scale + self.shift)
        by_features = self.linear(self.network.pooled(feature)).clamp(0.0, 1.0)
        mean = (0.5 * (by_network + by_features)).clamp(LEAST, 1.0 - LEAST)
        return HeadOutput(torch.logit(mean), output.auxiliary, output.attention)
