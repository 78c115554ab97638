"""FixMatch's training step: given labels on the weak view, the network's own sure ones on the strong view."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tagweave.peers.fixmatch import sure_cells
from tagweave.training.batches import Inputs
from tagweave.training.objective import Objective


class Consistency(nn.Module):
    """Return the loss of given cells on weak views plus that of cells the network is sure of on strong views.

    loss = 1/K Σ_given w l(weak, t) + 1/U Σ_sure l(strong, t'), t' and which cells are sure by ``sure_cells`` of the
    weak views, K and U the batch's numbers of given and of unknown cells. The second sum has the paper's weight of 1,
    and is the smaller the less the network is sure of. For t' the weak views are scored without a gradient, with the
    dropout and batch norms of the training.

    Args:
        objective: l, the head's own or the task's, auxiliary logits included.
    """

    def __init__(self, objective: Objective) -> None:
        super().__init__()
        self.objective = objective

    @property
    def network(self) -> nn.Module:
        """What is trained."""
        return self.objective.network

    def forward(self, inputs: Inputs, targets: Tensor, weights: Tensor, unknown: Tensor) -> Tensor:
        """Return the loss of a batch, or of a part that counts by its images; float32.

        Args:
            inputs: weak and strong views, pixels (B, S, S, 3) each.
            targets: t (B, C). weights: w of given cells, 0 elsewhere. unknown: weights of unknown cells, 0 elsewhere;
                both (B, C), as ``per_image`` makes them of the whole batch. Every image has a cell of either kind.
        """
        weak, strong = inputs
        with torch.no_grad():
            found, sure = sure_cells(self.network(weak).logits, unknown > 0)
        given, sought = (weights > 0).any(dim=1), (unknown > 0).any(dim=1)
        views = torch.cat([weak[given], strong[sought]])
        joined = torch.cat([targets[given], found[sought]])
        cells = torch.cat([weights[given], (unknown * sure)[sought]])
        # The objective averages over cells of positive weight: here the sum, for each image.
        value: Tensor = self.objective((views,), joined, cells * ((cells > 0).sum() / len(targets)))
        return value


def per_image(weights: Tensor) -> Tensor:
    """Return a batch's weights (B, C) times B over the number of positive ones.

    Their sum over parts, divided by each part's images and weighed by its share of the images, is the batch's mean.
    """
    return weights * (len(weights) / (weights > 0).sum().clamp(min=1))
