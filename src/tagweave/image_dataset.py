"""The images of a manifest with their labels, as a torch data set for training elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from tagweave.data.images import decode
from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import Manifest
from tagweave.errors import InputError
from tagweave.steps.stored import load_collection

Item = tuple[Any, Tensor, Tensor]
"""Pixels, targets (C,) float32 and known (C,) bool."""


class ImageDataset(Dataset[Item]):
    """Yield (pixels, targets, known) of N images: a loss counts a cell only where it is known.

    Pixels are (3, S, S) uint8, the whole image resized, upright; or whatever ``transform`` makes of the upright RGB
    image. Targets are 1 where a label is known to be present and 0 elsewhere, also where nothing is known.

    Args:
        manifest: of N images, such as ``Manifest.load(run / "manifest.parquet")``.
        labels: (N, C) in the manifest's order.
        size: S.
        transform: from a Pillow image to what a batch stacks; ``size`` is then only the least side of a decoded JPEG.

    Raises:
        InputError: the numbers of images differ.
    """

    def __init__(
        self,
        manifest: Manifest,
        labels: LabelMatrix,
        size: int = 224,
        transform: Callable[[Image.Image], Any] | None = None,
    ) -> None:
        if len(manifest) != len(labels):
            raise InputError(
                f"Expected one label row per image, but got {len(labels)} rows for {len(manifest)} images."
            )
        self.manifest, self.labels, self.size, self.transform = manifest, labels, size, transform

    @classmethod
    def of_run(
        cls,
        folder: Path | str,
        split: str | None = None,
        size: int = 224,
        transform: Callable[[Image.Image], Any] | None = None,
    ) -> ImageDataset:
        """Return the images of a run folder with their given labels, of one split or of all.

        Raises:
            InputError: the folder is not a run that was checked.
        """
        run = Path(folder)
        if not (run / "manifest.parquet").is_file():
            raise InputError(f"Expected a run folder (with manifest.parquet) at {run}; run 'tagweave check' first.")
        manifest, labels = load_collection(run)
        if split is not None:
            rows = manifest.rows(split)
            manifest, labels = manifest.take(rows), labels.take(rows)
        return cls(manifest, labels, size, transform)

    def __len__(self) -> int:
        return len(self.manifest)

    def __getitem__(self, row: int) -> Item:
        """Return one image.

        Raises:
            ImageError: it cannot be read any more.
            IndexError: there is no such row.
        """
        image = decode(self.manifest.file(row), at_least=self.size)
        pixels = self._pixels(image) if self.transform is None else self.transform(image)
        targets = torch.from_numpy(self.labels.values[row].astype(np.float32))
        return pixels, targets, torch.from_numpy(self.labels.known[row].copy())

    def _pixels(self, image: Image.Image) -> Tensor:
        sized: NDArray[np.uint8] = np.array(image.resize((self.size, self.size), Image.Resampling.BICUBIC))
        return torch.from_numpy(sized).permute(2, 0, 1).contiguous()
