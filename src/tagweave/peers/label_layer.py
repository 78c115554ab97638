"""The last layer of most heads."""

from __future__ import annotations

import torch
from torch import nn

from tagweave.config import ModelConfig
from tagweave.model.inputs import HeadInputs
from tagweave.model.prior import prior_logits


def label_layer(width: int, config: ModelConfig, inputs: HeadInputs) -> nn.Linear:
    """Return a linear layer from ``width`` to C labels whose bias starts at the known rates, with ``config.prior``."""
    layer = nn.Linear(width, inputs.labels)
    with torch.no_grad():
        layer.bias.copy_(prior_logits(inputs.facts.rates)) if config.prior else layer.bias.zero_()
    return layer
