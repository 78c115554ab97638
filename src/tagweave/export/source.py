"""What an export is made from: a finished run with its images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import Manifest
from tagweave.errors import InputError
from tagweave.predict import Classifier
from tagweave.runs import read_json
from tagweave.steps.stored import load_collection


@dataclass(frozen=True)
class Source:
    """Hold a run folder and what an export reads of it.

    Attributes:
        measures: the content of ``metrics.json``; no splits when nothing was held out or measured.
    """

    folder: Path
    classifier: Classifier
    manifest: Manifest
    labels: LabelMatrix
    measures: dict[str, Any]

    @classmethod
    def load(cls, folder: Path) -> Source:
        """Read a run.

        Raises:
            InputError: there is no trained model.
        """
        classifier = Classifier.load(folder / "model")
        metrics = folder / "metrics.json"
        measures = read_json(metrics) if metrics.is_file() else {"main": "classifier", "splits": {}}
        return cls(folder, classifier, *load_collection(folder), measures)

    @property
    def measured_split(self) -> str | None:
        """The split whose measures stand for the model: test where there is one, else val."""
        return next((split for split in ("test", "val") if split in self.measures["splits"]), None)

    @cached_property
    def held_out(self) -> NDArray[np.int64]:
        """Rows of the measured split with known labels.

        Raises:
            InputError: there are none.
        """
        rows = np.flatnonzero((self.manifest.splits == self.measured_split) & self.labels.labelled)
        if not len(rows):
            raise InputError(
                f"Expected held-out labelled images in {self.folder} to measure on, but there are none; "
                "label more images, or give some the split 'test' in the label file."
            )
        return rows
