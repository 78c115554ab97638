"""The torch program."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tagweave.encoders.extract import load_pixels
from tagweave.errors import InputError
from tagweave.export import program as module
from tagweave.export.parity import draw_sample
from tagweave.export.program import ABOUT, module_scorer, trace, write_program
from tagweave.export.source import Source


def test_read_back_it_scores_the_same(small: Source, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text("the model's own")
    about = write_program(small, tmp_path / "model.pt2")
    assert (tmp_path / "model.json").read_text() == "the model's own"
    extra = {ABOUT: ""}
    score = module_scorer(torch.export.load(tmp_path / "model.pt2", extra_files=extra).module())
    files = [small.manifest.file(row) for row in range(6)]
    expected, _ = small.classifier.predict_files(files)
    pixels = np.stack([load_pixels(file, 64) for file in files])
    for batch in (1, 2, 5, 6):
        np.testing.assert_allclose(score(pixels[:batch]), expected[:batch], rtol=0, atol=1e-4)
    assert json.loads(extra[ABOUT]) == json.loads((tmp_path / "model.pt2.json").read_text()) == about


def test_a_program_that_differs_is_not_written(small: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "module_scorer", lambda _: lambda pixels: np.full((len(pixels), 4), np.nan))
    with pytest.raises(RuntimeError, match=r"^Expected the exported program to give the classifier's probabilities"):
        write_program(small, tmp_path / "model.pt2")
    assert not list(tmp_path.iterdir())


def test_an_encoder_that_cannot_be_traced(small: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("data-dependent\nmore")

    monkeypatch.setattr("torch.export.export", fail)
    with pytest.raises(
        InputError, match=r"^Expected to trace the encoder test_efficientnet, but got RuntimeError: data"
    ):
        trace(small, draw_sample(small))
