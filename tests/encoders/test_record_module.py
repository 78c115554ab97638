"""The layout of a record against the trunk run by hand, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tagweave.encoders.backbones import Encoder, build_encoder
from tagweave.encoders.record_module import RecordModule

Array = NDArray[np.float32]


def pixels_of(encoder: Encoder, images: int = 2) -> NDArray[np.uint8]:
    side = encoder.preprocessing.size
    return np.random.default_rng(5).integers(0, 256, (images, side, side, 3), dtype=np.uint8)


def parts_of(encoder: Encoder, pixels: NDArray[np.uint8]) -> tuple[list[Array], Array]:
    """Run the module and take its records apart with the layout."""
    with torch.inference_mode():
        records = encoder.module(torch.from_numpy(pixels)).numpy()
    assert records.shape == (len(pixels), encoder.layout.map_values + encoder.layout.features)
    return encoder.layout.split(records)


def watched(encoder: Encoder, pixels: NDArray[np.uint8], layers: Sequence[nn.Module]) -> tuple[list[Tensor], Tensor]:
    """Return what the layers and the whole trunk put out for pixels that NumPy brought to the network's range."""
    seen: dict[int, Tensor] = {}
    hooks = [
        layer.register_forward_hook(lambda _m, _i, out, n=n: seen.__setitem__(n, out)) for n, layer in enumerate(layers)
    ]
    mean, std = (np.array(part, np.float32) for part in (encoder.preprocessing.mean, encoder.preprocessing.std))
    x = np.moveaxis((pixels.astype(np.float32) - mean) / std, 3, 1).copy()
    trunk: Any = encoder.module.trunk
    with torch.inference_mode():
        final = trunk.forward_features(torch.from_numpy(x))
    for hook in hooks:
        hook.remove()
    return [seen[n] for n in range(len(layers))], final


def pooled(tokens: Array) -> Array:
    """Average and maximum over the places of (B, places, D)."""
    return np.concatenate([tokens.mean(axis=1), tokens.max(axis=1)], axis=1)


def features_of(final: Array, maps: Sequence[Array]) -> Array:
    """Average and maximum of the final map's places (B, places, D), then of the stored maps but the finest."""
    return np.concatenate([pooled(final), *(pooled(m.reshape(*m.shape[:2], -1).transpose(0, 2, 1)) for m in maps)], 1)


def close(got: Array, expected: Array) -> None:
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)  # float32, sums in another order


def test_convolutional_trunk(tiny: Encoder) -> None:
    trunk: Any = tiny.module.trunk
    pixels = pixels_of(tiny)
    (fine, middle, coarse), final = watched(tiny, pixels, [trunk.layer2, trunk.layer3, trunk.layer4])
    maps, features = parts_of(tiny, pixels)
    assert tiny.layout.maps == ((48, 4, 4), (192, 4, 4), (96, 2, 2))
    assert tiny.layout.strides == (8, 16, 32)
    assert fine.shape == (2, 48, 8, 8)
    close(maps[0], fine.numpy().reshape(2, 48, 4, 2, 4, 2).mean(axis=(3, 5)))
    close(maps[1], middle.numpy())
    close(maps[2], coarse.numpy())
    close(features, features_of(np.moveaxis(final.numpy(), 1, 3).reshape(2, 4, 96), maps[1:2]))  # the last is final


@pytest.mark.parametrize(
    ("map_side", "sides"), [(14, (8, 4, 2)), (8, (8, 4, 2)), (7, (4, 4, 2)), (2, (2, 2, 2)), (1, (1, 1, 1))]
)
def test_maps_are_pooled_to_at_most_the_side_and_the_final_maps_features_never(
    tiny: Encoder, map_side: int, sides: tuple[int, ...]
) -> None:
    other = build_encoder("test_resnet", size=64, weights="random", map_side=map_side)
    assert tuple(m[1:] for m in other.layout.maps) == tuple((side, side) for side in sides)
    assert other.layout.strides == (8, 16, 32)
    final = slice(0, 2 * 96)
    close(parts_of(other, pixels_of(tiny))[1][:, final], parts_of(tiny, pixels_of(tiny))[1][:, final])


def test_plain_transformer_leaves_its_class_token_out() -> None:
    encoder = build_encoder("test_vit", size=64, weights="random")
    trunk: Any = encoder.module.trunk
    pixels = pixels_of(encoder)
    assert trunk.num_prefix_tokens == 1
    outputs, final = watched(encoder, pixels, [trunk.blocks[n] for n in (2, 3, 5)])
    maps, features = parts_of(encoder, pixels)
    assert encoder.layout.maps == ((64, 4, 4),) * 3
    assert encoder.layout.strides == (16, 16, 16)
    for stored, tokens in zip(maps, outputs, strict=True):
        for place in range(16):
            close(stored[:, :, place // 4, place % 4], tokens[:, 1 + place].numpy())
    close(features, features_of(final[:, 1:].numpy(), maps[1:2]))


@pytest.mark.parametrize(
    "name", ["test_mambaout", pytest.param("swin_tiny_patch4_window7_224", marks=pytest.mark.slow)]
)
def test_trunk_with_channels_last(name: str) -> None:
    encoder = build_encoder(name, size=64 if name == "test_mambaout" else 112, weights="random")
    trunk: Any = encoder.module.trunk
    pixels = pixels_of(encoder)
    _, final = watched(encoder, pixels, [])
    channels, height, width = encoder.layout.maps[-1]
    assert final.shape == (2, height, width, channels)
    assert trunk.num_features == channels
    maps, features = parts_of(encoder, pixels)
    close(features, features_of(final.numpy().reshape(2, -1, channels), maps[1:2]))


def test_vgg_gives_the_ends_of_blocks_three_to_five_before_their_pooling() -> None:
    encoder = build_encoder("vgg16_bn", size=64, weights="random", map_side=8)
    trunk: Any = encoder.module.trunk
    pixels = pixels_of(encoder, images=1)
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255.0
    x = (x - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    ends = []
    with torch.inference_mode():
        for layer in trunk.features:
            if isinstance(layer, nn.MaxPool2d):
                ends.append(x.numpy())
            x = layer(x)
    maps, features = parts_of(encoder, pixels)
    assert encoder.layout.maps == ((256, 8, 8), (512, 8, 8), (512, 4, 4))
    assert encoder.layout.strides == (4, 8, 16)
    close(maps[0], ends[2].reshape(1, 256, 8, 2, 8, 2).mean(axis=(3, 5)))
    close(maps[1], ends[3])
    close(maps[2], ends[4])
    close(features, features_of(np.moveaxis(x.numpy(), 1, 3).reshape(1, -1, 512), maps[1:2]))


def test_pixels_are_normalised_per_channel() -> None:
    class Echo(nn.Module):
        def forward_intermediates(self, x: Tensor, indices: list[int]) -> tuple[Tensor, list[Tensor]]:
            return x, [x for _ in indices]

    module = RecordModule(Echo(), (10.0, 20.0, 30.0), (1.0, 2.0, 4.0), [0], map_side=2)
    record = module(torch.tensor([[[[10, 20, 30], [11, 22, 34]], [[12, 24, 38], [13, 26, 42]]]], dtype=torch.uint8))
    assert record.tolist() == [[0, 1, 2, 3] * 3 + [1.5] * 3 + [3] * 3]
    assert module.shapes(4) == (((3, 2, 2),), (1,), (3, 3))
