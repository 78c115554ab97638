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
    from tagweave.encoders.backbones import Encoder, Layout
    from tagweave.training.batches import MapSource
    from tagweave.training.encoded import EncodedSource


@dataclass(frozen=True)
class Images:
    """Hold the whole collection: its manifest, given labels (N, C), and where the records of its images lie.

    Attributes:
        source: the stored records; where the backbone is to learn they are the pooled features alone.
        encoder: the backbone as it is before it learns, None where it is frozen and its maps are stored.
    """

    manifest: Manifest
    labels: LabelMatrix
    source: MapSource
    encoder: Encoder | None = None

    @property
    def is_pool(self) -> NDArray[np.bool_]:
        """Which images take part in propagation and training (N,): all but the test images."""
        return self.manifest.splits != "test"

    def labelled(self, split: str) -> NDArray[np.int64]:
        """Return the rows of a split with known labels."""
        return np.flatnonzero((self.manifest.splits == split) & self.labels.labelled)

    @property
    def layout(self) -> Layout:
        """Of the encoder's whole records."""
        layout: Layout = (self.encoder or self.source.cache).layout
        return layout

    def features(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the stored pooled features (n, D) of some rows."""
        return self.source.cache.features(self.source.positions[rows])

    def maps(self, rows: NDArray[np.int64]) -> MapSource | EncodedSource:
        """Return the whole records of some rows: stored, or computed as they are read."""
        from tagweave.steps.finetuned import encoded
        from tagweave.training.batches import MapSource

        if self.encoder is not None:
            return encoded(self.manifest.take(rows), self.encoder)
        return MapSource(self.source.cache, self.source.positions[rows])


def open_images(job: Job) -> Images:
    """Read what the steps before the training left."""
    from tagweave.encoders.backbones import build_encoder
    from tagweave.training.batches import MapSource

    manifest, labels = load_collection(job.folder)
    learns = job.config.train.regime == "finetune"
    encoder = build_encoder(**job.config.encoder.model_dump()) if learns else None
    return Images(manifest, labels, MapSource(*open_records(job, manifest)), encoder)
