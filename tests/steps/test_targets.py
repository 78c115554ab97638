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


def test_fixmatch_fills_in_unknown_cells_of_labels_that_can_be_learnt(tmp_path: Path) -> None:
    names = tuple(f"{number}.png" for number in range(5))
    manifest = Manifest(tmp_path, names, names, np.ones((5, 2), np.int32), np.array(["train"] * 4 + ["val"]))
    values = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0], [1, 1, 1]], dtype=bool)
    known = np.array([[1, 1, 1], [0, 1, 0], [0, 0, 0], [1, 1, 1], [1, 1, 1]], dtype=bool)
    np.savez(
        tmp_path / "choice.npz", pool=np.arange(5), probabilities=np.full((5, 3), 0.5, np.float32),
        reached=np.ones(5, bool), decided_values=values, decided_known=known,
    )  # fmt: skip
    config = TrainConfig(regime="finetune", targets="fixmatch")
    labels = LabelMatrix(values, known, ("a", "b", "c"))
    data = training_set(tmp_path / "choice.npz", config, manifest, labels, lambda rows: rows, np.array([4]))
    assert data.names == names[:4]
    assert data.unknown is not None
    # Outside the hidden image nothing shows c: no cell of it is learnt.
    assert data.unknown.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert data.weights.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 1, 0]]
    assert data.targets.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]]
    plain = training_set(tmp_path / "choice.npz", TrainConfig(), manifest, labels, lambda rows: rows, np.array([4]))
    assert plain.unknown is None


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
