"""What a training image is changed by: a crop of random scale and place, and a flip (METHOD §6)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SCALES = (1.0, 0.875, 0.75, 0.66, 0.5)  # of the image's sides, as ML-GCN crops
MOST_DISTORTED = 1  # steps in SCALES that width and height may lie apart

Box = tuple[float, float, float, float]


def draw_box(width: int, height: int, rng: np.random.Generator) -> Box:
    """Draw a crop (left, upper, right, lower): a scale for the width, one near it for the height, any place."""
    first = int(rng.integers(len(SCALES)))
    near = range(max(0, first - MOST_DISTORTED), min(len(SCALES), first + MOST_DISTORTED + 1))
    second = int(rng.choice(near))
    wide, high = SCALES[first] * width, SCALES[second] * height
    left, upper = rng.random() * (width - wide), rng.random() * (height - high)
    return left, upper, min(left + wide, width), min(upper + high, height)


def augmented(image: Image.Image, size: int, kind: str, draw: NDArray[np.int64] | None) -> NDArray[np.uint8]:
    """Return an image as (size, size, 3) uint8, whole or changed at random.

    Args:
        kind: ``none``, ``flip`` (half of the images are mirrored) or ``crop`` (and cut by ``draw_box``).
        draw: seeds the change, the same numbers give the same pixels; None leaves the image whole.
    """
    box: Box | None = None
    mirrored = False
    if draw is not None and kind != "none":
        rng = np.random.default_rng(draw)
        mirrored = bool(rng.random() < 0.5)
        box = draw_box(*image.size, rng) if kind == "crop" else None
    pixels = np.asarray(image.resize((size, size), Image.Resampling.BICUBIC, box=box), dtype=np.uint8)
    return pixels[:, ::-1] if mirrored else pixels
