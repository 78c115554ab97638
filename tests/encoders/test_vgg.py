"""VGG-16-BN as the paper taps it: convolutions 7, 10 and 13, weights under torchvision's names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn

from tagweave.encoders.backbones import Encoder, build_encoder
from tagweave.errors import InputError

SIZE = 64


@pytest.fixture(scope="module")
def published() -> nn.Module:
    """Torchvision's model, with a small dense layer under torchvision's name."""
    torch.manual_seed(5)
    model = torchvision.models.vgg16_bn(init_weights=False, num_classes=3)
    model.classifier = nn.Sequential(nn.Linear(8, 3))
    for layer in model.features:
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(std=0.1)
            layer.running_var.uniform_(0.5, 2)
    return model.eval()


@pytest.fixture(scope="module")
def encoder(published: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    path = tmp_path_factory.mktemp("vgg") / "vgg16_bn.pth"
    torch.save(published.state_dict(), path)
    return build_encoder("vgg16_bn", size=SIZE, weights=str(path), map_side=112)


def after_convolution(model: nn.Module, x: Tensor) -> dict[int, Tensor]:
    """What leaves each convolution's ReLU, counted from 1."""
    found, count = {}, 0
    for layer in model.features:
        x = layer(x)
        count += isinstance(layer, nn.Conv2d)
        if isinstance(layer, nn.ReLU):
            found[count] = x.clone()
    return found


def test_stages_are_convolutions_7_10_and_13_before_pooling(published: nn.Module, encoder: Encoder) -> None:
    pixels = torch.randint(0, 256, (1, SIZE, SIZE, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    x = pixels.permute(0, 3, 1, 2) / 255.0
    x = (x - torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(
        1, 3, 1, 1
    )
    with torch.inference_mode():
        by_torchvision = after_convolution(published, x)
        maps, _ = encoder.module.stages(pixels)
    assert len(by_torchvision) == 13
    for stage, number in zip(maps, (7, 10, 13), strict=True):
        scale = by_torchvision[number].abs().max()
        torch.testing.assert_close(stage / scale, by_torchvision[number] / scale, atol=1e-5, rtol=0)


def test_layout_keeps_every_position(encoder: Encoder) -> None:
    assert encoder.layout.maps == ((256, 16, 16), (512, 8, 8), (512, 4, 4))
    assert encoder.layout.strides == (4, 8, 16)
    assert sum(parameter.numel() for parameter in encoder.module.parameters()) == 14_723_136  # no dense layers


def test_a_vgg_without_batch_norm_is_told(tmp_path: Path) -> None:
    path = tmp_path / "vgg16.pth"
    torch.save(torchvision.models.vgg16(init_weights=False).features.state_dict(prefix="features."), path)
    with pytest.raises(
        InputError, match=r"the weights of 'vgg16_bn', but got those of a VGG \(it starts with features"
    ):
        build_encoder("vgg16_bn", size=SIZE, weights=str(path))


def test_an_image_smaller_than_the_deepest_stride() -> None:
    with pytest.raises(
        InputError, match=r"^Expected encoder.size to be at least the deepest stride of 'vgg16_bn', 32 p"
    ):
        build_encoder("vgg16_bn", size=31, weights="random")
