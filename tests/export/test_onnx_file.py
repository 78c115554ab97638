"""The ONNX file: any batch, metadata, refusal; the documented loader."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tagweave.api import Run
from tagweave.encoders.extract import load_pixels
from tagweave.encoders.runners import open_session
from tagweave.export import onnx_file as module
from tagweave.export.onnx_file import KEY, session_scorer, write_onnx
from tagweave.export.source import Source
from tagweave.runs import beside

DOCS = Path(__file__).parents[2] / "docs" / "export.md"


def test_any_batch_gives_the_classifiers_probabilities(small: Source, onnx_file: Path) -> None:
    files = [small.manifest.file(row) for row in range(7)]
    expected, _ = small.classifier.predict_files(files)
    pixels = np.stack([load_pixels(file, 64) for file in files])
    score = session_scorer(onnx_file)
    for batch in (1, 2, 5, 7):
        np.testing.assert_allclose(score(pixels[:batch]), expected[:batch], rtol=0, atol=1e-4)


def test_the_description_travels_with_the_file(small: Source, onnx_file: Path) -> None:
    about = json.loads(open_session(onnx_file).get_modelmeta().custom_metadata_map[KEY])
    assert about == json.loads(beside(onnx_file).read_text())
    assert about["names"] == list(small.classifier.names)
    assert about["thresholds"] == small.classifier.thresholds.tolist()
    assert about["preprocessing"]["size"] == 64
    measured = small.measures["splits"]["test"]["systems"]["classifier"]
    assert about["measures"]["mAP"] == measured["mAP"]
    assert about["measures"]["images"] == measured["images"]
    assert about["largest_difference"] <= 1e-4


def test_a_file_that_differs_is_not_written(small: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(path: Path) -> object:
        return lambda pixels: np.full((len(pixels), 4), 0.5, dtype=np.float32)

    class Program:
        def save(self, path: str) -> None:
            Path(path).write_bytes(b"file")

    monkeypatch.setattr("torch.onnx.export", lambda *_, **__: Program())
    monkeypatch.setattr(module, "trace", lambda *_: None)
    monkeypatch.setattr(module, "session_scorer", wrong)
    with pytest.raises(RuntimeError, match=r"they differ by .*; nothing was written"):
        write_onnx(small, tmp_path / "out" / "model.onnx")
    assert list((tmp_path / "out").iterdir()) == []


def varied(images: Path, folder: Path) -> Path:
    """Pictures as they come: large and small JPEG, turned, transparent, gray."""
    folder.mkdir()
    picture = Image.open(images / "004.png")
    picture.resize((700, 500), Image.Resampling.BICUBIC).save(folder / "large.jpg")
    picture.save(folder / "small.jpg")
    turned = Image.Exif()
    turned[0x0112] = 6
    picture.save(folder / "turned.jpg", exif=turned)
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    picture.save(folder / "clear.png")
    picture.convert("L").save(folder / "gray.png")
    return folder


def test_the_documented_loader_says_what_predict_says(small: Source, onnx_file: Path, tmp_path: Path) -> None:
    code = next(block for block in re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.S) if "onnxruntime" in block)
    assert set(re.findall(r"^(?:import|from) (\w+)", code, re.M)) == {"json", "sys", "numpy", "onnxruntime", "PIL"}
    (tmp_path / "model.onnx").write_bytes(onnx_file.read_bytes())
    files = sorted(varied(small.manifest.root, tmp_path / "pictures").iterdir())
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, files)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    scored = Run(small.folder).predict(files)
    told = [f"{file}\t{';'.join(labels)}" for file, labels in zip(scored.images, scored.labels(), strict=True)]
    assert done.stdout.splitlines() == told
    assert any(scored.labels())


def spread(values: NDArray[np.float64]) -> float:
    return float(np.ptp(values, axis=0).max())


@pytest.mark.slow
def test_the_default_encoder(finished: Run, tmp_path: Path) -> None:
    source = Source.load(finished.folder)
    about = write_onnx(source, tmp_path / "model.onnx")
    assert about["largest_difference"] <= 1e-5
    expected, _ = source.classifier.predict_files([source.manifest.file(row) for row in range(16)])
    assert spread(expected) > 0.01  # the gate means something: images differ by far more
