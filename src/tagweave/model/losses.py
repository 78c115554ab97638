"""Losses over known cells: soft targets, cell weights, float32 (METHOD §5)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from tagweave.errors import InputError

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def _wide(numbers: Tensor) -> Tensor:
    """Return numbers in float32 at least, whatever mixed precision made of them."""
    return numbers.to(torch.promote_types(numbers.dtype, torch.float32))


def _mean(cells: Tensor, weights: Tensor) -> Tensor:
    """Average over cells of positive weight; 0 where there is none."""
    return (cells * weights).sum() / (weights > 0).sum().clamp(min=1)


def weighted_bce(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Balance positives and negatives of the batch (paper eq. 9).

    loss = mean over known cells of w (wt_p t (-log p) + wt_n (1 - t)(-log(1 - p))), p = sigmoid(logit),
    wt_p = (|Po| + |Ne| + 1) / (|Po| + 1), wt_n = (|Po| + |Ne| + 1) / (|Ne| + 1), with |Po| and |Ne| the sums of t and
    1 - t over known cells.

    Args:
        logits: (B, C).
        targets: t (B, C) in [0, 1].
        weights: w (B, C) >= 0; 0 marks an unknown cell, which has no loss and no gradient.
    """
    logits, targets, weights = _wide(logits), _wide(targets), _wide(weights)
    known = (weights > 0).to(weights.dtype)
    positive, negative = (targets * known).sum(), ((1 - targets) * known).sum()
    total = positive + negative + 1
    cells = targets * functional.softplus(-logits) * (total / (positive + 1))
    cells = cells + (1 - targets) * functional.softplus(logits) * (total / (negative + 1))
    return _mean(cells, weights)


def bce(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Return binary cross-entropy, averaged over known cells; arguments as in ``weighted_bce``."""
    cells = functional.binary_cross_entropy_with_logits(_wide(logits), _wide(targets), reduction="none")
    return _mean(cells, _wide(weights))


def asymmetric(
    logits: Tensor, targets: Tensor, weights: Tensor,
    gamma_negative: float = 4.0, gamma_positive: float = 0.0, clip: float = 0.05,
) -> Tensor:  # fmt: skip
    """Return the asymmetric loss (Ridnik et al. 2021).

    -t (1 - p)^γ+ log p - (1 - t) p_m^γ- log(1 - p_m), with p_m = max(p - clip, 0): easy negatives count little.
    """
    logits, targets = _wide(logits), _wide(targets)
    probability = logits.sigmoid()
    shifted = (probability - clip).clamp(min=0)
    positive = -((1 - probability) ** gamma_positive) * functional.logsigmoid(logits)
    negative = -(shifted**gamma_negative) * torch.log1p(-shifted.clamp(max=1 - 1e-6))
    return _mean(targets * positive + (1 - targets) * negative, _wide(weights))


def focal(logits: Tensor, targets: Tensor, weights: Tensor, gamma: float = 2.0) -> Tensor:
    """Return the focal loss (Lin et al. 2017): -t (1 - p)^γ log p - (1 - t) p^γ log(1 - p)."""
    logits, targets = _wide(logits), _wide(targets)
    probability = logits.sigmoid()
    positive = (1 - probability) ** gamma * functional.softplus(-logits)
    negative = probability**gamma * functional.softplus(logits)
    return _mean(targets * positive + (1 - targets) * negative, _wide(weights))


def squared_hinge(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Return the linear SVM's loss: t max(0, 1 - y)^2 + (1 - t) max(0, 1 + y)^2, averaged over known cells."""
    logits, targets = logits.float(), targets.float()
    cells = targets * (1 - logits).clamp(min=0) ** 2 + (1 - targets) * (1 + logits).clamp(min=0) ** 2
    return _mean(cells, weights.float())


# ML-GCN's multi-label soft margin loss is the same function as ``bce``; both names are in use.
LOSSES: dict[str, Loss] = {
    "weighted_bce": weighted_bce,
    "bce": bce,
    "soft_margin": bce,
    "asymmetric": asymmetric,
    "focal": focal,
}


def build_loss(name: str) -> Loss:
    """Return the loss called ``name``.

    Raises:
        InputError: unknown name.
    """
    if name not in LOSSES:
        raise InputError(f"Expected loss to be one of {', '.join(LOSSES)}, but got '{name}'.")
    return LOSSES[name]
