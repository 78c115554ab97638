"""Encoders that are dear to build, built once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tagweave.encoders.backbones import Encoder, build_encoder


@pytest.fixture(scope="session")
def lite0() -> Encoder:
    """The embedded default with its ImageNet weights."""
    return build_encoder("efficientnet_lite0")


@pytest.fixture(scope="session")
def tiny() -> Encoder:
    """A real, small network: maps of 8, 4 and 2 cells a side, the first pooled to 4."""
    return build_encoder("test_resnet", size=64, weights="random", map_side=4)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the exported tiny encoder is kept between tests."""
    return tmp_path_factory.mktemp("tiny")
