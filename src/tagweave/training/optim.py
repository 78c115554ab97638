"""Optimiser, learning rate and averaged weights."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from tagweave.config import TrainConfig
from tagweave.training.end_to_end import EndToEnd

STEPS_AT = (0.4, 0.8)  # of the training: where the schedule ``step`` divides the rate by ten
LEAST = 0.01  # of the peak: where the cosine ends


def build_optimiser(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Return AdamW, or SGD with momentum 0.9, over all parameters that want a gradient.

    Each group's ``factor`` says how its rate stands to the head's: ``backbone_rate`` for a trunk.
    """
    groups: list[dict[str, Any]] = [{"params": _wanting(network), "factor": 1.0}]
    if isinstance(network, EndToEnd):
        trunk = {"params": _wanting(network.encoder), "factor": config.backbone_rate}
        groups = [trunk, {"params": _wanting(network.head), "factor": 1.0}]
    if config.optimiser == "sgd":
        return torch.optim.SGD(
            groups, lr=config.learning_rate, momentum=0.9, weight_decay=config.weight_decay, fused=True
        )
    # Fused: one tensor after the other takes nearly three times as long on a CPU.
    return torch.optim.AdamW(groups, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)


def _wanting(module: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["factor"]


def learning_rate(step: int, steps: int, config: TrainConfig) -> float:
    """Return the head's rate at ``step`` of ``steps``: a linear rise, then what ``config.schedule`` says.

    ``cosine`` falls to 1 % of the peak, ``step`` divides by ten twice, ``constant`` stays.
    """
    rise = max(1, round(config.warm_up * steps))
    if step < rise:
        return config.learning_rate * (step + 1) / rise
    if config.schedule == "constant":
        return config.learning_rate
    if config.schedule == "step":
        return config.learning_rate * 0.1 ** sum(step >= at * steps for at in STEPS_AT)
    progress = (step - rise) / max(1, steps - rise)
    return config.learning_rate * (LEAST + (1 - LEAST) * 0.5 * (1.0 + math.cos(math.pi * progress)))


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, step: int, decay: float) -> None:
    """Move averaged weights towards the current ones: avg <- d avg + (1 - d) w, with d rising to ``decay``.

    Buffers, such as the statistics of batch norms, are averages already and are taken over as they are.
    """
    # Short at first: with the full decay the random start would weigh in for hundreds of steps.
    now = min(decay, (1 + step) / (10 + step)) if decay else 0.0
    for averaged, current in zip(average.parameters(), network.parameters(), strict=True):
        averaged.lerp_(current, 1.0 - now)
    for kept, newest in zip(average.buffers(), network.buffers(), strict=True):
        kept.copy_(newest)
