"""Very Deep: features of several networks and scales under one linear SVM per label (Simonyan & Zisserman 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from tagweave.config import ModelConfig
from tagweave.data.labels import LabelMatrix
from tagweave.model.inputs import HeadInputs
from tagweave.model.losses import squared_hinge
from tagweave.model.mscnn_lce import HeadOutput
from tagweave.model.standardised import standardised_maps

Floats = NDArray[np.float64]
SMALLEST = 1e-12  # length of a feature that is divided by


def join_trunks(trunks: Sequence[Sequence[Floats]]) -> Floats:
    """Return features (n, sum of widths) of unit length: per trunk the mean over scales at unit length, concatenated.

    Args:
        trunks: per network its pooled features (n, width), one array per scale of the image.
    """
    joined = np.concatenate([_unit(np.mean(scales, axis=0)) for scales in trunks], axis=1)
    return _unit(joined)


def _unit(x: Floats) -> Floats:
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), SMALLEST)


@dataclass(frozen=True)
class LinearSVMs:
    """Hold one linear SVM per label: weights (C, D), offsets (C,)."""

    weights: Floats
    offsets: Floats

    def margins(self, x: Floats) -> Floats:
        """Return <w_c, x> + b_c (n, C), positive where the label is there."""
        return x @ self.weights.T + self.offsets


def fit_svms(x: Floats, labels: LabelMatrix, penalty: float = 1.0) -> LinearSVMs:
    """Fit min over w, b of (|w|² + b²) / 2 + penalty sum over known images of max(0, 1 - ±(<w, x> + b))² per label.

    A label that is known as positive only, or as negative only, has margin 1 or -1 everywhere; one of which nothing
    is known 0.

    Args:
        x: features (n, D), as ``join_trunks`` makes them.
        labels: (n, C).
        penalty: the SVM's C: large values fit the images more closely.
    """
    from sklearn.svm import LinearSVC

    weights, offsets = np.zeros((len(labels.names), x.shape[1])), np.zeros(len(labels.names))
    for label in range(len(labels.names)):
        known = labels.known[:, label]
        there = labels.values[known, label]
        if there.any() and not there.all():
            machine = LinearSVC(C=penalty, dual=False, tol=1e-6, max_iter=10_000).fit(x[known], there)
            weights[label], offsets[label] = machine.coef_[0], machine.intercept_[0]
        elif known.any():
            offsets[label] = 1.0 if there.all() else -1.0
    return LinearSVMs(weights, offsets)


def pooled_scales(stage: Tensor) -> Tensor:
    """Return the average (B, channels) over three scales of a map's strongest window.

    max over windows of the mean in a window, for windows of one cell (max pooling), of half the map's sides, rounded
    up, and of the whole map (average pooling).
    """
    height, width = stage.shape[2:]
    windows = (1, 1), (-(-height // 2), -(-width // 2)), (height, width)
    return torch.stack([functional.avg_pool2d(stage, window, 1).amax(dim=(2, 3)) for window in windows]).mean(dim=0)


class VeryDeep(nn.Module):
    """Score y = P x + b by linear SVMs: x joins the stages, each averaged over scales and at unit length.

    x (B, sum of channels) has the length of the root of its width, trained with the squared hinge loss; the
    optimiser's weight decay is the SVM's penalty on |P|. Simplified against the paper, whose trunks are whole networks
    (VGG-16 and -19) and whose scales are sizes of the image: a record holds one network at one size, so that trunks
    are its stages and scales are windows on their maps (``pooled_scales``). ``join_trunks`` and ``fit_svms`` are the
    paper's own rule, for whoever has features of several networks and sizes.

    Args:
        pooled: from the raw pooled feature to x̄.
        standardised: one module per stage.
        linear: P and b.
    """

    def __init__(self, pooled: nn.Module, standardised: nn.ModuleList, linear: nn.Linear) -> None:
        super().__init__()
        self.pooled, self.standardised, self.linear = pooled, standardised, linear

    def fold(self) -> None:
        """Do nothing: no part is constant."""

    def joined(self, maps: Sequence[Tensor]) -> Tensor:
        """Return x (B, sum of channels)."""
        scales = [pooled_scales(ready(stage)) for ready, stage in zip(self.standardised, maps, strict=True)]
        trunks = [functional.normalize(trunk) for trunk in scales]
        joined = functional.normalize(torch.cat(trunks, dim=1))
        return joined * joined.shape[1] ** 0.5

    def forward(self, maps: Sequence[Tensor], feature: Tensor) -> HeadOutput:
        """Score a batch: L stage maps (B, channels, H, W); the raw pooled features (B, D) are not used."""
        return HeadOutput(self.linear(self.joined(maps)), None, ())

    def objective(self, maps: Sequence[Tensor], feature: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Return the squared hinge loss over known cells: targets (B, C) in [0, 1], weights (B, C), 0 where unknown."""
        return squared_hinge(self(maps, feature).logits, targets, weights)


def build_very_deep(config: ModelConfig, inputs: HeadInputs) -> VeryDeep:
    """Build the SVMs; they start at margin 0 for every image."""
    linear = nn.Linear(sum(channels for channels, _, _ in inputs.layout.maps), inputs.labels)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return VeryDeep(inputs.pooled(), standardised_maps(inputs.statistics), linear)
