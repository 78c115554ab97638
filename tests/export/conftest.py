"""A run with a small encoder, whose graph is made in seconds, and its exports."""

from __future__ import annotations

from pathlib import Path

import pytest

from drawn import Drawn, quick_fit
from tagweave.export.onnx_file import write_onnx
from tagweave.export.source import Source

SMALL = {"name": "test_efficientnet", "weights": "random", "size": 64, "map_side": 4}


@pytest.fixture(scope="session")
def small(drawn: Drawn, tmp_path_factory: pytest.TempPathFactory) -> Source:
    """The exports' source; read only."""
    run = quick_fit(drawn.images, drawn.labels, tmp_path_factory.mktemp("small") / "run", encoder=SMALL)
    return Source.load(run.folder)


@pytest.fixture(scope="session")
def onnx_file(small: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported file; read only."""
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    write_onnx(small, path)
    return path
