"""The gate opens for the classifier's numbers and for no others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tagweave.encoders.extract import load_pixels
from tagweave.errors import InputError
from tagweave.export.parity import Sample, draw_sample, largest_difference, require_parity
from tagweave.export.source import Source

RIGHT = np.linspace(0.1, 0.9, 12).reshape(6, 2)


def sample() -> Sample:
    """Six images whose first pixel is their number."""
    sized = np.zeros((6, 4, 4, 3), dtype=np.uint8)
    sized[:, 0, 0, 0] = np.arange(6)
    return Sample(sized, RIGHT)


def shifted(by: float, at: int = 4) -> NDArray[np.float64]:
    wrong = RIGHT.copy()
    wrong[at, 1] += by
    return wrong


@pytest.mark.parametrize("by", [0.0, 9e-5, -9e-5])
def test_the_gate_opens(by: float) -> None:
    worst = require_parity(lambda pixels: shifted(by)[pixels[:, 0, 0, 0]].astype(np.float32), sample(), "file")
    assert worst == pytest.approx(abs(by), abs=1e-7)


@pytest.mark.parametrize("by", [1.1e-4, -0.3, np.nan])
def test_the_gate_stays_shut(by: float) -> None:
    with pytest.raises(RuntimeError, match=r"^Expected the exported file to give .* within 0\.0001 on 6 real images, "):
        require_parity(lambda pixels: shifted(by)[pixels[:, 0, 0, 0]].astype(np.float32), sample(), "file")


@pytest.mark.parametrize("batch", [2, 5])
def test_a_mistake_in_one_batch_size_is_found(batch: int) -> None:
    def score(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return (RIGHT[pixels[:, 0, 0, 0]] + 0.01 * (len(pixels) == batch)).astype(np.float32)

    assert largest_difference(score, sample()) == pytest.approx(0.01, abs=1e-6)


def test_the_sample_is_real(small: Source) -> None:
    drawn = draw_sample(small)
    files = [small.manifest.file(row) for row in np.linspace(0, 59, 8).astype(int)]
    np.testing.assert_array_equal(drawn.expected, small.classifier.predict_files(files)[0])
    np.testing.assert_array_equal(drawn.pixels, np.stack([load_pixels(file, 64) for file in files]))


def test_few_images_are_taken_more_than_once(small: Source) -> None:
    drawn = draw_sample(replace(small, manifest=small.manifest.take(np.array([3, 9]))))
    assert len(drawn.pixels) == 5
    np.testing.assert_array_equal(drawn.expected[[0, 1]], drawn.expected[[2, 3]])


def test_images_that_are_gone(small: Source, tmp_path: Path) -> None:
    gone = replace(small, manifest=replace(small.manifest, root=tmp_path))
    with pytest.raises(InputError, match=r"^Expected the run's images below .* to compare the export on, but 000.png "):
        draw_sample(gone)
