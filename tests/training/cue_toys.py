"""A toy of pixels with two cues for each label: labelled pictures show the first, unlabelled ones both, others the second.

Who learns from the labelled pictures alone cannot know the second cue.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from tagweave.data.labels import LabelMatrix
from tagweave.model.mscnn_lce import HeadOutput
from tagweave.training.batches import TrainingSet
from tagweave.training.loop import Validation
from tagweave.training.pixels import PixelSource

SIDE, CUE = 16, 6
LABELLED, UNLABELLED, OTHERS = 8, 64, 40
NAMES = ("a", "b")
CUES = (((1, 1), (9, 9)), ((1, 9), (9, 1)))  # upper left corners of each label's first and second bright square


class TinyNet(nn.Module):
    """Score pixels by a linear layer on the means of 4 x 4 squares; it starts with nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(16, len(NAMES))
        nn.init.zeros_(self.dense.weight)
        nn.init.zeros_(self.dense.bias)

    def forward(self, pixels: Tensor) -> HeadOutput:
        gray = pixels.float().mean(dim=3, keepdim=True).permute(0, 3, 1, 2) / 64 - 127 / 64
        return HeadOutput(self.dense(functional.avg_pool2d(gray, SIDE // 4).flatten(1)), None, ())


def draw(row: NDArray[np.bool_], cues: tuple[int, ...], rng: np.random.Generator) -> Image.Image:
    pixels = rng.integers(97, 158, (SIDE, SIDE, 3), dtype=np.uint8)
    for y, x in (CUES[label][cue] for label in np.flatnonzero(row) for cue in cues):
        pixels[y : y + CUE, x : x + CUE] = 230
    return Image.fromarray(pixels)


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
        PixelSource(tuple(files[:trained]), SIDE, "none", 1, strong), (truth[:trained] & known).astype(np.float32),
        known.astype(np.float32), known.any(axis=1), tuple(file.name for file in files[:trained]),
        ~known if strong else None,
    )  # fmt: skip
    others = truth[-OTHERS:]
    return data, Validation(
        PixelSource(tuple(files[-OTHERS:]), SIDE), LabelMatrix(others, np.ones_like(others), NAMES)
    )
