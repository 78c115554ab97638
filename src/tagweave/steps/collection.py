"""The whole collection as a training sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import Manifest
from tagweave.steps.job import Job
from tagweave.steps.stored import load_collection, open_records

if TYPE_CHECKING:
    from tagweave.training.batches import MapSource


@dataclass(frozen=True)
class Images:
    """Hold the whole collection: its manifest, given labels (N, C), and where its frozen records lie."""

    manifest: Manifest
    labels: LabelMatrix
    source: MapSource

    @property
    def is_pool(self) -> NDArray[np.bool_]:
        """Which images take part in propagation and training (N,): all but the test images."""
        return self.manifest.splits != "test"

    def labelled(self, split: str) -> NDArray[np.int64]:
        """Return the rows of a split with known labels."""
        return np.flatnonzero((self.manifest.splits == split) & self.labels.labelled)

    def maps(self, rows: NDArray[np.int64]) -> MapSource:
        """Return the frozen records of some rows."""
        from tagweave.training.batches import MapSource

        return MapSource(self.source.cache, self.source.positions[rows])


def open_images(job: Job) -> Images:
    """Read what the steps before the training left."""
    from tagweave.training.batches import MapSource

    manifest, labels = load_collection(job.folder)
    return Images(manifest, labels, MapSource(*open_records(job, manifest)))
