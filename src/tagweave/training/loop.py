"""The training loop of the frozen regime (METHOD §6)."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tagweave.config import TrainConfig
from tagweave.data.labels import LabelMatrix
from tagweave.metrics import average_precisions
from tagweave.model.losses import Loss, build_loss
from tagweave.model.mscnn_lce import HeadOutput
from tagweave.runs import atomic
from tagweave.training.batches import MapSource, TrainingSet, batches, epoch_order
from tagweave.training.checkpoint import load_checkpoint, load_state, save_checkpoint, save_state
from tagweave.training.optim import build_optimiser, learning_rate, update_average

SCORING_BATCH = 256


@dataclass(frozen=True)
class Validation:
    """Hold the labelled images that choose the model; none are fine."""

    source: MapSource
    labels: LabelMatrix


@dataclass
class Progress:
    """Hold where a training stands; all of it goes into the checkpoint."""

    epoch: int = 0
    step: int = 0
    best: float = -1.0
    best_epoch: int = 0
    history: tuple[dict[str, Any], ...] = ()


def train(
    head: nn.Module, data: TrainingSet, validation: Validation, config: TrainConfig, *,
    seed: int, folder: Path, key: str,
    report: Callable[[int, int, dict[str, Any]], None] | None = None,
) -> tuple[dict[str, Any], ...]:  # fmt: skip
    """Train ``head`` and leave the chosen weights in it; return the history, one record per epoch.

    After every epoch the averaged weights are scored on the validation images; the best are kept, and training stops
    after ``patience`` epochs without better ones. Without validation images the last weights are kept. A killed
    training continues from its last whole epoch and gives the same bits as one that was not killed.

    Args:
        head: a module from (maps, features) to ``HeadOutput``.
        data: what to train on. validation: what to choose by.
        config: how. seed: of order, dropout and nothing else.
        folder: checkpoints (``last.pt``, ``best.safetensors``) and ``history.jsonl``.
        key: names what the training depends on; a checkpoint with another key is not continued.
        report: called after each epoch with (epoch, epochs, record).

    Raises:
        FloatingPointError: a loss is not finite; names the epoch and the batch's images.
    """
    average = copy.deepcopy(head).requires_grad_(False)
    optimiser = build_optimiser(head, config)
    at = _resume(folder / "last.pt", key, head, average, optimiser)
    loss = build_loss(config.loss)
    while at.epoch < config.epochs and not _is_stale(at, config):
        began = time.perf_counter()
        mean_loss = _run_epoch(head, average, optimiser, loss, data, config, at, seed)
        at.epoch += 1
        score = _score(average, validation)
        if score is None or score > at.best:
            at.best, at.best_epoch = score if score is not None else -1.0, at.epoch
            save_state(folder / "best.safetensors", average)
        record = {
            "epoch": at.epoch, "loss": mean_loss, "val_mAP": score,
            "learning_rate": optimiser.param_groups[0]["lr"], "seconds": round(time.perf_counter() - began, 3),
        }  # fmt: skip
        at.history = (*at.history, record)
        _save(folder, key, head, average, optimiser, at)
        if report:
            report(at.epoch, config.epochs, record)
    head.load_state_dict(load_state(folder / "best.safetensors"))
    return at.history


def _is_stale(at: Progress, config: TrainConfig) -> bool:
    return at.epoch - at.best_epoch >= config.patience


def _run_epoch(
    head: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer, loss: Loss,
    data: TrainingSet, config: TrainConfig, at: Progress, seed: int,
) -> float:  # fmt: skip
    head.train()
    if hasattr(head, "begin_epoch"):
        head.begin_epoch(at.epoch, config.epochs)  # type: ignore[operator]
    torch.manual_seed(int(np.random.SeedSequence([seed, at.epoch]).generate_state(1)[0]))  # dropout of this epoch
    order = epoch_order(data.labelled, config.labelled_share, seed, at.epoch)
    steps = config.epochs * -(-len(order) // config.batch)
    total = 0.0
    for rows, maps, features in batches(data.source, order, config.batch):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(at.step, steps, config)
        targets, weights = torch.from_numpy(data.targets[rows]), torch.from_numpy(data.weights[rows])
        value = _objective(head, maps, features, targets, weights, loss, config.auxiliary)
        if not torch.isfinite(value):
            names = ", ".join(data.names[row] for row in rows[:8])
            raise FloatingPointError(
                f"The loss is {value.item()} in epoch {at.epoch + 1}, batch of {names} ...; lower train.learning_rate."
            )
        optimiser.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(head.parameters(), config.clip)
        optimiser.step()
        at.step += 1
        update_average(average, head, at.step, config.ema)
        total += value.item() * len(rows)
    return total / len(order)


def _objective(
    head: nn.Module, maps: Sequence[Tensor], features: Tensor, targets: Tensor, weights: Tensor, loss: Loss,
    auxiliary: float,
) -> Tensor:  # fmt: skip
    """Return a head's own objective where it has one, else the task's loss on its logits and auxiliary logits."""
    if hasattr(head, "objective"):
        own: Tensor = head.objective(maps, features, targets, weights)  # type: ignore[operator]
        return own
    output: HeadOutput = head(maps, features)
    value = loss(output.logits, targets, weights)
    if output.auxiliary is not None and auxiliary:
        value = value + auxiliary * loss(output.auxiliary, targets, weights)
    return value


@torch.inference_mode()
def score_images(head: nn.Module, source: MapSource) -> NDArray[np.float32]:
    """Return logits (n, C) of the images of ``source``."""
    head.eval()
    rows = np.arange(len(source))
    return np.concatenate([head(maps, f).logits.numpy() for _, maps, f in batches(source, rows, SCORING_BATCH)])


def _score(head: nn.Module, validation: Validation) -> float | None:
    if not len(validation.labels) or not validation.labels.positives.any():
        return None
    return float(np.nanmean(average_precisions(score_images(head, validation.source), validation.labels)))


def _save(
    folder: Path, key: str, head: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer, at: Progress
) -> None:
    with atomic(folder / "history.jsonl") as partial:
        partial.write_text("".join(json.dumps(record) + "\n" for record in at.history), encoding="utf-8")
    state = {"head": head.state_dict(), "average": average.state_dict(), "optimiser": optimiser.state_dict()}
    save_checkpoint(folder / "last.pt", {"key": key, **state, "progress": vars(at)})


def _resume(path: Path, key: str, head: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer) -> Progress:
    found = load_checkpoint(path, key)
    if found is None:
        return Progress()
    head.load_state_dict(found["head"])
    average.load_state_dict(found["average"])
    optimiser.load_state_dict(found["optimiser"])
    return Progress(**{**found["progress"], "history": tuple(found["progress"]["history"])})
