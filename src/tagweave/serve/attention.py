"""Where the network looked, per stage: weights, or a picture."""

from __future__ import annotations

import base64
import io
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tagweave.predict import Classifier, Look

Form = Literal["none", "array", "overlay"]

GLOW = np.array([255.0, 96.0, 0.0])
STRENGTH = 0.75  # share of the glow where the weight is greatest
DIMMED = 0.6


def describe_attention(
    classifier: Classifier, record: NDArray[np.float16], shown: Image.Image | None
) -> list[dict[str, Any]]:
    """Return the attention of every stage: a PNG over the shown image in base64, or without one the weights."""
    looks = classifier.attention(record[None])
    if shown is None:
        return [{**_place(look), "weights": np.round(look.weights[0], 7).tolist()} for look in looks]
    return [{**_place(look), "png": _encoded(overlay(shown, look.weights[0]))} for look in looks]


def _place(look: Look) -> dict[str, Any]:
    return {"stage": look.stage, "stride": look.stride}


def overlay(image: Image.Image, weights: NDArray[np.float32]) -> Image.Image:
    """Let an image glow where the weights (H, W) are great; elsewhere it is dimmed."""
    spread = Image.fromarray(weights / max(float(weights.max()), 1e-12)).resize(image.size, Image.Resampling.BILINEAR)
    share = STRENGTH * np.clip(np.asarray(spread), 0.0, 1.0)[..., None]
    mixed = DIMMED * (1 - share) * np.asarray(image, dtype=np.float32) + share * GLOW
    return Image.fromarray(np.rint(mixed).astype(np.uint8))


def _encoded(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
