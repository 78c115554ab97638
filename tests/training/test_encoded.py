"""Records encoded as they are read: those of the cache, in bounded batches, and one error for files that changed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from pixel_toys import SIDE, pictures, small_encoder

from tagweave.data.manifest import Manifest
from tagweave.encoders.cache import RecordCache
from tagweave.encoders.extract import extract
from tagweave.encoders.runners import onnx_runner
from tagweave.errors import InputError
from tagweave.training.batches import MapSource, batches
from tagweave.training.encoded import EncodedSource


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    files = pictures(tmp_path)[0].files
    digests = tuple(hashlib.blake2b(file.read_bytes(), digest_size=16).hexdigest() for file in files)
    names, sizes = tuple(file.name for file in files), np.full((len(files), 2), SIDE, dtype=np.int32)
    return Manifest(tmp_path / "pictures", names, digests, sizes, np.full(len(files), "train"))


def test_inputs_are_those_of_the_cache_to_the_bit(manifest: Manifest, tmp_path: Path) -> None:
    encoder = small_encoder()
    runner = onnx_runner(encoder, tmp_path)
    cache = RecordCache.of(encoder, tmp_path)
    assert extract(manifest, encoder, runner, cache) == []
    stored = MapSource(cache, cache.positions(manifest.digests))
    made = EncodedSource(manifest, encoder, runner, readers=2)
    order = np.random.default_rng(0).permutation(len(manifest))
    assert made.batch == 16
    sizes = []
    for rows, (maps, features) in batches(made, order, made.batch):
        sizes.append(len(rows))
        expected_maps, expected_features = stored.read(rows)
        assert torch.equal(features, expected_features)
        assert all(torch.equal(one, other) for one, other in zip(maps, expected_maps, strict=True))
    assert sizes == [16, 8]


def test_files_that_changed_or_went_are_named_together(manifest: Manifest) -> None:
    manifest.file(2).write_bytes(manifest.file(3).read_bytes())
    manifest.file(5).unlink()
    source = EncodedSource(manifest, small_encoder(), lambda pixels: np.zeros((len(pixels), 3), dtype=np.float32))
    with pytest.raises(InputError) as caught:
        source.records(np.arange(8))
    changed, gone = (f"Expected {manifest.paths[row]} as it was checked, but it" for row in (2, 5))
    assert f"{changed} changed since it was checked" in str(caught.value)
    assert f"{gone} could not be read" in str(caught.value)
    assert str(caught.value).count("Run again.") == 2
