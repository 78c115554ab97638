"""The audit of a run's given labels, from what its steps left."""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagweave.console import Console
from tagweave.errors import InputError
from tagweave.graph.neighbours import unit_features
from tagweave.runs import atomic, write_json
from tagweave.steps.image_pool import ImagePool, open_image_pool
from tagweave.steps.job import Job
from tagweave.suspicion import ERROR_SHARE, ranked, suspects_at, wrongness

NEIGHBOURS = 8
PRECISIONS = (0.9, 0.8, 0.7, 0.6, 0.5, 0.3)
COLUMNS = (
    "image", "label", "given", "split", "probability", "wrong", "neighbours_with", "neighbours", "nearest",
)  # fmt: skip


@dataclass(frozen=True)
class Neighbour:
    """Hold an image that looks alike and in which the label is known. ``present``: whether it is there."""

    image: str
    likeness: float
    present: bool


@dataclass(frozen=True)
class Suspect:
    """Hold one given label that may be wrong.

    Attributes:
        given: ``present`` or ``absent``. split: of the image.
        probability: that the label is there, by what never saw the image's labels.
        wrong: that what was given is wrong, see ``wrongness``.
        neighbours: the labelled images most like it, nearest first.
    """

    image: str
    label: str
    given: str
    split: str
    probability: float
    wrong: float
    neighbours: tuple[Neighbour, ...]

    @property
    def neighbours_with(self) -> int:
        """How many of the neighbours have the label."""
        return sum(neighbour.present for neighbour in self.neighbours)


@dataclass(frozen=True)
class LabelAudit:
    """Hold what an audit of a run's given labels found.

    Attributes:
        suspects: the most likely wrong first, as many as were asked for.
        cells: given cells that were judged. error_share: what was assumed.
        expected: the number of suspects in all at each expected precision, highest first.
    """

    run: Path
    suspects: tuple[Suspect, ...]
    cells: int
    error_share: float
    expected: dict[float, int]

    def to_json(self) -> dict[str, Any]:
        """Return everything JSON-ready."""
        return {
            "run": str(self.run), "cells": self.cells, "error_share": self.error_share,
            "suspects_at_expected_precision": {f"{precision:g}": count for precision, count in self.expected.items()},
            "suspects": [asdict(suspect) for suspect in self.suspects],
        }  # fmt: skip

    def write(self, path: str | Path) -> None:
        """Write the suspects as a table (``.csv``) or all as JSON (``.json``).

        Raises:
            InputError: another ending.
        """
        path = Path(path)
        require_ending(path)
        if path.suffix == ".json":
            write_json(path, self.to_json())
            return
        with atomic(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(map(_row, self.suspects))


def require_ending(path: Path) -> None:
    """Refuse a file that ``LabelAudit.write`` cannot write.

    Raises:
        InputError: another ending than ``.csv`` or ``.json``.
    """
    if path.suffix not in (".csv", ".json"):
        raise InputError(f"Expected an output file ending in .csv or .json, but got '{path}'.")


def _row(suspect: Suspect) -> list[Any]:
    return [
        suspect.image, suspect.label, suspect.given, suspect.split, f"{suspect.probability:.5f}",
        f"{suspect.wrong:.5f}", suspect.neighbours_with, len(suspect.neighbours),
        ";".join(neighbour.image for neighbour in suspect.neighbours),
    ]  # fmt: skip


def audit_run(
    folder: Path, count: int = 50, error_share: float = ERROR_SHARE, with_test: bool = False,
    console: Console | None = None,
) -> LabelAudit:  # fmt: skip
    """Find the given labels of a run that are most likely wrong.

    Each is judged by propagation from images of other folds, so never by itself; test labels, which no step learns
    from, by the graph's inductive rule.

    Args:
        folder: a run whose labels were propagated. count: how many suspects to describe.
        error_share: about how many of the present labels are given as absent; as many are taken to be given wrongly
            as present.
        with_test: judge test labels too.

    Raises:
        InputError: not such a run, no features in the cache, fewer than two labelled images, or a share that
            ``wrongness`` refuses.
    """
    images = open_image_pool(Job.load(folder, console or Console(quiet=True)))
    rows, held_out = _held_out(folder, images, with_test)
    if len(rows) < 2:
        raise InputError(f"Expected at least 2 labelled images to judge by each other, but got {len(rows)}.")
    given = images.labels.take(rows)
    wrong = wrongness(held_out, given, error_share)
    cells = ranked(wrong, given)
    ordered = wrong[cells[:, 0], cells[:, 1]]
    points = _points(images)
    found = tuple(
        Suspect(
            images.manifest.paths[rows[i]], given.names[c], "present" if given.values[i, c] else "absent",
            str(images.manifest.splits[rows[i]]), float(held_out[i, c]), float(wrong[i, c]),
            _neighbours(images, points, int(rows[i]), int(c)),
        )
        for i, c in cells[:count]
    )  # fmt: skip
    expected = {precision: suspects_at(ordered, precision) for precision in PRECISIONS}
    return LabelAudit(folder, found, len(cells), error_share, expected)


def _held_out(folder: Path, images: ImagePool, with_test: bool) -> tuple[NDArray[np.int64], NDArray[np.floating]]:
    """Return labelled rows (n,) of the collection and probabilities (n, C) that were made without their labels."""
    path = folder / "graph" / "out_of_fold.npz"
    if not path.is_file():
        raise InputError(
            f"Expected out-of-fold probabilities in {path}, but there are none, as the run is of an earlier version; "
            f"remove {folder / 'steps' / 'propagate.json'} and run 'tagweave propagate {folder}'."
        )
    with np.load(path, allow_pickle=False) as stored:
        rows, held_out = stored["rows"], stored["probabilities"]
    if not with_test:
        return rows, held_out
    test = np.flatnonzero((images.manifest.splits == "test") & images.labels.labelled)
    with np.load(folder / "graph" / "scores.npz", allow_pickle=False) as stored:
        return np.concatenate([rows, test]), np.concatenate([held_out, stored["graph"][test]])


def _points(images: ImagePool) -> NDArray[np.float32]:
    """Return all images (N, d) in the space of the graph's neighbours."""
    graph, test = images.graph, images.manifest.splits == "test"
    points = np.empty((len(test), graph.points.shape[1]), dtype=np.float32)
    points[images.rows] = graph.points
    if test.any():
        points[test] = graph.projection.apply(unit_features(images.features[test], graph.mean, graph.settings.parts))
    return points


def _neighbours(images: ImagePool, points: NDArray[np.float32], row: int, c: int) -> tuple[Neighbour, ...]:
    """Return the images outside the test, the row itself apart, that are most like it and known in label ``c``."""
    known = images.rows[images.labels.known[images.rows, c]]
    others = known[known != row]
    likeness = points[others] @ points[row]
    order = np.argsort(-likeness, kind="stable")[:NEIGHBOURS]
    return tuple(
        Neighbour(
            images.manifest.paths[others[n]], round(float(likeness[n]), 4), bool(images.labels.values[others[n], c])
        )
        for n in order
    )
