"""Suggestions for a run folder, from what its steps left."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagweave.console import Console
from tagweave.data.annotations import Annotations
from tagweave.data.formats.csv_onehot import write_csv_onehot
from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import Manifest
from tagweave.errors import InputError
from tagweave.runs import atomic, beside, require_new, write_json
from tagweave.steps.image_pool import ImagePool, open_image_pool
from tagweave.steps.job import Job
from tagweave.suggest.pool import Pool
from tagweave.suggest.reasons import reason
from tagweave.suggest.strategies import DEFAULT, suggest
from tagweave.tables import read_predictions

LIKELY = 5  # labels whose probabilities stand beside a suggestion


@dataclass(frozen=True)
class Suggestion:
    """Hold one image to label next.

    Attributes:
        image: its path as the run names it. worth: what it was worth to the strategy, in units of the first one.
        why: one line. likely: the most probable of the unknown labels, with the graph's probability.
    """

    image: str
    worth: float
    why: str
    likely: dict[str, float]


@dataclass(frozen=True)
class Suggestions:
    """Hold what is suggested of a run.

    Attributes:
        images: the suggestions, the first one first. open: images that could be suggested.
        duplicates: of them, passed over as near-duplicates of suggested ones.
        manifest, labels: of the run. rows: (n,) of it, those of ``images``.
    """

    run: Path
    strategy: str
    images: tuple[Suggestion, ...]
    open: int
    duplicates: int
    manifest: Manifest
    labels: LabelMatrix
    rows: NDArray[np.int64]

    def to_json(self) -> dict[str, Any]:
        """Return everything JSON-ready."""
        return {
            "run": str(self.run), "strategy": self.strategy, "open_images": self.open,
            "near_duplicates_passed_over": self.duplicates, "images": [asdict(image) for image in self.images],
        }  # fmt: skip

    def write(self, path: str | Path, with_given: bool = False) -> Path:
        """Write a label file to fill in, and the reasons as JSON beside it; return the place of the JSON.

        One row per suggested image and one column per label: 1, 0, and blank for unknown, which is what stays blank
        in the next fit too. With ``with_given`` the rows of all labelled images follow, so that the filled file is the
        whole label file of the next fit.

        Raises:
            InputError: see ``require_place``.
        """
        path = Path(path)
        require_place(path)
        labelled = np.flatnonzero(self.labels.labelled) if with_given else self.rows[:0]
        rows = np.concatenate([self.rows, np.setdiff1d(labelled, self.rows)])
        annotations = Annotations(
            self.labels.take(rows), tuple(self.manifest.paths[row] for row in rows),
            tuple(self.manifest.splits[rows].tolist()), tuple(range(1, len(rows) + 1)), str(self.run),
        )  # fmt: skip
        with atomic(path) as partial:
            write_csv_onehot(partial, annotations)
        write_json(beside(path), self.to_json())
        return beside(path)


def require_place(path: Path) -> None:
    """Refuse a place that ``Suggestions.write`` cannot write to.

    Raises:
        InputError: another ending than ``.csv``, or the file (perhaps filled in) or the JSON beside it is there.
    """
    if path.suffix != ".csv":
        raise InputError(f"Expected an output file ending in .csv, but got '{path}'.")
    require_new(path, beside(path), way_out="perhaps filled in already; give another name")


def suggest_for_run(
    folder: Path, count: int = 50, strategy: str = DEFAULT, console: Console | None = None
) -> Suggestions:
    """Choose images of a run to label next; test images and fully labelled ones are never among them.

    Args:
        folder: a run whose labels were propagated. count: how many. strategy: one of ``STRATEGIES``.

    Raises:
        InputError: not such a run, no features in the cache, or what ``suggest`` refuses.
    """
    images = open_image_pool(Job.load(folder, console or Console(quiet=True)))
    pool = _pool(folder, images)
    picks = suggest(pool, count, strategy)
    first = picks.worth[0] if len(picks.worth) and picks.worth[0] > 0 else 1.0
    found = (
        Suggestion(
            images.manifest.paths[images.rows[row]], round(float(worth / first), 4), reason(pool, int(row)),
            _likely(pool, int(row)),
        )
        for row, worth in zip(picks.rows, picks.worth, strict=True)
    )  # fmt: skip
    return Suggestions(
        folder, strategy, tuple(found), int(pool.open.sum()), picks.duplicates, images.manifest, images.labels,
        images.rows[picks.rows],
    )  # fmt: skip


def _pool(folder: Path, images: ImagePool) -> Pool:
    """Return the arrays of a run: the second opinion is its model's or, before the training, the ridge's."""
    with np.load(folder / "graph" / "scores.npz", allow_pickle=False) as stored:
        graph, model = stored["graph"], stored["ridge"]
    predictions = folder / "predictions.parquet"
    if predictions.is_file():
        model = read_predictions(predictions, images.manifest, images.labels.names)
    rows = images.rows
    return Pool(images.labels.take(rows), graph[rows], model[rows], images.graph.points, images.graph.normalised)


def _likely(pool: Pool, row: int) -> dict[str, float]:
    unknown = np.flatnonzero(~pool.labels.known[row])
    order = unknown[np.argsort(-pool.graph[row, unknown], kind="stable")[:LIKELY]]
    return {pool.labels.names[c]: round(float(pool.graph[row, c]), 4) for c in order}
