"""The assembled head against its parts' references, folded against unfolded, labels permuted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor, nn

from references import model as reference
from tagweave.errors import InputError
from tagweave.model.attention import StageAttention
from tagweave.model.fusion import DotFusion, MFBFusion
from tagweave.model.label_gcn import LabelGCN
from tagweave.model.mscnn_lce import MSCNNLCE

ALGEBRA = 1e-10  # float64 sums of a few dozen terms of order 1, in another order
ROOTED = 1e-5  # MFB's x / sqrt(|x| + 1e-8) stands for sign(x) sqrt(|x|), and logits reach beyond 10
LABELS, WIDTH, POOLED, CHANNELS = 6, 4, 5, (3, 5)


def head_parts(kind: str | None, append: str = "none", dropout: float = 0.0) -> dict[str, Any]:
    """Make the parts of a head with two stages; ``kind`` is mfb, dot or None for no fusion."""
    stages = [StageAttention(channels, WIDTH, "dot") for channels in CHANNELS]
    image = WIDTH * len(stages) + {"none": 0, "g": WIDTH, "pooled": POOLED}[append]
    fusion = {"mfb": MFBFusion(image, 7, 8, 2, dropout), "dot": DotFusion(image, 7), None: None}[kind]
    gcn = LabelGCN(torch.rand(LABELS, LABELS), torch.randn(LABELS, 9), [8, 7])
    return {
        "pooled": nn.Tanh(),
        "stages": stages,
        "dense": nn.Linear(POOLED, WIDTH),
        "classifiers": [nn.Linear(WIDTH, LABELS) for _ in stages],
        "gcn": None if fusion is None else gcn,
        "fusion": fusion,
        "append": append,
        "dropout": dropout,
    }


def head_case(kind: str | None = "mfb", seed: int = 0, **changes: Any) -> MSCNNLCE:
    torch.manual_seed(seed)
    prior = changes.pop("prior", None)
    return MSCNNLCE(**head_parts(kind, **changes), prior=prior).double().eval()


def batch() -> tuple[list[Tensor], Tensor]:
    generator = torch.Generator().manual_seed(1)
    maps = [torch.randn(2, c, side, side, generator=generator) for c, side in zip(CHANNELS, (4, 2), strict=True)]
    return [m.double() for m in maps], torch.randn(2, POOLED, generator=generator).double()


def array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().numpy()


def by_reference(head: MSCNNLCE, maps: list[Tensor], feature: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return logits by MFB and the auxiliary prediction."""
    pooled = np.tanh(array(feature))
    g = pooled @ array(head.dense.weight).T + array(head.dense.bias)
    vectors, votes = [], []
    for stage, linear, stage_map in zip(head.stages, head.classifiers, maps, strict=True):
        projection, bias = array(stage.projection.weight), array(stage.projection.bias)
        vectors.append(reference.attention_reference(array(stage_map), projection, bias, g, compatibility="dot")[1])
        votes.append(vectors[-1] @ array(linear.weight).T + array(linear.bias))
    F = np.concatenate([*vectors, *{"none": [], "g": [g], "pooled": [pooled]}[head.append]], axis=1)
    gcn, fusion = head.gcn, head.fusion
    W_lab = reference.gcn_reference(array(gcn.adjacency), array(gcn.word_vectors), [array(w) for w in gcn.weights])
    fused = reference.mfb_reference(F, W_lab, array(fusion.U.weight), array(fusion.V.weight), fusion.g)
    logits = fused @ array(fusion.output.weight)[0] + array(fusion.output.bias)
    return logits, np.mean(votes, axis=0)


class TestForward:
    @pytest.mark.parametrize("append", ["none", "g", "pooled"])
    def test_equal_to_the_chain_of_references(self, append: str) -> None:
        head = head_case(append=append)
        maps, feature = batch()
        found = head(maps, feature)
        logits, auxiliary = by_reference(head, maps, feature)
        assert_allclose(array(found.logits), logits, atol=ROOTED, rtol=0)
        assert_allclose(array(found.auxiliary), auxiliary, atol=ALGEBRA, rtol=0)
        assert [tuple(a.shape) for a in found.attention] == [(2, 4, 4), (2, 2, 2)]

    def test_prior_is_an_offset_per_label_that_learns(self) -> None:
        prior = torch.linspace(-3, 0, LABELS)
        head, plain = head_case(prior=prior), head_case()
        maps, feature = batch()
        torch.testing.assert_close(
            head(maps, feature).logits - plain(maps, feature).logits, prior.expand(2, -1).double()
        )
        head(maps, feature).logits.sum().backward()
        torch.testing.assert_close(head.prior.grad, torch.full((LABELS,), 2.0).double())
        with torch.no_grad():
            head.prior.zero_()
        assert prior[0] == -3  # the caller's tensor is not the parameter

    def test_without_fusion_the_averaged_votes_are_the_prediction(self) -> None:
        head = head_case(None)
        maps, feature = batch()
        found = head(maps, feature)
        assert found.auxiliary is None
        vectors = [stage(m, head.dense(feature.tanh()))[1] for stage, m in zip(head.stages, maps, strict=True)]
        expected = sum(linear(v) for linear, v in zip(head.classifiers, vectors, strict=True)) / 2
        torch.testing.assert_close(found.logits, expected, atol=ALGEBRA, rtol=0)

    @pytest.mark.parametrize("kind", ["mfb", "dot", None])
    def test_every_parameter_that_serves_the_prediction_learns(self, kind: str | None) -> None:
        head = head_case(kind, append="g").train()
        maps, feature = batch()
        found = head(maps, feature)
        total = found.logits.sin().sum()
        if found.auxiliary is not None:
            total = total + found.auxiliary.sin().sum()
        total.backward()
        for name, parameter in head.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
            assert parameter.grad.any(), name

    def test_images_do_not_touch_each_other(self) -> None:
        head = head_case()
        maps, feature = batch()
        together = head(maps, feature).logits
        for row in range(2):
            alone = head([m[[row]] for m in maps], feature[[row]]).logits
            torch.testing.assert_close(alone, together[[row]], atol=ALGEBRA, rtol=0)

    @pytest.mark.parametrize("kind", ["mfb", "dot"])
    def test_drops_in_training_only(self, kind: str) -> None:
        head = head_case(kind, dropout=0.5)
        maps, feature = batch()
        assert torch.equal(head(maps, feature).logits, head(maps, feature).logits)
        head.train()
        assert not torch.equal(head(maps, feature).logits, head(maps, feature).logits)
        assert not torch.equal(head(maps, feature).auxiliary, head(maps, feature).auxiliary)

    def test_refuses_a_wrong_number_of_maps(self) -> None:
        maps, feature = batch()
        with pytest.raises(ValueError, match="shorter"):
            head_case()(maps[:1], feature)

    def test_follows_a_permutation_of_the_labels(self) -> None:
        maps, feature = batch()
        order = torch.randperm(LABELS, generator=torch.Generator().manual_seed(3))
        prior = torch.linspace(-3, 0, LABELS)
        head, moved = head_case(prior=prior), head_case(prior=prior)
        with torch.no_grad():
            moved.gcn.adjacency.copy_(head.gcn.adjacency[order][:, order])
            moved.gcn.word_vectors.copy_(head.gcn.word_vectors[order])
            moved.prior.copy_(head.prior[order])
            for linear in moved.classifiers:
                linear.weight.copy_(linear.weight[order].clone())
                linear.bias.copy_(linear.bias[order].clone())
        found, expected = moved(maps, feature), head(maps, feature)
        torch.testing.assert_close(found.logits, expected.logits[:, order], atol=ALGEBRA, rtol=0)
        torch.testing.assert_close(found.auxiliary, expected.auxiliary[:, order], atol=ALGEBRA, rtol=0)


class TestFold:
    @pytest.mark.parametrize("kind", ["mfb", "dot", None])
    def test_folded_is_equal_to_unfolded(self, kind: str | None) -> None:
        head = head_case(kind)
        maps, feature = batch()
        before = head(maps, feature)
        head.fold()
        head.fold()
        after = head(maps, feature)
        torch.testing.assert_close(after.logits, before.logits, atol=ALGEBRA, rtol=0)
        for folded, unfolded in zip(after.attention, before.attention, strict=True):
            assert torch.equal(folded, unfolded)

    def test_the_label_side_becomes_one_tensor_that_is_saved(self) -> None:
        head = head_case()
        head.fold()
        assert head.gcn is None
        assert head.state_dict()["label_projection"].shape == (LABELS, 8)
        assert not head.label_projection.requires_grad
        assert not [name for name in head.state_dict() if name.startswith("gcn")]


class TestParts:
    @pytest.mark.parametrize("missing", ["gcn", "fusion"])
    def test_refuses_fusion_without_the_gcn_and_the_gcn_without_fusion(self, missing: str) -> None:
        parts = head_parts("mfb") | {missing: None}
        with pytest.raises(InputError, match="the GCN and fusion together: fusion joins the image with the GCN's"):
            MSCNNLCE(**parts)
