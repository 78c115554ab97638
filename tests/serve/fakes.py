"""A scorer without a network, and what is sent to it."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

NAMES = ("dark", "red")


@dataclass
class FakeScorer:
    """Say how dark and how red the first pixel is; ``batches`` are the sizes of the calls."""

    seconds: float = 0.0
    size: int = 4
    batches: list[int] = field(default_factory=list)
    classifier: Any = field(default_factory=lambda: SimpleNamespace(names=NAMES, thresholds=np.array([0.5, 0.5])))

    def __call__(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float16], NDArray[np.float64]]:
        time.sleep(self.seconds)
        self.batches.append(len(pixels))
        red = pixels[:, 0, 0, 0] / 255
        return np.zeros((len(pixels), 1), dtype=np.float16), np.stack([1 - red, red], axis=1)

    def close(self) -> None:
        pass


def picture(red: int = 0, side: int = 8) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (red, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def part(name: str, content: bytes) -> tuple[str, tuple[str, bytes]]:
    return "images", (name, content)
