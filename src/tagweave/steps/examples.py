"""Which labelled images gave a propagated label: examples for a person to judge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagweave.graph.propagation import Propagation
from tagweave.graph.pseudo_labels import PseudoLabels

EXAMPLES = 10
GIVERS = 3


def examples(
    spread: Propagation, decisions: PseudoLabels, probabilities: NDArray[np.floating], names: Sequence[str], seed: int
) -> list[dict[str, Any]]:
    """Return propagated labels drawn at random, each with the labelled images that it came from, JSON-ready.

    With H the diffusion operator, the mass of label c that arrives at image i is sum_j H_ij O_jc Y_jc: each giver's
    ``share`` is its part of it, over the links of the first round. ``agreement`` is the positive part of all known
    mass that arrives. Where nothing was accepted the most probable unknown cells are shown, ``accepted`` false.

    Args:
        probabilities: (N, C) of the pool. names: N images.
    """
    cells = _drawn(decisions, probabilities, spread, seed)
    if not len(cells):
        return []
    starts = np.zeros((len(names), len(cells)))
    starts[cells[:, 0], np.arange(len(cells))] = 1.0
    reaching = np.maximum(spread.graph.diffusion(spread.graph.normalised, starts), 0.0).T  # H is symmetric
    known, values = spread.labels.known, spread.labels.values
    found = []
    for (i, c), mass in zip(cells.tolist(), reaching, strict=True):
        positive, all_known = mass * values[:, c], float((mass * known[:, c]).sum())
        total = float(positive.sum())
        best = np.argsort(-positive, kind="stable")[:GIVERS]
        givers = [{"image": names[j], "share": round(float(positive[j]) / total, 4)} for j in best if positive[j] > 0]
        found.append(
            {
                "image": names[i], "label": spread.labels.names[c], "probability": round(float(probabilities[i, c]), 4),
                "accepted": bool(decisions.positive[i, c]), "givers": givers,
                "agreement": round(total / all_known, 4) if all_known > 0 else None,
            }
        )  # fmt: skip
    return found


def _drawn(
    decisions: PseudoLabels, probabilities: NDArray[np.floating], spread: Propagation, seed: int
) -> NDArray[np.int64]:
    """Return cells (n, 2): accepted ones, of as many labels as there are; else the most probable unknown ones."""
    accepted = np.argwhere(decisions.positive)
    if not len(accepted):
        open_cells = np.where(spread.labels.known | ~spread.reached[:, None], -1.0, probabilities)
        tops = open_cells.argmax(axis=0)  # of each label its most probable image
        best = np.argsort(-open_cells[tops, np.arange(len(tops))], kind="stable")[:EXAMPLES]
        cells = np.stack([tops[best], best], axis=1)
        return cells[open_cells[cells[:, 0], cells[:, 1]] > 0]
    accepted = np.random.default_rng(seed).permutation(accepted)
    turn = np.zeros(len(accepted), dtype=np.int64)  # how many of the label were drawn before
    order = np.argsort(accepted[:, 1], kind="stable")
    starts = np.searchsorted(accepted[order, 1], accepted[order, 1])
    turn[order] = np.arange(len(accepted)) - starts
    return accepted[np.argsort(turn, kind="stable")][:EXAMPLES]
