"""Pooled features alone: the numbers of whole records, a key and a cache of their own, no maps on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from albums import BLOCKS, block_runner, write_album

from tagweave.encoders.backbones import Encoder, build_encoder
from tagweave.encoders.cache import RecordCache
from tagweave.encoders.extract import extract
from tagweave.encoders.pooled_features import features_only
from tagweave.encoders.runners import onnx_runner


@pytest.mark.parametrize("name", ["test_resnet", "test_resnet+test_efficientnet"])
def test_the_features_are_those_of_the_whole_records(name: str) -> None:
    encoder = build_encoder(name, size=64, weights="random", map_side=4)
    pooled = features_only(encoder)
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8))
    with torch.inference_mode():
        whole, alone = encoder.module(pixels).numpy(), pooled.module(pixels).numpy()
    np.testing.assert_array_equal(alone, encoder.layout.split(whole)[1])
    assert pooled.layout.split(alone)[0] == []
    assert pooled.layout.parts == encoder.layout.parts
    assert pooled.key != encoder.key


def test_exported_features_are_those_of_the_exported_records(tiny: Encoder, tiny_folder: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    whole, alone = onnx_runner(tiny, tiny_folder)(pixels), onnx_runner(features_only(tiny), tmp_path)(pixels)
    np.testing.assert_allclose(alone, tiny.layout.split(whole)[1], rtol=1e-5, atol=1e-6)  # float32, fused otherwise


def test_their_cache_holds_no_maps(tmp_path: Path) -> None:
    manifest = write_album(tmp_path / "album", 20)
    whole, alone = RecordCache.of(BLOCKS, tmp_path), RecordCache.of(features_only(BLOCKS), tmp_path)
    assert whole.folder != alone.folder
    for first, last in ((0, 7), (7, 20)):  # a second pass goes on after the first
        part = manifest.take(np.arange(first, last))
        assert extract(part, BLOCKS, block_runner, whole) == []
        assert extract(part, features_only(BLOCKS), lambda pixels: block_runner(pixels)[:, -6:], alone) == []
    opened = RecordCache(alone.folder, alone.layout)
    positions = opened.positions(manifest.digests)
    np.testing.assert_array_equal(opened.features(positions), whole.features(whole.positions(manifest.digests)))
    np.testing.assert_array_equal(opened.records(positions).astype(np.float32), opened.features(positions))
    assert opened.maps(positions) == []
    sizes = {path.name: path.stat().st_size for path in alone.folder.glob("*.f16")}
    assert sizes == {"features.f16": 20 * 6 * 2, "maps.f16": 0}
