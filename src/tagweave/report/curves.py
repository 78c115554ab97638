"""Precision over recall, of one label and of all cells together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from tagweave.report import charts
from tagweave.report.artefacts import Artefacts, measured_split

LARGE_POINTS, SMALL_POINTS = 100, 25


@dataclass(frozen=True)
class LabelCurve:
    """Hold one label's small chart and what it says in numbers."""

    name: str
    chart: Markup
    positives: int
    precision: float | None


@dataclass(frozen=True)
class Curves:
    """Hold the chart of all known cells together and one small chart per label with a positive."""

    chart: Markup
    cells: int
    positives: int
    labels: list[LabelCurve]


def precision_recall(artefacts: Artefacts) -> Curves | None:
    """Return precision over recall on the measured split, by what never saw its labels; None without its scores."""
    split, unseen, given = measured_split(artefacts.metrics), artefacts.unseen, artefacts.given
    if unseen is None or given is None:
        return None
    here = artefacts.manifest.splits[unseen.rows] == split
    scores, truth = unseen.probabilities[here], given.take(unseen.rows[here])
    known = truth.known & np.isfinite(scores)
    if not (truth.values & known).any():
        return None
    recall, precision = curve(scores[known], truth.values[known])
    positives = int(truth.values[known].sum())
    title = f"precision over recall of all {int(known.sum()):,} known cells together, {positives:,} of them positive"
    chart = charts.recall_chart(*thinned(recall, precision, LARGE_POINTS), title=title)
    rows = artefacts.metrics["splits"][split]["systems"][artefacts.metrics["main"]]["per_label"]
    labels = [
        _label_curve(row, scores[:, c], truth.values[:, c], known[:, c])
        for c, row in enumerate(rows)
        if (truth.values[:, c] & known[:, c]).any()
    ]
    return Curves(Markup(chart), int(known.sum()), positives, labels)


def curve(scores: NDArray[Any], values: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return recall and precision (n,) at each distinct score of a positive, from the highest down.

    Args:
        scores, values: (m,) of known cells, one positive at least.
    """
    levels = np.unique(scores[values])[::-1]
    ordered, ordered_hits = np.sort(scores), np.sort(scores[values])
    chosen = len(ordered) - np.searchsorted(ordered, levels, side="left")
    hits = len(ordered_hits) - np.searchsorted(ordered_hits, levels, side="left")
    return hits / len(ordered_hits), hits / chosen


def thinned(recall: NDArray[np.float64], precision: NDArray[np.float64], most: int) -> tuple[list[float], list[float]]:
    """Return at most about ``most`` of the points, evenly spaced in recall, the first and the last among them."""
    wanted = np.linspace(recall[0], recall[-1], most)
    kept = np.unique(np.clip(np.searchsorted(recall, wanted), 0, len(recall) - 1))
    return recall[kept].tolist(), precision[kept].tolist()


def _label_curve(
    row: dict[str, Any], scores: NDArray[Any], values: NDArray[np.bool_], known: NDArray[np.bool_]
) -> LabelCurve:
    points = thinned(*curve(scores[known], values[known]), SMALL_POINTS)
    mark = (row["recall"], row["precision"]) if row.get("recall") and row.get("precision") else None
    title = f"precision over recall of {row['label']}"
    chart = Markup(charts.small_recall_chart(*points, mark, title=title))
    return LabelCurve(row["label"], chart, row["positives"], row["AP"])
