"""The training loop of both regimes (METHOD §6)."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tagweave.config import TrainConfig
from tagweave.data.labels import LabelMatrix
from tagweave.metrics import average_precisions
from tagweave.threads import subnormals_as_zero
from tagweave.training.batches import Inputs, Source, TrainingSet, batches, read_ahead
from tagweave.training.checkpoint import load_state, save_state
from tagweave.training.device import choose_device
from tagweave.training.end_to_end import EndToEnd
from tagweave.training.guard import stop
from tagweave.training.optim import build_optimiser, learning_rate, set_rate, update_average
from tagweave.training.ranks import ALONE, Ranks
from tagweave.training.state import Progress, State, resume, save_progress
from tagweave.training.step import Stepper, build_stepper, move

Report = Callable[[int, int, dict[str, Any]], None]


@dataclass(frozen=True)
class Validation:
    """Hold the labelled images that choose the model; none are fine."""

    source: Source
    labels: LabelMatrix


@dataclass(frozen=True)
class Training:
    """Hold what a training is made from; ``key`` names all of it."""

    data: TrainingSet
    validation: Validation
    config: TrainConfig
    seed: int
    folder: Path
    key: str
    ranks: Ranks


def train(
    network: nn.Module, data: TrainingSet, validation: Validation, config: TrainConfig, *,
    seed: int, folder: Path, key: str, report: Report | None = None, ranks: Ranks = ALONE,
) -> tuple[dict[str, Any], ...]:  # fmt: skip
    """Train ``network`` and leave the chosen weights in it, on the CPU; return the history, one record per epoch.

    After every epoch the averaged weights are scored on the validation images; the best are kept, and training stops
    after ``patience`` epochs without better ones. Without validation images the last weights are kept. A killed
    training continues from its last checkpoint and, on a CPU, gives the same bits as one that was not killed.

    Args:
        network: a head, from (maps, features) to ``HeadOutput``, or an ``EndToEnd``, from pixels.
        data: what to train on. validation: what to choose by.
        config: how. seed: of order, augmentation and dropout, and nothing else.
        folder: checkpoints (``last.pt``, ``best.safetensors``) and ``history.jsonl``.
        key: names what the training depends on; a checkpoint with another key is not continued.
        report: called after each epoch with (epoch, epochs, record).
        ranks: the processes that share every batch; the first one writes.

    Raises:
        FloatingPointError: a loss or gradient is not finite; names the epoch and the batch's images.
        InputError: the device or a setting cannot be had here.
    """
    device = choose_device(config.device, ranks.local)
    network.to(device)
    state = _start(network, config, device)
    training = Training(data, validation, config, seed, folder, key, ranks)
    resume(folder, key, state)
    ranks.wait()  # nobody writes before all have read
    stepper = build_stepper(network, config, device, ranks)
    with subnormals_as_zero():
        while state.at.epoch < config.epochs and not _is_stale(state.at, config):
            record = _one_more_epoch(training, state, stepper)
            if report:
                report(state.at.epoch, config.epochs, record)
    ranks.wait()
    network.load_state_dict(load_state(folder / "best.safetensors"))
    network.to("cpu")
    return state.at.history


def _start(network: nn.Module, config: TrainConfig, device: torch.device) -> State:
    if isinstance(network, EndToEnd) and config.checkpoint_gradients:
        network.save_memory()
    average = copy.deepcopy(network).requires_grad_(False)
    scaler = torch.amp.GradScaler(device.type, enabled=config.regime == "finetune" and config.precision == "fp16")
    return State(network, average, build_optimiser(network, config), scaler)


def _is_stale(at: Progress, config: TrainConfig) -> bool:
    return at.epoch - at.best_epoch >= config.patience


def _one_more_epoch(training: Training, state: State, stepper: Stepper) -> dict[str, Any]:
    """Train an epoch, score it, keep it where it is the best, and write the checkpoint; return its record."""
    began, at, first = time.perf_counter(), state.at, training.ranks.is_first
    mean_loss = _run_epoch(training, state, stepper)
    at.epoch, at.position, at.total = at.epoch + 1, 0, 0.0
    score = training.ranks.tell(_score(state.average, training.validation) if first else None)
    if score is None or score > at.best:
        at.best, at.best_epoch = score if score is not None else -1.0, at.epoch
        if first:
            save_state(training.folder / "best.safetensors", state.average)
    record = {
        "epoch": at.epoch, "loss": mean_loss, "val_mAP": score,
        "learning_rate": state.optimiser.param_groups[-1]["lr"], "seconds": round(time.perf_counter() - began, 3),
    }  # fmt: skip
    at.history = (*at.history, record)
    if first:
        save_progress(training.folder, training.key, state)
    return record


def _run_epoch(training: Training, state: State, stepper: Stepper) -> float:
    """Train the batches that are left of an epoch; return the mean loss of the whole one."""
    config, at = training.config, state.at
    state.network.train()
    if hasattr(state.network, "begin_epoch"):
        state.network.begin_epoch(at.epoch, config.epochs)  # type: ignore[operator]
    torch.manual_seed(_number(training.seed, at.epoch))  # dropout of this epoch
    order = training.data.order(config.labelled_share, training.seed, at.epoch)
    steps = config.epochs * -(-len(order) // config.batch)
    saved = time.monotonic()
    for rows, inputs in _batches(training, order, stepper, at):
        if config.regime == "finetune":  # each step draws its own dropout: an epoch is continued where it was left
            torch.manual_seed(_number(training.seed, at.epoch, at.position, training.ranks.rank))
        set_rate(state.optimiser, learning_rate(at.step, steps, config))
        loss = _update(training, state, stepper, rows, inputs)
        at.step, at.position = at.step + 1, at.position + 1
        update_average(state.average, state.network, at.step, config.ema)
        at.total += loss * len(rows)
        if _is_due(saved, training, at, len(order)):
            save_progress(training.folder, training.key, state)
            saved = time.monotonic()
    return at.total / len(order)


def _number(*parts: int) -> int:
    return int(np.random.SeedSequence(list(parts)).generate_state(1)[0])


def _batches(
    training: Training, order: NDArray[np.int64], stepper: Stepper, at: Progress
) -> Iterator[tuple[NDArray[np.int64], list[Inputs]]]:
    """Yield the rows of each batch that is left and the inputs of this process's parts of it."""
    size = training.config.batch
    starts = range(at.position * size, len(order), size)
    counts = [len(order[start : start + size]) for start in starts]
    cut = [[start + part for part in stepper.places(count)] for start, count in zip(starts, counts, strict=True)]
    seeds = (training.seed, at.epoch)
    wanted = [(order[part], _draws(seeds, part)) for parts in cut for part in parts]
    read = read_ahead(training.data.source, wanted)
    for start, parts in zip(starts, cut, strict=True):
        yield order[start : start + size], [next(read) for _ in parts]


def _draws(seeds: tuple[int, int], places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return what seeds the augmentation of the images at ``places`` of an epoch: (B, 3)."""
    return np.stack([np.full(len(places), seeds[0]), np.full(len(places), seeds[1]), places], axis=1)


def _update(
    training: Training, state: State, stepper: Stepper, rows: NDArray[np.int64], inputs: list[Inputs]
) -> float:  # fmt: skip
    """Move the weights by one batch; return its loss."""
    state.optimiser.zero_grad()
    loss = stepper.gradients(state, inputs, training.data, rows)
    names = [training.data.names[row] for row in rows]
    if not torch.isfinite(loss):
        raise stop("loss", loss, state.at.epoch + 1, names, training.folder)
    state.scaler.unscale_(state.optimiser)
    length = nn.utils.clip_grad_norm_(state.network.parameters(), training.config.clip)
    if not state.scaler.is_enabled() and not torch.isfinite(length):  # a scaler leaves such a step out by itself
        raise stop("gradient's length", length, state.at.epoch + 1, names, training.folder)
    state.scaler.step(state.optimiser)
    state.scaler.update()
    return loss.item()


def _is_due(saved: float, training: Training, at: Progress, images: int) -> bool:
    """Whether a checkpoint within the epoch is due: not after its last batch, which the epoch's own one follows."""
    config = training.config
    if config.regime == "frozen" or not training.ranks.is_first or at.position * config.batch >= images:
        return False
    return time.monotonic() - saved >= 60 * config.checkpoint_minutes


@torch.inference_mode()
def score_images(
    network: nn.Module, source: Source, progress: Callable[[int, int], None] | None = None
) -> NDArray[np.float32]:  # fmt: skip
    """Return logits (n, C) of the images of ``source``, nothing augmented."""
    network.eval()
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    scored = []
    for rows, inputs in batches(source, np.arange(len(source)), source.batch):
        scored.append(network(*move(inputs, device)).logits.float().cpu().numpy())
        if progress:
            progress(int(rows[-1]) + 1, len(source))
    return np.concatenate(scored)


def _score(network: nn.Module, validation: Validation) -> float | None:
    if not len(validation.labels) or not validation.labels.positives.any():
        return None
    return float(np.nanmean(average_precisions(score_images(network, validation.source), validation.labels)))
