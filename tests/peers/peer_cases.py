"""What the tests of heads share: sizes, inputs, random batches, and a training in a few lines."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tagweave.config import ModelConfig
from tagweave.encoders.backbones import Layout
from tagweave.model.inputs import HeadInputs, LabelFacts
from tagweave.model.losses import bce
from tagweave.peers.registry import build_head

LABELS = 5
LAYOUT = Layout(maps=((3, 4, 6), (4, 3, 3)), strides=(8, 16), parts=(6, 4))
ALGEBRA = 1e-5  # float32 sums of a few dozen terms of order 1, in another order


def settings(head: str, **changes: Any) -> ModelConfig:
    small = {"width": 8, "m": 8, "g": 2, "gcn_widths": (7, 6), "dropout": 0.0, "fusion_dropout": 0.0}
    return ModelConfig(head=head, **{**small, **changes})


def inputs(labels: int = LABELS, layout: Layout = LAYOUT, seed: int = 0, **changes: Any) -> HeadInputs:
    """Draw label facts and statistics; ``changes`` go over the facts."""
    rng = np.random.default_rng(seed)
    facts = {
        "conditional": rng.random((labels, labels)), "rates": rng.uniform(0.1, 0.9, labels),
        "vectors": rng.normal(size=(labels, 4)).astype(np.float32),
    }  # fmt: skip
    statistics = tuple(
        (torch.from_numpy(rng.normal(size=c)).float(), torch.from_numpy(rng.uniform(0.5, 2, c)).float())
        for c, _, _ in layout.maps
    )
    mean = torch.from_numpy(rng.normal(size=layout.features)).float()
    return HeadInputs(layout, LabelFacts(**{**facts, **changes}), statistics, mean)


def batch(size: int = 3, layout: Layout = LAYOUT, seed: int = 1) -> tuple[list[Tensor], Tensor]:
    generator = torch.Generator().manual_seed(seed)
    maps = [torch.randn(size, *shape, generator=generator) for shape in layout.maps]
    return maps, torch.randn(size, layout.features, generator=generator)


def head_case(name: str, given: HeadInputs | None = None, seed: int = 0, **changes: Any) -> nn.Module:
    """Build a head in which no parameter rests at zero."""
    torch.manual_seed(seed)
    head = build_head(settings(name, **changes), given or inputs())
    with torch.no_grad():
        for parameter in head.parameters():
            if not parameter.any():
                parameter.normal_()
    return head.eval()


def standardised(head: nn.Module, stage: Tensor) -> np.ndarray:
    """Return the coarsest map made ready, computed with NumPy from the head's numbers."""
    ready = head.standardised
    return (stage.numpy() - ready.mean.numpy()) / ready.std.numpy()


def array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().numpy()


def loss_of(head: nn.Module, maps: list[Tensor], feature: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Return what a head is trained with: its own objective, or binary cross-entropy."""
    if hasattr(head, "objective"):
        return head.objective(maps, feature, targets, weights)
    return bce(head(maps, feature).logits, targets, weights)


def learn(
    head: nn.Module, maps: list[Tensor], feature: Tensor, targets: Tensor, weights: Tensor | None = None,
    epochs: int = 60, rate: float = 0.01,
) -> None:  # fmt: skip
    """Train on one batch, all epochs through ``begin_epoch`` where the head has stages."""
    head.train()
    weights = torch.ones_like(targets) if weights is None else weights
    optimiser = torch.optim.Adam(head.parameters(), lr=rate)
    for epoch in range(epochs):
        if hasattr(head, "begin_epoch"):
            head.begin_epoch(epoch, epochs)
        optimiser.zero_grad()
        loss_of(head, maps, feature, targets, weights).backward()
        optimiser.step()
    head.eval()


def learned_precisions(
    names: tuple[str, ...], maps: list[Tensor], feature: Tensor, truth: Tensor, epochs: int, rate: float
) -> dict[str, float]:
    """Return the average precision of the first label by each head after learning the batch."""
    found = {}
    for name in names:
        head = head_case(name)
        learn(head, maps, feature, truth, epochs=epochs, rate=rate)
        found[name] = float(precision(head, maps, feature, truth)[0])
    return found


def half_true(images: int) -> tuple[list[Tensor], Tensor, Tensor]:
    """Return a batch with a nearly empty coarsest map, and the truth (images, C): every second image has all labels."""
    maps, feature = batch(images)
    maps[-1] *= 0.2
    truth = torch.zeros(images, LABELS)
    truth[::2] = 1.0
    return maps, feature, truth


def permuted(name: str) -> tuple[nn.Module, nn.Module, Tensor]:
    """Return a head twice, and an order of the labels in which the second is to be permuted."""
    return head_case(name), head_case(name), torch.randperm(LABELS, generator=torch.Generator().manual_seed(3))


def precision(head: nn.Module, maps: list[Tensor], feature: Tensor, truth: Tensor) -> np.ndarray:
    """Return average precision per label."""
    from tagweave.data.labels import LabelMatrix
    from tagweave.metrics import average_precisions

    values = truth.numpy() > 0.5
    names = tuple(f"l{column}" for column in range(values.shape[1]))
    with torch.inference_mode():
        logits = head(maps, feature).logits.numpy()
    return average_precisions(logits, LabelMatrix(values, np.ones_like(values), names))
