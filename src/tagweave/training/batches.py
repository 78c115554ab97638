"""What the network is trained on, and in which order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from tagweave.config import TrainConfig
from tagweave.encoders.backbones import Layout
from tagweave.encoders.cache import RecordCache

Inputs = tuple[Any, ...]
"""What a network is called with: stage maps and features, or pixels."""


class Source(Protocol):
    """Read what the network sees of n images; ``readers`` batches are read at a time.

    ``batch`` is how many images are scored at once: fewer where their inputs, or what is made of them, are larger.
    """

    @property
    def batch(self) -> int: ...

    @property
    def readers(self) -> int: ...

    def __len__(self) -> int: ...

    def read(self, rows: NDArray[np.int64], draws: NDArray[np.int64] | None = None) -> Inputs:
        """Return the network's inputs of ``rows``; ``draws`` (B, 3) seeds each image's augmentation, None has none."""
        ...


@dataclass(frozen=True)
class MapSource:
    """Read the records of n images: ``positions`` (n,) in the cache. Maps are never augmented."""

    cache: RecordCache
    positions: NDArray[np.int64]
    readers: int = 1
    batch: int = 256

    def __len__(self) -> int:
        return len(self.positions)

    def read(self, rows: NDArray[np.int64], draws: NDArray[np.int64] | None = None) -> Inputs:
        """Return float32 stage maps and raw features of ``rows``."""
        return head_inputs(self.cache.layout, self.records(rows))

    def records(self, rows: NDArray[np.int64]) -> NDArray[np.float16]:
        """Return records (B, map_values + D) as stored."""
        return self.cache.records(self.positions[rows])


def head_inputs(layout: Layout, records: NDArray[np.float16]) -> Inputs:
    """Return float32 stage maps, one (B, channels, H, W) tensor per stage, and raw features (B, D)."""
    maps, features = layout.split(records)
    # torch widens half precision several times faster than NumPy
    return [torch.from_numpy(stage).float() for stage in maps], torch.from_numpy(features).float()


@dataclass(frozen=True)
class TrainingSet:
    """Hold n images to train on.

    Attributes:
        source: what the network sees of them.
        targets: t (n, C) float32 in [0, 1].
        weights: w (n, C) float32; 0 marks an unknown cell.
        labelled: (n,) whether a person labelled the image.
        names: n names, for messages.
        unknown: (n, C) cells that the network fills in by itself while it learns; None: there are none.
        passes: times that an epoch goes over the images.
    """

    source: Source
    targets: NDArray[np.float32]
    weights: NDArray[np.float32]
    labelled: NDArray[np.bool_]
    names: tuple[str, ...]
    unknown: NDArray[np.bool_] | None = None
    passes: int = 1

    def order(self, share: float, seed: int, epoch: int) -> NDArray[np.int64]:
        """Return the rows of one epoch, pass after pass; see ``epoch_order``."""
        first = epoch * self.passes
        return np.concatenate(
            [epoch_order(self.labelled, share, seed, number) for number in range(first, first + self.passes)]
        )


def epoch_order(labelled: NDArray[np.bool_], share: float, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the rows of one epoch, shuffled: every image once, labelled ones more often until they make up ``share``.

    The same seed and epoch give the same order, whatever ran before: a resumed training needs no sampler state.
    """
    rng = np.random.default_rng([seed, epoch])
    rows = np.arange(len(labelled))
    known = np.flatnonzero(labelled)
    others = len(labelled) - len(known)
    wanted = epoch_length(len(known), others, share) - others
    if wanted > len(known):
        whole, rest = divmod(wanted - len(known), len(known))
        # Whole copies first, so that no labelled image comes more than once oftener than another.
        rows = np.concatenate([rows, np.tile(known, whole), rng.permutation(known)[:rest]])
    return rng.permutation(rows)


def epoch_length(labelled: int, others: int, share: float) -> int:
    """Return how many images an epoch has, labelled ones repeated until they make up ``share``."""
    return others + (max(labelled, round(share * others / (1.0 - share))) if labelled else 0)


def lengthened(config: TrainConfig, labelled: int, others: int) -> tuple[TrainConfig, int]:
    """Return how the least number of updates is reached: ``config`` with more epochs, and the passes of each.

    A few hundred images make a handful of updates a pass, too few for labels with few positives to be learned. Whole
    passes are added first, as every epoch is scored and written to disk; the patience grows with the epochs.
    """
    a_pass = max(1, -(-epoch_length(labelled, others, config.labelled_share) // config.batch))
    passes = max(1, config.updates // (config.epochs * a_pass))
    epochs = max(config.epochs, -(-config.updates // (passes * a_pass)))
    patience = -(-config.patience * epochs // config.epochs)
    return config.model_copy(update={"epochs": epochs, "patience": patience}), passes


def batches(source: Source, order: NDArray[np.int64], size: int) -> Iterator[tuple[NDArray[np.int64], Inputs]]:
    """Yield (rows, inputs) batch by batch, nothing augmented, reading ahead in threads."""
    parts = [order[start : start + size] for start in range(0, len(order), size)]
    yield from zip(parts, read_ahead(source, [(rows, None) for rows in parts]), strict=True)


def read_ahead(
    source: Source, wanted: Sequence[tuple[NDArray[np.int64], NDArray[np.int64] | None]]
) -> Iterator[Inputs]:
    """Yield the inputs of each (rows, draws) in order; ``source.readers`` threads read the next ones meanwhile."""
    with ThreadPoolExecutor(source.readers) as pool:
        ahead: deque[Future[Inputs]] = deque(pool.submit(source.read, *each) for each in wanted[: source.readers])
        try:
            for number in range(len(wanted)):
                inputs = ahead.popleft().result()
                ahead.extend(pool.submit(source.read, *each) for each in wanted[number + source.readers :][:1])
                yield inputs
        finally:
            for future in ahead:
                future.cancel()
