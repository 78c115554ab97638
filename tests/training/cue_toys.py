"""Pictures with two cues for each label: labelled ones show the first, unlabelled ones both, others the second.

Who learns from the labelled pictures alone cannot know the second cue.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from tagweave.data.labels import LabelMatrix
from tagweave.model.mscnn_lce import HeadOutput
from tagweave.training.batches import TrainingSet
from tagweave.training.loop import Validation
from tagweave.training.pixels import PixelSource

SIDE, CUE, FILTER, FAINT = 32, 12, 13, 25
LABELLED, UNLABELLED, OTHERS = 8, 64, 40
NAMES = ("fine", "coarse")
PERIODS = (4, 10)  # of each label's stripes; the first cue lies across, the second stands up


class TinyNet(nn.Module):
    """Score pixels by a linear layer, which starts at nothing, on the strongest stripes of each kind."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(4, len(NAMES))
        nn.init.zeros_(self.dense.weight)
        nn.init.zeros_(self.dense.bias)
        self.register_buffer("filters", torch.cat([stripe_filters(period) for period in PERIODS]))

    def forward(self, pixels: Tensor) -> HeadOutput:
        gray = pixels.float().mean(dim=3).unsqueeze(1) / 64
        found = functional.conv2d(gray, self.filters).unflatten(1, (4, 2)).norm(dim=2).amax(dim=(2, 3))
        return HeadOutput(self.dense(found - 0.2), None, ())


def stripe_filters(period: int) -> Tensor:
    """Return waves (4, 1, F, F) under a bell: even and odd, across, then upright."""
    at = torch.arange(FILTER) - FILTER // 2
    bell = torch.exp(-(at**2) / 18.0)
    turn = 2 * torch.pi * at / period
    waves = [torch.outer(wave(turn) * bell, bell) for wave in (torch.cos, torch.sin)]
    filters = torch.stack([*waves, *(wave.T for wave in waves)])
    return ((filters - filters.mean(dim=(1, 2), keepdim=True)) / bell.sum() ** 2).unsqueeze(1)


def stripes(side: int, label: int, cue: int) -> NDArray[np.int64]:
    lines = np.where(np.arange(side) % PERIODS[label] < PERIODS[label] // 2, 1, -1)
    square = np.broadcast_to(lines[:, None], (side, side))
    return square.T if cue else square


def draw(row: NDArray[np.bool_], cues: tuple[int, ...], rng: np.random.Generator) -> Image.Image:
    """Draw squares of stripes on ground that has faint ones of every kind."""
    pixels = 127 + rng.normal(0, 8, (SIDE, SIDE))
    for label, cue in np.ndindex(2, 2):
        pixels += rng.uniform(0, FAINT) * stripes(SIDE, label, cue)
    places = rng.permutation(4)
    for number, (label, cue) in enumerate((label, cue) for label in np.flatnonzero(row) for cue in cues):
        y, x = 16 * (places[number] // 2) + 2, 16 * (places[number] % 2) + 2
        pixels[y : y + CUE, x : x + CUE] = 127 + 90 * stripes(CUE, label, cue)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def cue_toy(folder: Path, strong: bool) -> tuple[TrainingSet, Validation]:
    """Draw the pictures; ``strong`` is whether unlabelled ones are there to be learnt from."""
    rng = np.random.default_rng(0)
    counts = {(0,): LABELLED, (0, 1): UNLABELLED, (1,): OTHERS}
    values, files = [], []
    for cues, count in counts.items():
        for number in range(count):
            values.append(np.array([number % 2, number // 2 % 2], dtype=bool))
            files.append(folder / f"{len(cues)}-{cues[0]}-{number}.png")
            draw(values[-1], cues, rng).save(files[-1])
    truth, trained = np.array(values), LABELLED + UNLABELLED if strong else LABELLED
    known = np.zeros((trained, len(NAMES)), dtype=bool)
    known[:LABELLED] = True
    data = TrainingSet(
        PixelSource(tuple(files[:trained]), SIDE, "flip", 1, strong=strong),
        (truth[:trained] & known).astype(np.float32),
        known.astype(np.float32), known.any(axis=1), tuple(file.name for file in files[:trained]),
        ~known if strong else None,
    )  # fmt: skip
    others = truth[-OTHERS:]
    return data, Validation(PixelSource(tuple(files[-OTHERS:]), SIDE), LabelMatrix(others, np.ones_like(others), NAMES))
