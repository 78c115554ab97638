"""RARL: an agent that chooses which regions of an image to look at, trained by policy gradient.

Source: Chen, Wang, Li, Lin 2018, "Recurrent attentional reinforcement learning for multi-label image recognition",
AAAI; Williams 1992 for the gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from tagweave.config import ModelConfig
from tagweave.model.inputs import HeadInputs
from tagweave.model.losses import bce
from tagweave.model.mscnn_lce import HeadOutput
from tagweave.model.standardised import StandardisedMap
from tagweave.peers.label_layer import label_layer

SIDES = (1.0, 1 / 2, 1 / 3)  # of regions, as shares of the map's
PLACES = (1, 3, 5)  # of each size, along an axis
EDGE = 1e-6  # a middle on a region's first edge belongs to it, whatever rounding says; one on its last does not
VALUE = 0.5  # weight of the baseline's loss

Choose = Callable[[Tensor], Tensor]
"""From log-probabilities (B, R) of the regions to the one to look at next (B,)."""


class Course(NamedTuple):
    """Hold a course over T regions of B images.

    scores (T, B, C): best logits so far, after each region. chances (T - 1, B): log-probability of each choice.
    values (T - 1, B): what the agent expected to gain from it on.
    """

    scores: Tensor
    chances: Tensor
    values: Tensor


class RARL(nn.Module):
    """Look at the whole coarsest map, then at T - 1 regions that an agent chooses; keep each label's best score.

    Regions are boxes of three sizes on a regular grid, R in all. With q_r the mean and m_r the maximum of the projected
    map over region r, and e_r a learned place:

    - g_t = relu(G [q_r; m_r] + e_r) of the region looked at; h_t = LSTM(g_t, h_(t-1)); scores s_t = S h_t
    - running logits M_t = max(M_(t-1), s_t) per label; those at T are the prediction
    - policy: P(next = r) = softmax_r(<A h_t, K q_r + e_r> / sqrt(E)) over regions not yet looked at

    Reward of a step: how much the image's log loss over known cells falls, l(M_(t-1)) - l(M_t); an image without known
    cells gains nothing. Return R_t: the sum of the rewards to come. Training: log loss of M_T plus, averaged over
    images and steps, -log P(choice) (R_t - v_t) with the baseline v_t = V h_t held fixed there, and (R_t - v_t)^2 / 2,
    which trains V alone.
    Choices are drawn in training, the most probable one is taken in prediction.
    Simplified: a softmax over a fixed set of regions in place of a Gaussian over places with nine boxes around each;
    the reward is the fall of the loss after every step in place of the share of right labels at the end.

    Args:
        pooled: from the raw pooled feature to x̄; the head itself does not read it.
        standardised: of the coarsest map, of shape ``shape`` (channels, H, W).
        classify: from E, the LSTM's width, to C. regions: T.
    """

    masks: Tensor

    def __init__(
        self, pooled: nn.Module, standardised: StandardisedMap, shape: tuple[int, int, int], classify: nn.Linear,
        regions: int = 5,
    ) -> None:  # fmt: skip
        super().__init__()
        width = classify.in_features
        self.pooled, self.standardised = pooled, standardised
        self.register_buffer("masks", region_masks(*shape[1:]), persistent=False)
        count = len(self.masks)
        self.steps = min(regions, count)
        self.project = nn.Conv2d(shape[0], width, 1)
        self.place = nn.Parameter(torch.randn(count, width) * width**-0.5)
        self.glimpse = nn.Linear(2 * width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.query = nn.Linear(width, width)
        self.cell = nn.LSTMCell(width, width)
        self.classify, self.value = classify, nn.Linear(width, 1)

    def fold(self) -> None:
        """Leave the head as it is: every part of it depends on the image."""

    def forward(self, maps: Sequence[Tensor], feature: Tensor) -> HeadOutput:
        """Score a batch.

        Args:
            maps: stage maps, of which the last (B, channels, H, W) is read.
            feature: raw pooled feature (B, D), not read.
        """
        return HeadOutput(self.explore(maps, most_probable).scores[-1], None, ())

    def explore(self, maps: Sequence[Tensor], choose: Choose) -> Course:
        """Follow one course of choices over each image."""
        local = self.project(self.standardised(maps[-1])).flatten(2)  # (B, E, HW)
        means = (self.masks / self.masks.sum(dim=1, keepdim=True)) @ local.transpose(1, 2)  # (B, R, E)
        keys = self.key(means) + self.place
        count = local.shape[0]
        state = (local.new_zeros(count, self.cell.hidden_size),) * 2
        region = torch.zeros(count, dtype=torch.long, device=local.device)  # the whole map
        free = torch.ones(count, len(self.masks), dtype=torch.bool, device=local.device)
        scores: list[Tensor] = []
        chances: list[Tensor] = []
        values: list[Tensor] = []
        for step in range(self.steps):
            state = self.cell(self._glimpse(local, means, region), state)
            own = self.classify(state[0])
            scores.append(own if not scores else torch.maximum(scores[-1], own))
            if step + 1 == self.steps:
                break
            free = free & ~functional.one_hot(region, len(self.masks)).bool()
            compatibility = (keys @ self.query(state[0]).unsqueeze(2)).squeeze(2) * keys.shape[2] ** -0.5
            policy = compatibility.masked_fill(~free, -torch.inf).log_softmax(dim=1)
            region = choose(policy.detach())
            chances.append(policy.gather(1, region.unsqueeze(1)).squeeze(1))
            values.append(self.value(state[0].detach()).squeeze(1))
        empty = local.new_zeros(0, count)
        return Course(torch.stack(scores), torch.stack(chances or [empty]), torch.stack(values or [empty]))

    def _glimpse(self, local: Tensor, means: Tensor, region: Tensor) -> Tensor:
        outside = ~self.masks[region].bool().unsqueeze(1)  # (B, 1, HW)
        highest = local.masked_fill(outside, -torch.inf).amax(dim=2)
        mean = means.gather(1, region.view(-1, 1, 1).expand(-1, 1, means.shape[2])).squeeze(1)
        return functional.relu(self.glimpse(torch.cat([mean, highest], dim=1)) + self.place[region])

    def objective(self, maps: Sequence[Tensor], feature: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Return the log loss of the logits over known cells plus the losses of policy and baseline."""
        course = self.explore(maps, drawn)
        return bce(course.scores[-1], targets, weights) + agent_loss(course, targets, weights)


def agent_loss(course: Course, targets: Tensor, weights: Tensor) -> Tensor:
    """Return the losses of policy and baseline, averaged over steps and images with a known cell."""
    judged = (weights > 0).any(dim=1).float()
    returns = gains(course.scores.detach(), targets, weights)
    advantage = returns - course.values.detach()
    cells = -course.chances * advantage + VALUE * (returns - course.values).square()
    return (cells * judged).sum() / (len(cells) * judged.sum()).clamp(min=1)


def gains(scores: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Return R_t (T - 1, B): how much each image's log loss falls from scores (T, B, C) at t to the last."""
    cells = functional.binary_cross_entropy_with_logits(scores, targets.expand_as(scores), reduction="none")
    losses = (cells * weights).sum(dim=2) / (weights > 0).sum(dim=1).clamp(min=1)
    return losses[:-1] - losses[-1]


def most_probable(policy: Tensor) -> Tensor:
    """Return the most probable region (B,)."""
    return policy.argmax(dim=1)


def drawn(policy: Tensor) -> Tensor:
    """Return a region (B,) drawn by its probability."""
    return policy.exp().multinomial(1).squeeze(1)


def region_masks(height: int, width: int) -> Tensor:
    """Return which positions (R, H * W) of a map the regions cover, the whole map first, as 0 and 1.

    A position belongs to a region where its middle lies inside; a region without any covers the one nearest to its
    own middle. Regions that cover the same positions are kept once.
    """
    y, x = ((torch.arange(side) + 0.5) / side for side in (height, width))
    masks = []
    for side, places in zip(SIDES, PLACES, strict=True):
        starts = torch.linspace(0.0, 1.0 - side, places) if places > 1 else torch.zeros(1)
        for top in starts.tolist():
            for left in starts.tolist():
                rows, columns = _covered(y, top, side), _covered(x, left, side)
                masks.append((rows[:, None] & columns[None, :]).flatten())
    distinct = {tuple(mask.tolist()): mask for mask in masks}
    return torch.stack(list(distinct.values())).float()


def _covered(middles: Tensor, start: float, side: float) -> Tensor:
    inside = (middles > start - EDGE) & (middles < start + side - EDGE)
    if inside.any():
        return inside
    nearest = int((middles - start - side / 2).abs().argmin())
    return torch.arange(len(middles)) == nearest


def build_rarl(config: ModelConfig, inputs: HeadInputs) -> RARL:
    """Build an untrained RARL."""
    standardised = StandardisedMap(*inputs.statistics[-1])
    shape = inputs.layout.maps[-1]
    return RARL(inputs.pooled(), standardised, shape, label_layer(config.width, config, inputs), config.regions)
