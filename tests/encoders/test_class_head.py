"""The classes of a backbone, scored from its pooled feature as the backbone itself scores them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tagweave.config import EncoderConfig
from tagweave.encoders.backbones import build_encoder
from tagweave.encoders.class_head import _head_of, class_head

SIZE = 64


def record(name: str, pixels: np.ndarray) -> np.ndarray:
    """Return pooled features (B, D)."""
    encoder = build_encoder(name, SIZE)
    with torch.inference_mode():
        return encoder.module(torch.from_numpy(pixels)).numpy()[:, encoder.layout.map_values :]


def own_logits(name: str, pixels: np.ndarray) -> np.ndarray:
    """Return what the backbone's classifier says."""
    module = build_encoder(name, SIZE).module
    with torch.inference_mode():
        x = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - module.mean) / module.std
        return module.trunk(x).numpy()


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)


def test_one_backbone_scores_as_it_does_itself(pixels: np.ndarray) -> None:
    head = class_head(EncoderConfig(size=SIZE))
    assert head is not None
    features = record("efficientnet_lite0", pixels)
    found = features[:, head.columns] @ head.weight.T + head.bias
    np.testing.assert_allclose(found, own_logits("efficientnet_lite0", pixels), atol=1e-4)
    assert len(head.names) == 1000
    assert head.names[0] == ("tench", "Tinca tinca", "fish")
    assert head.names[339] == ("sorrel", "horse")


def test_two_side_by_side_are_averaged(pixels: np.ndarray) -> None:
    names = ("efficientnet_lite0", "efficientnet_lite2")
    head = class_head(EncoderConfig(name="+".join(names), size=SIZE))
    assert head is not None
    features = np.concatenate([record(name, pixels) for name in names], axis=1)
    found = features[:, head.columns] @ head.weight.T + head.bias
    wanted = np.mean([own_logits(name, pixels) for name in names], axis=0)
    np.testing.assert_allclose(found, wanted, atol=1e-4)


@pytest.mark.parametrize("config", [EncoderConfig(weights="random"), EncoderConfig(name="resnet10t", weights="random")])
def test_weights_that_know_no_classes_have_none(config: EncoderConfig) -> None:
    assert class_head(config) is None


@pytest.mark.parametrize(
    ("name", "size", "read"),
    [
        ("resnet10t", 64, True),
        ("vgg11_bn", 64, False),
        ("convnext_atto", 64, False),
        ("mobilenetv3_small_050", 64, False),
    ],
)
def test_a_head_is_read_where_it_is_one_layer_over_the_average(name: str, size: int, read: bool) -> None:
    assert (_head_of(build_encoder(name, size, "random"), 0) is not None) == read
