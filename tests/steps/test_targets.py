"""What a training set must have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tagweave.config import TrainConfig
from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import Manifest
from tagweave.errors import InputError
from tagweave.steps.targets import training_set


def _never(rows: Any) -> Any:
    raise AssertionError("nothing is read")


def test_labels_without_a_positive_are_refused(tmp_path: Path) -> None:
    names = tuple(f"{number}.png" for number in range(3))
    manifest = Manifest(tmp_path, names, names, np.ones((3, 2), np.int32), np.array(["train"] * 3))
    labels = LabelMatrix(np.zeros((3, 2), bool), np.array([[True, True], [False, False], [False, False]]), ("a", "b"))
    np.savez(
        tmp_path / "choice.npz", pool=np.arange(3), probabilities=np.full((3, 2), 0.5, np.float32),
        reached=np.ones(3, bool), decided_values=labels.values, decided_known=labels.known,
    )  # fmt: skip
    with pytest.raises(InputError, match="Expected a labelled image with a known positive label to train on"):
        training_set(tmp_path / "choice.npz", TrainConfig(), manifest, labels, _never, np.array([], int))
