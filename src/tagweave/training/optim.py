"""Optimiser, learning rate and averaged weights."""

from __future__ import annotations

import math

import torch
from torch import nn

from tagweave.config import TrainConfig


def build_optimiser(head: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Return AdamW, or SGD with momentum 0.9, over all parameters that want a gradient."""
    parameters = [parameter for parameter in head.parameters() if parameter.requires_grad]
    if config.optimiser == "sgd":
        return torch.optim.SGD(
            parameters, lr=config.learning_rate, momentum=0.9, weight_decay=config.weight_decay, fused=True
        )
    return torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)


def learning_rate(step: int, steps: int, config: TrainConfig) -> float:
    """Return the rate at ``step`` of ``steps``: a linear rise, then half a cosine down to 1 % of the peak."""
    rise = max(1, round(config.warm_up * steps))
    if step < rise:
        return config.learning_rate * (step + 1) / rise
    progress = (step - rise) / max(1, steps - rise)
    return config.learning_rate * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * progress)))


@torch.no_grad()
def update_average(average: nn.Module, head: nn.Module, step: int, decay: float) -> None:
    """Move averaged weights towards the current ones: avg <- d avg + (1 - d) w, with d rising to ``decay``.

    Buffers are copied: a batch norm's statistics are averages already.
    """
    now = min(decay, (1 + step) / (10 + step)) if decay else 0.0
    for averaged, current in zip(average.parameters(), head.parameters(), strict=True):
        averaged.lerp_(current, 1.0 - now)
    for kept, now_held in zip(average.buffers(), head.buffers(), strict=True):
        kept.copy_(now_held)
