"""The one place that knows all sizes: heads of every switch, from data and from a saved state."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tagweave.config import PRESETS, ModelConfig, build_config
from tagweave.encoders.backbones import Layout
from tagweave.errors import InputError
from tagweave.model.build import build_mscnn_lce
from tagweave.model.inputs import HeadInputs, LabelFacts
from tagweave.model.mscnn_lce import MSCNNLCE
from tagweave.peers.registry import restore_head

LAYOUT = Layout(maps=((4, 6, 6), (5, 3, 3), (7, 2, 2)), strides=(8, 16, 32), parts=(5, 5))
SMALL = {"width": 6, "m": 8, "g": 2, "gcn_widths": (9, 7)}
LABELS = 5


def sample(count: int = 12) -> tuple[list[Tensor], Tensor]:
    random = torch.Generator().manual_seed(0)
    maps = [3 + 2 * torch.randn(count, *shape, generator=random) for shape in LAYOUT.maps]
    return maps, 1 + torch.randn(count, LAYOUT.features, generator=random)


def facts(rates: Any = None) -> LabelFacts:
    rng = np.random.default_rng(0)
    rates = np.full(LABELS, 0.3) if rates is None else np.array(rates)
    return LabelFacts(rng.random((LABELS, LABELS)), rates, rng.normal(size=(LABELS, 3)).astype(np.float32))


def build(config: ModelConfig, maps: list[Tensor], features: Tensor, rates: Any = None) -> MSCNNLCE:
    return build_mscnn_lce(config, HeadInputs.measure(LAYOUT, facts(rates), [maps], features.mean(dim=0)))


SWITCHES: tuple[dict[str, Any], ...] = (
    {}, {"append": "none"}, {"append": "g"}, {"append": "pooled"}, {"fusion": "dot"}, {"fusion": "none"},
    {"prior": False}, {"compatibility": "dot", "normalisation": "sigmoid"}, {"gcn_widths": (4,)},
    {"signed_sqrt": False, "l2": False}, {"normalise": "columns"}, {"gcn_widths": (4, 5, 6, 7)},
    {"global_vector": "convolutions"}, {"attention": False}, {"stages": (-1,)}, {"stages": (3, 1), "append": "g"},
    {"fusion": "linear"}, {"fusion": "linear", "gcn": False, "prior": False}, {"fusion": "none", "gcn": False},
    {"stages": (2,), "attention": False, "fusion": "linear", "global_vector": "convolutions", "append": "none"},
)  # fmt: skip


@pytest.mark.parametrize("switches", SWITCHES, ids=str)
def test_a_saved_head_fits_an_empty_one_and_scores_the_same(switches: dict[str, Any]) -> None:
    config = ModelConfig(**{**SMALL, **switches})
    torch.manual_seed(0)
    maps, features = sample()
    head = build(config, maps, features).eval()
    with torch.inference_mode():
        before = head(maps, features)
    assert before.logits.shape == (12, LABELS)
    assert (before.auxiliary is None) == (config.fusion == "none")
    head.fold()
    other = restore_head(config, LAYOUT, LABELS, head.state_dict())
    with torch.inference_mode():
        after = other.eval()(maps, features)
    torch.testing.assert_close(after.logits, before.logits, atol=1e-5, rtol=0)
    for one, two in zip(after.attention, before.attention, strict=True):
        torch.testing.assert_close(one, two)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_built(preset: str) -> None:
    maps, features = sample(3)
    head = build(build_config(preset).model, maps, features)
    assert head(maps, features).logits.shape == (3, LABELS)


def test_the_same_seed_gives_the_same_weights() -> None:
    states = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        states.append(build(ModelConfig(**SMALL), *sample()).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not all(torch.equal(states[0][name], states[2][name]) for name in states[0])


def test_statistics_come_from_the_sample() -> None:
    maps, features = sample()
    head = build(ModelConfig(**SMALL), maps, features)
    for stage, stored in zip(head.stages, maps, strict=True):
        values = stored.transpose(0, 1).flatten(1)
        torch.testing.assert_close(stage.channel_mean, values.mean(dim=1))
        torch.testing.assert_close(stage.channel_std, values.std(dim=1, correction=0), atol=1e-4, rtol=0)
    torch.testing.assert_close(head.pooled.mean, features.mean(dim=0))


def test_the_prior_is_the_logit_of_the_rate_and_stays_finite() -> None:
    rates = [0.5, 0.2, 0.0, 1.0, 0.9]
    head = build(ModelConfig(**SMALL, prior=True), *sample(), rates)
    assert head.prior is not None
    clipped = np.clip(rates, 1e-3, 1 - 1e-3)
    np.testing.assert_allclose(head.prior.detach().sigmoid().numpy(), clipped, atol=1e-5)
    assert build(ModelConfig(**SMALL, prior=False), *sample(), rates).prior is None


def test_folding_leaves_the_label_side_out_of_the_state() -> None:
    head = build(ModelConfig(**SMALL), *sample())
    assert any(name.startswith("gcn.") for name in head.state_dict())
    head.fold()
    assert not any(name.startswith("gcn.") for name in head.state_dict())
    assert head.state_dict()["label_projection"].shape == (LABELS, SMALL["m"])


def test_a_head_reads_the_stages_in_use_only() -> None:
    torch.manual_seed(0)
    maps, features = sample()
    head = build(ModelConfig(**SMALL, stages=(-1, 1)), maps, features).eval()
    assert head.use == (0, 2)
    before = head(maps, features)
    assert [tuple(a.shape) for a in before.attention] == [(12, 6, 6), (12, 2, 2)]
    maps[1] = maps[1] + 1.0
    torch.testing.assert_close(head(maps, features).logits, before.logits)
    for place in (0, 2):
        changed = [m + (number == place) * torch.randn_like(m) for number, m in enumerate(maps)]
        assert not torch.allclose(head(changed, features).logits, before.logits)


@pytest.mark.parametrize("stages", [(0,), (4,), (-4,), (1, 9)])
def test_stages_that_the_encoder_does_not_have(stages: tuple[int, ...]) -> None:
    text = (
        rf"^Expected model.stages to name some of the encoder's 3 stages, 1 \(finest\) to 3 .* but got \{list(stages)}"
    )
    with pytest.raises(InputError, match=text.replace("]", r"\]")):
        build(ModelConfig(**SMALL, stages=stages), *sample())


def test_a_stage_named_twice() -> None:
    with pytest.raises(InputError, match=r"^Expected every stage once in model.stages, but got \[3, -1\]\.$"):
        build(ModelConfig(**SMALL, stages=(3, -1)), *sample())


@pytest.mark.parametrize("fusion", ["mfb", "dot"])
def test_fusion_without_the_gcn_is_an_error_that_says_why(fusion: str) -> None:
    text = (
        f"expected a GCN with fusion '{fusion}', which joins the image with the label embeddings that the GCN makes, "
        "but got gcn false; set model.fusion=linear"
    )
    with pytest.raises(InputError, match=text):
        build_config(model={"gcn": False, "fusion": fusion})


def test_linear_fusion_is_one_layer_on_the_feature() -> None:
    maps, features = sample()
    head = build(ModelConfig(**SMALL, fusion="linear", append="none", dropout=0.0), maps, features).eval()
    assert head.gcn is None
    g = head.dense(head.pooled(features))
    feature = torch.cat([stage(m, g)[1] for stage, m in zip(head.stages, maps, strict=True)], dim=1)
    expected = feature @ head.fusion.weight.T + head.prior
    torch.testing.assert_close(head(maps, features).logits, expected)


def test_attention_off_is_the_average_over_positions() -> None:
    maps, features = sample()
    head = build(ModelConfig(**SMALL, attention=False), maps, features).eval()
    assert head(maps, features).attention == ()
    for stage, m in zip(head.stages, maps, strict=True):
        ready = (m - stage.channel_mean.view(1, -1, 1, 1)) / stage.channel_std.view(1, -1, 1, 1)
        local = torch.einsum("bchw,ec->behw", ready, stage.projection.weight) + stage.projection.bias.view(1, -1, 1, 1)
        torch.testing.assert_close(stage(m, features)[1], local.mean(dim=(2, 3)), atol=1e-5, rtol=1e-5)


def test_gradients_of_the_whole_head_are_those_of_small_steps() -> None:
    torch.manual_seed(0)
    maps, features = sample(2)
    config = ModelConfig(**SMALL, global_vector="convolutions", compatibility="dot", append="g", dropout=0.0)
    head = build(config, maps, features).double().eval()
    inputs = [m[:, :, :3, :3].double().requires_grad_() for m in maps]
    pooled = features.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda *x: tuple(head(list(x[:3]), x[3])[:2]), [*inputs, pooled])
