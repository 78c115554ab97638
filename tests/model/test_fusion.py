"""Fusion against loops over images and labels, and its short cuts against the long way."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor

from references import model as reference
from tagweave.errors import InputError
from tagweave.model import fusion as fusion_module
from tagweave.model import rooted_scores
from tagweave.model.fusion import DotFusion, MFBFusion

ALGEBRA = 1e-10  # float64 sums of a few dozen terms of order 1, in another order
# x / sqrt(|x| + 1e-8) stands for sign(x) sqrt(|x|): it is 0.5e-8 / sqrt(|x|) short, 5e-8 for a sum of 0.01.
ROOTED = 1e-6
SWITCHES = list(product([True, False], [True, False]))


def mfb_case(g: int = 2, signed_sqrt: bool = True, l2: bool = True) -> tuple[MFBFusion, Tensor, Tensor]:
    torch.manual_seed(g)
    fusion = MFBFusion(7, 5, m=12, g=g, dropout=0.0, signed_sqrt=signed_sqrt, l2=l2).double()
    return fusion, torch.randn(4, 7, dtype=torch.float64), torch.randn(6, 5, dtype=torch.float64)


def by_reference(fusion: MFBFusion, feature: Tensor, embeddings: Tensor) -> np.ndarray:
    U, V, o = (layer.weight.detach().numpy() for layer in (fusion.U, fusion.V, fusion.output))
    fused = reference.mfb_reference(feature.numpy(), embeddings.numpy(), U, V, fusion.g, fusion.signed_sqrt, fusion.l2)
    return fused @ o[0] + fusion.output.bias.detach().numpy()


class TestMFBFusion:
    @pytest.mark.parametrize(("signed_sqrt", "l2"), SWITCHES)
    @pytest.mark.parametrize("g", [1, 2, 3, 12])
    @pytest.mark.parametrize("training", [False, True])
    def test_equal_to_loops(self, g: int, signed_sqrt: bool, l2: bool, training: bool) -> None:
        fusion, feature, embeddings = mfb_case(g, signed_sqrt, l2)
        found = fusion.train(training)(feature, fusion.project_labels(embeddings))
        tolerance = ROOTED * fusion.output.weight.abs().sum().item() if signed_sqrt else ALGEBRA
        assert_allclose(found.detach().numpy(), by_reference(fusion, feature, embeddings), atol=tolerance, rtol=0)

    def test_by_hand(self) -> None:
        # M1 = (1, 2, 3, 4), M2 = (4, 6, -3, 0): products 4, 12, -9, 0, sums 16 and -9, roots 4 and -3, norm 5.
        fusion = MFBFusion(1, 1, m=4, g=2)
        with torch.no_grad():
            fusion.U.weight.copy_(torch.tensor([[1.0], [2.0], [3.0], [4.0]]))
            fusion.V.weight.copy_(torch.tensor([[4.0], [6.0], [-3.0], [0.0]]))
            fusion.output.weight.copy_(torch.tensor([[10.0, 1.0]]))
            fusion.output.bias.fill_(0.5)
        found = fusion.eval()(torch.ones(1, 1), fusion.project_labels(torch.ones(1, 1)))
        assert found.item() == pytest.approx(10 * 0.8 - 0.6 + 0.5)

    def test_root_is_never_far_from_the_true_one(self) -> None:
        # The largest gap of x / sqrt(|x| + e) lies near x = 0.6 e and is 0.3 sqrt(e).
        fusion = MFBFusion(1, 1, m=1, g=1, l2=False).double().eval()
        with torch.no_grad():
            for weight in (fusion.U.weight, fusion.V.weight, fusion.output.weight):
                weight.fill_(1.0)
            fusion.output.bias.fill_(0.0)
        x = torch.logspace(-12, 2, 200, dtype=torch.float64)
        x = torch.cat([x, -x])[:, None]
        found = fusion(x, torch.ones(1, 1).double())
        assert (found - x.sign() * x.abs().sqrt()).abs().max() < 3.1e-5

    def test_low_rank_path_is_the_slow_way(self) -> None:
        fusion, feature, embeddings = mfb_case(3, signed_sqrt=False, l2=False)
        projected = fusion.project_labels(embeddings)
        slow = fusion.train()(feature, projected)
        image = fusion.U(feature)
        torch.testing.assert_close(fusion._low_rank(image, projected), slow, atol=ALGEBRA, rtol=0)
        torch.testing.assert_close(fusion.eval()(feature, projected), slow, atol=ALGEBRA, rtol=0)

    @pytest.mark.parametrize("values", [1, 4 * 12, 4 * 12 * 4, 4 * 12 * 6])
    def test_chunks_change_nothing_and_hold_no_more_than_they_may(
        self, values: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fusion, feature, embeddings = mfb_case()
        fusion.eval()
        inputs = [feature.requires_grad_(), *fusion.parameters()]
        results, held = [], []
        fuse = MFBFusion._fuse

        def recorded(self: MFBFusion, image: Tensor, projected: Tensor) -> Tensor:
            held.append(image.numel() * len(projected))
            return fuse(self, image, projected)

        monkeypatch.setattr(MFBFusion, "_fuse", recorded)
        for limit in (2**25, values):
            monkeypatch.setattr(fusion_module, "CHUNK_VALUES", limit)
            logits = fusion(feature, fusion.project_labels(embeddings))
            results.append((logits, *torch.autograd.grad(logits.sin().sum(), inputs)))
        for whole, chunked in zip(*results, strict=True):
            torch.testing.assert_close(chunked, whole, atol=ALGEBRA, rtol=0)
        assert held[0] == 4 * 12 * 6
        assert sum(held[1:]) == 4 * 12 * 6
        assert max(held[1:]) <= max(values, 4 * 12)  # one label at least

    @pytest.mark.parametrize("values", [1, 6 * 12, 10**6])
    @pytest.mark.parametrize("g", [1, 2, 3])
    def test_the_fast_way_has_the_values_and_the_gradients_of_the_plain_one(
        self, g: int, values: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rooted_scores, "CACHE_VALUES", values)
        fusion, feature, embeddings = mfb_case(g)
        feature[2] = 0.0  # its norm is at the floor
        feature[3] *= 1e-15
        inputs = [feature.requires_grad_(), embeddings.requires_grad_(), *fusion.parameters()]
        results = []
        for training in (True, False):
            logits = fusion.train(training)(feature, fusion.project_labels(embeddings))
            results.append((logits, *torch.autograd.grad(logits.sin().sum(), inputs)))
        for fast, plain in zip(*results, strict=True):
            torch.testing.assert_close(fast, plain, atol=ALGEBRA, rtol=1e-9)

    @pytest.mark.parametrize(("signed_sqrt", "l2"), SWITCHES)
    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
    def test_an_image_of_zeros_leaves_logits_and_gradients_finite(
        self, dtype: torch.dtype, signed_sqrt: bool, l2: bool
    ) -> None:
        fusion, feature, embeddings = mfb_case(2, signed_sqrt, l2)
        feature[1] = 0.0
        fusion = fusion.to(dtype)
        logits = fusion(feature.to(dtype), fusion.project_labels(embeddings.to(dtype)))
        logits.sum().backward()
        assert torch.isfinite(logits).all()
        assert all(torch.isfinite(p.grad).all() for p in fusion.parameters())
        torch.testing.assert_close(logits[1], fusion.output.bias.expand(6))

    @pytest.mark.parametrize(("signed_sqrt", "l2"), SWITCHES)
    def test_half_precision_survives_dropped_products(self, signed_sqrt: bool, l2: bool) -> None:
        fusion, feature, embeddings = mfb_case(2, signed_sqrt, l2)
        fusion, feature, embeddings = fusion.float().train(), feature.float(), embeddings.float()
        fusion.dropout.p = 0.6
        results = []
        for enabled in (False, True):
            torch.manual_seed(0)
            with torch.autocast("cpu", torch.float16, enabled=enabled):
                logits = fusion(feature, fusion.project_labels(embeddings))
            results.append((logits.float(), *torch.autograd.grad(64 * logits.mean(), list(fusion.parameters()))))
        for exact, half in zip(*results, strict=True):
            assert torch.isfinite(half).all()
            # float16 carries three digits, and the root's slope magnifies what U F loses where it nearly vanishes
            assert torch.cosine_similarity(half.flatten(), exact.flatten(), dim=0) > 0.999

    @pytest.mark.parametrize(("signed_sqrt", "l2"), SWITCHES)
    def test_gradients_are_those_of_small_steps(self, signed_sqrt: bool, l2: bool) -> None:
        fusion, feature, embeddings = mfb_case(2, signed_sqrt, l2)
        assert torch.autograd.gradcheck(
            lambda f, e: fusion(f, fusion.project_labels(e)), [feature.requires_grad_(), embeddings.requires_grad_()]
        )

    def test_scale_of_the_image_does_not_matter_under_the_norm(self) -> None:
        fusion, feature, embeddings = mfb_case()
        projected = fusion.project_labels(embeddings)
        # the constant under the root weighs less the larger the products
        torch.testing.assert_close(fusion(1e3 * feature, projected), fusion(feature, projected), atol=1e-5, rtol=0)

    def test_drops_products_in_training_only(self) -> None:
        fusion, feature, embeddings = mfb_case()
        fusion.dropout.p = 0.5
        projected = fusion.project_labels(embeddings)
        assert not torch.equal(fusion.train()(feature, projected), fusion(feature, projected))
        assert torch.equal(fusion.eval()(feature, projected), fusion(feature, projected))

    def test_follows_permutations_of_images_and_of_labels(self) -> None:
        fusion, feature, embeddings = mfb_case()
        rows, columns = torch.randperm(4), torch.randperm(6)
        found = fusion(feature, fusion.project_labels(embeddings))
        moved = fusion(feature[rows], fusion.project_labels(embeddings[columns]))
        torch.testing.assert_close(moved, found[rows][:, columns], atol=ALGEBRA, rtol=0)

    def test_refuses_a_group_that_does_not_divide_the_width(self) -> None:
        with pytest.raises(InputError, match="g to divide the fusion width m, but got m 358 and g 3"):
            MFBFusion(7, 5, g=3)


class TestDotFusion:
    def test_is_the_inner_product_where_the_widths_agree(self) -> None:
        feature, embeddings = torch.randn(4, 5), torch.randn(6, 5)
        fusion = DotFusion(5, 5)
        assert not list(fusion.parameters())
        found = fusion(feature, fusion.project_labels(embeddings))
        torch.testing.assert_close(found, torch.einsum("be,ce->bc", feature, embeddings), atol=1e-5, rtol=0)

    def test_aligns_widths_that_differ(self) -> None:
        torch.manual_seed(0)
        feature, embeddings = torch.randn(4, 7).double(), torch.randn(6, 5).double()
        fusion = DotFusion(7, 5).double()
        found = fusion(feature, fusion.project_labels(embeddings))
        expected = torch.einsum("bf,ef,ce->bc", feature, fusion.align.weight, embeddings)
        torch.testing.assert_close(found, expected, atol=ALGEBRA, rtol=0)
