"""Labels as a sequence: what a recurrent head that emits one label after another is trained with and read by.

A path is a sequence of distinct labels that ends with END. Tokens are the labels 0..C-1 and END = C; START = C + 1 is
only ever read.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

State = tuple[Tensor, ...]
Advance = Callable[[State, Tensor], tuple[Tensor, State]]
"""From a state, each part (rows, ...), and the last tokens (rows,) to logits (rows, C + 1) and the next state."""

Teach = Callable[[Tensor, Tensor], Tensor]
"""From a step's logits (B, C + 1) and the true labels not yet emitted (B, C) to the token (B,) that it should emit."""

LEAST = 1e-6  # probabilities are kept this far from 0 and 1, so that their logits are finite


def true_labels(targets: Tensor, weights: Tensor) -> Tensor:
    """Return the labels (B, C) bool of a path: known, and with a soft target of 0.5 at least."""
    return (weights > 0) & (targets >= 0.5)


def token_weights(weights: Tensor) -> Tensor:
    """Return weights (B, C + 1) of tokens as targets: a label's own, and for END the mean over known cells, else 0."""
    known = (weights > 0).sum(dim=1, keepdim=True)
    return torch.cat([weights, weights.sum(dim=1, keepdim=True) / known.clamp(min=1)], dim=1)


def masked_log_softmax(logits: Tensor, allowed: Tensor) -> Tensor:
    """Return log P over END and the ``allowed`` (..., C) labels, -inf elsewhere, of logits (..., C + 1)."""
    closed = functional.pad(~allowed, (0, 1), value=False)
    return logits.masked_fill(closed, -torch.inf).log_softmax(dim=-1)


def mean_over_steps(losses: Tensor, weights: Tensor) -> Tensor:
    """Average step losses, weighted, over the steps of positive weight; 0 where there is none."""
    return (losses * weights).sum() / (weights > 0).sum().clamp(min=1)


def taught_loss(advance: Advance, state: State, teach: Teach, targets: Tensor, weights: Tensor) -> Tensor:
    """Return the mean cross-entropy of the tokens that ``teach`` names, each read by the step after it.

    Labels that are unknown or emitted are not in the softmax. A step weighs what its token weighs, one after END 0.

    Args:
        advance: one step of the head. state: before the first step, each part (B, ...).
        targets: (B, C), true from 0.5. weights: of the cells (B, C), 0 where unknown.
    """
    labels = targets.shape[1]
    remaining, free, own = true_labels(targets, weights), weights > 0, token_weights(weights)
    last = torch.full((len(targets),), labels + 1, device=targets.device)
    ended = torch.zeros_like(last, dtype=torch.bool)
    losses, step_weights = [], []
    for _ in range(int(remaining.sum(dim=1).max()) + 1):
        logits, state = advance(state, last)
        token = teach(logits, remaining)
        losses.append(-masked_log_softmax(logits, free).gather(1, token.unsqueeze(1)).squeeze(1))
        step_weights.append(own.gather(1, token.unsqueeze(1)).squeeze(1) * ~ended)
        ended = ended | (token == labels)
        emitted = functional.one_hot(token, labels + 1)[:, :-1].bool()
        remaining, free, last = remaining & ~emitted, free & ~emitted, token
    return mean_over_steps(torch.stack(losses), torch.stack(step_weights))


def label_marginals(advance: Advance, state: State, labels: int, width: int, steps: int) -> Tensor:
    """Return the probability (B, C) that a label occurs on a path, by beam search over the paths.

    P(c) = sum over prefixes π without c of P(π) P(c | π), P(π) the product of the steps' probabilities. The beam keeps
    the ``width`` most probable prefixes of each length, so the sum is a lower bound; with a beam that holds all
    prefixes, and ``steps`` = C, it is exact. Every label has a score, also one that is on no path of the beam, and
    scores of different labels are probabilities of the same kind. A label that is on a prefix does not come again. A
    path that ends leaves the beam, as it emits nothing more.

    Args:
        advance: one step of the head.
        state: before the first step, each part (B, ...).
        labels: C. width: of the beam. steps: most labels on a path.
    """
    count = state[0].shape[0]
    last = torch.full((count,), labels + 1, dtype=torch.long, device=state[0].device)
    path = torch.zeros(count, 1, device=state[0].device)  # log P of each prefix in the beam
    free = torch.ones(count, 1, labels, dtype=torch.bool, device=state[0].device)
    total = torch.zeros(count, labels, device=state[0].device)
    for step in range(min(steps, labels)):
        logits, state = advance(state, last)
        beams = path.shape[1]
        emitted = path.unsqueeze(2) + masked_log_softmax(logits.view(count, beams, -1), free)[..., :labels]
        total = total + emitted.exp().sum(dim=1)
        if step + 1 == min(steps, labels):
            break
        path, best = emitted.flatten(1).topk(min(width, beams * labels), dim=1)
        parent, token = best // labels, best % labels
        free = free.gather(1, parent.unsqueeze(2).expand(-1, -1, labels))
        free = free & ~functional.one_hot(token, labels).bool()
        state, last = tuple(_follow(part, parent, beams) for part in state), token.flatten()
    return total


def _follow(part: Tensor, parent: Tensor, beams: int) -> Tensor:
    """Return a part of the state (B * beams, ...) of each prefix's ``parent`` (B, width), as (B * width, ...)."""
    count, width = parent.shape
    by_image = part.reshape(count, beams, -1)
    chosen = by_image.gather(1, parent.unsqueeze(2).expand(-1, -1, by_image.shape[2]))
    return chosen.reshape(count * width, *part.shape[1:])
