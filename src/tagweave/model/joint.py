"""The network and what propagation says of new images, joined into one head."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tagweave.model.mscnn_lce import HeadOutput
from tagweave.model.propagated import PropagatedScore

LEAST = 1e-5  # probabilities are kept this far from 0 and 1, so that their logits are finite


class JointHead(nn.Module):
    """Mix two probabilities per label, p = share sigmoid(slope z + offset) + (1 - share) p', given as p's logit.

    z are the network's logits, slope and offset (C,) their calibration, p' what propagation says. On few labels the
    two err differently, and the mixture errs less than either.

    Args:
        network: the trained head.
        propagated: gives p' from the network's x̄.
        slope, offset: (C,).
        share: of the network, in [0, 1].
    """

    slope: Tensor
    offset: Tensor
    share: Tensor

    def __init__(
        self, network: nn.Module, propagated: PropagatedScore, slope: Tensor, offset: Tensor, share: Tensor
    ) -> None:
        super().__init__()
        self.network, self.propagated = network, propagated
        self.register_buffer("slope", slope)
        self.register_buffer("offset", offset)
        self.register_buffer("share", share)

    def fold(self) -> None:
        """Replace the network's label side by one constant tensor."""
        self.network.fold()  # type: ignore[operator]

    def forward(self, maps: Sequence[Tensor], feature: Tensor) -> HeadOutput:
        """Score a batch: L stage maps (B, channels, H, W) and raw pooled features (B, D)."""
        output = self.network(maps, feature)
        by_network = torch.sigmoid(output.logits * self.slope + self.offset)
        by_propagation = self.propagated(self.network.pooled(feature))  # type: ignore[operator]
        mixed = self.share * by_network + (1.0 - self.share) * by_propagation
        return HeadOutput(torch.logit(mixed, eps=LEAST), output.auxiliary, output.attention)
