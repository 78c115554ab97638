"""The usual yardstick: one linear layer on the pooled feature, trained on the labelled images only."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tagweave.data.labels import LabelMatrix
from tagweave.model.losses import asymmetric

EPOCHS = 60
BATCH = 32
RATE = 1e-3


def train_linear(
    x: NDArray[np.float32], labels: LabelMatrix, seed: int, updates: int | None = None
) -> nn.Linear:  # fmt: skip
    """Train a linear classifier with the asymmetric loss (Ridnik et al. 2021) on known cells.

    Adam, rate 1e-3, batches of 32, 60 epochs: the plateau on photographs and scenes alike.

    Args:
        x: features of unit variance (n, D) of the labelled images.
        labels: (n, C).
        seed: of the order.
        updates: at most; those of all epochs without it.
    """
    layer = nn.Linear(x.shape[1], len(labels.names))
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    optimiser = torch.optim.Adam(layer.parameters(), lr=RATE, fused=True)
    features = torch.from_numpy(x)
    targets, known = (torch.from_numpy(cells.astype(np.float32)) for cells in (labels.values, labels.known))
    rng = np.random.default_rng(seed)
    parts = (
        rows for _ in range(EPOCHS) for rows in torch.from_numpy(rng.permutation(len(x))).split(BATCH)
    )  # fmt: skip
    for rows in itertools.islice(parts, updates):
        optimiser.zero_grad()
        asymmetric(layer(features[rows]), targets[rows], known[rows]).backward()
        optimiser.step()
    return layer.requires_grad_(False)
