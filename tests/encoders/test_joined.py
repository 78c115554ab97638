"""Several backbones side by side in one record."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tagweave.encoders.backbones import Encoder, build_encoder
from tagweave.encoders.runners import onnx_runner
from tagweave.errors import InputError

PAIR = ("test_resnet", "mobilenetv3_small_050")
NAME = "+".join(PAIR)


@pytest.fixture(scope="module")
def joined() -> Encoder:
    return build_encoder(NAME, size=64, weights="random")


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8))


@torch.inference_mode()
def test_maps_and_features_are_those_of_each(joined: Encoder, pixels: torch.Tensor) -> None:
    parts = [build_encoder(name, size=64, weights="random") for name in PAIR]
    maps, features = joined.layout.split(joined.module(pixels).numpy())
    own = [part.layout.split(part.module(pixels).numpy()) for part in parts]
    for found, expected in zip(maps, [stage for stages, _ in own for stage in stages], strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(features, np.concatenate([pooled for _, pooled in own], axis=1))
    assert joined.layout.strides == (*parts[0].layout.strides, *parts[1].layout.strides)
    assert joined.key not in {part.key for part in parts}


def test_the_weights_of_all_travel_in_one_file(tmp_path: Path) -> None:
    first = build_encoder(NAME, size=64, weights="random")
    with torch.no_grad():
        next(iter(first.module.trunk[0].parameters())).add_(1.0)
    save_file(first.module.trunk.state_dict(), tmp_path / "both.safetensors")
    again = build_encoder(NAME, size=64, weights=str(tmp_path / "both.safetensors"))
    for name, tensor in first.module.trunk.state_dict().items():
        assert torch.equal(again.module.trunk.state_dict()[name], tensor)
    assert again.key != first.key  # that of other weights
    with pytest.raises(InputError, match="to hold the weights of 'test_resnet', but got"):
        build_encoder(PAIR[0], size=64, weights=str(tmp_path / "both.safetensors"))


@pytest.mark.slow
def test_one_session_runs_them(joined: Encoder, pixels: torch.Tensor, tmp_path: Path) -> None:
    found = onnx_runner(joined, tmp_path)(pixels.numpy())
    with torch.inference_mode():
        expected = joined.module(pixels).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())


def test_a_wrong_name_among_them_is_named() -> None:
    with pytest.raises(InputError, match="but got 'resnt50'"):
        build_encoder("test_resnet+resnt50", size=64, weights="random")
