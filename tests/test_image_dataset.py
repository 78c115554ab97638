"""Images and labels of a run for a training loop of one's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import tagweave
from tagweave.api import Run
from tagweave.encoders.extract import load_pixels
from tagweave.errors import InputError
from tagweave.image_dataset import ImageDataset
from tagweave.steps.stored import load_collection


def test_items_are_pixels_targets_and_known(finished: Run) -> None:
    manifest, labels = load_collection(finished.folder)
    images = tagweave.ImageDataset(manifest, labels, size=32)
    assert len(images) == 60
    for row in (0, 59):
        pixels, targets, known = images[row]
        np.testing.assert_array_equal(pixels.permute(1, 2, 0).numpy(), load_pixels(manifest.file(row), 32))
        assert (targets.dtype, known.dtype) == (torch.float32, torch.bool)
        assert targets.numpy().tolist() == labels.values[row].astype(float).tolist()
        assert known.numpy().tolist() == labels.known[row].tolist()


def test_a_loader_stacks_them_and_a_masked_cell_has_no_gradient(finished: Run) -> None:
    loader = DataLoader(ImageDataset.of_run(finished.folder, size=16), batch_size=60)
    pixels, targets, known = next(iter(loader))
    assert pixels.shape == (60, 3, 16, 16)
    assert not known.all()
    logits = torch.zeros_like(targets, requires_grad=True)
    torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, weight=known.float()).backward()
    assert ((logits.grad != 0) == known).all()


def test_a_split_and_a_transform(finished: Run) -> None:
    manifest, _ = load_collection(finished.folder)
    tested = ImageDataset.of_run(finished.folder, "test", transform=lambda image: image.size)
    assert tested.manifest.paths == tuple(manifest.paths[row] for row in manifest.rows("test"))
    assert tested[0][0] == (72, 72)


def test_what_is_no_run_and_rows_that_do_not_fit(finished: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^Expected a run folder \(with manifest\.parquet\) at .*; run 'tagweave che"):
        ImageDataset.of_run(tmp_path)
    manifest, labels = load_collection(finished.folder)
    with pytest.raises(InputError, match=r"^Expected one label row per image, but got 60 rows for 1 images\.$"):
        ImageDataset(manifest.take(np.array([0])), labels)
