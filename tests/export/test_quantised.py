"""Eight bits: what is claimed is what the files do."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from tagweave.encoders.extract import load_pixels
from tagweave.encoders.runners import open_session
from tagweave.errors import InputError
from tagweave.export.onnx_file import KEY, session_scorer
from tagweave.export.quantised import write_int8
from tagweave.export.source import Source
from tagweave.runs import beside


def mean_precision(source: Source, path: Path) -> float:
    """mAP on the held-out images, by scikit-learn."""
    rows = source.manifest.rows("test")
    rows = rows[source.labels.labelled[rows]]
    pixels = np.stack([load_pixels(source.manifest.file(row), 64) for row in rows])
    scores = np.concatenate([session_scorer(path)(image[None]) for image in pixels])
    truth = source.labels.values[rows]
    return float(np.mean([average_precision_score(truth[:, c], scores[:, c]) for c in np.flatnonzero(truth.any(0))]))


def test_measured_as_it_is(small: Source, onnx_file: Path, tmp_path: Path) -> None:
    path, steps = tmp_path / "model.int8.onnx", []
    about = json.loads(beside(onnx_file).read_text())
    cost = write_int8(small, onnx_file, path, about, lambda *step: steps.append(step))["int8"]
    assert cost["mAP_float32"] == pytest.approx(mean_precision(small, onnx_file))
    assert cost["mAP_int8"] == pytest.approx(mean_precision(small, path))
    assert cost["mAP_loss"] == cost["mAP_float32"] - cost["mAP_int8"]
    assert cost["images"] == steps[-1][0] == steps[-1][1] == len(small.held_out)
    assert min(cost["ms_float32"], cost["ms_int8"]) > 0
    assert json.loads(open_session(path).get_modelmeta().custom_metadata_map[KEY]) == {**about, "int8": cost}
    zeros = np.zeros((1, 64, 64, 3), dtype=np.uint8)
    assert not np.array_equal(session_scorer(path)(zeros), session_scorer(onnx_file)(zeros))


def test_nothing_to_measure_on(small: Source, onnx_file: Path, tmp_path: Path) -> None:
    blind = replace(small, measures={"main": "network", "splits": {}})
    with pytest.raises(InputError, match=r"^Expected held-out labelled images in .* to measure on, but there are none"):
        write_int8(blind, onnx_file, tmp_path / "model.int8.onnx", {}, lambda done, total: None)
    assert not list(tmp_path.iterdir())
