"""What a head is built from besides its configuration: the data's sizes, statistics and label facts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tagweave.encoders.backbones import Layout
from tagweave.model.pooled import PooledFeature, channel_statistics, joined_statistics


@dataclass(frozen=True)
class LabelFacts:
    """Hold what training labels say about labels: P' (C, C), rates pi (C,), word vectors Z (C, E)."""

    conditional: NDArray[np.float64]
    rates: NDArray[np.float64]
    vectors: NDArray[np.float32]


@dataclass(frozen=True)
class HeadInputs:
    """Hold what every head may be built from.

    Attributes:
        layout: of the encoder's records.
        facts: of the labels.
        statistics: mean and standard deviation (channels,) of each stage map over the pool.
        mean: of the pool's pooled features (D,).
    """

    layout: Layout
    facts: LabelFacts
    statistics: tuple[tuple[Tensor, Tensor], ...]
    mean: Tensor

    @classmethod
    def measure(
        cls, layout: Layout, facts: LabelFacts, batches: Iterable[Sequence[Tensor]], mean: Tensor
    ) -> HeadInputs:  # fmt: skip
        """Take the statistics from maps (n, channels, H, W) of a sample of the pool, in one batch or several."""
        parts = [[(len(stage), *channel_statistics(stage)) for stage in maps] for maps in batches]
        return cls(layout, facts, tuple(joined_statistics(stage) for stage in zip(*parts, strict=True)), mean)

    @classmethod
    def blank(cls, layout: Layout, labels: int) -> HeadInputs:
        """Give neutral values of the right shapes, for a state to be loaded over them."""
        facts = LabelFacts(np.zeros((labels, labels)), np.full(labels, 0.5), np.zeros((labels, 1), dtype=np.float32))
        statistics = tuple((torch.zeros(channels), torch.ones(channels)) for channels, _, _ in layout.maps)
        return cls(layout, facts, statistics, torch.zeros(layout.features))

    @property
    def labels(self) -> int:
        """C."""
        return len(self.facts.rates)

    def pooled(self) -> PooledFeature:
        """Return the module from raw pooled features to x̄."""
        return PooledFeature(self.mean, self.layout.parts)
