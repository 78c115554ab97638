"""Trunk and head as one: the frozen regime's logits, gradients, batch norms, precision, memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pixel_toys import pictures, settings, small_encoder, small_network
from torch import nn

from tagweave.data.labels import LabelMatrix
from tagweave.encoders.cache import to_half
from tagweave.encoders.runners import torch_runner
from tagweave.errors import InputError
from tagweave.training.end_to_end import EndToEnd
from tagweave.training.optim import build_optimiser, set_rate
from tagweave.training.pixels import PixelSource

Toy = tuple[PixelSource, LabelMatrix]


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return pictures(tmp_path_factory.mktemp("pixels"))


def test_the_logits_are_those_of_the_frozen_regime_up_to_the_cache(toy: Toy) -> None:
    source, labels = toy
    network = small_network(source, labels).eval()
    (pixels,) = source.read(np.arange(6))
    encoder = small_encoder()
    records = torch_runner(encoder, "cpu")(pixels.numpy())
    # Random weights see drawn pictures nearly alike; standardised by that small spread, a rounding counts for more.
    for stored, tolerance in ((records, 1e-4), (to_half(records).astype(np.float32), 2e-2)):
        maps, features = encoder.layout.split(stored)
        with torch.inference_mode():
            frozen = network.head([torch.from_numpy(stage.copy()) for stage in maps], torch.from_numpy(features.copy()))
            whole = network(pixels)
        assert whole.logits.std() > 10 * tolerance
        torch.testing.assert_close(whole.logits, frozen.logits, atol=tolerance, rtol=0)
        for ours, theirs in zip(whole.attention, frozen.attention, strict=True):
            torch.testing.assert_close(ours, theirs, atol=tolerance / 10, rtol=0)


def gradients(network: EndToEnd, toy: Toy) -> dict[str, torch.Tensor]:
    network.train()
    network(toy[0].read(np.arange(4))[0]).logits.square().sum().backward()
    return {name: p.grad for name, p in network.named_parameters() if p.grad is not None}


def test_trunk_and_head_learn_and_the_trunk_slower(toy: Toy) -> None:
    network = small_network(*toy)
    found = gradients(network, toy)
    assert any(name.startswith("encoder.trunk.conv_stem") and grad.abs().sum() > 0 for name, grad in found.items())
    assert any(name.startswith("head.") and grad.abs().sum() > 0 for name, grad in found.items())
    optimiser = build_optimiser(network, settings(backbone_rate=0.25))
    set_rate(optimiser, 0.2)
    trunk, head = optimiser.param_groups
    assert (trunk["lr"], head["lr"]) == (0.05, 0.2)
    assert {id(p) for p in trunk["params"]} == {id(p) for p in network.encoder.parameters()}
    assert {id(p) for p in head["params"]} == {id(p) for p in network.head.parameters()}


@pytest.mark.parametrize("kind", ["frozen", "batch"])
def test_statistics_of_batch_norms_stay_or_follow(kind: str, toy: Toy) -> None:
    network = small_network(*toy, batch_norm=kind)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items() if "running_mean" in name}
    gradients(network, toy)
    after = network.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items()) == (kind == "frozen")


def test_half_precision_is_near_and_the_head_stays_whole(toy: Toy) -> None:
    (pixels,) = toy[0].read(np.arange(4))
    networks = [small_network(*toy, precision=name).eval() for name in ("float32", "bf16")]
    with torch.inference_mode():
        exact, rounded = (network.look(pixels)[0] for network in networks)
        assert networks[1](pixels).logits.dtype == torch.float32
    for ours, theirs in zip(rounded, exact, strict=True):
        assert ours.dtype == torch.float32
        assert not torch.equal(ours, theirs)
        worst = (ours - theirs).abs().max() / theirs.abs().max()
        assert worst < 0.05  # bf16 keeps 8 bits: 0.4 % a layer, over some 50 of them


def test_maps_computed_twice_give_the_same_gradients(toy: Toy) -> None:
    plain, saving = small_network(*toy), small_network(*toy)
    saving.save_memory()
    calls = []
    block = next(module for name, module in saving.named_modules() if name.endswith("blocks.1.0"))
    block.register_forward_pre_hook(lambda *_: calls.append(1))
    expected, got = gradients(plain, toy), gradients(saving, toy)
    assert len(calls) == 2
    assert expected.keys() == got.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(got[name], gradient, atol=1e-6, rtol=1e-5)


def test_a_trunk_that_cannot_save_memory_is_named(toy: Toy) -> None:
    network = small_network(*toy)
    network.encoder.trunk = nn.Identity()
    with pytest.raises(InputError, match=r"this one cannot; leave train\.checkpoint_gradients out"):
        network.save_memory()


def test_a_file_that_went_away_is_named(toy: Toy, tmp_path: Path) -> None:
    source = PixelSource((*toy[0].files[:1], tmp_path / "gone.jpg"), 64, readers=1)
    with pytest.raises(InputError, match=r"gone\.jpg as it was checked, but it could not be read: .* Run again"):
        source.read(np.array([0, 1]))
