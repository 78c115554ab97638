"""In which order images are shown: functions from scores to row numbers, most urgent first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tagweave.review.ledger import Column

DIVERSE_CANDIDATES = 2000  # farthest-first is quadratic: among the most probable, or a random draw
DIVERSE_SHOWN = 500

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Evidence:
    """Hold what the queues of one label read, for N images.

    Attributes:
        graph, network: (N,) probabilities; None where there are none.
        judge: (N,) probabilities by what never saw the given labels, NaN elsewhere; None where there are none.
        claimed: (N,) where the tool says yes and nobody was asked.
        column: what is known and decided.
        points: (N, d) unit vectors whose products say how alike images look; None where there are none.
        seed: of random draws.
    """

    graph: NDArray[np.float32] | None
    network: NDArray[np.float32] | None
    judge: NDArray[np.float32] | None
    claimed: NDArray[np.bool_]
    column: Column
    points: NDArray[np.floating] | None
    seed: int

    @property
    def best(self) -> NDArray[np.float32] | None:
        """The network's probabilities, or the graph's where there is no network."""
        return self.graph if self.network is None else self.network

    @property
    def open(self) -> NDArray[np.bool_]:
        """Images (N,) whose label is neither known nor decided."""
        return ~self.column.known & ~self.column.decided


def uncertain(evidence: Evidence) -> Rows:
    """Order open images by the distance of their probability from one half.

    Without probabilities (a new label), by likeness to the images decided as yes.
    """
    if evidence.best is None:
        return _alike(evidence)
    return _order(-np.abs(evidence.best - 0.5), evidence.open)


def disagreement(evidence: Evidence) -> Rows:
    """Order open images by how far graph and network are apart."""
    if evidence.graph is None or evidence.network is None:
        return np.zeros(0, dtype=np.int64)
    return _order(np.abs(evidence.graph - evidence.network), evidence.open)


def suspected_errors(evidence: Evidence) -> Rows:
    """Order images whose label was given, and not yet decided, by the odds that it is wrong.

    With p by what never saw the image's own labels and pi the label's rate: pi (1 - p) / p of a given yes,
    p / (1 - p) of a given no.
    """
    if evidence.judge is None:
        return np.zeros(0, dtype=np.int64)
    said = np.clip(np.nan_to_num(evidence.judge, nan=0.5).astype(np.float64), 1e-4, 1 - 1e-4)
    column = evidence.column
    rate = column.values.sum() / max(int(column.known.sum()), 1)
    odds = np.where(column.values, rate * (1 - said) / said, said / (1 - said))
    return _order(odds, evidence.column.known & ~evidence.column.decided)


def diverse(evidence: Evidence) -> Rows:
    """Order open images so that each is as unlike the ones before as can be, from the most probable on."""
    rows = _candidates(evidence)
    if evidence.points is None or not len(rows):
        return rows
    return rows[farthest_first(evidence.points[rows].astype(np.float32), DIVERSE_SHOWN)]


def audit(evidence: Evidence) -> Rows:
    """Order what the tool claims at random; the order is the same at every start."""
    return np.random.default_rng(evidence.seed).permutation(np.flatnonzero(evidence.claimed))


def audit_left(evidence: Evidence) -> Rows:
    """Return the claims that are still to be audited, in the audit's order."""
    rows = audit(evidence)
    return rows[~evidence.column.decided[rows]]


QUEUES: dict[str, Callable[[Evidence], Rows]] = {
    "uncertain": uncertain,
    "disagreement": disagreement,
    "errors": suspected_errors,
    "diverse": diverse,
    "audit": audit_left,
}


def farthest_first(points: NDArray[np.float32], count: int) -> Rows:
    """Return the rows of ``points`` (n, d) that a farthest-first walk from row 0 visits, ``count`` at most."""
    chosen = [0]
    nearest = points @ points[0]
    for _ in range(min(count, len(points)) - 1):
        nearest[chosen[-1]] = np.inf
        chosen.append(int(nearest.argmin()))
        nearest = np.maximum(nearest, points @ points[chosen[-1]])
    return np.array(chosen, dtype=np.int64)


def whole_images(doubts: NDArray[np.float32], judged: Rows, queue: str, points: NDArray[np.floating] | None) -> Rows:
    """Order images that were not judged as a whole yet, by what all their labels say together.

    Args:
        doubts: (3, N), see ``Scores``. judged: rows to leave out. queue: one of ``QUEUES``.
    """
    waiting = np.ones(doubts.shape[1], dtype=bool)
    waiting[judged] = False
    if queue in _DOUBTS:
        worth = doubts[_DOUBTS.index(queue)]
        return _order(worth, waiting & (worth > 0))
    rows = np.random.default_rng(0).permutation(np.flatnonzero(waiting))
    if queue == "audit" or points is None or not len(rows):
        return rows
    return rows[farthest_first(points[rows[:DIVERSE_CANDIDATES]].astype(np.float32), DIVERSE_SHOWN)]


_DOUBTS = ("uncertain", "disagreement", "errors")


def _order(worth: NDArray[np.floating], among: NDArray[np.bool_]) -> Rows:
    rows = np.flatnonzero(among)
    return rows[np.argsort(-worth[rows], kind="stable")]


def _candidates(evidence: Evidence) -> Rows:
    if evidence.best is None:
        rows = np.random.default_rng(evidence.seed).permutation(np.flatnonzero(evidence.open))
    else:
        rows = _order(evidence.best, evidence.open)
    return rows[:DIVERSE_CANDIDATES]


def _alike(evidence: Evidence) -> Rows:
    """Order open images by likeness to the mean of those decided as yes; at random while there is none."""
    examples = np.flatnonzero(evidence.column.values)
    if evidence.points is None or not len(examples):
        return np.random.default_rng(evidence.seed).permutation(np.flatnonzero(evidence.open))
    mean = evidence.points[examples].astype(np.float32).mean(axis=0)
    return _order(evidence.points.astype(np.float32) @ mean, evidence.open)
