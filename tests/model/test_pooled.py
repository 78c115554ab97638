"""The pooled feature made ready, and the statistics of maps."""

from __future__ import annotations

import numpy as np
import torch

from tagweave.model.pooled import PooledFeature, channel_statistics, joined_statistics


def test_parts_are_centred_and_normalised_on_their_own() -> None:
    rng = np.random.default_rng(0)
    raw, mean = rng.normal(3, 2, (5, 6)).astype(np.float32), rng.normal(3, 1, 6).astype(np.float32)
    expected = np.zeros((5, 6))
    for row in range(5):
        for part in (slice(0, 3), slice(3, 6)):
            centred = raw[row, part].astype(np.float64) - mean[part]
            expected[row, part] = centred / np.sqrt((centred**2).sum()) * np.sqrt(3)
    found = PooledFeature(torch.from_numpy(mean), (3, 3))(torch.from_numpy(raw))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_numbers_have_unit_size_and_scale_does_not_count() -> None:
    pooled = PooledFeature(torch.zeros(8), (4, 4))
    raw = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close((pooled(raw) ** 2).mean(dim=1), torch.ones(4))
    scaled = torch.cat([7 * raw[:, :4], 0.1 * raw[:, 4:]], dim=1)
    torch.testing.assert_close(pooled(scaled), pooled(raw))


def test_the_mean_itself_gives_zero_and_not_nan() -> None:
    mean = torch.arange(4.0)
    torch.testing.assert_close(PooledFeature(mean, (2, 2))(mean[None]), torch.zeros(1, 4))


def test_the_mean_is_kept_with_the_weights_and_not_trained() -> None:
    pooled = PooledFeature(torch.arange(4.0), (2, 2))
    assert list(pooled.state_dict()) == ["mean"]
    assert not list(pooled.parameters())


def test_statistics_are_over_images_and_positions() -> None:
    maps = np.random.default_rng(1).normal(5, 3, (4, 3, 2, 5)).astype(np.float32)
    mean, std = channel_statistics(torch.from_numpy(maps))
    by_channel = maps.astype(np.float64).transpose(1, 0, 2, 3).reshape(3, -1)
    np.testing.assert_allclose(mean.numpy(), by_channel.mean(axis=1), atol=1e-5)
    np.testing.assert_allclose(std.numpy(), by_channel.std(axis=1), atol=1e-5)


def test_statistics_of_batches_are_those_of_all_images() -> None:
    maps = torch.from_numpy(np.random.default_rng(1).normal(5, 3, (7, 3, 2, 5)).astype(np.float32))
    maps[:2] += 40  # batches that differ
    parts = [(len(part), *channel_statistics(part)) for part in maps.split([2, 4, 1])]
    for joined, whole in zip(joined_statistics(parts), channel_statistics(maps), strict=True):
        torch.testing.assert_close(joined, whole, atol=1e-5, rtol=1e-6)  # float32 sums in another order


def test_statistics_of_one_batch_keep_their_bits() -> None:
    maps = torch.from_numpy(np.random.default_rng(1).normal(5, 3, (4, 64, 2, 5)).astype(np.float32))
    own = channel_statistics(maps)
    for joined, whole in zip(joined_statistics([(4, *own)]), own, strict=True):
        assert torch.equal(joined, whole)


def test_a_channel_without_variation_can_be_divided_by() -> None:
    _, std = channel_statistics(torch.full((2, 1, 3, 3), 4.0))
    assert std.item() == np.float32(1e-3)
