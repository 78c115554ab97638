"""What the network is trained on, and in which order."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tagweave.encoders.cache import RecordCache


@dataclass(frozen=True)
class MapSource:
    """Read the records of n images: ``positions`` (n,) in the cache."""

    cache: RecordCache
    positions: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.positions)

    def read(self, rows: NDArray[np.int64]) -> tuple[list[Tensor], Tensor]:
        """Return float32 stage maps, one (B, channels, H, W) tensor per stage, and raw features (B, D)."""
        maps, features = self.cache.layout.split(self.cache.records(self.positions[rows]))
        # torch widens half precision several times faster than NumPy
        return [torch.from_numpy(stage).float() for stage in maps], torch.from_numpy(features).float()


@dataclass(frozen=True)
class TrainingSet:
    """Hold n images to train on.

    Attributes:
        source: their records.
        targets: t (n, C) float32 in [0, 1].
        weights: w (n, C) float32; 0 marks an unknown cell.
        labelled: (n,) whether a person labelled the image.
        names: n names, for messages.
    """

    source: MapSource
    targets: NDArray[np.float32]
    weights: NDArray[np.float32]
    labelled: NDArray[np.bool_]
    names: tuple[str, ...]


def epoch_order(labelled: NDArray[np.bool_], share: float, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the rows of one epoch, shuffled: every image once, labelled ones more often until they make up ``share``.

    The same seed and epoch give the same order, whatever ran before: a resumed training needs no sampler state.
    """
    rng = np.random.default_rng([seed, epoch])
    rows = np.arange(len(labelled))
    known = np.flatnonzero(labelled)
    others = len(labelled) - len(known)
    wanted = round(share * others / (1.0 - share))
    if len(known) and wanted > len(known):
        whole, rest = divmod(wanted - len(known), len(known))
        rows = np.concatenate([rows, np.tile(known, whole), rng.permutation(known)[:rest]])
    return rng.permutation(rows)


def batches(
    source: MapSource, order: NDArray[np.int64], size: int
) -> Iterator[tuple[NDArray[np.int64], list[Tensor], Tensor]]:
    """Yield (rows, maps, features) batch by batch, reading one batch ahead in a thread."""
    parts = [order[start : start + size] for start in range(0, len(order), size)]
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(source.read, parts[0]) if parts else None
        for number, rows in enumerate(parts):
            assert ahead is not None
            maps, features = ahead.result()
            ahead = pool.submit(source.read, parts[number + 1]) if number + 1 < len(parts) else None
            yield rows, maps, features
