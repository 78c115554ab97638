"""FixMatch: what a network says of a mildly changed image teaches it about the strongly changed one.

Source: Sohn et al. 2020, "FixMatch: simplifying semi-supervised learning with consistency and confidence", NeurIPS; for
several labels one threshold above and one below, as the multi-label baselines of CAP have it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tagweave.model.losses import Loss, bce


def fixmatch(
    weak: Tensor, strong: Tensor, known: Tensor, loss: Loss = bce, above: float = 0.95, below: float = 0.05
) -> Tensor:
    """Return the loss of the strong view against the labels that the weak view is sure of.

    With p = sigmoid(weak), held fixed: t = 1 where p >= above, t = 0 where p <= below, no target between; the mean of
    loss(strong, t) over the cells that nobody labelled and that have one, 0 where there is none.

    Args:
        weak, strong: logits (B, C) of two views of the same images.
        known: (B, C) bool; known cells are left to their labels.
        above, below: of the probability.
    """
    with torch.no_grad():
        probability = weak.float().sigmoid()
        target = (probability >= above).float()
        sure = ((probability >= above) | (probability <= below)) & ~known
    return loss(strong, target, sure.float())
