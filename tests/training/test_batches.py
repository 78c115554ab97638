"""Which images an epoch holds, and how they are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import LAYOUT, toy

from tagweave.config import TrainConfig
from tagweave.training.batches import TrainingSet, batches, epoch_length, epoch_order, lengthened


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
    ("images", "epochs", "passes", "patience"),
    [(4000, 12, 1, 5), (1300, 20, 1, 9), (640, 14, 3, 6), (64, 13, 33, 6), (1, 13, 33, 6)],
)
def test_a_small_collection_is_gone_over_more_often(images: int, epochs: int, passes: int, patience: int) -> None:
    config = TrainConfig(epochs=12, updates=400, batch=64, patience=5)
    longer, found = lengthened(config, labelled=images, others=0)
    assert (longer.epochs, found, longer.patience) == (epochs, passes, patience)
    assert longer.model_copy(update={"epochs": 12, "patience": 5}) == config


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 300), st.integers(0, 3000), st.integers(1, 30), st.integers(0, 600), st.integers(1, 80))
def test_the_updates_are_reached_and_hardly_passed(
    labelled: int, others: int, epochs: int, updates: int, batch: int
) -> None:
    config = TrainConfig(epochs=epochs, updates=updates, batch=batch)
    longer, passes = lengthened(config, labelled, others)
    in_an_epoch = passes * -(-max(epoch_length(labelled, others, config.labelled_share), 1) // batch)
    reached = longer.epochs * in_an_epoch
    assert reached >= updates
    assert longer.epochs == epochs or reached < updates + in_an_epoch
    assert longer.epochs <= 2 * epochs


def test_an_epoch_of_several_passes_orders_each_anew() -> None:
    data = TrainingSet(None, *(np.zeros((6, 1), dtype=np.float32),) * 2, np.ones(6, dtype=bool), (), passes=3)  # type: ignore[arg-type]
    order = data.order(0.0, seed=1, epoch=2)
    np.testing.assert_array_equal(order, np.concatenate([epoch_order(data.labelled, 0.0, 1, e) for e in (6, 7, 8)]))
