"""What suggestions are made from: N images outside the test, what is known of them, and two opinions on the rest."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tagweave.data.labels import LabelMatrix
from tagweave.errors import InputError


@dataclass(frozen=True)
class Pool:
    """Hold N images over C labels.

    Attributes:
        labels: Y and O (N, C).
        graph: (N, C) in 0..1, propagated probability; read where nothing is known.
        model: (N, C) in 0..1, a second opinion; None where there is none.
        points: (N, d) unit vectors whose products say how alike images are.
        links: Ŝ (N, N), the normalised link strength, symmetric.

    Raises:
        InputError: shapes disagree.
    """

    labels: LabelMatrix
    graph: NDArray[np.floating]
    model: NDArray[np.floating] | None
    points: NDArray[np.floating]
    links: sparse.csr_array

    def __post_init__(self) -> None:
        cells, count = self.labels.known.shape, len(self.labels)
        found = (self.graph.shape, cells if self.model is None else self.model.shape, len(self.points))
        if found != (cells, cells, count) or self.links.shape != (count, count):
            raise InputError(
                f"Expected probabilities of shape {cells}, {count} points and links between them, but got "
                f"{found[0]}, {found[1]}, {found[2]} and {self.links.shape}."
            )

    @cached_property
    def open(self) -> NDArray[np.bool_]:
        """Images (N,) with an unknown cell: those that may be suggested."""
        return np.asarray(~self.labels.known.all(axis=1))

    @cached_property
    def unknown(self) -> NDArray[np.float64]:
        """Share of each image's cells that nobody judged (N,)."""
        return np.asarray(1.0 - self.labels.known.mean(axis=1))
