"""What the strong view of an image is changed by: two changes of colour or place, then a gray square.

After Sohn et al. 2020 (FixMatch, appendix D): operations as in RandAugment (Cubuk et al. 2020), each at a random
strength, and Cutout (DeVries and Taylor 2017).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

DRAWN = 2  # changes of an image
GRAY = 127  # of the square, and of what comes in from outside
LARGEST_SQUARE = 0.5  # of the side
WEAKEST, STRONGEST = 0.05, 0.95  # factor of an enhancement; 1 would leave the image as it is
TURN, SHEAR, SHIFT = 30.0, 0.3, 0.3  # at most, either way: degrees, and parts of the side
FEWEST_BITS = 4  # of 8 that posterising keeps

Change = Callable[[Image.Image, float], Image.Image]
"""Change an image by a strength in [0, 1)."""


def _factor(strength: float) -> float:
    return WEAKEST + strength * (STRONGEST - WEAKEST)


def _either_way(strength: float, most: float) -> float:
    return (2 * strength - 1) * most


def _moved(
    image: Image.Image, a: float = 1, b: float = 0, c: float = 0, d: float = 0, e: float = 1, f: float = 0
) -> Image.Image:
    """Return the image whose pixel (x, y) comes from (a x + b y + c, d x + e y + f)."""
    places = (a, b, c, d, e, f)
    return image.transform(
        image.size, Image.Transform.AFFINE, places, Image.Resampling.BILINEAR, fillcolor=(GRAY, GRAY, GRAY)
    )


CHANGES: dict[str, Change] = {
    "identity": lambda image, s: image,
    "autocontrast": lambda image, s: ImageOps.autocontrast(image),
    "equalise": lambda image, s: ImageOps.equalize(image),
    "brightness": lambda image, s: ImageEnhance.Brightness(image).enhance(_factor(s)),
    "colour": lambda image, s: ImageEnhance.Color(image).enhance(_factor(s)),
    "contrast": lambda image, s: ImageEnhance.Contrast(image).enhance(_factor(s)),
    "sharpness": lambda image, s: ImageEnhance.Sharpness(image).enhance(_factor(s)),
    "posterise": lambda image, s: ImageOps.posterize(image, FEWEST_BITS + int(s * (9 - FEWEST_BITS))),
    "solarise": lambda image, s: ImageOps.solarize(image, round(s * 256)),
    "turn": lambda image, s: image.rotate(
        _either_way(s, TURN), Image.Resampling.BILINEAR, fillcolor=(GRAY, GRAY, GRAY)
    ),
    "shear across": lambda image, s: _moved(image, b=_either_way(s, SHEAR)),
    "shear down": lambda image, s: _moved(image, d=_either_way(s, SHEAR)),
    "shift across": lambda image, s: _moved(image, c=_either_way(s, SHIFT) * image.width),
    "shift down": lambda image, s: _moved(image, f=_either_way(s, SHIFT) * image.height),
}


def distorted(pixels: NDArray[np.uint8], draw: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return the strong view (S, S, 3) uint8 of a weak one.

    Args:
        draw: seeds the change, the same numbers give the same pixels; those of the weak view will do.
    """
    rng = np.random.default_rng([*draw, 1])  # not the numbers that the weak view was drawn by
    image = Image.fromarray(pixels)
    for number in rng.integers(len(CHANGES), size=DRAWN):
        image = list(CHANGES.values())[number](image, float(rng.random()))
    return cut_out(np.array(image), rng)


def cut_out(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Turn a square gray, in place: any side up to half of the image's, its middle anywhere, cut at the border."""
    height, width = pixels.shape[:2]
    side = rng.random() * LARGEST_SQUARE * min(height, width)
    top, left = rng.random() * height - side / 2, rng.random() * width - side / 2
    rows, columns = (slice(max(0, round(start)), max(0, round(start + side))) for start in (top, left))
    pixels[rows, columns] = GRAY
    return pixels
