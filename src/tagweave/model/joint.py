"""The network, the ridge of places and what propagation says of new images, joined into one head."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tagweave.model.local_ridge import LocalRidge
from tagweave.model.mscnn_lce import HeadOutput
from tagweave.model.propagated import PropagatedScore

LEAST = 1e-7  # probabilities are kept this far from 0 and 1, so that their logits are finite


class JointHead(nn.Module):
    """Mix three probabilities per label, p = a σ(slope z + offset) + b σ(slope' z' + offset') + c p'', as p's logit.

    z are the network's logits and z' those of the ridge of places, each with one calibration for all labels; p'' is
    what propagation says. On few labels the three err differently; their mixture is ahead of the best of them
    or close to it. Of a label that no labelled image has the network learned nothing: what propagation knows of it by
    its name stands alone.

    Args:
        network: the trained head.
        local: gives z' from the maps.
        propagated: gives p'' from the network's x̄ and the raw feature.
        slope, offset: (2,), the network's first.
        shares: (a, b, c), not negative, of sum 1.
        untaught: (C,), whether a label has no known positive, but a name much like one that the backbone knows.
    """

    slope: Tensor
    offset: Tensor
    shares: Tensor
    untaught: Tensor

    def __init__(
        self, network: nn.Module, local: LocalRidge, propagated: PropagatedScore, slope: Tensor, offset: Tensor,
        shares: Tensor, untaught: Tensor,
    ) -> None:  # fmt: skip
        super().__init__()
        self.network, self.local, self.propagated = network, local, propagated
        self.register_buffer("slope", slope)
        self.register_buffer("offset", offset)
        self.register_buffer("shares", shares)
        self.register_buffer("untaught", untaught)

    def fold(self) -> None:
        """Replace the network's label side by one constant tensor."""
        self.network.fold()  # type: ignore[operator]

    def forward(self, maps: Sequence[Tensor], feature: Tensor) -> HeadOutput:
        """Score a batch: L stage maps (B, channels, H, W) and raw pooled features (B, D)."""
        output = self.network(maps, feature)
        parts = (
            torch.sigmoid(output.logits * self.slope[0] + self.offset[0]),
            torch.sigmoid(self.local(maps, feature).logits * self.slope[1] + self.offset[1]),
            self.propagated(self.network.pooled(feature), feature),  # type: ignore[operator]
        )
        mixed = sum(share * part for share, part in zip(self.shares, parts, strict=True))
        mixed = torch.where(self.untaught, parts[2], mixed)
        return HeadOutput(torch.logit(mixed, eps=LEAST), output.auxiliary, output.attention)
