"""Drawings of the label side: the embeddings in two dimensions, and who occurs with whom."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagweave.errors import InputError
from tagweave.predict import Classifier
from tagweave.runs import atomic, read_json

NAMED = 80  # labels of more than this many would cover each other; the most frequent keep their names
CELL = 0.22  # inches of a label's row in the matrix
LINKED = 0.1  # P(j | i) from which two labels are joined by a line


def write_label_plots(run: Path, classifier: Classifier) -> list[Path]:
    """Write ``plots/label_embedding.svg`` and ``plots/cooccurrence.svg`` into a run folder; return those written.

    A network without label embeddings has no first drawing.

    Raises:
        InputError: the run was not measured yet.
    """
    if not (run / "metrics.json").is_file():
        raise InputError(
            f"Expected a measured run in {run}, but there is no metrics.json; run 'tagweave evaluate' first."
        )
    found = read_json(run / "metrics.json")["cooccurrence"]
    conditional, counts = np.array(found["conditional"]), np.array(found["counts"])
    written = [_write(run / "plots" / "cooccurrence.svg", draw_cooccurrence(conditional, found["names"]))]
    embedding = label_embedding(classifier)
    if embedding is not None:
        figure = draw_embedding(flat_points(embedding), conditional, counts, classifier.names)
        written.append(_write(run / "plots" / "label_embedding.svg", figure))
    return written


def label_embedding(classifier: Classifier) -> NDArray[np.float64] | None:
    """Return what fusion knows of the labels (C, m), M2 under MFB and W_lab under dot; None without the GCN."""
    head: Any = getattr(classifier.head, "network", classifier.head)
    folded = getattr(head, "label_projection", None)
    return None if folded is None else folded.detach().numpy().astype(np.float64)


def flat_points(embedding: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the first two principal components (C, 2) of rows of unit length; the largest entry of each is positive.

    Lengths say how often a label is seen rather than what it means, so directions are compared.
    """
    unit = embedding / np.maximum(np.linalg.norm(embedding, axis=1, keepdims=True), 1e-12)
    left, scale, _ = np.linalg.svd(unit - unit.mean(axis=0), full_matrices=False)
    points = np.zeros((len(unit), 2))
    points[:, : min(2, len(scale))] = (left * scale)[:, :2]
    largest = points[np.abs(points).argmax(axis=0), [0, 1]]
    return points * np.where(largest < 0, -1.0, 1.0)


def draw_embedding(
    points: NDArray[np.float64], conditional: NDArray[np.float64], counts: NDArray[np.int64], names: Sequence[str]
) -> Any:
    """Draw labels as dots as large as they are frequent, with lines between those that occur together."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 7), layout="constrained")
    axes = figure.subplots()
    for one, other in zip(*np.nonzero(np.triu(np.maximum(conditional, conditional.T) >= LINKED, 1)), strict=True):
        strength = max(conditional[one, other], conditional[other, one])
        axes.plot(*points[[one, other]].T, color="0.6", linewidth=2 * strength, alpha=0.5, zorder=1)
    axes.scatter(
        points[:, 0], points[:, 1], s=20 + 180 * counts / max(counts.max(), 1), color="#b8305a", alpha=0.8, zorder=2
    )
    for label in np.argsort(-counts, kind="stable")[:NAMED]:
        axes.annotate(names[label], points[label], xytext=(5, 4), textcoords="offset points", fontsize=8)
    axes.set(title="Label embeddings, first two principal components", xticks=[], yticks=[])
    return figure


def draw_cooccurrence(conditional: NDArray[np.float64], names: Sequence[str]) -> Any:
    """Draw P(j | i), rows i and columns j, in an order that keeps linked labels together; the diagonal is left out."""
    from matplotlib.figure import Figure

    from tagweave.report.circle import circle_order

    order = circle_order(conditional + conditional.T)
    shown = np.where(np.eye(len(order), dtype=bool), np.nan, conditional)[np.ix_(order, order)]
    side = max(4.0, CELL * len(order)) + 2
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shown, cmap="magma_r", vmin=0, vmax=1)
    ticks, words = range(len(order)), [names[label] for label in order]
    axes.set_xticks(ticks, words, rotation=90, fontsize=7)
    axes.set_yticks(ticks, words, fontsize=7)
    axes.set(xlabel="label j", ylabel="given label i")
    figure.colorbar(image, label="P(j | i) in the training labels", shrink=0.6)
    return figure


def _write(path: Path, figure: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as partial:
        figure.savefig(partial, format="svg", metadata={"Date": None})
    return path
