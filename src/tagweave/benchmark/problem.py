"""What every method of a comparison is given: the same graph, the same known labels, the same images to score."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tagweave.data.labels import LabelMatrix
from tagweave.graph.image_graph import GraphSettings, ImageGraph, build_graph
from tagweave.graph.neighbours import Neighbours, neighbours, unit_features
from tagweave.graph.propagation import inductive_scores
from tagweave.graph.strength import affinity_values

Floats = NDArray[np.float64]

WIDEST = 50  # neighbours sought once for all; no method asks for more


@dataclass(frozen=True)
class Pool:
    """Hold the graph over N images and the neighbours (N, WIDEST or fewer) that other graphs over them are cut from."""

    graph: ImageGraph
    near: Neighbours

    def nearest(self, k: int) -> NDArray[np.integer]:
        """Return the first ``k`` neighbours (N, k) of every image."""
        return self.near.index[:, :k]

    def directed(self, k: int, gamma: float) -> sparse.csr_array:
        """Return w_ij = max(s_ij, 0)^gamma from i to its ``k`` nearest j (N, N), not made symmetric."""
        index = self.nearest(k)
        weights = affinity_values(self.near.similarity[:, :k], gamma=gamma).ravel()
        places = (np.repeat(np.arange(len(index)), index.shape[1]), index.ravel())
        return sparse.csr_array((weights, places), shape=(len(index), len(index)))


def build_pool(features: NDArray[np.floating], settings: GraphSettings) -> Pool:
    """Build the graph of ``settings`` over features (N, D), and seek neighbours in its space once for all methods.

    Raises:
        InputError: fewer than two rows, or a feature that is not finite.
    """
    graph = build_graph(features, settings)
    return Pool(graph, neighbours(graph.points, WIDEST))


@dataclass(frozen=True)
class Problem:
    """Ask for the scores of some images.

    Attributes:
        pool: N images. labels: (N, C) what is known of them.
        inside: (I,) rows of the pool to score; nothing is known of them.
        outside: (Q, D) features, as the pool's before centring, of images to score that are not in the graph.
        seed: of whatever a method draws.
    """

    pool: Pool
    labels: LabelMatrix
    inside: NDArray[np.int64]
    outside: NDArray[np.float32]
    seed: int = 0

    @cached_property
    def queries(self) -> NDArray[np.float32]:
        """Unit features (I + Q, D) of the images to score, those inside first."""
        inside = self.pool.graph.unit[self.inside]
        return np.concatenate([inside, self._outside_unit]) if len(self.outside) else inside

    @cached_property
    def labelled(self) -> NDArray[np.int64]:
        """Rows of the pool with a known cell."""
        return np.flatnonzero(self.labels.labelled)

    @cached_property
    def _outside_unit(self) -> NDArray[np.float32]:
        return unit_features(self.outside, self.pool.graph.mean, self.pool.graph.settings.parts)

    def place(self, scores: Floats) -> Floats:
        """Return scores (I + Q, C) from a method's own scores (N, C) of the pool.

        Images inside have theirs. For those outside, transductive methods have no rule: all get the same inductive one
        (METHOD §1.7), the affinity-weighted mean of the K nearest images' scores.
        """
        graph, rates = self.pool.graph, self.labels.rates()
        if not len(self.outside):
            return scores[self.inside]
        return np.concatenate([scores[self.inside], inductive_scores(graph, scores, rates, self._outside_unit)])

    def hide(self, rows: NDArray[np.int64]) -> Problem:
        """Return the problem of scoring ``rows`` of the pool with nothing known of them."""
        return replace(self, labels=self.labels.hide(rows), inside=rows, outside=self.outside[:0])
