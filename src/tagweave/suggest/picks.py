"""Choosing images one after the other, each in view of those chosen before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tagweave.graph.blocks import row_blocks
from tagweave.suggest.pool import Pool

Floats = NDArray[np.float64]

DUPLICATE = 0.97  # images at least as alike say the same: copies in another size or compression
BLOCK = 2048  # rows compared with all labelled ones at a time
HALF_LEARNED = 0.1  # label mass at which half of what an image can say of a neighbour is said


@dataclass(frozen=True)
class Picks:
    """Hold chosen images, the first one first.

    Attributes:
        rows: (n,) of the pool. worth: (n,) what each was worth when it was chosen.
        duplicates: open images that were passed over as near-duplicates of chosen ones.
    """

    rows: NDArray[np.int64]
    worth: Floats
    duplicates: int


def _stay(worth: Floats, row: int) -> None:
    """Leave what images are worth as it is when one is chosen."""


def pick(pool: Pool, count: int, worth: Floats, unlike: bool, chosen: Callable[[Floats, int], None] = _stay) -> Picks:
    """Choose up to ``count`` open images, the one of most worth first, never two near-duplicates.

    Args:
        worth: (N,), at least 0.
        unlike: count an image's worth times (1 - s), s its largest cosine, 0 where negative, to a fully labelled one
            or one chosen before.
        chosen: changes ``worth`` in place after a choice.
    """
    worth, free = worth.astype(np.float64), pool.open.copy()
    near = _nearest_labelled(pool) if unlike else np.zeros(len(free))
    rows: list[int] = []
    worths: list[float] = []
    while len(rows) < count and free.any():
        now = np.where(free, worth * (1.0 - near) if unlike else worth, -1.0)
        best = int(now.argmax())
        rows.append(best)
        worths.append(float(now[best]))
        likeness = pool.points @ pool.points[best]
        near = np.maximum(near, np.clip(likeness, 0.0, 1.0))
        free &= likeness < DUPLICATE
        free[best] = False
        chosen(worth, best)
    passed = int((pool.open & ~free).sum()) - len(rows)
    return Picks(np.array(rows, dtype=np.int64), np.array(worths), passed)


def _nearest_labelled(pool: Pool) -> Floats:
    """Return the largest cosine (N,) of each image to a fully labelled one, 0 where negative or there is none."""
    labelled, near = pool.points[~pool.open], np.zeros(len(pool.points))
    for rows in row_blocks(len(near), BLOCK) if len(labelled) else ():
        near[rows] = (pool.points[rows] @ labelled.T).max(axis=1)
    return np.clip(near, 0.0, 1.0)


class Reach:
    """Follow how much choosing an image would teach about itself and its neighbours.

    gain_i = sum_j u_j (phi(b_j + m_i h_ij) - phi(b_j)), phi(b) = b / (b + HALF_LEARNED), with H = (I + Ŝ) / 2, u what
    there is to learn of j, b_j = sum_i (1 - m_i) h_ij the label mass that is there, m_i the unknown share of image i.
    The gain is submodular: what is near a labelled or a chosen image teaches less, so that greedy choices spread out.

    Args:
        value: u (N,), at least 0.
    """

    def __init__(self, pool: Pool, value: Floats) -> None:
        self.links = ((sparse.eye_array(len(value), format="csr") + pool.links) * 0.5).tocsr()
        self.value, self.share = value, pool.unknown
        self.mass = self.links @ (1.0 - pool.unknown)

    def gains(self, rows: NDArray[np.int64]) -> Floats:
        """Return the gains (n,) of images."""
        part = self.links[rows]
        there = self.mass[part.indices]
        then = there + part.data * np.repeat(self.share[rows], np.diff(part.indptr))
        learned = self.value[part.indices] * (then / (then + HALF_LEARNED) - there / (there + HALF_LEARNED))
        return np.asarray(sparse.csr_array((learned, part.indices, part.indptr), shape=part.shape).sum(axis=1))

    def choose(self, worth: Floats, row: int) -> None:
        """Add the label mass of a chosen image, and write into ``worth`` the gains that it changes."""
        reached = self.links[[row]]
        self.mass[reached.indices] += reached.data * self.share[row]
        changed = np.unique(self.links[reached.indices].indices).astype(np.int64)
        worth[changed] = self.gains(changed)


def reaching(pool: Pool, count: int, value: Floats, unlike: bool) -> Picks:
    """Choose up to ``count`` open images by ``Reach`` of ``value`` (N,)."""
    reach = Reach(pool, value)
    return pick(pool, count, reach.gains(np.arange(len(value))), unlike, reach.choose)
