"""The gate: what is exported must say on real images what the classifier says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagweave.encoders.extract import load_pixels
from tagweave.errors import InputError
from tagweave.export.source import Source

Scorer = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""From pixels (B, S, S, 3) to probabilities (B, C)."""

LIMIT = 1e-4
COMPARED = 8
BATCHES = (1, 2, 5)


@dataclass(frozen=True)
class Sample:
    """Hold real images and the classifier's word on them.

    Attributes:
        pixels: (N, S, S, 3) resized to the encoder's side.
        expected: (N, C) the classifier's probabilities from the files.
    """

    pixels: NDArray[np.uint8]
    expected: NDArray[np.float64]


def draw_sample(source: Source) -> Sample:
    """Take images spread evenly over the run's collection.

    Raises:
        InputError: none of them can be read any more.
    """
    spread = np.unique(np.linspace(0, len(source.manifest) - 1, COMPARED).astype(int))
    files = [source.manifest.file(row) for row in spread]
    expected, reasons = source.classifier.predict_files(files)
    good = [row for row in range(len(files)) if row not in reasons]
    if not good:
        raise InputError(
            f"Expected the run's images below {source.manifest.root} to compare the export on, but {files[0].name} "
            f"{reasons[0]}; bring the images back, or run 'tagweave fit' where they are now."
        )
    good = (good * max(BATCHES))[: max(len(good), *BATCHES)]
    size = source.classifier.built_encoder.preprocessing.size
    return Sample(np.stack([load_pixels(files[row], size) for row in good]), expected[good])


def largest_difference(score: Scorer, sample: Sample) -> float:
    """Return the largest absolute difference of a probability, over all images in batches of each size.

    NaN when the scorer returns one.
    """
    return float(np.max([np.abs(got - expected).max() for got, expected in _pairs(score, sample)]))


def require_parity(score: Scorer, sample: Sample, what: str) -> float:
    """Return the largest difference.

    Raises:
        RuntimeError: it is above ``LIMIT``.
    """
    worst = largest_difference(score, sample)
    if not worst <= LIMIT:
        raise RuntimeError(
            f"Expected the exported {what} to give the classifier's probabilities within {LIMIT:g} on "
            f"{len(sample.pixels)} real images, but they differ by {worst:.2e}; nothing was written. "
            "Try another --to, or another version of torch or onnxruntime."
        )
    return worst


def _pairs(score: Scorer, sample: Sample) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    for batch in BATCHES:
        for start in range(0, len(sample.pixels) - batch + 1, batch):
            rows = slice(start, start + batch)
            yield score(sample.pixels[rows]), sample.expected[rows]
