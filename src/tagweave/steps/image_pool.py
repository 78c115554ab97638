"""The images outside the test as the graph sees them, from a run's cached features; nothing is encoded again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import Manifest
from tagweave.errors import InputError
from tagweave.steps.job import Job
from tagweave.steps.outcome import graph_settings
from tagweave.steps.stored import load_collection, open_records

if TYPE_CHECKING:
    from tagweave.graph.image_graph import ImageGraph


@dataclass(frozen=True)
class ImagePool:
    """Hold the whole collection of N images, and the graph over the ``rows`` (n,) of it that are not ``test``.

    Attributes:
        features: (N, D), what the graph was built from.
    """

    manifest: Manifest
    labels: LabelMatrix
    features: NDArray[np.float32]
    rows: NDArray[np.int64]
    graph: ImageGraph


def open_image_pool(job: Job) -> ImagePool:
    """Build the graph that ``propagate`` used, from the run's manifest, labels and cached features.

    Raises:
        InputError: the labels were not propagated yet, or the features are gone.
    """
    from tagweave.graph.image_graph import build_graph

    if not (job.folder / "steps" / "propagate.json").is_file():
        raise InputError(f"Expected propagated labels in {job.folder}, but got none; run 'tagweave fit' first.")
    manifest, labels = load_collection(job.folder)
    try:
        cache, positions = open_records(job, manifest)
    except (KeyError, OSError) as error:
        raise InputError(
            f"Expected the features of the images of {job.folder} in the record cache, but they are gone; run "
            f"'tagweave embed {job.folder}' to compute them again."
        ) from error
    settings = graph_settings(job.config.graph, cache.layout.parts)
    features = cache.features(positions)[:, : sum(settings.parts)]
    rows = np.flatnonzero(manifest.splits != "test")
    return ImagePool(manifest, labels, features, rows, build_graph(features[rows], settings, len(labels.names)))
