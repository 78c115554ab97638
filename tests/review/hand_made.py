"""A run folder made by hand: every score and label is written here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import Manifest
from tagweave.graph.pseudo_labels import PseudoLabels
from tagweave.steps.stored import save_collection
from tagweave.tables import write_labels, write_predictions

NAMES = ("cat", "dog")
PORT = 8765
ORIGIN = f"http://127.0.0.1:{PORT}"
# Images 0 to 3 are labelled, 4 to 9 are not. Columns: cat, dog.
GIVEN = LabelMatrix(
    np.array([[1, 0], [1, 1], [0, 1], [0, 0], *[[0, 0]] * 6], dtype=bool),
    np.array([[1, 1]] * 3 + [[1, 0]] + [[0, 0]] * 6, dtype=bool),
    NAMES,
)
GRAPH = np.array([[0, 0]] * 4 + [[0.9, 0.1], [0.8, 0.5], [0.2, 0.5], [0.4, 0.5], [0.1, 0.9], [0.7, 0.5]])
NETWORK = np.array(
    [[0.1, 0.2], [0.9, 0.8], [0.3, 0.9], [0.8, 0.5], [0.95, 0.2], [0.3, 0.4], [0.55, 0.6], [0.45, 0.1], [0.9, 0.9],
     [0.48, 0.3]]
)  # fmt: skip


def write_run(folder: Path, images: int = 10, side: int = 24) -> Path:
    """Write the run of ``images`` pictures (the first ten as above, all others without any evidence)."""
    more = images - len(GRAPH)
    labels = LabelMatrix(_padded(GIVEN.values, more), _padded(GIVEN.known, more), NAMES)
    graph, network = _padded(GRAPH, more), _padded(NETWORK, more)
    pictures, run = folder / "pictures", folder / "run"
    (pictures / "sub").mkdir(parents=True)
    names = tuple(f"sub/{number:04d}.png" for number in range(images))
    for number, name in enumerate(names):
        Image.new("RGB", (side + number % 3, side), (number % 256, 80, 160)).save(pictures / name)
    manifest = Manifest(
        root=pictures,
        paths=names,
        digests=tuple(f"{number:032x}" for number in range(images)),
        sizes=np.full((images, 2), side, dtype=np.int32),
        splits=np.array(["train", "val", "test", "train"] + ["train"] * (images - 4)),
    )
    run.mkdir()
    save_collection(run, manifest, labels)
    nothing = np.zeros_like(labels.values)
    spread = nothing.copy()
    spread[4, 0] = True
    graph = np.where(labels.known, labels.values, graph)
    write_labels(run / "labels.parquet", manifest, labels, PseudoLabels(spread, nothing, np.full(2, 0.5)), graph)
    write_predictions(run / "predictions.parquet", manifest, NAMES, network)
    (run / "model").mkdir()
    (run / "model" / "model.json").write_text(json.dumps({"thresholds": [0.5, 0.5]}), encoding="utf-8")
    return run


def _padded(array: NDArray, more: int) -> NDArray:
    return np.concatenate([array, np.zeros((more, 2), dtype=array.dtype)]) if more else array
