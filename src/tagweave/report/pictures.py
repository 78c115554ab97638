"""Photographs and attention maps as pictures inside the page."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 320
QUALITY = 80
OPACITY = 0.85
# The image is dimmed under its attention: a bright sky must not pass for heat.
DIMMING = 0.7
# Lightness rises along the ramp, so that it reads the same in grey and to colour-blind eyes.
HEAT_STOPS = ((16, 10, 60), (104, 18, 112), (184, 48, 88), (238, 112, 36), (250, 200, 70), (255, 250, 200))
# A position needs this many times the share of an even spread to count as hot.
HOT_RATIO = 3.0


def thumbnail(image: Image.Image, side: int = SIDE) -> Image.Image:
    """Return the image in RGB, neither side longer than ``side``; a small image keeps its size."""
    small = image.convert("RGB")
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    return small


def heat_colours(heat: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return RGB in 0..255 (..., 3) for values in 0..1, dark to light."""
    places = np.linspace(0, 1, len(HEAT_STOPS))
    return np.stack([np.interp(heat, places, channel) for channel in zip(*HEAT_STOPS, strict=True)], axis=-1)


def heat_of(weights: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return heat in 0..1 (h, w): a / max(max a, HOT_RATIO / (h w)), so that even attention stays pale."""
    return (weights / max(float(weights.max()), HOT_RATIO / weights.size)).astype(np.float32)


def overlay(image: Image.Image, weights: NDArray[np.floating]) -> Image.Image:
    """Return the image in dimmed grey under its attention in colour; the hotter, the less the image shows through.

    Args:
        image: RGB, any size.
        weights: (h, w) non-negative, of sum 1, over the whole image squashed to a square.
    """
    spread = Image.fromarray(heat_of(weights)).resize(image.size, Image.Resampling.BICUBIC)
    heat = np.clip(np.asarray(spread), 0, 1)
    opacity = OPACITY * heat[..., None]
    grey = DIMMING * np.asarray(image.convert("L").convert("RGB"), dtype=np.float64)
    mixed = (1 - opacity) * grey + opacity * heat_colours(heat)
    return Image.fromarray(np.rint(mixed).astype(np.uint8))


def data_uri(image: Image.Image) -> str:
    """Return the image as a JPEG that a page can hold in itself."""
    memory = io.BytesIO()
    image.save(memory, "JPEG", quality=QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(memory.getvalue()).decode("ascii")
