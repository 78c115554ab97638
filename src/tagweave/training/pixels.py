"""Images as pixels, decoded when they are needed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tagweave.data.images import decode
from tagweave.errors import ImageError, InputError
from tagweave.threads import available_threads
from tagweave.training.augment import SCALES, augmented
from tagweave.training.batches import Inputs
from tagweave.training.distortion import distorted


@dataclass(frozen=True)
class PixelSource:
    """Read n image files as pixels.

    Attributes:
        size: side in pixels. augment: ``none``, ``flip`` or ``crop``; only where a draw is given.
        strong: a draw gives a second view too, the first one ``distorted``.
    """

    files: tuple[Path, ...]
    size: int
    augment: str = "none"
    readers: int = field(default_factory=available_threads)
    batch: int = 32
    strong: bool = False

    def __len__(self) -> int:
        return len(self.files)

    def read(self, rows: NDArray[np.int64], draws: NDArray[np.int64] | None = None) -> Inputs:
        """Return pixels (B, size, size, 3) uint8, or two views of them.

        Raises:
            InputError: a file can no longer be read.
        """
        drawn = [None] * len(rows) if draws is None else list(draws)
        images = [self._load(self.files[row], draw) for row, draw in zip(rows, drawn, strict=True)]
        views = [images]
        if self.strong and draws is not None:
            views.append([distorted(image, draw) for image, draw in zip(images, draws, strict=True)])
        return tuple(torch.from_numpy(np.stack(view)) for view in views)

    def _load(self, file: Path, draw: NDArray[np.int64] | None) -> NDArray[np.uint8]:
        cut = draw is not None and self.augment == "crop"
        try:
            # A crop is enlarged to ``size``: decoded smaller, the smallest would be blurred.
            image = decode(file, at_least=round(self.size / min(SCALES)) if cut else self.size)
        except ImageError as error:
            raise InputError(f"Expected {file} as it was checked, but it {error}. Run again to check anew.") from error
        return augmented(image, self.size, self.augment, draw)
