"""Where the run doubts: given labels that are most likely wrong, and images that it is least sure of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import Manifest
from tagweave.runs import atomic
from tagweave.steps.stored import write_rows
from tagweave.suspicion import ranked, wrongness

MOST_SUSPECTS = 1000
MOST_DOUBTFUL = 1000
ROWS_AT_ONCE = 16_384  # bounds the memory of what is added up
LEAST_POSITIVES = 5  # of a label: with fewer, hiding one leaves nothing to judge it by
BY_CLASSIFIER, BY_PROPAGATION = "classifier", "propagation"


@dataclass(frozen=True)
class Unseen:
    """Hold what was said of labelled images by what never saw their labels.

    Attributes:
        rows: (n,) of the collection, rising. probabilities: (n, C).
    """

    rows: NDArray[np.int64]
    probabilities: NDArray[np.float32]

    def of(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the probabilities of some labelled rows."""
        return self.probabilities[np.searchsorted(self.rows, rows)]


def unseen_probabilities(
    folder: Path, manifest: Manifest, labels: LabelMatrix, probabilities: NDArray[np.floating]
) -> Unseen:
    """Return the probabilities of labelled images by what never saw their own labels.

    Of test images by the final classifier, of validation images by the classifier that was trained without them, of
    training images by propagation with their fold hidden.

    Args:
        probabilities: (N, C) of the final classifier.
    """
    rows = np.flatnonzero(labels.labelled)
    splits, found = manifest.splits[rows], probabilities[rows].astype(np.float32)
    with np.load(folder / "graph" / "out_of_fold.npz", allow_pickle=False) as stored:
        found[np.searchsorted(rows, stored["rows"])] = stored["probabilities"]
    with np.load(folder / "checkpoints" / "scores.npz", allow_pickle=False) as stored:
        found[splits == "val"] = stored["classifier"][rows[splits == "val"]]
    return Unseen(rows, found)


def write_doubts(
    folder: Path, manifest: Manifest, labels: LabelMatrix, probabilities: NDArray[np.floating], unseen: Unseen
) -> int:
    """Write ``unseen.npz``, ``suspects.csv`` and ``doubtful.csv``; return the number of suspected label errors."""
    with atomic(folder / "unseen.npz") as partial:
        np.savez_compressed(
            partial, rows=unseen.rows, probabilities=unseen.probabilities.astype(np.float16),
            names=np.array(labels.names, dtype=str),
        )  # fmt: skip
    learnt = labels.take(manifest.splits != "test").positives >= LEAST_POSITIVES
    found, wrong = suspects(labels.take(unseen.rows), unseen.probabilities, learnt)
    write_rows(
        folder / "suspects.csv", ("image", "label", "given", "probability", "wrong", "split", "judged_by"),
        (_suspect(manifest, labels, int(unseen.rows[n]), int(c), unseen.probabilities[n, c], share)
         for (n, c), share in zip(found[:MOST_SUSPECTS], wrong[:MOST_SUSPECTS], strict=True)),
    )  # fmt: skip
    errors = expected_errors(labels, probabilities)
    order = np.argsort(-errors, kind="stable")[:MOST_DOUBTFUL]
    write_rows(
        folder / "doubtful.csv", ("image", "expected_errors", "split"),
        ([manifest.paths[i], f"{errors[i]:.3f}", manifest.splits[i]] for i in order[errors[order] > 0]),
    )  # fmt: skip
    return len(found)


def _suspect(manifest: Manifest, labels: LabelMatrix, row: int, c: int, probability: float, wrong: float) -> list[Any]:
    judge = BY_PROPAGATION if manifest.splits[row] == "train" else BY_CLASSIFIER
    given = int(labels.values[row, c])
    shares = (f"{probability:.4f}", f"{wrong:.4f}")
    return [manifest.paths[row], labels.names[c], given, *shares, manifest.splits[row], judge]


def suspects(
    labels: LabelMatrix, unseen: NDArray[np.floating], learnt: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the known cells (m, 2) that are likelier wrong than right, the likeliest first, and how likely (m,).

    Args:
        unseen: p (n, C) by what never saw the cell, see ``wrongness``. learnt: (C,) labels with enough positives for p
            to mean anything; others are passed over.
    """
    wrong = np.where(learnt, wrongness(unseen, labels), 0.0)
    order = ranked(wrong, labels)
    likely = wrong[order[:, 0], order[:, 1]]
    return order[likely > 0.5], likely[likely > 0.5]


def expected_errors(labels: LabelMatrix, probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return for each image (N,) how many of its unknown cells are decided wrongly: sum_c min(p, 1 - p)."""
    blocks = [slice(start, start + ROWS_AT_ONCE) for start in range(0, len(labels), ROWS_AT_ONCE)]
    doubts = (np.where(labels.known[b], 0.0, np.minimum(probabilities[b], 1 - probabilities[b])) for b in blocks)
    return np.concatenate([np.zeros(0), *(block.sum(axis=1) for block in doubts)])


def right_and_wrong(
    labels: LabelMatrix, decided: NDArray[np.bool_], count: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw ``count`` images that were decided rightly in all known cells and as many that were not.

    Where too few have no error, those with the fewest take their place.

    Args:
        decided: (N, C) predictions.

    Returns:
        the rows of both, right ones (with a known positive) first; and the number of errors of each.
    """
    errors = ((decided != labels.values) & labels.known).sum(axis=1)
    drawn = np.random.default_rng(seed).permutation(np.flatnonzero(labels.labelled))
    shown = drawn[labels.values[drawn].any(axis=1)]
    right = shown[np.argsort(errors[shown], kind="stable")][:count]
    wrong = drawn[(errors[drawn] > 0) & ~np.isin(drawn, right)][:count]
    rows = np.concatenate([right, wrong])
    return rows, errors[rows]
