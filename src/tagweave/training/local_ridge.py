"""Fit the regression of propagated labels on stage maps in closed form, in two passes over the images."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tagweave.model.local_ridge import LocalRidge, side_by_side
from tagweave.training.batches import Source, batches

PENALTY = 1.0  # of a squared weight, against the mean variance summed over the features (docs/log.md)
SUREST = 1e-3  # probabilities are kept this far from 0 and 1 where their logits set the scale


def fit_local_ridge(source: Source, targets: NDArray[np.floating], penalty: float = PENALTY) -> LocalRidge:
    """Regress the probabilities t on the averages and maxima x (n, 2 K) of the maps, standardised to u.

    min over W, o of sum_i |t_i - W u_i - o|^2 + penalty 2 K |W|^2: the penalty does not grow with n, as what is spread
    over many images comes from few labels. Slope and offset give z the mean and the deviation that the logits of t
    have over the images; a label with the same z everywhere gets the mean logit.

    Memory: about four arrays (n, C) and three (2 K, 2 K), float64, and a batch.

    Args:
        source: reads the maps of n images.
        targets: t (n, C) in [0, 1].
        penalty: above 0.
    """
    t: NDArray[np.float64] = targets.astype(np.float64)
    x_mean, deviation, covariance, cross = _moments(source, t)
    width, t_mean = len(x_mean), torch.from_numpy(t.mean(axis=0))
    scale = torch.where(deviation > 0, 1.0 / deviation.clamp(min=1e-12), 0.0)
    system = len(t) * (scale.unsqueeze(1) * covariance * scale)
    system.diagonal().add_(penalty * width)
    weight = (scale.unsqueeze(1) * torch.linalg.solve(system, scale.unsqueeze(1) * cross)).T
    bias = t_mean - weight @ x_mean
    average, maximum = (part.float().contiguous() for part in weight.split(width // 2, dim=1))
    unscaled = LocalRidge(average, maximum, bias.float(), torch.ones(len(bias)), torch.zeros(len(bias)))
    return LocalRidge(average, maximum, bias.float(), *_scale(unscaled, source, t)).eval()


def _moments(source: Source, targets: NDArray[np.float64]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return mean and deviation (D,) of x, its covariance (D, D), and sum_i (x_i - mean) t_i (D, C), in float64."""
    width = 2 * sum(stage.shape[1] for stage in source.read(np.arange(1))[0])
    total, squares = torch.zeros(width).double(), torch.zeros(width, width).double()
    cross = torch.zeros(width, targets.shape[1]).double()
    for rows, (maps, _) in batches(source, np.arange(len(source)), source.batch):
        m = side_by_side(maps)
        x = torch.cat([m.mean(dim=(2, 3)), m.amax(dim=(2, 3))], dim=1).double()
        squares.addmm_(x.T, x)
        cross.addmm_(x.T, torch.from_numpy(targets[rows]))
        total += x.sum(dim=0)
    mean = total / len(source)
    covariance = squares / len(source) - torch.outer(mean, mean)
    deviation = covariance.diagonal().clamp(min=0).sqrt()
    return mean, deviation, covariance, cross - torch.outer(mean, torch.from_numpy(targets.sum(axis=0)))


def _scale(scorer: LocalRidge, source: Source, targets: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
    """Return slope and offset (C,)."""
    with torch.inference_mode():
        read = batches(source, np.arange(len(source)), source.batch)
        z = torch.cat([scorer.scores(maps) for _, (maps, _) in read]).double()
    logits = torch.logit(torch.from_numpy(targets), eps=SUREST)
    spread = z.std(dim=0, correction=0)
    slope = torch.where(spread > 1e-9, logits.std(dim=0, correction=0) / spread.clamp(min=1e-9), 0.0)
    return slope.float(), (logits.mean(dim=0) - slope * z.mean(dim=0)).float()
