"""FixMatch's step: by loops, through the strong view alone, in parts as in one, and better than few labels."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cue_toys import TinyNet, cue_toy
from pixel_toys import settings
from torch import Tensor, nn

from tagweave.data.labels import LabelMatrix
from tagweave.metrics import average_precisions
from tagweave.model.losses import asymmetric, bce, build_loss
from tagweave.model.mscnn_lce import HeadOutput
from tagweave.training.batches import TrainingSet
from tagweave.training.consistency import Consistency, per_image
from tagweave.training.loop import score_images, train
from tagweave.training.objective import Objective
from tagweave.training.optim import build_optimiser
from tagweave.training.ranks import ALONE
from tagweave.training.state import State
from tagweave.training.step import build_stepper

IMAGES, LABELS, PIXELS, AUXILIARY = 7, 3, 4, 0.5


class Flat(nn.Module):
    """Logits and auxiliary logits by a linear layer each, on pixels as they are."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.main, self.side = nn.Linear(PIXELS, LABELS), nn.Linear(PIXELS, LABELS)

    def forward(self, pixels: Tensor) -> HeadOutput:
        return HeadOutput(self.main(pixels), self.side(pixels), ())


class Own(Flat):
    """A head with an objective of its own."""

    def objective(self, pixels: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        return asymmetric(self.main(pixels), targets, weights)


def views() -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    weak, strong = 8 * torch.randn(2, IMAGES, PIXELS, generator=random)
    return weak.requires_grad_(), strong.requires_grad_()


def cells() -> tuple[Tensor, Tensor, Tensor]:
    """Return t, w and which cells are unknown: two images known, two unknown, the others in part, label 2 never."""
    rng = np.random.default_rng(2)
    known = rng.random((IMAGES, LABELS)) < 0.5
    known[:2], known[2:4] = True, False
    weights = np.where(known, rng.uniform(0.5, 2, known.shape), 0.0)
    unknown = ~known
    weights[:, 2], unknown[:, 2] = 0.0, False
    targets = (rng.random(known.shape) < 0.5) & known
    return tuple(torch.from_numpy(part.astype(np.float32)) for part in (targets, weights, unknown))  # type: ignore[return-value]


def by_loops(network: Flat, weak: Tensor, strong: Tensor, targets: Tensor, weights: Tensor, unknown: Tensor) -> float:
    def cross_entropy(logit: Tensor, target: float) -> float:
        p = 1 / (1 + math.exp(-logit.item()))
        return -math.log(p if target else 1 - p)

    def of_both(at: int, c: int, pixels: Tensor, target: float) -> float:
        main, side, _ = network(pixels)
        return cross_entropy(main[at, c], target) + AUXILIARY * cross_entropy(side[at, c], target)

    given = filled = 0.0
    for i in range(IMAGES):
        for c in range(LABELS):
            if weights[i, c] > 0:
                given += weights[i, c].item() * of_both(i, c, weak, targets[i, c].item())
            p = torch.sigmoid(network(weak).logits[i, c]).item()
            if unknown[i, c] and (p >= 0.95 or p <= 0.05):
                filled += of_both(i, c, strong, float(p >= 0.95))
    return given / int((weights > 0).sum()) + filled / max(1, int(unknown.sum()))


def test_the_loss_by_loops() -> None:
    network, (weak, strong), (targets, weights, unknown) = Flat(), views(), cells()
    step = Consistency(Objective(network, bce, AUXILIARY))
    value = step((weak, strong), targets, per_image(weights), per_image(unknown))
    expected = by_loops(network, weak, strong, targets, weights, unknown)
    assert value.item() == pytest.approx(expected, rel=1e-5)
    nothing = step((weak, strong), targets, per_image(weights), torch.zeros_like(unknown))
    assert nothing.item() == pytest.approx(by_loops(network, weak, strong, targets, weights, 0 * unknown), rel=1e-5)
    assert 0.1 < nothing.item() < value.item() - 0.1


def test_given_cells_teach_on_the_weak_view_and_sure_ones_on_the_strong() -> None:
    network, (weak, strong), (targets, weights, unknown) = Flat(), views(), cells()
    Consistency(Objective(network, bce, AUXILIARY))(
        (weak, strong), targets, per_image(weights), per_image(unknown)
    ).backward()
    assert weak.grad is not None
    assert strong.grad is not None
    p = network(weak).logits.sigmoid()
    sure = ((p >= 0.95) | (p <= 0.05)) & (unknown > 0)
    assert ((weak.grad != 0).any(dim=1) == (weights > 0).any(dim=1)).all()
    assert ((strong.grad != 0).any(dim=1) == sure.any(dim=1)).all()
    assert 0 < sure.sum() < unknown.sum()


class Shown:
    """A source of the views above."""

    readers = 1

    def __len__(self) -> int:
        return IMAGES

    def read(self, rows: np.ndarray, draws: Any = None) -> tuple[Tensor, ...]:
        return tuple(view.detach()[rows] for view in views())


def gradient(network: Flat, accumulate: int, loss: str) -> Tensor:
    """Return loss and gradient of a batch of all images but the first."""
    targets, weights, unknown = (part.numpy() for part in cells())
    data = TrainingSet(Shown(), targets, weights, weights.any(axis=1), ("",) * IMAGES, unknown > 0)
    config = settings(targets="fixmatch", loss=loss, accumulate=accumulate, auxiliary=AUXILIARY)
    stepper = build_stepper(network, config, torch.device("cpu"), ALONE)
    state = State(network, network, build_optimiser(network, config), torch.amp.GradScaler("cpu", enabled=False))
    rows = np.arange(1, IMAGES)
    inputs = [data.source.read(rows[place]) for place in stepper.places(len(rows))]
    value = stepper.gradients(state, inputs, data, rows)
    found = [part.grad.flatten() for part in network.parameters() if part.grad is not None]
    return torch.cat([value.reshape(1), *found])


@pytest.mark.parametrize("kind", [Flat, Own])
@pytest.mark.parametrize("loss", ["bce", "weighted_bce", "asymmetric"])
def test_parts_add_up(loss: str, kind: type[Flat]) -> None:
    whole, parts = gradient(kind(), 1, loss), gradient(kind(), 4, loss)
    assert whole[1:].abs().max() > 1e-3
    torch.testing.assert_close(parts, whole, atol=1e-5, rtol=1e-4)


def test_balance_is_that_of_the_given_cells_alone() -> None:
    network, (weak, strong), (targets, weights, unknown) = Flat(), views(), cells()
    rows = slice(1, IMAGES)
    given = [build_loss("weighted_bce")(part[rows], targets[rows], weights[rows]) for part in network(weak)[:2]]
    filled = Consistency(Objective(network, bce, AUXILIARY))(
        (weak[rows], strong[rows]), targets[rows], 0 * weights[rows], per_image(unknown[rows])
    )
    expected = given[0] + AUXILIARY * given[1] + filled
    assert gradient(Flat(), 1, "weighted_bce")[0].item() == pytest.approx(expected.item(), rel=1e-5)


def map_on_others(folder: Path, **changes: Any) -> float:
    """Return mAP on pictures of the second cue after the last epoch."""
    folder.mkdir()
    data, others = cue_toy(folder, strong=changes["targets"] == "fixmatch")
    config = settings(
        optimiser="sgd", learning_rate=0.6, schedule="constant", batch=24, ema=0.0, labelled_share=0.5, patience=99,
        checkpoint_minutes=9.0, **changes,
    )  # fmt: skip
    network, unseen = TinyNet(), LabelMatrix(others.labels.values, np.zeros_like(others.labels.known), ("a", "b"))
    train(network, data, type(others)(others.source, unseen), config, seed=0, folder=folder, key="k")
    return float(np.mean(average_precisions(score_images(network, others.source), others.labels)))


def test_what_few_labels_cannot_tell_is_learnt_from_unlabelled_pictures(tmp_path: Path) -> None:
    # As many updates each: an epoch has 6 with unlabelled pictures and 1 without. Measured: 0.98 and 0.76.
    assert map_on_others(tmp_path / "with", targets="fixmatch", epochs=14) > 0.93
    assert map_on_others(tmp_path / "without", targets="labelled", epochs=84) < 0.8
