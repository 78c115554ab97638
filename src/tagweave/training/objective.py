"""What a training step makes smaller: the loss of one part of a batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from tagweave.model.losses import Loss
from tagweave.model.mscnn_lce import HeadOutput
from tagweave.training.batches import Inputs
from tagweave.training.end_to_end import EndToEnd


class Objective(nn.Module):
    """Return a head's own objective where it has one, else the task's loss on its logits and auxiliary logits.

    Args:
        network: a head, or a trunk with a head.
        loss: the task's. auxiliary: weight of the auxiliary logits' loss.
    """

    def __init__(self, network: nn.Module, loss: Loss, auxiliary: float) -> None:
        super().__init__()
        self.network, self.loss, self.auxiliary = network, loss, auxiliary

    @property
    def is_own(self) -> bool:
        """Whether the head brings its own objective."""
        return hasattr(self.network.head if isinstance(self.network, EndToEnd) else self.network, "objective")

    def forward(self, inputs: Inputs, targets: Tensor, weights: Tensor) -> Tensor:
        """Return the loss of a batch, float32."""
        head = self.network
        if isinstance(head, EndToEnd):
            inputs, head = head.look(*inputs), head.head
        if hasattr(head, "objective"):
            own: Tensor = head.objective(*inputs, targets, weights)  # type: ignore[operator]
            return own
        output: HeadOutput = head(*inputs)
        value = self.loss(output.logits, targets, weights)
        if output.auxiliary is not None and self.auxiliary:
            value = value + self.auxiliary * self.loss(output.auxiliary, targets, weights)
        return value


def balanced_cells(targets: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return targets and weights with which ``bce`` is ``weighted_bce`` of the whole batch, cell by cell.

    t' = t wt_p / w', w' = t wt_p + (1 - t) wt_n: parts of the batch then add up to it.
    """
    known = (weights > 0).float()
    positive, negative = (targets * known).sum(), ((1 - targets) * known).sum()
    total = positive + negative + 1
    for_positive, for_negative = targets * (total / (positive + 1)), (1 - targets) * (total / (negative + 1))
    balance = for_positive + for_negative
    return for_positive / balance, weights * balance


def shares(weights: NDArray[np.float32], parts: Sequence[NDArray[np.int64]], by_images: bool) -> list[float]:
    """Return what part each of ``parts`` (places in the batch) has in the batch's mean: of known cells, or images."""
    mass = np.ones(len(weights)) if by_images else (weights > 0).sum(axis=1)
    whole = max(float(mass.sum()), 1.0)
    return [float(mass[part].sum()) / whole for part in parts]
