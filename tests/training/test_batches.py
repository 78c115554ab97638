"""Which images an epoch holds, and how they are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import LAYOUT, toy

from tagweave.config import TrainConfig
from tagweave.training.batches import batches, epoch_order, lengthened


def marks(labelled: int, others: int) -> np.ndarray:
    return np.random.default_rng(9).permutation(np.arange(labelled + others) < labelled)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 30), st.integers(0, 60), st.floats(0, 0.95), st.integers(0, 3), st.integers(0, 3))
def test_every_image_comes_and_labelled_ones_reach_their_share(
    labelled: int, others: int, share: float, seed: int, epoch: int
) -> None:
    known = marks(labelled, others)
    order = epoch_order(known, share, seed, epoch)
    counts = np.bincount(order, minlength=len(known))
    assert (counts >= 1).all()
    assert (counts[~known] == 1).all()
    if labelled and others:
        assert counts[known].max() - counts[known].min() <= 1
        reached = counts[known].sum()
        # The number of repetitions is rounded to a whole image.
        assert reached >= max(labelled, share * others / (1 - share) - 0.5 - 1e-9)
        assert reached <= max(labelled, share * others / (1 - share) + 0.5 + 1e-9)


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    known = marks(5, 50)
    first = epoch_order(known, 0.3, 1, 2)
    epoch_order(known, 0.3, 1, 1)
    np.testing.assert_array_equal(epoch_order(known, 0.3, 1, 2), first)
    assert not np.array_equal(epoch_order(known, 0.3, 1, 3), first)
    assert not np.array_equal(epoch_order(known, 0.3, 2, 2), first)


def test_labelled_and_others_are_mixed() -> None:
    known = np.arange(400) < 100
    halves = np.array_split(known[epoch_order(known, 0.25, 0, 0)], 4)
    assert all(10 <= half.sum() <= 40 for half in halves)


def test_records_come_back_as_they_were_stored(tmp_path: Path) -> None:
    source, _ = toy(tmp_path, images=10)
    stored = source.cache.records(source.positions).astype(np.float32)
    rows = np.array([7, 0, 7])
    maps, features = source.read(rows)
    flat = np.concatenate([*(stage.numpy().reshape(3, -1) for stage in maps), features.numpy()], axis=1)
    np.testing.assert_array_equal(flat, stored[rows])
    assert [tuple(stage.shape) for stage in maps] == [(3, *shape) for shape in LAYOUT.maps]


@pytest.mark.parametrize("size", [1, 4, 10, 99])
def test_batches_hold_the_order_in_pieces(size: int, tmp_path: Path) -> None:
    source, _ = toy(tmp_path, images=10)
    order = np.random.default_rng(0).permutation(10)
    seen = list(batches(source, order, size))
    np.testing.assert_array_equal(np.concatenate([rows for rows, _ in seen]), order)
    assert [len(rows) for rows, _ in seen[:-1]] == [size] * (len(seen) - 1)
    for rows, (maps, features) in seen:
        expected_maps, expected_features = source.read(rows)
        assert all((one == two).all() for one, two in zip(maps, expected_maps, strict=True))
        assert (features == expected_features).all()


def test_nothing_to_read(tmp_path: Path) -> None:
    source, _ = toy(tmp_path, images=3)
    assert list(batches(source, np.zeros(0, np.int64), 4)) == []


def test_a_reader_that_is_left_early_ends(tmp_path: Path) -> None:
    source, _ = toy(tmp_path, images=10)
    reader = batches(source, np.arange(10), 2)
    next(reader)
    reader.close()


@pytest.mark.parametrize(
    ("images", "epochs", "patience"),
    [(4000, 12, 5), (640, 40, 17), (64, 400, 167), (1, 400, 167)],
)
def test_a_small_collection_is_gone_over_more_often(images: int, epochs: int, patience: int) -> None:
    config = TrainConfig(epochs=12, updates=400, batch=64, patience=5)
    found = lengthened(config, labelled=images, others=0)
    assert (found.epochs, found.patience) == (epochs, patience)
    assert found.model_copy(update={"epochs": 12, "patience": 5}) == config


def test_repeated_labelled_images_count_as_updates() -> None:
    config = TrainConfig(epochs=1, updates=100, batch=10, labelled_share=0.5, patience=1)
    assert lengthened(config, labelled=10, others=90).epochs == 6  # 180 images an epoch
    assert lengthened(config.model_copy(update={"updates": 0}), labelled=10, others=90).epochs == 1
